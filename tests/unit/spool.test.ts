/** Parts put aside: small ones in memory, others in the object store, on the list of the sweep before they exist. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { Spool } from "../../server/archive/spool.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import type { Blobs } from "../../storage/blobs.ts";

async function* chunksOf(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function gathered(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe("a spool", () => {
  let folder = "";
  let blobs: Blobs;
  const listed = new Map<string, number>();
  const list = {
    sweepLater: async (keys: readonly string[], hours = 0) => {
      for (const key of keys) listed.set(key, hours);
    },
    swept: async (keys: readonly string[]) => {
      for (const key of keys) listed.delete(key);
    },
  };
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "noctis-spool-"));
    blobs = await openFileBlobs({ folder });
  });
  after(async () => {
    await blobs.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function files(): Promise<number> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).length;
  }

  it("gives parts of any length back, whole and in ranges, and keeps nothing", async () => {
    const spool = new Spool(blobs, list);
    for (const length of [0, 1, 65_535, 65_536, 65_537, 1_000_000]) {
      const bytes = Buffer.from(Array.from({ length }, (_, index) => (index * 7) % 251));
      const source = await spool.add(chunksOf(bytes, 4096));
      assert.equal(source.byteLength, length);
      assert.deepEqual(await gathered(source.bytes()), bytes);
      if (length > 10) assert.deepEqual(await gathered(source.bytes(3, 5)), bytes.subarray(3, 8));
    }
    assert.equal(await files(), 2);
    assert.deepEqual([...listed.values()], [24, 24]);
    await spool.clear();
    assert.equal(await files(), 0);
    assert.equal(listed.size, 0);
  });

  it("holds many small parts in the object store rather than in memory", async () => {
    const spool = new Spool(blobs, list);
    for (let index = 0; index < 140; index += 1) await spool.add(chunksOf(Buffer.alloc(60_000, index), 60_000));
    assert.ok((await files()) > 60);
    await spool.clear();
    assert.equal(await files(), 0);
  });

  it("leaves to the sweep what it cannot remove, and nothing of a part that breaks off", async () => {
    const spool = new Spool({ ...blobs, remove: () => Promise.reject(new Error("away")) }, list);
    await spool.add(chunksOf(Buffer.alloc(100_000), 10_000));
    await assert.rejects(spool.clear(), /away/);
    assert.equal(listed.size, 1);
    async function* broken() {
      yield Buffer.alloc(100_000);
      throw new Error("cut");
    }
    const earlier = await files();
    const other = new Spool(blobs, list);
    await assert.rejects(other.add(broken()), /cut/);
    await other.clear();
    assert.equal(await files(), earlier);
  });
});
