/** Runs of retention against what happens meanwhile: stores, holds, the end of the process; and real free space. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Archive, createArchive } from "../../server/archive/archive.ts";
import { readStudyMatch } from "../../server/archive/study-match.ts";
import { createLog } from "../../server/log.ts";
import { type Blobs } from "../../storage/blobs.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import { type Catalog, createCatalog } from "../../storage/catalog.ts";
import { instanceFile } from "../support/instances.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { requirement } from "../support/require.ts";
import { mountSmallDisk } from "../support/small-disk.ts";

describe("a run of retention", () => {
  let database: TestDatabase;
  let folder: string;

  before(async () => {
    database = await testDatabase();
    folder = await mkdtemp(path.join(os.tmpdir(), "noctis-retention-"));
  });
  after(async () => {
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    await database.knex.raw("truncate study, removal, hold, retention_rule, retention_run, sweep cascade");
  });

  /** An archive, whose catalog and objects `changes` may alter. */
  async function open(
    changes: { catalog?: (catalog: Catalog) => Catalog; blobs?: (blobs: Blobs) => Blobs; folder?: string } = {},
  ): Promise<Archive> {
    const blobs = await openFileBlobs({ folder: changes.folder ?? folder });
    const catalog = createCatalog(database.knex, (query) => readStudyMatch(query));
    return createArchive({
      blobs: changes.blobs?.(blobs) ?? blobs,
      catalog: changes.catalog?.(catalog) ?? catalog,
      log: createLog("silent"),
      retentionMaxPercent: 100,
    });
  }
  const signal = new AbortController().signal;

  /** Studies of `bytes` each that are a year old; the first is the oldest. */
  async function oldStudies(archive: Archive, count: number, bytes = 16): Promise<string[]> {
    const uids: string[] = [];
    for (let number = 0; number < count; number += 1) {
      const pixels = new ArrayBuffer(bytes);
      const file = instanceFile({ StudyDate: `2001010${number + 1}`, PixelData: pixels });
      const outcome = await archive.store(bodyOf(file.bytes));
      assert.equal(outcome.status, "stored");
      uids.push(file.studyInstanceUid);
    }
    await age();
    return uids;
  }
  async function* bodyOf(bytes: Buffer): AsyncGenerator<Buffer> {
    yield bytes;
  }
  const age = () => database.knex("series").update({ updated_at: database.knex.raw("now() - interval '1 year'") });

  const definition = {
    name: "Old",
    match: "",
    all: true,
    ageBy: "StudyDate",
    olderThanDays: 30,
    settledDays: 7,
    space: null,
  } as const;

  async function enabled({ retention }: Archive, changes: Partial<Parameters<typeof retention.add>[0]> = {}) {
    const rule = await retention.add({ ...definition, ...changes });
    const { token } = await retention.dryRun(rule.id, 1);
    return retention.enable(rule.id, token);
  }
  const left = (): Promise<string[]> => database.knex("study").orderBy("study_date").pluck("study_instance_uid");

  /** A catalog that does `work` right before it removes the `turn`-th study, counted from 1. */
  const beforeRemoval = (turn: number, work: (catalog: Catalog) => Promise<unknown>) => (catalog: Catalog) => {
    let turns = 0;
    return {
      ...catalog,
      removals: {
        ...catalog.removals,
        remove: async (...parameters: Parameters<Catalog["removals"]["remove"]>) => {
          turns += 1;
          if (turns === turn) await work(catalog);
          return catalog.removals.remove(...parameters);
        },
      },
    };
  };

  it("leaves a study that a hold protects since it was planned", async () => {
    const archive = await open();
    const [first = "", second = "", third = ""] = await oldStudies(archive, 3);
    await enabled(archive);
    const other = await open({
      catalog: beforeRemoval(2, ({ holds }) => holds.place({ studyInstanceUid: second, reason: "just now" })),
    });
    const [outcome] = (await other.retention.run({ signal, now: true })) ?? [];
    assert.deepEqual([outcome?.studies, outcome?.held, outcome?.fault], [2, 1, null]);
    assert.deepEqual(await left(), [second]);
    assert.ok(first && third);
    assert.equal((await archive.retention.runs({ limit: 1, before: 1e9 }))[0]?.held, 1);
  });

  it("leaves a study that got an instance since it was planned, or is found no more", async () => {
    const archive = await open();
    const [first = "", second = "", third = ""] = await oldStudies(archive, 3);
    await enabled(archive, { all: false, match: "PatientID=TEST-1" });
    const more = instanceFile({ StudyInstanceUID: first, StudyDate: "20010101" });
    const other = await open({
      catalog: beforeRemoval(1, async () => {
        await archive.store(bodyOf(more.bytes));
        await database.knex("study").where("study_instance_uid", second).update({ patient_id: "OTHER" });
        await database.knex.raw(
          `update study set attributes = jsonb_set(attributes, '{00100020,Value}', '["OTHER"]')
           where study_instance_uid = ?`,
          [second],
        );
      }),
    });
    const [outcome] = (await other.retention.run({ signal, now: true })) ?? [];
    assert.deepEqual([outcome?.studies, outcome?.changed], [1, 2]);
    assert.deepEqual(await left(), [first, second]);
    assert.ok(third);
  });

  it("waits for a store that is under way in the study, and then leaves it", async (t) => {
    const archive = await open();
    const studies = await oldStudies(archive, 1);
    await enabled(archive);
    const storing = await database.knex.transaction();
    t.after(() => storing.rollback());
    await storing("series").update({ updated_at: storing.fn.now() });
    const run = archive.retention.run({ signal, now: true });
    for (let look = 0; ; look += 1) {
      const { rows }: { rows: unknown[] } = await database.knex.raw("select 1 from pg_locks where not granted");
      if (rows.length > 0) break;
      assert.ok(look < 500, "the run did not wait");
      await sleep(10);
    }
    await storing.commit();
    assert.deepEqual(
      (await run)?.map(({ studies: removed, changed }) => [removed, changed]),
      [[0, 1]],
    );
    assert.deepEqual(await left(), studies);
  });

  it("ends after the study at hand when the server stops, and says what it removed", async () => {
    const archive = await open();
    const [, second, third] = await oldStudies(archive, 3);
    const rule = await enabled(archive);
    const stopping = new AbortController();
    const other = await open({ catalog: beforeRemoval(1, async () => stopping.abort()) });
    const [outcome] = (await other.retention.run({ signal: stopping.signal, now: true })) ?? [];
    assert.deepEqual([outcome?.studies, outcome?.fault], [1, null]);
    assert.deepEqual(await left(), [second, third]);
    const [run] = await archive.retention.runs({ limit: 1, before: 1e9 });
    assert.equal(run?.studies, 1);
    assert.equal((await archive.retention.find(rule.id)).confirmedStudies, 2);
  });

  it("tells what was removed though its process died, for it was written down with the removal", async () => {
    const archive = await open();
    const [first, second] = await oldStudies(archive, 2);
    await enabled(archive);
    const other = await open({
      catalog: beforeRemoval(2, async () => {
        throw new Error("killed");
      }),
    });
    await assert.rejects(other.retention.run({ signal, now: true }));
    const [run] = await archive.retention.runs({ limit: 1, before: 1e9 });
    assert.equal(run?.studies, 1);
    const removals = await archive.retention.runRemovals(run.id, { limit: 10, before: 1e9 });
    assert.deepEqual(
      removals.map(({ studyInstanceUid }) => studyInstanceUid),
      [first],
    );
    assert.deepEqual(await left(), [second]);
  });

  it("is one at a time in all processes", async () => {
    const archive = await open();
    await oldStudies(archive, 1);
    await enabled(archive);
    const another = await open();
    let meanwhile: unknown = "not asked";
    const other = await open({
      catalog: beforeRemoval(1, async () => {
        meanwhile = await another.retention.run({ signal, now: true });
      }),
    });
    assert.equal((await other.retention.run({ signal, now: true }))?.length, 1);
    assert.equal(meanwhile, undefined);
  });

  it("stops a rule whose removals free no space", async () => {
    const always = { totalBytes: 1000e6, freeBytes: 50e6 };
    const archive = await open({ blobs: (blobs) => ({ ...blobs, space: async () => always }) });
    await oldStudies(archive, 3);
    const rule = await enabled(archive, { space: { unit: "percent", below: 10, until: 10 } });
    const [outcome] = (await archive.retention.run({ signal, now: true })) ?? [];
    assert.match(outcome?.fault ?? "", /^It removed \d+ bytes, of which 0 came back/);
    const stopped = await archive.retention.find(rule.id);
    assert.deepEqual([stopped.enabled, stopped.stopped], [false, outcome?.fault]);
    assert.deepEqual(await archive.retention.run({ signal, now: true }), []);
  });

  it("asks for a capacity where the object store tells no free space", async () => {
    const archive = await open({ blobs: (blobs) => ({ ...blobs, space: async () => undefined }) });
    const rule = await archive.retention.add({ ...definition, space: { unit: "gigabytes", below: 1, until: 2 } });
    await assert.rejects(archive.retention.dryRun(rule.id, 1), {
      code: "space-unknown",
      message: /STORAGE_CAPACITY_GB/,
    });
  });

  it("makes room on a disk that is getting full", requirement("tmpfs"), async (t) => {
    const mounted = await mountSmallDisk(path.join(folder, "disk"), 16);
    t.after(() => mounted.remove());
    const disk = mounted.folder;
    const archive = await open({ folder: disk });
    const studies = await oldStudies(archive, 6, 2_000_000);
    const free = async () => (await (await openFileBlobs({ folder: disk })).space())?.freeBytes ?? 0;
    assert.ok((await free()) < 2 ** 24 * 0.3, "the disk is nearly full");
    await enabled(archive, { space: { unit: "percent", below: 40, until: 50 } });
    const [outcome] = (await archive.retention.run({ signal, now: true })) ?? [];
    assert.equal(outcome?.fault, null);
    assert.ok((await free()) >= 2 ** 24 * 0.5);
    const kept = await left();
    assert.deepEqual(kept, studies.slice(outcome.studies), "the oldest went, and no more than was needed");
    assert.ok(kept.length >= 3);
  });
});
