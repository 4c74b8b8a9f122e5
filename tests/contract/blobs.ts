/** The suite that every implementation of Blobs passes. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, describe, it, type TestContext } from "node:test";
import { ArchiveError, type ErrorCode } from "../../server/errors.ts";
import { freshKey, isKey, type BlobMetadata, type Blobs } from "../../storage/blobs.ts";
import { heldBuffers, inChunks, stalling, watched } from "./bodies.ts";

const mebibyte = 1024 * 1024;

/** Sizes around every limit that an implementation has: blocks of 256 KiB, parts of 8 MiB. */
const sizes = [0, 1, 1000, 256 * 1024, 256 * 1024 + 1, 3 * mebibyte, 8 * mebibyte, 8 * mebibyte + 1, 20 * mebibyte + 7];

const identifiers = {
  kind: "instance",
  sopClassUid: "1.2.840.10008.5.1.4.1.1.2",
  sopInstanceUid: "1.2.3",
  seriesInstanceUid: "1.2.4",
  studyInstanceUid: "1.2.5",
} as const;

/** An implementation to be tested, and how to let go of what is behind it. */
export interface BlobsUnderTest {
  readonly blobs: Blobs;
  /** Whether it keeps UIDs beside the hash. */
  readonly keepsUids: boolean;
  readonly end: () => Promise<void>;
}

/** Declares the suite. `options` are node:test's, for an implementation that needs a foreign part. */
export function blobContract(
  name: string,
  make: () => Promise<BlobsUnderTest>,
  options: { readonly skip: false | string } = { skip: false },
): void {
  describe(`blobs: ${name}`, options, () => {
    let made: BlobsUnderTest;
    let blobs: Blobs;
    before(async () => {
      made = await make();
      blobs = made.blobs;
    });
    after(async () => {
      await blobs.close();
      await blobs.close();
      await made.end();
    });

    for (const size of sizes) {
      it(`returns ${size} bytes as they were put`, async () => {
        const bytes = randomBytes(size);
        const key = freshKey();
        const entry = await blobs.put(inChunks(bytes, 61_001), { key });
        assert.equal(entry.key, key);
        assert.equal(entry.byteLength, size);
        assert.equal(hash(await buffer(await blobs.get(key))), hash(bytes));
        const found = await blobs.stat(key);
        assert.equal(found?.byteLength, size);
        assert.ok(Math.abs((found?.modifiedAt.getTime() ?? 0) - Date.now()) < 60_000);
      });
    }

    it("returns exact ranges, as a stream and as a buffer", async () => {
      const bytes = randomBytes(9 * mebibyte);
      const key = await stored(blobs, bytes);
      const ranges = [
        { offset: 0, length: 1 },
        { offset: 1, length: 300_000 },
        { offset: 8 * mebibyte - 3, length: 7 },
        { offset: bytes.length - 1, length: 1 },
        { offset: 0, length: bytes.length },
        { offset: 17, length: 0 },
        { offset: bytes.length, length: 0 },
      ];
      for (const range of ranges) {
        const expected = hash(bytes.subarray(range.offset, range.offset + range.length));
        assert.equal(hash(await blobs.read(key, range)), expected, `read ${JSON.stringify(range)}`);
        assert.equal(hash(await buffer(await blobs.get(key, range))), expected, `get ${JSON.stringify(range)}`);
        const into = Buffer.alloc(range.length + 3, 7);
        assert.equal(hash(await blobs.readInto(key, range, into)), expected, `readInto ${JSON.stringify(range)}`);
        assert.equal(hash(into.subarray(0, range.length)), expected);
        assert.deepEqual([...into.subarray(range.length)], [7, 7, 7], "what lies behind it is left alone");
      }
    });

    it("refuses a range that passes the end", async () => {
      const key = await stored(blobs, Buffer.from("0123456789"));
      for (const range of [
        { offset: 5, length: 6 },
        { offset: 10, length: 1 },
        { offset: 11, length: 0 },
        { offset: 1000, length: 5 },
      ]) {
        await rejectsWith("no-such-blob", blobs.read(key, range));
        await rejectsWith("no-such-blob", blobs.get(key, range));
        await rejectsWith("no-such-blob", blobs.readInto(key, range, Buffer.alloc(10)));
      }
    });

    it("tells an absent object", async () => {
      const key = freshKey();
      await rejectsWith("no-such-blob", blobs.get(key));
      await rejectsWith("no-such-blob", blobs.read(key, { offset: 0, length: 1 }));
      await rejectsWith("no-such-blob", blobs.readInto(key, { offset: 0, length: 1 }, Buffer.alloc(1)));
      await rejectsWith("no-such-blob", blobs.read(key, { offset: 0, length: 0 }));
      assert.equal(await blobs.stat(key), undefined);
    });

    it("refuses a key that no freshKey gives", async () => {
      for (const key of ["", "/a", "a/", "a//b", "../a", "a/../b", "A", "a.b", "a\\b", "tmp/a", "a\u0000", "é"]) {
        await rejectsWith("internal", blobs.put(inChunks(Buffer.from("x")), { key }));
        await rejectsWith("internal", blobs.get(key));
      }
    });

    for (const size of [0, 1000, 8 * mebibyte + 1]) {
      it(`keeps the hash of ${size} bytes, asked for when the body has ended`, async () => {
        const bytes = randomBytes(size);
        let ended = false;
        async function* body() {
          yield* inChunks(bytes);
          ended = true;
        }
        const metadata = (): BlobMetadata => {
          assert.ok(ended);
          return { ...identifiers, sha256: hash(bytes) };
        };
        const { key } = await blobs.put(body(), { metadata });
        const found = await blobs.stat(key);
        assert.equal(found?.metadata?.sha256, hash(bytes));
        if (made.keepsUids) assert.deepEqual(found?.metadata, { ...identifiers, sha256: hash(bytes) });
        assert.equal(hash(await buffer(await blobs.get(key))), hash(bytes));
      });
    }

    for (const size of [1000, 8 * mebibyte + 1]) {
      it(`keeps nothing of ${size} bytes whose metadata throw`, async () => {
        const fault = new Error("they cannot be described");
        const metadata = (): BlobMetadata => {
          throw fault;
        };
        const known = await listed(blobs);
        await assert.rejects(blobs.put(inChunks(randomBytes(size)), { metadata }), (error) => error === fault);
        assert.deepEqual(await listed(blobs), known);
        assert.equal(await blobs.removeLeftovers(new Date(Date.now() + 60_000)), 0);
      });
    }

    it("reads anew what was damaged and is put under its key again", async () => {
      const [damaged, right] = [randomBytes(1000), randomBytes(1000)];
      const key = await stored(blobs, damaged);
      assert.deepEqual(await blobs.read(key, { offset: 100, length: 10 }), damaged.subarray(100, 110));
      await blobs.put(inChunks(right), { key });
      assert.deepEqual(await blobs.read(key, { offset: 100, length: 10 }), right.subarray(100, 110));
    });

    it("tells no hash of an object that was put without", async () => {
      const key = await stored(blobs, randomBytes(10));
      assert.equal((await blobs.stat(key))?.metadata, undefined);
    });

    for (const length of [0, 100, 20 * mebibyte]) {
      it(`keeps nothing of a body that throws after ${length} bytes`, async () => {
        const key = freshKey();
        const fault = new Error("the body broke");
        const body = watched(inChunks(randomBytes(length)), fault);
        await assert.rejects(blobs.put(body, { key }), (error) => error === fault);
        await isAbsent(blobs, key);
      });
    }

    it("keeps nothing of a put that is aborted while it waits for its body, and closes the body", async () => {
      for (const length of [0, 100, 20 * mebibyte]) {
        const key = freshKey();
        const abort = new AbortController();
        const reason = new ArchiveError("stopping", "The test stops.");
        const body = stalling(randomBytes(length));
        const put = blobs.put(body, { key, signal: abort.signal });
        put.catch(() => undefined);
        await body.stalled;
        abort.abort(reason);
        await assert.rejects(put, (error) => error === reason);
        assert.equal(body.closed(), true);
        await isAbsent(blobs, key);
      }
    });

    it("does not wait for a body that never answers when the put is aborted", async () => {
      const abort = new AbortController();
      const asked = Promise.withResolvers<void>();
      async function* body(): AsyncGenerator<Uint8Array> {
        yield Buffer.from("some");
        asked.resolve();
        await new Promise(() => {});
      }
      const put = blobs.put(body(), { signal: abort.signal });
      put.catch(() => undefined);
      await asked.promise;
      abort.abort(new Error("gone"));
      const late = sleep(5000, "late", { ref: false });
      await assert.rejects(Promise.race([put, late]), /gone/);
    });

    it("does not begin a put that is aborted already", async () => {
      const body = watched(inChunks(Buffer.from("abc")));
      const put = blobs.put(body, { signal: AbortSignal.abort(new Error("gone")) });
      await assert.rejects(put, /gone/);
      assert.equal(body.pulled(), 0);
    });

    it("stores objects in parallel", async () => {
      const all = Array.from({ length: 40 }, () => randomBytes(1 + Math.floor(Math.random() * 200_000)));
      const keys = await Promise.all(all.map((bytes) => stored(blobs, bytes)));
      const back = await Promise.all(keys.map(async (key) => buffer(await blobs.get(key))));
      assert.deepEqual(back.map(hash), all.map(hash));
    });

    it("lists everything, or what has a prefix", async () => {
      const keys = await Promise.all(Array.from({ length: 30 }, () => stored(blobs, Buffer.from("listed"))));
      const everything = await listed(blobs);
      for (const key of keys) assert.equal(everything.get(key), 6);
      const [key = ""] = keys;
      for (const prefix of [key, key.slice(0, 3), key.slice(0, 4), key.slice(0, 10)]) {
        const found = await listed(blobs, prefix);
        assert.ok(found.has(key), `${key} under ${prefix}`);
        assert.ok([...found.keys()].every((each) => each.startsWith(prefix)));
      }
      assert.equal((await listed(blobs, "zz/zz")).size, 0);
    });

    it("removes objects, and does not mind absent ones", async () => {
      const keys = await Promise.all(Array.from({ length: 20 }, () => stored(blobs, Buffer.from("x"))));
      const [kept = "", ...removed] = keys;
      await blobs.remove([...removed, freshKey()]);
      await blobs.remove(removed);
      await blobs.remove([]);
      for (const key of removed) await isAbsent(blobs, key);
      assert.equal((await blobs.stat(kept))?.byteLength, 1);
    });

    it("pulls the body no faster than it stores it", async (t: TestContext) => {
      const total = 128;
      const limit = 32;
      const held = await heldBuffers();
      let most = 0;
      async function* body() {
        for (let index = 0; index < total; index += 1) {
          yield Buffer.alloc(mebibyte, index);
          if (index % 16 === 15) most = Math.max(most, await held(limit));
        }
      }
      const entry = await blobs.put(body());
      await blobs.remove([entry.key]);
      assert.equal(entry.byteLength, total * mebibyte);
      t.diagnostic(`${most} MiB at most`);
      assert.ok(most < limit, `${most} of ${total} MiB were held`);
    });

    it("sends a stream no faster than it is read", async () => {
      const key = await stored(blobs, randomBytes(24 * mebibyte));
      const stream = await blobs.get(key);
      const chunks: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]();
      await chunks.next();
      await sleep(300);
      assert.ok(stream.readableLength < 2 * mebibyte, `${stream.readableLength} bytes wait`);
      stream.destroy();
      await blobs.remove([key]);
    });

    it("lets go of a stream that is not read to its end", async () => {
      const key = await stored(blobs, randomBytes(4 * mebibyte));
      for (let round = 0; round < 20; round += 1) {
        const stream = await blobs.get(key);
        if (round % 2 === 0) await stream[Symbol.asyncIterator]().next();
        stream.destroy();
      }
      assert.equal((await blobs.read(key, { offset: 0, length: 3 })).byteLength, 3);
    });

    it("removes no object as a leftover, however old", async () => {
      const key = await stored(blobs, Buffer.from("kept"));
      assert.equal(await blobs.removeLeftovers(new Date(Date.now() + 3600_000)), 0);
      assert.equal((await blobs.stat(key))?.byteLength, 4);
    });

    it("checks, and shows nothing of that", async () => {
      await blobs.check();
      const everything = await listed(blobs);
      assert.ok([...everything.keys()].every(isKey));
    });
  });
}

/** Puts `bytes` under a fresh key, which it gives. */
async function stored(blobs: Blobs, bytes: Buffer): Promise<string> {
  const { key } = await blobs.put(inChunks(bytes));
  return key;
}

async function listed(blobs: Blobs, prefix?: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for await (const entry of blobs.list(prefix)) {
    assert.ok(!found.has(entry.key), "listed twice");
    found.set(entry.key, entry.byteLength);
  }
  return found;
}

async function isAbsent(blobs: Blobs, key: string): Promise<void> {
  assert.equal(await blobs.stat(key), undefined);
  assert.equal((await listed(blobs, key)).size, 0);
}

async function rejectsWith(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof ArchiveError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
