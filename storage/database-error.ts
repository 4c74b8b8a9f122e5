/** The driver's errors as ours, so that every door can answer them. */
import { ArchiveError } from "../server/errors.ts";
import { Undone } from "./undone.ts";

/** Codes of PostgreSQL (Appendix A, "PostgreSQL Error Codes") and of the system: the same may work when tried later. */
const unavailable =
  /^(08...|28...|3D000|53[023]00|57P0[1-5]|57014|25006|ECONNREFUSED|ECONNRESET|ECONNABORTED|EHOSTUNREACH|ENETUNREACH|EPIPE|EPROTO|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)$/;
const diskFull = "53100";
/** What pg and Knex say without a code. */
const lostConnection =
  /Connection terminated|Query read timeout|timeout exceeded|timeout expired|not queryable|Timeout acquiring|Unable to acquire/;

/**
 * Runs `work`; an error of the connection becomes `database-unavailable`, a full disk `storage-full`. Anything else
 * passes as it is: it is a fault of ours.
 */
export async function databaseError<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw toArchiveError(error);
  }
}

function toArchiveError(thrown: unknown): unknown {
  // The cause of ours is what was thrown, so that it still tells that nothing was written.
  const error = thrown instanceof Undone ? thrown.cause : thrown;
  if (error instanceof ArchiveError || !(error instanceof Error)) return thrown;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code === diskFull)
    return new ArchiveError("storage-full", "The disk of the database is full.", { cause: thrown });
  if (!unavailable.test(code) && !lostConnection.test(error.message)) return thrown;
  return new ArchiveError("database-unavailable", "The database does not answer.", { cause: thrown });
}
