/** Transactions of holds and retention. None is of the standard. */
import { z } from "zod";
import { holdAnswer, holdsAnswer } from "./answers-retention.ts";
import { holdRequest } from "./holds.ts";
import { pageLimit, position } from "./query-parameters.ts";
import type { Transaction } from "./route.ts";
import { anyArchive, nothing } from "./transactions.ts";

const holds: Transaction = {
  ...nothing,
  area: "Holds",
  section: "holds",
  responseTypes: ["application/json"],
  statuses: [200, ...anyArchive],
};

/** Holds: what protects studies against every removal. */
export const holdsListed: Transaction = {
  ...holds,
  query: [
    {
      name: "past",
      meaning: "Whether holds that are over or released are answered, too.",
      schema: z.enum(["true", "false"], "is neither true nor false"),
      example: "false",
    },
    { name: "limit", meaning: "Holds to answer at most.", schema: pageLimit, example: "100" },
    { name: "before", meaning: "Only holds with a lower id: the last one of the page before.", schema: position },
  ],
  responseSchema: holdsAnswer,
};
export const holdPlaced: Transaction = {
  ...holds,
  requestTypes: ["application/json"],
  requestSchema: holdRequest,
  responseSchema: holdAnswer,
  statuses: [201, 400, 409, 413, 415, ...anyArchive],
};
export const holdRead: Transaction = { ...holds, responseSchema: holdAnswer, statuses: [200, 400, 404, ...anyArchive] };
export const holdReleased: Transaction = { ...holds, responseTypes: [], statuses: [204, 400, 404, ...anyArchive] };
