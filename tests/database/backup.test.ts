/** Backup and restore: what comes back is what was there, on a folder. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { restoreBackup } from "../../server/archive/restore.ts";
import { parseUid } from "../../server/dicom/uid.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import {
  backUp,
  emptyDatabase,
  everyObject,
  everyRow,
  freshArchive,
  freshFolder,
  storeOne,
} from "../support/backups.ts";

const { signal } = new AbortController();

describe("a backup", () => {
  it("is restored row by row and byte by byte, and goes on with the next ids", async (t) => {
    const source = await freshArchive(t);
    const files = [];
    for (const index of [1, 2, 3]) files.push(await storeOne(source, { PatientName: `Tab\tBack\\slash^${index}` }));
    const [removed, purged] = files;
    assert.ok(removed && purged);
    await source.archive.remove({ studyInstanceUid: parseUid(removed.studyInstanceUid) });
    const target = await openFileBlobs({ folder: await freshFolder(t) });
    const report = await backUp(source, target);
    assert.deepEqual([report.studies, report.instances, report.objects], [2, 2, 3]);
    const knex = await emptyDatabase(t);
    const blobs = await openFileBlobs({ folder: await freshFolder(t) });
    const restored = await restoreBackup({ knex, blobs }, { target, snapshot: undefined, signal });
    assert.equal(restored.copied, 3);
    assert.deepEqual(await everyRow(knex), await everyRow(source.knex));
    assert.deepEqual(await everyObject(blobs), await everyObject(source.blobs));
  });
});
