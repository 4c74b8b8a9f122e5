/** Backups: what is in them whatever happens meanwhile, and what is told when something is wrong. */
import assert from "node:assert/strict";
import { readFile, rm, truncate, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { describeSnapshots } from "../../server/archive/backup-list.ts";
import { verifyBackup } from "../../server/archive/backup-verify.ts";
import { withTargetLock } from "../../server/archive/backup-lock.ts";
import { restoreBackup } from "../../server/archive/restore.ts";
import { parseUid } from "../../server/dicom/uid.ts";
import { ArchiveError } from "../../server/errors.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import { type Blobs, freshKey } from "../../storage/blobs.ts";
import {
  backUp,
  emptyDatabase,
  everyObject,
  everyRow,
  freshArchive,
  freshFolder,
  keysOf,
  storeOne,
  type TestArchive,
} from "../support/backups.ts";

const { signal } = new AbortController();

/** A store whose puts of objects of the archive go through `before`. */
function intercepting(target: Blobs, before: (key: string) => Promise<void>): Blobs {
  return {
    ...target,
    put: async (body, options) => {
      if (options?.key?.startsWith("objects/") === true) await before(options.key);
      return target.put(body, options);
    },
  };
}

async function removed(source: TestArchive, studyInstanceUid: string): Promise<void> {
  await source.archive.remove({ studyInstanceUid: parseUid(studyInstanceUid) });
}

/** Every removal is forgotten, and the sweep has had its turn. */
async function purgeAll({ archive }: TestArchive): Promise<void> {
  for (const { id } of await archive.removals({ limit: 100, before: Number.MAX_SAFE_INTEGER })) await archive.purge(id);
}

async function damageFile(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[bytes.byteLength >> 1] = (bytes[bytes.byteLength >> 1] ?? 0) ^ 1;
  await writeFile(file, bytes);
}

describe("a backup", () => {
  it("is refused into the archive itself, whatever the way there, and touches nothing", async (t) => {
    const folder = await freshFolder(t);
    const source = await freshArchive(t, await openFileBlobs({ folder: path.join(folder, "objects") }));
    await storeOne(source);
    const before = await everyObject(source.blobs);
    for (const place of [folder, path.join(folder, "objects")]) {
      await assert.rejects(backUp(source, await openFileBlobs({ folder: place })), /is the archive itself/);
    }
    assert.deepEqual(await everyObject(source.blobs), before);
  });

  it("holds what was there at its beginning, though instances come, go and are purged while it copies", async (t) => {
    const source = await freshArchive(t);
    const first = await storeOne(source);
    const second = await storeOne(source);
    const third = await storeOne(source);
    await removed(source, third.studyInstanceUid);
    const objectsBefore = await everyObject(source.blobs);
    const rowsBefore = await everyRow(source.knex);
    const folder = await freshFolder(t);
    const state = { disturbed: false };
    const target = intercepting(await openFileBlobs({ folder }), async () => {
      if (state.disturbed) return;
      state.disturbed = true;
      await removed(source, first.studyInstanceUid);
      await purgeAll(source);
      await source.archive.sweep(signal);
      await storeOne(source);
      assert.equal((await source.knex("sweep")).length, 2, "they wait for the end of the backup");
    });
    const report = await backUp(source, target);
    assert.deepEqual([state.disturbed, report.copied.faultCount, report.copied.copiedObjects], [true, 0, 3]);
    await source.archive.sweep(signal);
    assert.equal((await keysOf(source.blobs)).length, 2);
    const knex = await emptyDatabase(t);
    const blobs = await openFileBlobs({ folder: await freshFolder(t) });
    const restored = await restoreBackup({ knex, blobs }, { target, snapshot: undefined, signal });
    assert.equal(restored.faultCount, 0);
    assert.deepEqual(await everyRow(knex), rowsBefore);
    assert.deepEqual(await everyObject(blobs), objectsBefore);
    assert.ok((await everyRow(knex))["study"]?.some((row) => row.includes(second.studyInstanceUid)));
  });

  it("copies nothing a second time, and goes on where one was stopped", async (t) => {
    const source = await freshArchive(t);
    for (let index = 0; index < 20; index += 1) await storeOne(source);
    const plain = await openFileBlobs({ folder: await freshFolder(t) });
    const stopping = new AbortController();
    let begun = 0;
    const target = intercepting(plain, async () => {
      begun += 1;
      if (begun === 12) stopping.abort(new Error("enough"));
    });
    await assert.rejects(backUp(source, target, stopping.signal), { message: "enough" });
    const copied = (await keysOf(plain, "objects/")).length;
    assert.ok(copied > 0 && copied < 20, String(copied));
    assert.deepEqual(await describeSnapshots(plain), []);
    assert.equal((await backUp(source, plain)).copied.copiedObjects, 20 - copied);
    const { copied: second } = await backUp(source, plain);
    assert.deepEqual([second.copiedObjects, second.copiedBytes, second.faultCount], [0, 0, 0]);
    const outcomes = await source.catalog.backups.latest(10);
    assert.deepEqual(
      outcomes.map(({ outcome }) => outcome),
      ["complete", "complete", "failed"],
    );
  });

  it("takes nothing rotten, tells of it, and keeps what it had when it was good", async (t) => {
    const folder = await freshFolder(t);
    const source = await freshArchive(t, await openFileBlobs({ folder }));
    await storeOne(source);
    const [kept = ""] = await keysOf(source.blobs);
    const plain = await openFileBlobs({ folder: await freshFolder(t) });
    await backUp(source, plain);
    const good = await everyObject(plain);
    await damageFile(path.join(folder, kept));
    await storeOne(source);
    await storeOne(source);
    const [rotten = "", lost = ""] = (await keysOf(source.blobs)).filter((key) => key !== kept);
    await damageFile(path.join(folder, rotten));
    await rm(path.join(folder, lost));
    const { copied } = await backUp(source, plain);
    const faults = [
      { key: rotten, fault: "wrong-bytes" },
      { key: lost, fault: "missing" },
    ];
    assert.deepEqual(new Set(copied.faults), new Set(faults));
    assert.equal((await everyObject(plain))[`objects/${kept}`], good[`objects/${kept}`]);
    assert.deepEqual(await keysOf(plain, "objects/"), [`objects/${kept}`]);
    assert.equal((await source.catalog.backups.latest(1))[0]?.outcome, "with-faults");
    const [brought] = await source.archive.backups.restoreObjects([kept], signal, plain);
    assert.deepEqual(brought, { key: kept, outcome: "copied" });
    assert.equal((await everyObject(source.blobs))[kept], good[`objects/${kept}`]);
  });

  it("verifies what it holds, names what is damaged, and mends it from the archive", async (t) => {
    const source = await freshArchive(t);
    for (let index = 0; index < 4; index += 1) await storeOne(source);
    const folder = await freshFolder(t);
    const target = await openFileBlobs({ folder });
    const { snapshot } = await backUp(source, target);
    assert.deepEqual((await verifyBackup(target, { signal })).faults, []);
    assert.equal((await describeSnapshots(target))[0]?.verified?.faults, 0);
    const [rotten = "", short = "", lost = ""] = await keysOf(target, "objects/");
    await damageFile(path.join(folder, rotten));
    await truncate(path.join(folder, short), 100);
    await rm(path.join(folder, lost));
    const found = await verifyBackup(target, { signal });
    const told = [`${rotten} has other bytes`, `${short} has other bytes`, `${lost} is missing`];
    assert.deepEqual(
      found.faults.map((line) => `objects/${line.replace(" than were stored", "")}`).sort(),
      told.sort(),
    );
    assert.equal((await describeSnapshots(target))[0]?.verified?.faults, 3);
    const mended = await verifyBackup(target, { signal, repairFrom: source.blobs });
    assert.deepEqual([mended.faultCount, mended.repaired], [0, 3]);
    assert.deepEqual((await verifyBackup(target, { signal })).faults, []);
    await damageFile(path.join(folder, `snapshots/${snapshot}/tables/study`));
    assert.match(
      (await verifyBackup(target, { signal })).faults.join(),
      /The table study of the snapshot .* is not what/,
    );
  });

  it("leaves the earlier snapshots as they are when the target is full, and says so", async (t) => {
    const source = await freshArchive(t);
    await storeOne(source);
    const plain = await openFileBlobs({ folder: await freshFolder(t) });
    await backUp(source, plain);
    const before = await everyObject(plain);
    await storeOne(source);
    const full = intercepting(plain, async () => {
      throw new ArchiveError("storage-full", "The disk of the archive is full.");
    });
    const expected = { code: "storage-full", message: "The target of the backup is full." };
    await assert.rejects(backUp(source, full), expected);
    assert.equal((await source.catalog.backups.latest(1))[0]?.fault, expected.message);
    const after = await everyObject(plain);
    assert.deepEqual(Object.fromEntries(Object.keys(before).map((key) => [key, after[key]])), before);
    assert.equal((await describeSnapshots(plain)).length, 1);
  });

  it("removes old snapshots and what they alone need, and nothing while a manifest cannot be read", async (t) => {
    const source = await freshArchive(t);
    const old = await storeOne(source);
    const [oldKey = ""] = await keysOf(source.blobs);
    const folder = await freshFolder(t);
    const target = await openFileBlobs({ folder });
    const first = await backUp(source, target);
    await storeOne(source);
    const second = await backUp(source, target);
    assert.deepEqual([second.pruned.snapshots, second.pruned.objects], [[first.snapshot], 0]);
    await removed(source, old.studyInstanceUid);
    await purgeAll(source);
    const [manifest = ""] = (await keysOf(target, "snapshots/")).filter((key) => key.includes("/manifest-"));
    const whole = await readFile(path.join(folder, manifest));
    await damageFile(path.join(folder, manifest));
    const third = await backUp(source, target);
    assert.match(third.pruneFault ?? "", /manifest of the snapshot .* is damaged/);
    assert.equal((await keysOf(target, "objects/")).length, 2);
    assert.equal((await describeSnapshots(target)).length, 2);
    await writeFile(path.join(folder, manifest), whole);
    const fourth = await backUp(source, target);
    assert.deepEqual(
      [fourth.pruned.snapshots.toSorted(), fourth.pruned.objects],
      [[second.snapshot, third.snapshot], 1],
    );
    assert.ok(!(await keysOf(target)).some((key) => key.includes(oldKey) || key.includes(second.snapshot)));
    assert.deepEqual((await verifyBackup(target, { signal })).faults, []);
    assert.deepEqual(await keysOf(target, "locks/"), []);
  });

  it("does not take back the lock of its target when it was suspended so long that another one may have it", async (t) => {
    const folder = await freshFolder(t);
    const target = await openFileBlobs({ folder });
    const old = new Date(Date.now() - 11 * 60_000);
    const loseIt = [
      async (key: string) => target.remove([key]),
      async (key: string) => utimes(path.join(folder, key), old, old),
    ];
    for (const lose of loseIt) {
      const renewed = Promise.withResolvers<void>();
      let isLost = false;
      const watched: Blobs = {
        ...target,
        remove: async (keys) => {
          await target.remove(keys);
          if (isLost) setImmediate(renewed.resolve);
        },
      };
      await withTargetLock(
        watched,
        async (lock) => {
          await lock.assertHeld();
          const [key = ""] = await keysOf(target, "locks/");
          await lose(key);
          isLost = true;
          await renewed.promise;
          await assert.rejects(lock.assertHeld(), { code: "backup-under-way" });
        },
        1000,
      );
      assert.deepEqual(await keysOf(target, "locks/"), []);
    }
  });

  it("is not made by itself where the earlier ones are gone: their disk may not be mounted", async (t) => {
    const source = await freshArchive(t);
    await storeOne(source);
    const [target, other] = [await openFileBlobs({ folder: await freshFolder(t) }), await freshFolder(t)];
    await backUp(source, target, signal, "schedule");
    await backUp(source, target, signal, "schedule");
    const unmounted = await openFileBlobs({ folder: other });
    const refused = { code: "storage-unavailable", message: /is its disk mounted/ };
    await assert.rejects(backUp(source, unmounted, signal, "schedule"), refused);
    assert.deepEqual(await keysOf(unmounted), []);
    await backUp(source, unmounted, signal, "command");
    await backUp(source, unmounted, signal, "schedule");
  });

  it("is refused where somebody works, or where another archive has its own", async (t) => {
    const source = await freshArchive(t);
    const folder = await freshFolder(t);
    const target = await openFileBlobs({ folder });
    await withTargetLock(target, () => assert.rejects(backUp(source, target), { code: "backup-under-way" }));
    async function* text() {
      yield Buffer.from("{}");
    }
    const { key } = await target.put(text(), { key: `locks/${freshKey()}` });
    await assert.rejects(backUp(source, target), { code: "backup-under-way" });
    const old = new Date(Date.now() - 11 * 60_000);
    await utimes(path.join(folder, key), old, old);
    await backUp(source, target);
    const other = await freshArchive(t);
    await other.knex("backup_source").update({ archive_id: "11111111-1111-4111-8111-111111111111" });
    await assert.rejects(backUp(other, target), { code: "backup-of-other" });
    await source.catalog.withLock("backup", () => assert.rejects(backUp(source, target), { code: "backup-under-way" }));
  });
});
