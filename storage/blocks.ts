/** Gathers the chunks of a body as blocks of one size, so that a store writes few and large pieces. */

import type { BudgetShare } from "./byte-budget.ts";

/** The first allocation for a block (bytes); most bodies are small. */
const firstAllocation = 64 * 1024;

const nothing: Buffer = Buffer.alloc(0);

/**
 * The bytes of `body` in blocks of `blockLength` bytes; only the last is shorter, and an empty body gives none. Each
 * block is a copy, whose memory is used again when the next one is asked for. The next chunk is pulled when it is
 * needed, so the reader's pace is the body's. Closes the body's iterator however it ends; throws what the body throws,
 * or the reason of the signal or of that of `share`. What a block takes of `share` it has until the next one is asked
 * for.
 */
export async function* inBlocks(
  body: AsyncIterable<Uint8Array>,
  blockLength: number,
  share: BudgetShare,
  signal?: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  let block = nothing;
  let filled = 0;
  const stop = signal ? AbortSignal.any([signal, share.signal]) : share.signal;
  try {
    share.awaits();
    for await (const chunk of pulled(body, stop)) {
      share.received();
      let rest = chunk;
      while (rest.byteLength > 0) {
        const taken = rest.subarray(0, blockLength - filled);
        const length = lengthFor(block.byteLength, filled + taken.byteLength, blockLength);
        if (length > block.byteLength) {
          await unlessAborted(share.take(length - block.byteLength), stop);
          block = enlarged(block, filled, length);
        }
        block.set(taken, filled);
        filled += taken.byteLength;
        rest = rest.subarray(taken.byteLength);
        if (filled < blockLength) continue;
        yield block;
        // Asked for the next one: this one has been sent.
        keepSpare(block);
        [block, filled] = [nothing, 0];
        share.giveBack();
      }
      share.awaits();
    }
    share.received();
    const last = block;
    block = nothing;
    if (filled > 0) yield last.subarray(0, filled);
    keepSpare(last);
  } finally {
    // What is left here nobody was given: the body failed.
    keepSpare(block);
    share.giveBack();
  }
}

/** The chunks of `body`, each pulled when it is asked for, until the end or the abort. Closes `body` unless it ended. */
export async function* pulled(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = body[Symbol.asyncIterator]();
  let ended = false;
  try {
    while (true) {
      signal.throwIfAborted();
      const next = await unlessAborted(chunks.next(), signal);
      if (next.done === true) break;
      yield next.value;
    }
    ended = true;
  } finally {
    if (!ended) await close(chunks, signal);
  }
}

/**
 * The length that a block should have for `needed` bytes: as it is when that is enough, else in steps of four times, up
 * to `most`. Each copy that is left behind is garbage or a spare, so the lengths are few.
 */
function lengthFor(length: number, needed: number, most: number): number {
  let enough = Math.max(length, firstAllocation);
  while (enough < needed) enough *= 4;
  return needed <= length ? length : Math.min(most, enough);
}

function enlarged(block: Buffer, filled: number, length: number): Buffer {
  const at = spares.findIndex(({ byteLength }) => byteLength === length);
  const larger = spares.splice(at, at < 0 ? 0 : 1)[0] ?? Buffer.allocUnsafe(length);
  block.copy(larger, 0, 0, filled);
  keepSpare(block);
  return larger;
}

/** Large blocks that nobody reads any more, to be filled again: garbage of their size is collected long after. */
const spares: Buffer[] = [];
const smallestSpare = 2 ** 20;
const mostSpares = 8;

/** Of each length so many, since a block grows by steps. */
function keepSpare(block: Buffer): void {
  const { byteLength } = block;
  if (byteLength < smallestSpare) return;
  const alike = spares.filter((spare) => spare.byteLength === byteLength);
  if (alike.length < mostSpares) spares.push(block);
}

async function unlessAborted<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
  // Whoever loses the race must not become an unhandled rejection.
  promise.catch(() => undefined);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function close(chunks: AsyncIterator<Uint8Array>, signal: AbortSignal): Promise<void> {
  const closed = Promise.resolve(chunks.return?.()).then(
    () => undefined,
    () => undefined,
  );
  // A body that hangs in `next` cannot be closed before it wakes: an aborted put does not wait for it.
  if (!signal.aborted) await closed;
}
