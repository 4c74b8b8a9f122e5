/** Transactions of what an operator should look at after a store: conflicts and quarantine. None is of the standard. */
import {
  conflictAnswer,
  conflictInstancesAnswer,
  conflictsAnswer,
  patientConflictsAnswer,
} from "./answers-conflicts.ts";
import { purgedAnswer, quarantineAnswer, quarantinedAnswer, retriedAnswer } from "./answers-quarantine.ts";
import { acknowledgement, conflictInstancesQuery, conflictsQuery, patientConflictsQuery } from "./conflicts.ts";
import { quarantineFilter, quarantineQuery } from "./quarantine.ts";
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
export const patientConflictsListed: Transaction = {
  ...conflicts,
  query: patientConflictsQuery,
  responseSchema: patientConflictsAnswer,
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

const quarantine: Transaction = {
  ...nothing,
  area: "Quarantine",
  section: "quarantine",
  responseTypes: ["application/json"],
  statuses: [200, ...anyArchive],
};

/** Quarantine: files that could not be stored for what is in them. */
export const quarantineListed: Transaction = {
  ...quarantine,
  query: quarantineQuery,
  responseSchema: quarantineAnswer,
};
export const quarantinedRead: Transaction = {
  ...quarantine,
  responseSchema: quarantinedAnswer,
  statuses: [200, 404, ...anyArchive],
};
export const quarantinedContent: Transaction = {
  ...quarantine,
  responseTypes: ["application/octet-stream"],
  statuses: [200, 206, 404, 416, ...anyArchive],
};
export const quarantinedRetried: Transaction = {
  ...quarantine,
  responseSchema: retriedAnswer,
  statuses: [200, 404, 409, 507, ...anyArchive],
};
export const quarantinedPurged: Transaction = {
  ...quarantine,
  responseTypes: [],
  statuses: [204, 404, ...anyArchive],
};
export const quarantinePurged: Transaction = {
  ...quarantine,
  query: quarantineFilter,
  responseSchema: purgedAnswer,
};
