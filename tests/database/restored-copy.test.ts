/** A restored archive and the one that was backed up, when both go on: neither harms the other's backups. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { createArchive } from "../../server/archive/archive.ts";
import { describeSnapshots } from "../../server/archive/backup-list.ts";
import { restoreBackup } from "../../server/archive/restore.ts";
import { parseUid } from "../../server/dicom/uid.ts";
import { ArchiveError } from "../../server/errors.ts";
import { createLog } from "../../server/log.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import type { Blobs } from "../../storage/blobs.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { backUp, emptyDatabase, freshArchive, freshFolder, storeOne } from "../support/backups.ts";

const { signal } = new AbortController();

async function restored(t: TestContext, target: Blobs, snapshot: string | undefined, isCopy = false) {
  const knex = await emptyDatabase(t);
  const blobs = await openFileBlobs({ folder: await freshFolder(t) });
  await restoreBackup({ knex, blobs }, { target, snapshot, isCopy, signal });
  return { knex, blobs, catalog: createCatalog(knex) };
}

const names = async (target: Blobs) => (await describeSnapshots(target)).map(({ name }) => name);

describe("a restored archive", () => {
  it("puts no backup over later ones of its original", async (t) => {
    const source = await freshArchive(t);
    const target = await openFileBlobs({ folder: await freshFolder(t) });
    await storeOne(source);
    const first = await backUp(source, target);
    const old = await restored(t, target, first.snapshot);
    await storeOne(source);
    const second = await backUp(source, target);
    const refused = {
      code: "backup-of-other",
      message: /later backups of the archive that this one was restored from/,
    };
    await assert.rejects(backUp(old, target), refused);
    assert.deepEqual(await names(target), [second.snapshot]);
  });

  it("goes on with the backups of the one whose place it takes, and keeps its last ones for a month", async (t) => {
    const source = await freshArchive(t);
    const target = await openFileBlobs({ folder: await freshFolder(t) });
    await storeOne(source);
    const first = await backUp(source, target);
    const next = await restored(t, target, undefined);
    const second = await backUp(next, target);
    assert.deepEqual(second.pruned.snapshots, [], "of one day, but of two lines");
    const third = await backUp(next, target);
    assert.deepEqual(third.pruned.snapshots, [second.snapshot]);
    assert.deepEqual(await names(target), [third.snapshot, first.snapshot]);
    const again = await restored(t, target, undefined);
    assert.equal((await backUp(again, target)).pruned.snapshots.length, 0);
    const { origins } = await again.catalog.backups.source();
    assert.deepEqual(
      origins.map(({ line }) => line),
      [(await source.catalog.backups.source()).line, (await next.catalog.backups.source()).line],
    );
    const past = origins.map(({ line }) => ({ line, until: "2026-01-01T00:00:00.000Z" }));
    await again.knex("backup_source").update({ origins: JSON.stringify(past) });
    await assert.rejects(backUp(again, target), { code: "backup-of-other" });
  });

  it("leaves the snapshots of the other when both write to one target, and no restore guesses which one is meant", async (t) => {
    const source = await freshArchive(t);
    const target = await openFileBlobs({ folder: await freshFolder(t) });
    const first = await backUp(source, target);
    const other = await restored(t, target, undefined);
    const ofOther = await backUp(other, target);
    await storeOne(source);
    const ofSource = await backUp(source, target);
    assert.deepEqual(ofSource.pruned.snapshots, [first.snapshot]);
    assert.deepEqual(await names(target), [ofSource.snapshot, ofOther.snapshot]);
    await assert.rejects(restored(t, target, undefined), { code: "which-snapshot" });
    await restored(t, target, ofSource.snapshot);
  });

  it("gives no number again that a client may know, and tells who has followed the feed beyond the backup", async (t) => {
    const source = await freshArchive(t);
    const target = await openFileBlobs({ folder: await freshFolder(t) });
    const remove = async ({ archive }: Pick<typeof source, "archive">, uid: string) =>
      archive.remove({ studyInstanceUid: parseUid(uid) });
    await remove(source, (await storeOne(source)).studyInstanceUid);
    await storeOne(source);
    const known = await source.archive.changes({ since: 0, limit: 10 });
    assert.equal(known.next, 3);
    await backUp(source, target);
    const lost = await storeOne(source);
    const seen = await source.archive.changes({ since: known.next, limit: 10 });
    const lostRemoval = await remove(source, lost.studyInstanceUid);
    const { knex, blobs, catalog } = await restored(t, target, undefined);
    const archive = createArchive({ blobs, catalog, log: createLog("silent") });
    assert.deepEqual(await archive.changes({ since: 0, limit: 10 }), known);
    const stored = await storeOne({ archive });
    const next = await archive.changes({ since: known.next, limit: 10 });
    assert.deepEqual(
      next.changes.map(({ sopInstanceUid }) => sopInstanceUid),
      [stored.sopInstanceUid],
    );
    const gone = await archive.changes({ since: seen.next, limit: 10 }).catch((error: unknown) => error);
    assert.ok(gone instanceof ArchiveError && gone.code === "changes-gone", String(gone));
    const since = Number(/since=(\d+)/.exec(gone.message)?.[1]);
    assert.deepEqual((await archive.changes({ since, limit: 10 })).changes, next.changes);
    assert.ok((await remove({ archive }, stored.studyInstanceUid)).id > lostRemoval.id);
    assert.equal(await knex.schema.hasTable("restore_state"), false);
  });

  it("keeps what could be restored at the backup for as long as then", async (t) => {
    const source = await freshArchive(t);
    const target = await openFileBlobs({ folder: await freshFolder(t) });
    for (let count = 0; count < 2; count += 1) {
      const { studyInstanceUid } = await storeOne(source);
      await source.archive.remove({ studyInstanceUid: parseUid(studyInstanceUid) });
    }
    await source.knex("removal").where("id", 1).update({ kept_until: "2026-01-01" });
    await backUp(source, target);
    const { knex } = await restored(t, target, undefined);
    const until = async (from: typeof knex): Promise<readonly Date[]> =>
      from("removal").orderBy("id").pluck("kept_until");
    const [[over, kept], [overNow, keptNow]] = [await until(source.knex), await until(knex)];
    assert.ok(over && overNow && kept && keptNow);
    assert.deepEqual(overNow, over);
    const [{ restored_at: restoredAt } = {}] = await knex("archive_state").select("restored_at");
    const [taken] = await describeSnapshots(target);
    const passed = restoredAt.getTime() - Date.parse(taken?.takenAt ?? "");
    assert.ok(Math.abs(keptNow.getTime() - kept.getTime() - passed) <= 2, "but for what rounding takes");
    assert.ok(passed > 2);
  });

  it("is an archive of its own as a copy, which tells nobody and removes nothing", async (t) => {
    const source = await freshArchive(t);
    const target = await openFileBlobs({ folder: await freshFolder(t) });
    await storeOne(source);
    await source.knex("webhook").insert({ url: "http://127.0.0.1:9/", secret: "secret", cursor: 0 });
    const rule = { name: "old", match: "", age_by: "stored", older_than_days: 1, settled_days: 1, enabled: true };
    await source.knex("retention_rule").insert(rule);
    const address = { requestingAeTitle: "CT1", requestedAeTitle: "NOCTIS" };
    await source.catalog.commitmentReports.record("1.2.3", {}, address, 0);
    await backUp(source, target);
    const copy = await restored(t, target, undefined, true);
    assert.deepEqual(await copy.catalog.webhooks.list(), []);
    assert.deepEqual(await copy.knex("commitment_report"), [], "who asked is not told by a copy what the copy keeps");
    const [{ enabled, stopped } = {}] = await copy.knex("retention_rule").select("enabled", "stopped");
    assert.deepEqual([enabled, stopped], [false, "The archive is a copy."]);
    await assert.rejects(backUp(copy, target), { code: "backup-of-other", message: /of another archive/ });
    const same = await restored(t, target, undefined);
    assert.equal((await same.catalog.webhooks.list()).length, 1);
    assert.equal((await same.knex("commitment_report")).length, 1);
    const knex = await emptyDatabase(t);
    const shared = restoreBackup({ knex, blobs: source.blobs }, { target, snapshot: undefined, isCopy: true, signal });
    await assert.rejects(shared, { code: "archive-not-empty", message: /a copy needs one of its own/ });
  });
});
