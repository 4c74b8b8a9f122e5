/** Reindex: the catalog made of the objects alone, as it was; and what it must not make of them. */
import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, rename, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { createArchive } from "../../server/archive/archive.ts";
import type { ReindexOptions, ReindexProblem, ReindexResult } from "../../server/archive/reindex.ts";
import type { DuplicatePolicy } from "../../server/archive/store.ts";
import { createLog } from "../../server/log.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import { freshKey, keyFor } from "../../storage/blobs.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { loseEveryRow, pictureOf } from "../support/archive-picture.ts";
import { type InstanceFile, instanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

interface Reindexed extends ReindexResult {
  readonly found: readonly ReindexProblem[];
}

describe("reindex", () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());
  beforeEach(async () => {
    await loseEveryRow(server.knex);
    for (const { key } of await objects()) await openAndRemove(key);
  });

  async function archive(duplicates: DuplicatePolicy = "keep") {
    const blobs = await openFileBlobs({ folder: server.objectFolder });
    return createArchive({ blobs, catalog: createCatalog(server.knex), log: createLog("silent"), duplicates });
  }

  async function reindex(options: Partial<ReindexOptions> = {}, duplicates?: DuplicatePolicy): Promise<Reindexed> {
    const found: ReindexProblem[] = [];
    const onProblem = (problem: ReindexProblem) => void found.push(problem);
    const own = await archive(duplicates);
    const result = await own.reindex({ signal: AbortSignal.timeout(60_000), settle: 0, onProblem, ...options });
    assert.ok(result);
    return { ...result, found };
  }

  async function objects() {
    const blobs = await openFileBlobs({ folder: server.objectFolder });
    const all: { key: string; file: string }[] = [];
    for await (const { key } of blobs.list()) all.push({ key, file: path.join(server.objectFolder, key) });
    return all;
  }

  async function openAndRemove(key: string): Promise<void> {
    await (await openFileBlobs({ folder: server.objectFolder })).remove([key]);
  }

  async function store(file: Pick<InstanceFile, "bytes">): Promise<{ key: string; file: string }> {
    const earlier = new Set((await objects()).map(({ key }) => key));
    const headers = { "Content-Type": "application/dicom" };
    const response = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body: file.bytes });
    assert.equal(response.status, 200, await response.text());
    const [added] = (await objects()).filter(({ key }) => !earlier.has(key));
    assert.ok(added);
    return added;
  }

  const remove = (uid: string) => fetch(`${server.url}/dicom-web/studies/${uid}`, { method: "DELETE" });

  async function studies(): Promise<unknown[]> {
    const response = await fetch(`${server.url}/dicom-web/studies`);
    const found: unknown = response.status === 200 ? await response.json() : [];
    assert.ok(Array.isArray(found));
    return found;
  }

  it("makes the catalog as it was, in the order of storage, and finds nothing more to do", async () => {
    const study = instanceFile().studyInstanceUid;
    // The study is described by the instance that was stored first.
    for (const name of ["First^Name", "Second^Name", "Third^Name", "Fourth^Name"]) {
      await store(instanceFile({ StudyInstanceUID: study, PatientName: name }));
    }
    for (let count = 0; count < 70; count += 1) await store(instanceFile({ PatientID: `P${count}` }));
    const expected = await pictureOf(server.url);
    assert.equal(expected.size, 7 + 3 * 74);
    await loseEveryRow(server.knex);
    assert.notDeepEqual(await pictureOf(server.url), expected);
    const progress: number[] = [];
    const result = await reindex({ onProgress: (count) => void progress.push(count) });
    assert.deepEqual([result.listed, result.toDo, result.indexed, result.complete], [74, 74, 74, true]);
    assert.deepEqual(progress, [64, 10]);
    assert.deepEqual(await pictureOf(server.url), expected);
    const again = await reindex();
    assert.deepEqual([again.listed, again.toDo, again.indexed, again.complete], [74, 0, 0, true]);
  });

  it("makes the rows that are missing alone", async () => {
    const [kept, lost] = [instanceFile(), instanceFile()];
    await store(kept);
    await store(lost);
    const expected = await pictureOf(server.url);
    await server.knex("study").where("study_instance_uid", lost.studyInstanceUid).delete();
    const dry = await reindex({ dryRun: true });
    assert.deepEqual([dry.toDo, dry.indexed, (await studies()).length], [1, 0, 1]);
    assert.equal((await reindex()).indexed, 1);
    const rows = await pictureOf(server.url);
    assert.deepEqual([...rows.keys()].sort(), [...expected.keys()].sort());
  });

  it("reports damaged bytes and what is no instance, and indexes the others", async () => {
    const [damaged, noHash, fine] = [instanceFile(), instanceFile(), instanceFile()];
    const { key, file } = await store(damaged);
    const bytes = await readFile(file);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    await writeFile(file, bytes);
    const truncated = await store(instanceFile());
    await writeFile(truncated.file, (await readFile(truncated.file)).subarray(0, 200));
    // As older versions named objects: nothing tells their hash.
    const old = await store(noHash);
    const oldKey = freshKey();
    await mkdir(path.dirname(path.join(server.objectFolder, oldKey)), { recursive: true });
    await rename(old.file, path.join(server.objectFolder, oldKey));
    await store(fine);
    const text = freshKey();
    await mkdir(path.dirname(path.join(server.objectFolder, text)), { recursive: true });
    await writeFile(path.join(server.objectFolder, text), "no DICOM");
    await loseEveryRow(server.knex);
    const { found, indexed } = await reindex();
    assert.equal(indexed, 2);
    const kinds = new Map(found.map((problem) => [problem.key, `${problem.kind} ${problem.isFailure}`]));
    assert.deepEqual(
      kinds,
      new Map([
        [key, "damaged true"],
        [truncated.key, "damaged true"],
        [text, "refused true"],
      ]),
    );
    assert.equal((await studies()).length, 2);
  });

  it("gives the row to the object that was stored first, and reports the others with the same UIDs", async () => {
    const uids = { StudyInstanceUID: "1.2.3", SeriesInstanceUID: "1.2.3.4", SOPInstanceUID: "1.2.3.4.5" };
    const first = await store(instanceFile({ ...uids, PatientName: "First" }));
    await loseEveryRow(server.knex);
    const other = await store(instanceFile({ ...uids, PatientName: "Other" }));
    const copy = keyFor({ sha256: first.key.slice(-64) });
    await mkdir(path.dirname(path.join(server.objectFolder, copy)), { recursive: true });
    await copyFile(first.file, path.join(server.objectFolder, copy));
    const earlier = new Date(Date.now() - 3600_000);
    await utimes(first.file, earlier, earlier);
    await loseEveryRow(server.knex);
    const { found, indexed, problems } = await reindex();
    assert.deepEqual([indexed, problems.duplicate], [1, 2]);
    assert.deepEqual(
      new Map(found.map((problem) => [problem.key, problem.isFailure])),
      new Map([
        [other.key, true],
        [copy, false],
      ]),
    );
    assert.deepEqual(await server.knex("instance").pluck("blob_key"), [first.key]);
  });

  it("gives the row to the object that was stored last where stores replace, and keeps the others to be restored", async () => {
    const uids = { StudyInstanceUID: "1.2.6", SeriesInstanceUID: "1.2.6.4", SOPInstanceUID: "1.2.6.4.5" };
    const keys: string[] = [];
    for (const [index, name] of ["First", "Second", "Third"].entries()) {
      const { key, file } = await store(instanceFile({ ...uids, PatientName: name }));
      const then = new Date(Date.now() - (10 - index) * 60_000);
      await utimes(file, then, then);
      keys.push(key);
      await loseEveryRow(server.knex);
    }
    const { found, indexed } = await reindex({}, "replace");
    assert.deepEqual([indexed, found], [3, []]);
    assert.deepEqual(await server.knex("instance").pluck("blob_key"), keys.slice(2));
    assert.deepEqual(new Set(await server.knex("removed_instance").pluck("blob_key")), new Set(keys.slice(0, 2)));
    // An object without a row that is older than the one with it was never acknowledged.
    await server.knex("removal").delete();
    const again = await reindex({}, "replace");
    assert.deepEqual([again.indexed, again.problems.duplicate], [0, 2]);
  });

  it("leaves deleted what the database knows to be deleted", async () => {
    const [restorable, purged] = [instanceFile(), instanceFile()];
    await store(restorable);
    const { file } = await store(purged);
    const backup = path.join(server.objectFolder, "tmp", "kept");
    await copyFile(file, backup);
    for (const { studyInstanceUid } of [restorable, purged]) assert.ok((await remove(studyInstanceUid)).ok);
    assert.equal((await reindex()).toDo, 0, "it can be restored");
    const own = await archive();
    for (const { id } of await own.removals({ limit: 10, before: Number.MAX_SAFE_INTEGER })) await own.purge(id);
    await own.sweep(AbortSignal.timeout(10_000));
    assert.equal((await reindex()).listed, 0);
    // An orphan of the same bytes, as a store leaves that was ended between its object and its row.
    await rename(backup, file);
    const { found, indexed } = await reindex();
    assert.deepEqual(
      [indexed, found.map(({ kind, isFailure }) => ({ kind, isFailure }))],
      [0, [{ kind: "deleted", isFailure: false }]],
    );
    await loseEveryRow(server.knex);
    assert.equal((await reindex()).indexed, 1, "nobody knows any more");
  });

  it("brings back what was stored again after it had been deleted", async () => {
    const again = instanceFile();
    await store(again);
    assert.ok((await remove(again.studyInstanceUid)).ok);
    const { key } = await store(again);
    // As when the database comes from a backup that was made between the two.
    await server.knex("study").where("study_instance_uid", again.studyInstanceUid).delete();
    await server.knex("change").where({ action: "create" }).delete();
    const { found, indexed } = await reindex();
    assert.deepEqual([indexed, found], [1, []], key);
    assert.equal((await studies()).length, 1);
  });

  it("leaves alone what belongs to requests and to the quarantine, and what is about to be swept", async () => {
    const { key, file } = await store(instanceFile());
    for (const area of ["spool", "quarantine"] as const) {
      const target = path.join(server.objectFolder, freshKey(area));
      await mkdir(path.dirname(target), { recursive: true });
      await copyFile(file, target);
    }
    await loseEveryRow(server.knex);
    // Not yet: the server sweeps, too.
    await server.knex("sweep").insert({ blob_key: key, since: new Date(Date.now() + 3600_000) });
    const result = await reindex();
    assert.deepEqual([result.listed, result.toDo, result.indexed], [1, 0, 0]);
  });

  it("waits for objects that are so young that a store may be about to make their row", async () => {
    const { file } = await store(instanceFile());
    await loseEveryRow(server.knex);
    const soon = new Date(Date.now() - 59_000);
    await utimes(file, soon, soon);
    const started = performance.now();
    assert.equal((await reindex({ settle: 60_000 })).indexed, 1);
    assert.ok(performance.now() - started > 500);
  });

  it("takes objects of a time alone, and ends when it is told to", async () => {
    const old = await store(instanceFile());
    const yesterday = new Date(Date.now() - 24 * 3600_000);
    await utimes(old.file, yesterday, yesterday);
    await store(instanceFile());
    await loseEveryRow(server.knex);
    const ended = await reindex({ signal: AbortSignal.abort() });
    assert.deepEqual([ended.indexed, ended.complete], [0, false]);
    assert.equal((await reindex({ since: new Date(Date.now() - 3600_000) })).indexed, 1);
    assert.equal((await reindex()).indexed, 1);
  });

  it("is done by one process at a time", async () => {
    await store(instanceFile());
    await loseEveryRow(server.knex);
    const own = await archive();
    const options = { signal: AbortSignal.timeout(60_000), settle: 0 };
    const elsewhere = createCatalog(server.knex);
    await elsewhere.withLock("reindex", async () => assert.equal(await own.reindex(options), undefined));
    assert.equal((await own.reindex(options))?.indexed, 1);
  });
});
