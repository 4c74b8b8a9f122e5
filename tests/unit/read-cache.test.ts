/** The cache of reads: always the right bytes, few requests, bounded, and nothing that did not come whole. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ArchiveError } from "../../server/errors.ts";
import { type ByteRange, noSuchBlob } from "../../storage/blobs.ts";
import { createReadCache } from "../../storage/read-cache.ts";

const mebibyte = 1024 * 1024;

interface Source {
  readonly objects: Map<string, Buffer>;
  /** What was asked of the store, in order. */
  readonly asked: string[];
  /** Changes the stream of the next answers. */
  alter: (bytes: Buffer) => Readable;
}

function inMemory(objects: Readonly<Record<string, Buffer>>) {
  const source: Source = {
    objects: new Map(Object.entries(objects)),
    asked: [],
    alter: (bytes) => Readable.from(pieces(bytes)),
  };
  const bytesOf = (key: string, { offset }: ByteRange) => {
    const bytes = source.objects.get(key);
    if (!bytes || offset > bytes.byteLength) throw noSuchBlob();
    return bytes;
  };
  const store = {
    read: async (key: string, range: ByteRange) => {
      source.asked.push(`read ${range.offset} ${range.length}`);
      const bytes = bytesOf(key, range);
      if (range.offset + range.length > bytes.byteLength) throw noSuchBlob();
      return Buffer.from(bytes.subarray(range.offset, range.offset + range.length));
    },
    open: async (key: string, range: ByteRange) => {
      source.asked.push(`open ${range.offset} ${range.length}`);
      const bytes = bytesOf(key, range).subarray(range.offset, range.offset + range.length);
      return { stream: source.alter(bytes), length: bytes.byteLength };
    },
  };
  return { source, store };
}

function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.byteLength; at += 100_000) yield bytes.subarray(at, at + 100_000);
}

async function isAbsent(promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof ArchiveError && error.code === "no-such-blob");
}

describe("the cache of reads", () => {
  it("fetches a small object once, whole, however many ask for parts of it at once", async () => {
    const bytes = randomBytes(526_000);
    const { source, store } = inMemory({ a: bytes });
    const cache = createReadCache(store, 64 * mebibyte);
    const ranges = Array.from({ length: 50 }, (_, index) => ({ offset: index * 1000, length: 470_000 }));
    const got = await Promise.all(ranges.map((range) => cache.read("a", range)));
    got.forEach((each, index) => assert.ok(each.equals(bytes.subarray(index * 1000, index * 1000 + 470_000))));
    assert.deepEqual(source.asked, [`open 0 ${mebibyte}`]);
    await isAbsent(cache.read("a", { offset: 526_000 - 5, length: 6 }));
    assert.ok((await cache.read("a", { offset: 526_000 - 5, length: 5 })).equals(bytes.subarray(-5)));
  });

  it("gives bytes that nobody else sees when they are changed", async () => {
    const { store } = inMemory({ a: Buffer.alloc(1000) });
    const cache = createReadCache(store, mebibyte * 8);
    (await cache.read("a", { offset: 0, length: 10 })).fill(7);
    assert.deepEqual(await cache.read("a", { offset: 0, length: 10 }), Buffer.alloc(10));
  });

  it("fetches further and further ahead of who reads on, one after the other or several at once", async () => {
    const frame = 480_000;
    const bytes = randomBytes(100 * frame + 3000);
    const rangeOf = (number: number) => ({ offset: 3000 + number * frame, length: frame });
    for (const atOnce of [1, 6]) {
      const { source, store } = inMemory({ cine: bytes });
      const cache = createReadCache(store, 64 * mebibyte);
      for (let start = 0; start < 100; start += atOnce) {
        const numbers = Array.from({ length: Math.min(atOnce, 100 - start) }, (_, index) => start + index);
        const frames = await Promise.all(numbers.map((number) => cache.read("cine", rangeOf(number))));
        frames.forEach((got, index) => {
          const { offset, length } = rangeOf(start + index);
          assert.ok(got.equals(bytes.subarray(offset, offset + length)), `frame ${start + index}`);
        });
      }
      assert.ok(source.asked.length <= 10, source.asked.join(", "));
    }
  });

  it("does not fetch much more than who jumps about asks for", async () => {
    const bytes = randomBytes(60 * mebibyte);
    const { source, store } = inMemory({ a: bytes });
    const cache = createReadCache(store, 64 * mebibyte);
    for (const at of [40, 3, 55, 21]) {
      const range = { offset: at * mebibyte, length: 400_000 };
      assert.ok((await cache.read("a", range)).equals(bytes.subarray(range.offset, range.offset + range.length)));
    }
    assert.deepEqual(
      source.asked,
      [40, 3, 55, 21].map((at) => `open ${at * mebibyte} 400000`),
    );
  });

  it("holds no more than it may, and forgets what was used least lately", async () => {
    const { source, store } = inMemory(
      Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`${index}`, Buffer.alloc(mebibyte, index)])),
    );
    const cache = createReadCache(store, 8 * mebibyte);
    // Whoever has the last bytes knows that all have come; a turn later they are kept.
    const range = { offset: mebibyte - 10, length: 10 };
    for (const key of source.objects.keys()) {
      for (const each of [key, "0"]) {
        await cache.read(each, range);
        await nextTurn();
      }
    }
    assert.equal(source.asked.length, 12, "the first was in use all the time");
    await cache.read("11", range);
    assert.equal(source.asked.length, 12);
    await cache.read("1", range);
    assert.equal(source.asked.length, 13);
  });

  it("reads past the cache when too much is on its way", async () => {
    const { source, store } = inMemory(
      Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`${index}`, Buffer.alloc(2 * mebibyte, index)])),
    );
    const cache = createReadCache(store, 4 * mebibyte);
    const all = [...source.objects.keys()].map((key) => cache.read(key, { offset: 0, length: 1000 }));
    (await Promise.all(all)).forEach((bytes, index) => assert.deepEqual(bytes, Buffer.alloc(1000, index)));
    assert.equal(source.asked.filter((each) => each.startsWith("open")).length, 4);
    assert.equal(source.asked.filter((each) => each.startsWith("read")).length, 6);
  });

  it("keeps nothing that did not come whole, and still answers", async () => {
    const bytes = randomBytes(900_000);
    const { source, store } = inMemory({ a: bytes });
    const cache = createReadCache(store, 64 * mebibyte);
    const whole = source.alter;
    const broken = {
      "ends early": (part: Buffer) => Readable.from([part.subarray(0, 100_000)]),
      "breaks off": (part: Buffer) =>
        Readable.from(
          (function* () {
            yield part.subarray(0, 100_000);
            throw new Error("reset");
          })(),
        ),
    };
    for (const alter of Object.values(broken)) {
      source.alter = alter;
      source.asked.length = 0;
      const [early, late] = await Promise.all([
        cache.read("a", { offset: 0, length: 50_000 }),
        cache.read("a", { offset: 800_000, length: 50_000 }),
      ]);
      assert.ok(early.equals(bytes.subarray(0, 50_000)));
      assert.ok(late.equals(bytes.subarray(800_000, 850_000)));
      assert.deepEqual(source.asked, [`open 0 ${mebibyte}`, "read 800000 50000"]);
    }
    source.alter = whole;
    source.asked.length = 0;
    assert.ok((await cache.read("a", { offset: 800_000, length: 50_000 })).equals(bytes.subarray(800_000, 850_000)));
    assert.deepEqual(source.asked, [`open 0 ${mebibyte}`]);
  });

  it("tells what the store says, and asks again the next time", async () => {
    const { source, store } = inMemory({});
    const cache = createReadCache(store, 64 * mebibyte);
    await isAbsent(cache.read("a", { offset: 0, length: 10 }));
    source.objects.set("a", Buffer.from("0123456789"));
    assert.equal((await cache.read("a", { offset: 0, length: 10 })).toString(), "0123456789");
    source.objects.delete("a");
    assert.equal((await cache.read("a", { offset: 3, length: 2 })).toString(), "34");
    cache.forget(["a", "b"]);
    await isAbsent(cache.read("a", { offset: 3, length: 2 }));
  });
});
