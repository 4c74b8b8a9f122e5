/** Restore: into an empty archive alone, all of it, in as many attempts as it takes. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { restoreBackup } from "../../server/archive/restore.ts";
import { parseUid } from "../../server/dicom/uid.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import type { Blobs } from "../../storage/blobs.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { connectDatabase } from "../../storage/database.ts";
import { knownMigrations, migrate } from "../../storage/migrate.ts";
import {
  backUp,
  emptyDatabase,
  everyObject,
  everyRow,
  freshArchive,
  freshFolder,
  keysOf,
  storeOne,
} from "../support/backups.ts";
import { testDatabase } from "../support/postgres.ts";

const { signal } = new AbortController();
const newest = { snapshot: undefined, signal };

/** An archive of some instances, one of them removed, and a backup of it in a folder. */
async function backedUp(t: TestContext, instances = 3) {
  const source = await freshArchive(t);
  // What COPY and SQL must escape.
  const uids = [];
  for (let index = 0; index < instances; index += 1) {
    uids.push((await storeOne(source, { PatientName: `Tab\tBack\\slash^N\\\\N${index}` })).studyInstanceUid);
  }
  await source.archive.remove({ studyInstanceUid: parseUid(uids[0] ?? "") });
  const folder = await freshFolder(t);
  const target = await openFileBlobs({ folder });
  return { source, folder, target, report: await backUp(source, target) };
}

describe("a restore", () => {
  it("brings back every row and every byte, goes on with the next ids, and notes when it was", async (t) => {
    const { source, target, report } = await backedUp(t);
    assert.deepEqual([report.studies, report.instances, report.objects], [2, 2, 3]);
    const knex = await emptyDatabase(t);
    const blobs = await openFileBlobs({ folder: await freshFolder(t) });
    const restored = await restoreBackup({ knex, blobs }, { target, ...newest });
    assert.deepEqual([restored.copied, restored.faultCount], [3, 0]);
    const rows = await everyRow(knex);
    assert.deepEqual(rows, await everyRow(source.knex));
    assert.deepEqual(await everyObject(blobs), await everyObject(source.blobs));
    const [state]: { restored_at: Date | null }[] = await knex("archive_state").select("restored_at");
    assert.notEqual(state?.restored_at, null);
    const ids = async (from: typeof knex) => (await from.raw("select nextval('instance_id_seq')")).rows;
    assert.deepEqual(await ids(knex), await ids(source.knex));
    assert.deepEqual(await migrate(knex), [], "an archive opens on it");
    // The store tells the same of each object, so that rows can be made of objects alone.
    const [key = ""] = await keysOf(blobs);
    assert.deepEqual(await blobs.stat(key).then((entry) => entry?.metadata), (await source.blobs.stat(key))?.metadata);
  });

  it("is refused where there are rows, or a server, and changes nothing there", async (t) => {
    const { target } = await backedUp(t, 1);
    const used = await freshArchive(t);
    await storeOne(used);
    const before = await everyRow(used.knex);
    const refused = { code: "archive-not-empty", message: /Another Noctis uses the database/ };
    await assert.rejects(restoreBackup(used, { target, ...newest }), refused);
    await used.knex.destroy();
    const knex = await connectDatabase({ url: used.databaseUrl, applicationName: "noctis restore" });
    const notEmpty = { code: "archive-not-empty", message: /has rows\): a backup is restored into an empty one/ };
    await assert.rejects(restoreBackup({ knex, blobs: used.blobs }, { target, ...newest }), notEmpty);
    assert.deepEqual(await everyRow(knex), before);
    await knex.destroy();
    const foreign = await emptyDatabase(t);
    await foreign.raw("create table ledger (id int)");
    const another = { code: "archive-not-empty", message: /that of another program/ };
    await assert.rejects(restoreBackup({ knex: foreign, blobs: used.blobs }, { target, ...newest }), another);
    assert.equal(await foreign.schema.hasTable("ledger"), true);
  });

  it("goes on after an interruption among the objects, and no archive opens until it has ended", async (t) => {
    const { source, target } = await backedUp(t, 12);
    const knex = await emptyDatabase(t);
    const plain = await openFileBlobs({ folder: await freshFolder(t) });
    const stopping = new AbortController();
    const four = Promise.withResolvers<void>();
    const puts = { begun: 0, ended: 0 };
    const blobs: Blobs = {
      ...plain,
      put: async (body, options) => {
        puts.begun += 1;
        if (puts.begun > 4) {
          await four.promise;
          stopping.abort(new Error("enough"));
        }
        const entry = await plain.put(body, options);
        puts.ended += 1;
        if (puts.ended === 4) four.resolve();
        return entry;
      },
    };
    await assert.rejects(restoreBackup({ knex, blobs }, { target, snapshot: undefined, signal: stopping.signal }), {
      message: "enough",
    });
    await assert.rejects(migrate(knex), { code: "database-unavailable", message: /has not ended: run noctis restore/ });
    assert.equal((await keysOf(plain)).length, 4);
    const restored = await restoreBackup({ knex, blobs: plain }, { target, ...newest });
    assert.deepEqual([restored.copied, restored.faultCount], [8, 0]);
    assert.deepEqual(await everyRow(knex), await everyRow(source.knex));
    assert.deepEqual(await everyObject(plain), await everyObject(source.blobs));
    await migrate(knex);
  });

  it("begins its rows anew when it was interrupted among them", async (t) => {
    const { source, target, report } = await backedUp(t);
    const knex = await emptyDatabase(t);
    const blobs = await openFileBlobs({ folder: await freshFolder(t) });
    const broken: Blobs = {
      ...target,
      get: async (key) => {
        if (key.endsWith("/tables/study")) throw new Error("the cable was pulled");
        return target.get(key);
      },
    };
    await assert.rejects(restoreBackup({ knex, blobs }, { target: broken, ...newest }));
    await assert.rejects(migrate(knex), { code: "database-unavailable" });
    assert.equal((await restoreBackup({ knex, blobs }, { target, ...newest })).snapshot, report.snapshot);
    assert.deepEqual(await everyRow(knex), await everyRow(source.knex));
  });

  it("keeps objects that are there and right, and replaces those that are not", async (t) => {
    const { source, target } = await backedUp(t);
    const folder = await freshFolder(t);
    const blobs = await openFileBlobs({ folder });
    const knex = await emptyDatabase(t);
    const [right = "", wrong = ""] = await keysOf(source.blobs);
    for (const key of [right, wrong]) await blobs.put(await source.blobs.get(key), { key });
    const size = (await source.blobs.stat(wrong))?.byteLength ?? 0;
    await writeFile(path.join(folder, wrong), Buffer.alloc(size));
    const restored = await restoreBackup({ knex, blobs }, { target, ...newest });
    assert.deepEqual([restored.objects, restored.copied], [3, 2]);
    assert.deepEqual(await everyObject(blobs), await everyObject(source.blobs));
  });

  it("makes the schema that the backup has, and brings it up to the code", async (t) => {
    const database = await testDatabase("empty");
    t.after(() => database.drop());
    const older = (await knownMigrations()).filter((name) => name !== "0011-integrity");
    await migrate(database.knex, undefined, { only: older });
    const source = await freshArchive(t);
    const catalog = createCatalog(database.knex);
    await database.knex("webhook").insert({ url: "http://a.example", secret: "x".repeat(16), cursor: 0 });
    const folder = await freshFolder(t);
    const target = await openFileBlobs({ folder });
    await backUp({ blobs: source.blobs, catalog }, target);
    const knex = await emptyDatabase(t);
    await restoreBackup({ knex, blobs: source.blobs }, { target, ...newest });
    assert.equal((await knex("webhook")).length, 1);
    assert.equal((await knex("archive_state")).length, 1);
    await database.knex("migrations").insert({ name: "9999-of-the-future", batch: 1 });
    await backUp({ blobs: source.blobs, catalog }, target);
    const newer = {
      code: "backup-newer",
      message: /made by a newer Noctis \(it has the migration 9999-of-the-future\)/,
    };
    const other = await emptyDatabase(t);
    await assert.rejects(restoreBackup({ knex: other, blobs: source.blobs }, { target, ...newest }), newer);
  });

  it("names a snapshot that is not there, and a backup that is empty", async (t) => {
    const { target } = await backedUp(t, 1);
    const knex = await emptyDatabase(t);
    const blobs = await openFileBlobs({ folder: await freshFolder(t) });
    const none = restoreBackup({ knex, blobs }, { target, snapshot: "2020-01-01t00-00-00-000z", signal });
    await assert.rejects(none, { code: "no-such-snapshot", message: "There is no snapshot 2020-01-01t00-00-00-000z." });
    const empty = await openFileBlobs({ folder: await freshFolder(t) });
    await assert.rejects(restoreBackup({ knex, blobs }, { target: empty, ...newest }), {
      code: "no-such-snapshot",
      message: "There is no backup.",
    });
  });
});
