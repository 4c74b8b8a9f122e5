/** Transactions of what an operator should look at after a store: conflicts. None is of the standard. */
import { conflictAnswer, conflictInstancesAnswer, conflictsAnswer } from "./answers-conflicts.ts";
import { acknowledgement, conflictInstancesQuery, conflictsQuery } from "./conflicts.ts";
import type { Transaction } from "./route.ts";
import { anyArchive, nothing } from "./transactions.ts";

const conflicts: Transaction = {
  ...nothing,
  area: "Conflicts",
  section: "conflicts",
  responseTypes: ["application/json"],
  statuses: [200, ...anyArchive],
};

/** Conflicts: instances that say otherwise than their study. */
export const conflictsListed: Transaction = {
  ...conflicts,
  query: conflictsQuery,
  responseSchema: conflictsAnswer,
};
export const conflictRead: Transaction = {
  ...conflicts,
  responseSchema: conflictAnswer,
  statuses: [200, 400, 404, ...anyArchive],
};
export const conflictInstancesListed: Transaction = {
  ...conflictRead,
  query: conflictInstancesQuery,
  responseSchema: conflictInstancesAnswer,
};
export const conflictAcknowledged: Transaction = {
  ...conflictRead,
  requestTypes: ["application/json"],
  requestSchema: acknowledgement,
  statuses: [200, 400, 404, 413, 415, ...anyArchive],
};
