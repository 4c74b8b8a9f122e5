/** Transactions about backups. None is of the standard. */
import { backupsAnswer } from "./backups.ts";
import { pageLimit } from "./query-parameters.ts";
import type { Transaction } from "./route.ts";
import { anyArchive, nothing } from "./transactions.ts";

/** How the backups go, for whoever watches over them. */
export const backupsListed: Transaction = {
  ...nothing,
  area: "Backups",
  section: "backups",
  query: [{ name: "limit", meaning: "Backups to answer at most.", schema: pageLimit, example: "10" }],
  responseTypes: ["application/json"],
  responseSchema: backupsAnswer,
  statuses: [200, ...anyArchive],
};
