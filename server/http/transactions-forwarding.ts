/** Transactions of forwarding. None is of the standard. */
import { forwardingAnswer, forwardingsAnswer } from "./answers-forwarding.ts";
import { forwardingPut, forwardingRequest } from "./forwarding.ts";
import type { Transaction } from "./route.ts";
import { anyArchive, nothing } from "./transactions.ts";

const forwarding: Transaction = {
  ...nothing,
  area: "Forwarding",
  section: "forwarding",
  responseTypes: ["application/json"],
  statuses: [200, ...anyArchive],
};

/** Forwarding: rules by which instances are sent on, and how they go. */
export const forwardingListed: Transaction = { ...forwarding, responseSchema: forwardingsAnswer };
export const forwardingAdded: Transaction = {
  ...forwarding,
  requestTypes: ["application/json"],
  requestSchema: forwardingRequest,
  responseSchema: forwardingAnswer,
  statuses: [201, 400, 404, 409, 413, 415, ...anyArchive],
};
export const forwardingRead: Transaction = {
  ...forwarding,
  responseSchema: forwardingAnswer,
  statuses: [200, 400, 404, ...anyArchive],
};
export const forwardingChanged: Transaction = {
  ...forwardingAdded,
  requestSchema: forwardingPut,
  statuses: [200, 400, 404, 409, 413, 415, ...anyArchive],
};
export const forwardingRemoved: Transaction = {
  ...forwarding,
  responseTypes: [],
  statuses: [204, 400, 404, ...anyArchive],
};
