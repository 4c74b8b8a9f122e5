/** Transactions that tell of the integrity of the archive. None is of the standard. */
import { faultsAnswer, integrityAnswer } from "./answers-integrity.ts";
import { faultsQuery } from "./integrity.ts";
import type { Transaction } from "./route.ts";
import { anyArchive, nothing } from "./transactions.ts";

/** What verifications found, and how far they have come. */
export const integrityRead: Transaction = {
  ...nothing,
  area: "Integrity",
  section: "integrity",
  responseTypes: ["application/json"],
  responseSchema: integrityAnswer,
  statuses: [200, ...anyArchive],
};
export const faultsListed: Transaction = { ...integrityRead, query: faultsQuery, responseSchema: faultsAnswer };
