/** What every verification must find, and must not, whatever the store: for files and for S3. */
import assert from "node:assert/strict";
import { it, type TestContext } from "node:test";
import type { Knex } from "knex";
import { type Archive, createArchive } from "../../server/archive/archive.ts";
import type { FaultKind, VerifyReport, VerifyRequest } from "../../server/archive/verify.ts";
import { parseUid } from "../../server/dicom/uid.ts";
import type { Blobs } from "../../storage/blobs.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { instanceFile, type InstanceFile } from "../support/instances.ts";
import { testDatabase } from "../support/postgres.ts";

/** A store, and what can be done to it behind its back. */
export interface TamperedStore {
  readonly blobs: Blobs;
  /** Puts other bytes in the place of an object. */
  readonly overwrite: (key: string, bytes: Buffer) => Promise<unknown>;
}

/** Everything a test needs: an archive, its memories, and a log whose lines are kept. */
export interface Verified {
  readonly archive: Archive;
  readonly blobs: Blobs;
  readonly knex: Knex;
  readonly logged: string[];
  /** Verifies everything, at once, unless `request` says otherwise. */
  readonly verify: (request?: Partial<VerifyRequest>) => Promise<VerifyReport>;
  /** The key of what was stored. */
  readonly store: (file?: InstanceFile) => Promise<string>;
  readonly keyOf: (file: InstanceFile) => Promise<string>;
}

/** Opens it over `blobs`. */
export async function verified(t: TestContext, blobs: Blobs): Promise<Verified> {
  const database = await testDatabase();
  t.after(() => database.drop());
  const { knex } = database;
  // The catalog was made a second ago.
  await knex("archive_state").update({ made_at: knex.raw("now() - interval '1 hour'") });
  const logged: string[] = [];
  const keep = (_fields: object, message: string) => void logged.push(message);
  const log = { debug: keep, info: keep, warn: keep, error: keep };
  const archive = createArchive({ blobs, catalog: createCatalog(knex), log });
  const keyOf = async ({ sopInstanceUid }: InstanceFile): Promise<string> => {
    const row: { blob_key: string } | undefined = await knex("instance")
      .where("sop_instance_uid", sopInstanceUid)
      .first("blob_key");
    assert.ok(row);
    return row.blob_key;
  };
  return {
    archive,
    blobs,
    knex,
    logged,
    keyOf,
    verify: async (request = {}) => {
      const report = await archive.integrity.verify({
        kind: "background",
        sample: 1,
        deep: false,
        parallel: 2,
        restart: false,
        repair: "report",
        graceHours: 24,
        keepHours: 0,
        patience: 5,
        signal: new AbortController().signal,
        ...request,
      });
      assert.ok(report);
      return report;
    },
    store: async (file = instanceFile()) => {
      const { status } = await archive.store(bodyOf(file.bytes));
      assert.equal(status, "stored");
      return keyOf(file);
    },
  };
}

/** A body of one piece. */
export async function* bodyOf(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** Counts of faults as an object, which compares. */
export function counted(report: Pick<VerifyReport, "faults">): Partial<Record<FaultKind, number>> {
  return Object.fromEntries(report.faults);
}

/** Registers the tests of one kind of store. */
export function verifications(open: (t: TestContext) => Promise<TamperedStore>): void {
  it("finds nothing in an archive that is right: instances, removed ones, objects to be swept, requests under way", async (t) => {
    const { blobs } = await open(t);
    const { archive, store, verify } = await verified(t, blobs);
    const removed = instanceFile();
    await store();
    await store(removed);
    await archive.remove({ studyInstanceUid: parseUid(removed.studyInstanceUid, "Study Instance UID") });
    await blobs.put(bodyOf(Buffer.from("not committed yet")));
    const { finished, progress, faults, orphans } = await verify({ deep: true });
    assert.deepEqual([finished, progress.objects, progress.objectsRead, progress.share], [true, 2, 2, 1]);
    assert.deepEqual([counted({ faults }), orphans], [{}, { young: 1, indexed: 0, listed: 0 }]);
  });

  it("finds each fault and none else, and ends it when the object is right again", async (t) => {
    const { blobs, overwrite } = await open(t);
    const { archive, knex, keyOf, logged, store, verify } = await verified(t, blobs);
    const files = Array.from({ length: 8 }, () => instanceFile());
    for (const file of files) await store(file);
    const [rotten, shortened, missing, otherwise] = files;
    assert.ok(rotten && shortened && missing && otherwise);
    const flipped = Buffer.from(rotten.bytes);
    const last = flipped.length - 1;
    flipped.writeUInt8(flipped.readUInt8(last) ^ 1, last);
    const keys = { rotten: await keyOf(rotten), shortened: await keyOf(shortened), missing: await keyOf(missing) };
    await overwrite(keys.rotten, flipped);
    await overwrite(keys.shortened, shortened.bytes.subarray(0, -2));
    await blobs.remove([keys.missing]);
    const rowOfOtherwise = () => knex("instance").where("sop_instance_uid", otherwise.sopInstanceUid);
    const described: unknown = await rowOfOtherwise().first("data_set_offset");
    assert.ok(described instanceof Object);
    await rowOfOtherwise().update({ data_set_offset: 1 });
    const orphan = await blobs.put(bodyOf(Buffer.from("an orphan")));
    const all = { "wrong-sha256": 1, "wrong-size": 1, missing: 1, orphan: 1, "different-metadata": 1 };
    assert.deepEqual(counted(await verify({ deep: true, graceHours: 0 })), all);
    assert.deepEqual(counted(await verify({ deep: true, graceHours: 0 })), all, "the same faults, not more");
    assert.equal(logged.length, 5, "each in the log once");
    const found = await archive.integrity.faults({ limit: 10, after: 0, state: "open" });
    const named = found.map(({ kind, key, sopInstanceUid, studyInstanceUid }) => ({
      kind,
      key,
      uids: [studyInstanceUid, sopInstanceUid],
    }));
    const uidsOf = (file: InstanceFile) => [file.studyInstanceUid, file.sopInstanceUid];
    assert.deepEqual(
      named.sort((one, other) => one.kind.localeCompare(other.kind)),
      [
        { kind: "different-metadata", key: await keyOf(otherwise), uids: uidsOf(otherwise) },
        { kind: "missing", key: keys.missing, uids: uidsOf(missing) },
        { kind: "orphan", key: orphan.key, uids: [null, null] },
        { kind: "wrong-sha256", key: keys.rotten, uids: uidsOf(rotten) },
        { kind: "wrong-size", key: keys.shortened, uids: uidsOf(shortened) },
      ],
    );
    await overwrite(keys.rotten, rotten.bytes);
    await overwrite(keys.shortened, shortened.bytes);
    await overwrite(keys.missing, missing.bytes);
    await rowOfOtherwise().update(described);
    await blobs.remove([orphan.key]);
    assert.deepEqual(counted(await verify({ sample: 0 })), { "wrong-sha256": 1, "different-metadata": 1 }, "not read");
    assert.deepEqual(counted(await verify({})), { "different-metadata": 1 }, "not described");
    assert.deepEqual(counted(await verify({ deep: true })), {});
    assert.equal((await archive.integrity.faults({ limit: 10, after: 0, state: "resolved" })).length, 5);
  });

  it("goes on where it was stopped, and reads no object twice", async (t) => {
    const { blobs } = await open(t);
    const { store, verify } = await verified(t, blobs);
    for (let count = 0; count < 40; count += 1) await store();
    const read: string[] = [];
    const stopping = new AbortController();
    const first = await verify({
      objectsAtOnce: 4,
      parallel: 1,
      signal: stopping.signal,
      onProgress: ({ objects }) => {
        if (objects >= 16) stopping.abort();
      },
    });
    assert.deepEqual([first.finished, first.resumed], [false, false]);
    assert.ok(first.progress.objects >= 16 && first.progress.objects < 40);
    assert.ok(first.progress.share > 0 && first.progress.share < 1, String(first.progress.share));
    const second = await verify({ objectsAtOnce: 4, parallel: 1, pace: async () => void read.push("") });
    assert.deepEqual([second.finished, second.resumed, second.progress.objects], [true, true, 40]);
    assert.equal(second.progress.objectsRead, 40);
    assert.ok(read.length < 40, `${read.length} pieces`);
    assert.deepEqual([first.faults.size, second.faults.size], [0, 0]);
    assert.equal((await verify()).resumed, false, "a new one, since the last came to its end");
  });

  it("tells no fault of what is removed for good, and no orphan of what is stored, while it looks", async (t) => {
    const { blobs } = await open(t);
    const state: { during?: () => Promise<void>; read?: () => Promise<void> } = {};
    const once = async (what: "during" | "read") => {
      const work = state[what];
      delete state[what];
      await work?.();
    };
    const busy: Blobs = {
      ...blobs,
      list: async function* list(prefix) {
        // Not when it asks for the time of the store: when the rows of the stretch have been read.
        if (prefix === "") await once("during");
        yield* blobs.list(prefix);
      },
      get: async (key, range) => {
        await once("read");
        return blobs.get(key, range);
      },
    };
    const { archive, store, verify } = await verified(t, busy);
    const files = Array.from({ length: 12 }, () => instanceFile());
    for (const file of files) await store(file);
    const purge = async (some: readonly InstanceFile[]) => {
      for (const file of some) {
        await archive.remove({ studyInstanceUid: parseUid(file.studyInstanceUid) });
        for (const { id } of await archive.removals({ limit: 10, before: 1e9 })) await archive.purge(id);
      }
    };
    state.during = async () => {
      await purge(files.slice(0, 4));
      await store();
      const removal = files[4];
      if (removal) await archive.remove({ studyInstanceUid: parseUid(removal.studyInstanceUid) });
    };
    state.read = () => purge(files.slice(6, 10));
    const { faults, orphans } = await verify({ graceHours: 0, parallel: 1 });
    assert.deepEqual([counted({ faults }), orphans.young], [{}, 0]);
  });

  it("brings orphans into the catalog, but for those that were deleted or are there already", async (t) => {
    const { blobs, overwrite } = await open(t);
    const { archive, knex, store, verify } = await verified(t, blobs);
    const [lost, doubled, deleted] = [instanceFile(), instanceFile(), instanceFile()];
    await store(doubled);
    await store(deleted);
    // As a store leaves it that ended early. What comes after the deletion was stored again.
    await blobs.put(bodyOf(deleted.bytes));
    await archive.remove({ studyInstanceUid: parseUid(deleted.studyInstanceUid) });
    for (const { id } of await archive.removals({ limit: 10, before: 1e9 })) await archive.purge(id);
    const { key } = await blobs.put(bodyOf(lost.bytes));
    const { key: again } = await blobs.put(bodyOf(doubled.bytes));
    await blobs.put(bodyOf(Buffer.from("no DICOM")));
    const { faults, orphans } = await verify({ repair: "index", graceHours: 0 });
    assert.deepEqual([counted({ faults }), orphans], [{ orphan: 2 }, { young: 0, indexed: 1, listed: 1 }]);
    assert.equal(
      (await knex("instance").where("sop_instance_uid", lost.sopInstanceUid).first("blob_key")).blob_key,
      key,
    );
    assert.deepEqual(await knex("sweep").pluck("blob_key"), [again]);
    const details = (await archive.integrity.faults({ limit: 10, after: 0, state: "open" })).map(
      ({ detail }) => detail,
    );
    assert.match(details.join(), /deleted on purpose/);
    assert.match(details.join(), /is not DICOM/);
    assert.equal((await verify()).progress.objectsRead, 2, "both instances are right");
    await overwrite(key, Buffer.alloc(lost.bytes.length));
    const { key: only } = await blobs.put(bodyOf(lost.bytes));
    await verify({ repair: "index", graceHours: 0 });
    assert.deepEqual(await knex("sweep").pluck("blob_key"), [again], "the only unharmed copy stays");
    assert.ok(await blobs.stat(only));
  });

  it("removes orphans of which nobody was told, and older ones only when that is asked for", async (t) => {
    const { blobs } = await open(t);
    const { archive, knex, store, verify } = await verified(t, blobs);
    const kept = await store();
    const { key } = await blobs.put(bodyOf(instanceFile().bytes));
    const restoredAt = async (moment: Knex.Raw | null) =>
      void (await knex("archive_state").update({ restored_at: moment }));
    await restoredAt(knex.raw("now()"));
    const remove = { repair: "remove", graceHours: 0 } as const;
    assert.deepEqual(counted(await verify(remove)), { orphan: 1 }, "of before the restore");
    await restoredAt(null);
    assert.deepEqual((await verify({ ...remove, graceHours: 24 })).orphans, { young: 1, indexed: 0, listed: 0 });
    const { faults, orphans } = await verify(remove);
    assert.deepEqual([counted({ faults }), orphans.listed], [{}, 1]);
    await archive.sweep(AbortSignal.timeout(5000));
    assert.deepEqual([await blobs.stat(key), (await blobs.stat(kept))?.key], [undefined, kept]);
    const { key: old } = await blobs.put(bodyOf(Buffer.from("older")));
    await restoredAt(knex.raw("now() + interval '1 hour'"));
    assert.equal((await verify({ ...remove, repair: "remove-any" })).orphans.listed, 1);
    assert.deepEqual(await knex("sweep").pluck("blob_key"), [old]);
  });
}
