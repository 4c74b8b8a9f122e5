/** Stores DICOM files part after part: while one is made durable, the next is read. */
import { ArchiveError, toArchiveError } from "../errors.ts";

/** Parts that are being made durable while the next ones arrive. */
const mostAtOnce = 16;

/** A part that was not stored. */
interface Failure {
  readonly status: "failed";
  readonly error: ArchiveError;
}
type FileOutcome = Failure | { readonly status: "stored" | "already-stored" };

/**
 * Stores each part, which is a file, with its own outcome. A body that breaks off fails what it breaks;
 * what came before stays stored and is answered for.
 */
export async function storeFiles<Outcome extends FileOutcome>(
  parts: AsyncIterable<AsyncIterable<Uint8Array>>,
  store: (body: AsyncIterable<Buffer>) => Promise<Outcome>,
): Promise<(Outcome | Failure)[]> {
  const outcomes: Promise<Outcome>[] = [];
  const running = new Set<Promise<Outcome>>();
  try {
    for await (const part of parts) {
      const { body, consumed } = observed(part);
      const outcome = store(body);
      outcomes.push(outcome);
      running.add(outcome);
      void outcome.then(() => running.delete(outcome));
      await Promise.race([consumed, outcome]);
      if (running.size >= mostAtOnce) await Promise.race(running);
    }
  } catch (thrown) {
    const error = toArchiveError(thrown);
    const done = await Promise.all(outcomes);
    if (!done.some(({ status }) => status !== "failed")) throw error;
    // The part that the body broke off in has failed with the same reason already.
    const told = done.some((outcome) => outcome.status === "failed" && outcome.error.code === error.code);
    return told ? done : [...done, { status: "failed", error }];
  }
  const done = await Promise.all(outcomes);
  if (done.length === 0) throw new ArchiveError("invalid-multipart", "The body holds no part.");
  return done;
}

/** `part`, and a promise that resolves when nothing more will be read of it. */
function observed(part: AsyncIterable<Uint8Array>): { body: AsyncIterable<Buffer>; consumed: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  async function* body(): AsyncGenerator<Buffer> {
    try {
      for await (const { buffer, byteOffset, byteLength } of part) yield Buffer.from(buffer, byteOffset, byteLength);
    } finally {
      resolve();
    }
  }
  return { body: body(), consumed: promise };
}
