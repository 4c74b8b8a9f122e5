/** Transactions of the server's own: removal, the feed of changes, webhooks. None is of the standard. */
import { z } from "zod";
import {
  changesAnswer,
  deliveriesAnswer,
  removalsAnswer,
  restoredAnswer,
  webhookAddedAnswer,
  webhookAnswer,
  webhooksAnswer,
} from "./answers.ts";
import { pageLimit, position } from "./query-parameters.ts";
import type { QueryParameter, Transaction } from "./route.ts";
import { anyArchive, nothing } from "./transactions.ts";
import { webhookRequest } from "./webhooks.ts";

/** Delete: not of the standard, but at its resources, as other archives have it. */
export const removed: Transaction = {
  ...nothing,
  area: "Delete",
  section: "delete",
  responseTypes: [],
  statuses: [204, 404, 409, ...anyArchive],
};
export const removalsListed: Transaction = {
  ...removed,
  query: [
    { name: "limit", meaning: "Removals to answer at most.", schema: pageLimit, example: "100" },
    { name: "before", meaning: "Only removals with a lower id: the last one of the page before.", schema: position },
  ],
  responseTypes: ["application/json"],
  responseSchema: removalsAnswer,
  statuses: [200, ...anyArchive],
};
export const restored: Transaction = {
  ...removed,
  query: [
    {
      name: "otherPatient",
      meaning: "Whether to restore into a study that is another patient's now; otherwise nothing is restored.",
      schema: z.enum(["true", "false"], "is neither true nor false"),
      example: "false",
    },
  ],
  responseTypes: ["application/json"],
  responseSchema: restoredAnswer,
  statuses: [200, 400, 404, 409, ...anyArchive],
};

/** The feed of changes: not of the standard. */
export const changesRead: Transaction = {
  ...nothing,
  area: "Changes",
  section: "changes",
  query: [
    {
      name: "since",
      meaning: "Only changes with a higher sequence number: the `next` of the page before; or latest.",
      schema: z.string().regex(/^(\d{1,15}|latest)$/, "is neither a whole number of 0 or more nor latest"),
      example: "0",
    },
    { name: "limit", meaning: "Changes to answer at most.", schema: pageLimit, example: "100" },
    {
      name: "wait",
      meaning: "Seconds to wait for a change when there is none.",
      schema: z.string().regex(/^(1?\d|20)$/, "is not a whole number from 0 to 20"),
      example: "20",
    },
  ],
  responseTypes: ["application/json"],
  responseSchema: changesAnswer,
  statuses: [200, 400, 410, ...anyArchive],
};

const webhooks: Transaction = {
  ...nothing,
  area: "Webhooks",
  section: "webhooks",
  responseTypes: ["application/json"],
  statuses: [200, ...anyArchive],
};
const deliveriesLimit: QueryParameter = {
  name: "limit",
  meaning: "Deliveries to answer at most.",
  schema: pageLimit,
  example: "100",
};

/** Webhooks: addresses that are told of changes. */
export const webhooksListed: Transaction = { ...webhooks, responseSchema: webhooksAnswer };
export const webhookAdded: Transaction = {
  ...webhooks,
  requestTypes: ["application/json"],
  requestSchema: webhookRequest,
  responseSchema: webhookAddedAnswer,
  statuses: [201, 400, 409, 413, 415, ...anyArchive],
};
export const webhookRead: Transaction = {
  ...webhooks,
  responseSchema: webhookAnswer,
  statuses: [200, 400, 404, ...anyArchive],
};
export const webhookRemoved: Transaction = {
  ...webhooks,
  responseTypes: [],
  statuses: [204, 400, 404, ...anyArchive],
};
export const deliveriesListed: Transaction = {
  ...webhookRead,
  query: [deliveriesLimit],
  responseSchema: deliveriesAnswer,
};
