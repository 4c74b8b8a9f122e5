/** Transactions that met another one in their way, and may simply be run again. */
import { setTimeout as sleep } from "node:timers/promises";

/** Something that this transaction relied on was removed by another one meanwhile. */
export class RowGone extends Error {
  override readonly name = "RowGone";
}

/** PostgreSQL (Appendix A): foreign key violation (a series went away), serialization failure, deadlock. */
const passing = new Set(["23503", "40001", "40P01"]);

const mostAttempts = 9;

/** Runs `transaction`, and runs it again when another transaction came in its way. It must do all of its work anew. */
export async function retried<Result>(transaction: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await transaction();
    } catch (error) {
      if (attempt === mostAttempts || !mayPass(error)) throw error;
      await sleep(Math.random() * 10 * 2 ** attempt);
    }
  }
}

function mayPass(error: unknown): boolean {
  if (error instanceof RowGone) return true;
  return error instanceof Error && "code" in error && typeof error.code === "string" && passing.has(error.code);
}
