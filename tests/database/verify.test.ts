/** Verification on files, and what any store may do to it: errors that pass, objects that cannot be read, another store. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { ArchiveError } from "../../server/errors.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import type { BlobEntry, Blobs } from "../../storage/blobs.ts";
import { freshKey } from "../../storage/blobs.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { createVerify } from "../../server/archive/verify.ts";
import { catalogRecord } from "../support/records.ts";
import { bodyOf, counted, verifications, verified } from "./verifications.ts";

async function openFiles(t: TestContext) {
  const folder = await mkdtemp(path.join(tmpdir(), "noctis-verify-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const blobs = await openFileBlobs({ folder });
  return { blobs, overwrite: (key: string, bytes: Buffer) => writeFile(path.join(folder, key), bytes) };
}

const brokenDisk = new ArchiveError("storage-unavailable", "The folder of the archive does not work.");

describe("verification on files", () => {
  verifications(openFiles);

  it("tells no fault when a second look is right: an error that passes, bytes that are read wrongly once", async (t) => {
    const { blobs } = await openFiles(t);
    const tries = new Map<string, number>();
    const flaky: Blobs = {
      ...blobs,
      get: async (key, range) => {
        const tried = (tries.get(key) ?? 0) + 1;
        tries.set(key, tried);
        if (tried === 1) throw brokenDisk;
        return tried === 2 ? Readable.from([Buffer.from("wrong")]) : blobs.get(key, range);
      },
    };
    const { logged, store, verify } = await verified(t, flaky);
    await store();
    assert.deepEqual(counted(await verify()), {});
    assert.deepEqual(logged, ["an object was right only when it was looked at again"]);
  });

  it("tells of an object that the store cannot read, and fails when it can read none", async (t) => {
    const { blobs } = await openFiles(t);
    const state = { broken: "", down: false };
    const worn: Blobs = {
      ...blobs,
      get: async (key, range) => {
        if (key === state.broken || state.down) throw brokenDisk;
        return blobs.get(key, range);
      },
      check: async () => {
        if (state.down) throw brokenDisk;
      },
    };
    const { archive, store, verify } = await verified(t, worn);
    await store();
    state.broken = await store();
    assert.deepEqual(counted(await verify()), { unreadable: 1 });
    const [fault] = await archive.integrity.faults({ limit: 1, after: 0, state: "open" });
    assert.equal(fault?.key, state.broken);
    state.down = true;
    await assert.rejects(verify(), { code: "storage-unavailable" });
    state.down = false;
    state.broken = "";
    const { resumed, faults } = await verify();
    assert.deepEqual([resumed, counted({ faults })], [true, {}]);
  });

  it("refuses a store that holds none of the objects, instead of calling each one missing", async (t) => {
    const { blobs } = await openFiles(t);
    const { knex, verify } = await verified(t, blobs);
    const catalog = createCatalog(knex);
    await catalog.commit(Array.from({ length: 120 }, (_, number) => catalogRecord("1", "1.1", `1.1.${number}`)));
    await assert.rejects(verify(), { code: "storage-unavailable", message: /is it the right one/ });
    assert.deepEqual(await catalog.integrity.countFaults(), new Map());
    assert.equal(await catalog.integrity.countHeld(), 120);
  });

  it("removes nothing from the store of another database", async (t) => {
    const { blobs } = await openFiles(t);
    const { store, verify, knex } = await verified(t, blobs);
    await store();
    for (let count = 0; count < 120; count += 1) await blobs.put(bodyOf(Buffer.from("of another archive")));
    const removing = { repair: "remove", graceHours: 0 } as const;
    await assert.rejects(verify(removing), { code: "storage-unavailable", message: /is it that of this store/ });
    assert.deepEqual(await knex("sweep"), []);
  });

  it("holds a bounded number of 20,000 rows at a time", async (t) => {
    const { blobs } = await openFiles(t);
    const { knex } = await verified(t, blobs);
    const catalog = createCatalog(knex);
    await catalog.commit([catalogRecord("2", "2.1", "2.1.0")]);
    await knex.raw(
      `insert into instance (series_id, sop_instance_uid, sop_class_uid, attributes, metadata, transfer_syntax_uid,
         blob_key, byte_length, sha256, data_set_offset)
       select series_id, '2.1.' || number, '1.2', '{}', '', '1.2',
         left(md5(number::text), 2) || '/' || md5(number::text), 1, sha256, 0
       from instance, generate_series(1, 20000) as number`,
    );
    await knex("series").update({ instance_count: 20_001 });
    const entries: BlobEntry[] = (await knex("instance").pluck("blob_key")).map((key: string) => ({
      key,
      byteLength: 1,
      modifiedAt: new Date(0),
    }));
    const lost = entries.pop();
    const orphan = { key: freshKey(), byteLength: 1, modifiedAt: new Date(0) };
    const listing: Blobs = {
      ...blobs,
      list: async function* list(prefix = "") {
        for (const entry of [...entries, orphan]) if (entry.key.startsWith(prefix)) yield entry;
      },
      stat: async (key) => entries.find((entry) => entry.key === key),
    };
    const sizes: number[] = [];
    const heldInRange: typeof catalog.integrity.heldInRange = async (range) => {
      const rows = await catalog.integrity.heldInRange(range);
      sizes.push(rows.length);
      return rows;
    };
    const watched = { ...catalog, integrity: { ...catalog.integrity, heldInRange } };
    const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
    const { verify } = createVerify(listing, watched, silent);
    const { progress, faults } = await verify({
      kind: "command",
      sample: 0,
      deep: false,
      parallel: 4,
      restart: false,
      repair: "report",
      graceHours: 24,
      keepHours: 0,
      patience: 1,
      objectsAtOnce: 500,
      signal: new AbortController().signal,
    });
    assert.equal(progress.objects, 20_000);
    assert.deepEqual(counted({ faults }), { missing: 1, orphan: 1 });
    assert.equal(
      (await catalog.integrity.listFaults({ limit: 9, after: 0, state: "open", kind: "missing" }))[0]?.key,
      lost?.key,
    );
    assert.ok(Math.max(...sizes) < 500, `${Math.max(...sizes)} rows at once`);
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      20_001,
    );
  });
});
