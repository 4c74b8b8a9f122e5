/** Failures after which it is certain that nothing was written, so that what was put for it can go at once. */

/** What went wrong, before COMMIT was asked for. */
export class Undone extends Error {
  override readonly name = "Undone";

  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

/** Whether `error` says, itself or by a cause, that nothing was written. Otherwise that is open. */
export function isUndone(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (cause instanceof Undone) return true;
  return false;
}

/**
 * Runs a transaction. It calls `finished` when everything but the COMMIT is done; what fails before is thrown as
 * `Undone`, with the failure as its cause, and what fails behind as it is.
 */
export async function undoneUnlessFinished<Result>(
  transaction: (finished: () => void) => Promise<Result>,
): Promise<Result> {
  let isFinished = false;
  try {
    return await transaction(() => {
      isFinished = true;
    });
  } catch (error) {
    throw isFinished || !(error instanceof Error) ? error : new Undone(error);
  }
}
