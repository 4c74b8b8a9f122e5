/** Blocks for an object store: their bytes stay as they are until the next one is asked for, and their lengths are few. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inBlocks } from "../../storage/blocks.ts";
import { ByteBudget } from "../../storage/byte-budget.ts";

const kibibyte = 1024;
const blockLength = 8 * kibibyte * kibibyte;
const budget = new ByteBudget(64 * blockLength, 1);

/** Chunks of lengths that fit no step; each body has a byte of its own. Fails behind `length` when it `breaks`. */
async function* body(byte: number, length: number, chunkLength: number, breaks = false): AsyncGenerator<Buffer> {
  for (let at = 0; at < length; at += chunkLength) yield Buffer.alloc(Math.min(chunkLength, length - at), byte);
  if (breaks) throw new Error("The body broke off.");
}

describe("blocks for an object store", () => {
  it("keep their bytes until the next one is asked for, while others end and break off", async () => {
    const lengths = [100, 1_500_000, 5_000_003, 9_000_001, 17_000_000];
    const reads = Array.from({ length: 40 }, async (_, index) => {
      const [length = 0, chunkLength] = [lengths[index % lengths.length], 65_521 + index * 7919];
      const breaks = index % 3 === 0;
      const blocks = inBlocks(body(index + 1, length, chunkLength, breaks), blockLength, budget.share());
      let read = 0;
      const reading = (async () => {
        for await (const block of blocks) {
          await new Promise((resolve) => setImmediate(resolve));
          assert.ok(block.equals(Buffer.alloc(block.byteLength, index + 1)), `body ${index} has its own bytes`);
          read += block.byteLength;
        }
      })();
      if (breaks) await assert.rejects(reading, /broke off/);
      else await reading;
      assert.equal(read, breaks ? length - (length % blockLength) : length);
    });
    await Promise.all(reads);
  });

  it("take memory in few lengths, so that what was one fits for another", async () => {
    const taken = new Set<number>();
    for (let chunkLength = 1000; chunkLength < blockLength; chunkLength = Math.floor(chunkLength * 1.1) + 1) {
      for await (const block of inBlocks(body(1, chunkLength * 2, chunkLength), blockLength, budget.share()))
        taken.add(block.buffer.byteLength / kibibyte);
    }
    assert.deepEqual(
      [...taken].sort((one, other) => one - other),
      [64, 256, 1024, 4096, 8192],
    );
  });
});
