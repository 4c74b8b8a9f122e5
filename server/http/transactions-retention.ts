/** Transactions of holds and retention. None is of the standard. */
import { z } from "zod";
import {
  dryRunAnswer,
  holdAnswer,
  holdsAnswer,
  ruleAnswer,
  rulesAnswer,
  runRemovalsAnswer,
  runsAnswer,
} from "./answers-retention.ts";
import { holdRequest } from "./holds.ts";
import { pageLimit, position } from "./query-parameters.ts";
import { enableRequest, ruleRequest } from "./retention.ts";
import type { QueryParameter, Transaction } from "./route.ts";
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

const retention: Transaction = { ...holds, area: "Retention", section: "retention" };
const rule: Transaction = { ...retention, responseSchema: ruleAnswer, statuses: [200, 400, 404, ...anyArchive] };
const page = (what: string): readonly QueryParameter[] => [
  { name: "limit", meaning: `${what} to answer at most.`, schema: pageLimit, example: "100" },
  {
    name: "before",
    meaning: `Only ${what.toLowerCase()} with a lower id: the last one of the page before.`,
    schema: position,
  },
];

/** Retention: rules by which studies are removed. */
export const rulesListed: Transaction = { ...retention, responseSchema: rulesAnswer };
export const ruleAdded: Transaction = {
  ...rule,
  requestTypes: ["application/json"],
  requestSchema: ruleRequest,
  statuses: [201, 400, 409, 413, 415, ...anyArchive],
};
export const ruleRead = rule;
export const ruleChanged: Transaction = { ...ruleAdded, statuses: [200, 400, 404, 409, 413, 415, ...anyArchive] };
export const ruleRemoved: Transaction = { ...rule, responseTypes: [], statuses: [204, 400, 404, ...anyArchive] };
export const ruleRunDry: Transaction = {
  ...rule,
  query: [{ name: "limit", meaning: "Studies to list at most.", schema: pageLimit, example: "100" }],
  responseSchema: dryRunAnswer,
  statuses: [200, 400, 404, 409, ...anyArchive],
};
export const ruleEnabled: Transaction = { ...ruleChanged, requestSchema: enableRequest };
export const runsListed: Transaction = { ...retention, query: page("Runs"), responseSchema: runsAnswer };
export const runRemovalsListed: Transaction = {
  ...rule,
  query: page("Removals"),
  responseSchema: runRemovalsAnswer,
};
