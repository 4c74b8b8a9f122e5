/** Whether the archive can store and find, said soon: who asks gives up before a store that is silent does. */
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import { ArchiveError, type ErrorCode } from "../errors.ts";

/** How long (milliseconds) an answer may take. */
const patience = 5000;

/** Makes the check. It throws ArchiveError `storage-unavailable`, `storage-full`, `database-unavailable`. */
export function createCheck(blobs: Pick<Blobs, "check">, catalog: Pick<Catalog, "check">) {
  return async function check(): Promise<void> {
    await Promise.all([
      inTime(blobs.check(), "storage-unavailable", "The object store does not answer in time."),
      inTime(catalog.check(), "database-unavailable", "The database does not answer in time."),
    ]);
  };
}

async function inTime(answer: Promise<void>, code: ErrorCode, sentence: string): Promise<void> {
  // Whoever loses the race must not become an unhandled rejection.
  answer.catch(() => undefined);
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new ArchiveError(code, sentence)), patience);
  try {
    await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
