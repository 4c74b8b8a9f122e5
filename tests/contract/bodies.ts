/** Bodies that misbehave in one way each, and a measure of what a store holds of them. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const mebibyte = 1024 * 1024;

/** A body of these bytes, in chunks. */
export async function* inChunks(bytes: Uint8Array, length = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.byteLength; start += length) yield bytes.subarray(start, start + length);
}

/** A body that counts what is pulled, and throws `fault` at its end. */
export function watched(chunks: AsyncIterable<Uint8Array>, fault?: Error) {
  let pulled = 0;
  return {
    pulled: () => pulled,
    async *[Symbol.asyncIterator]() {
      for await (const chunk of chunks) {
        pulled += 1;
        yield chunk;
      }
      if (fault !== undefined) throw fault;
    },
  };
}

/** A body that gives `bytes` and then never answers again. */
export function stalling(bytes: Uint8Array) {
  const { promise: stalled, resolve } = Promise.withResolvers<void>();
  const chunks = inChunks(bytes);
  let closed = false;
  const iterator = {
    next: async (): Promise<IteratorResult<Uint8Array>> => {
      const next = await chunks.next();
      if (next.done !== true) return next;
      resolve();
      await sleep(60_000, undefined, { ref: false });
      return next;
    },
    return: async (): Promise<IteratorResult<Uint8Array>> => {
      closed = true;
      return { done: true, value: undefined };
    },
  };
  return { stalled, closed: () => closed, [Symbol.asyncIterator]: () => iterator };
}

/**
 * Gives a function that tells how many MiB of buffers are held beyond those of now. Garbage is collected first; as the
 * bytes are freed by another thread, it looks again until they are fewer than `limit`, for half a second at most.
 */
export async function heldBuffers(): Promise<(limit: number) => Promise<number>> {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  assert.ok(typeof collect === "function");
  const look = async () => {
    collect();
    await sleep(10);
    return process.memoryUsage().arrayBuffers / mebibyte;
  };
  for (let round = 0; round < 5; round += 1) await look();
  const start = await look();
  return async (limit) => {
    let held = (await look()) - start;
    for (let round = 0; round < 50 && held >= limit; round += 1) held = (await look()) - start;
    return Math.round(held);
  };
}
