/** Removal on a real PostgreSQL: against stores of the same series, against itself, and over crashes of the sweep. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createSweep } from "../../server/archive/sweep.ts";
import { type Catalog, createCatalog } from "../../storage/catalog.ts";
import { connectDatabase } from "../../storage/database.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { catalogRecord } from "../support/records.ts";

describe("removal", () => {
  let database: TestDatabase;
  let catalog: Catalog;

  before(async () => {
    database = await testDatabase();
    catalog = createCatalog(database.knex);
  });
  after(() => database.drop());

  const keepDays = 7;

  /** What the counts of the series say, and what is there. */
  async function counted(studyInstanceUid: string): Promise<{ counted: number; there: number }> {
    const series = await catalog.findSeries({ studyInstanceUid });
    const rows: unknown[] = [];
    for await (const row of catalog.findInstances({ studyInstanceUid })) rows.push(row);
    return { counted: series.reduce((sum, { instanceCount }) => sum + instanceCount, 0), there: rows.length };
  }

  it("neither deadlocks nor loses a count with stores, removals and restores of the same study", async (t) => {
    const second = await connectDatabase({ url: database.url });
    t.after(() => second.destroy());
    const catalogs = [catalog, createCatalog(second)];
    const study = "1.1";
    let stored = 0;
    let removed = 0;
    const work = async (round: number) => {
      const one = catalogs[round % 2] ?? catalog;
      const series = `1.1.${round % 3}`;
      if (round % 4 === 3) {
        const level = { studyInstanceUid: study, ...(round % 8 === 3 && { seriesInstanceUid: series }) };
        const removal = await one.removals.remove(level, { keepDays });
        removed += removal?.instanceCount ?? 0;
        return;
      }
      const records = [0, 1, 2].map((number) => catalogRecord(study, `1.1.${number}`, `1.1.${number}.${round}`));
      const outcomes = await one.commit(round % 2 === 0 ? records : records.toReversed());
      stored += outcomes.filter(({ status }) => status === "committed").length;
    };
    // The first alone: the removals find something whichever of the works comes next.
    await work(0);
    await Promise.all(Array.from({ length: 47 }, (_, index) => work(index + 1)));
    assert.equal(stored, 36 * 3);
    const left = await counted(study);
    assert.ok(removed > 0);
    assert.equal(left.counted, left.there);
    assert.equal(left.there, stored - removed);
    const removals = await catalog.removals.list(1000, Number.MAX_SAFE_INTEGER);
    await Promise.all(
      removals.map(({ id }, index) => (catalogs[index % 2] ?? catalog).removals.restore(id, { keepDays })),
    );
    assert.deepEqual(await counted(study), { counted: stored, there: stored });
  });

  it("gives one of two that remove the same instance the removal, and the other nothing", async () => {
    await catalog.commit([catalogRecord("2.1", "2.1.1", "2.1.1.1")]);
    const selector = { studyInstanceUid: "2.1", seriesInstanceUid: "2.1.1", sopInstanceUid: "2.1.1.1" };
    const both = await Promise.all([1, 2].map(() => catalog.removals.remove(selector, { keepDays })));
    assert.equal(both.filter((removal) => removal?.instanceCount === 1).length, 1);
    const [removal] = both.filter((one) => one !== undefined);
    assert.ok(removal);
    const restored = await Promise.all([1, 2].map(() => catalog.removals.restore(removal.id, { keepDays })));
    assert.equal(restored.filter((one) => one?.restored === 1).length, 1);
  });

  it("replaces in two processes at once, with removals between, and loses nothing", async (t) => {
    const second = await connectDatabase({ url: database.url });
    t.after(() => second.destroy());
    const catalogs = [catalog, createCatalog(second)];
    const series = ["5.1", "5.2", "5.3"];
    const state = { committed: 0, replaced: 0, removed: 0 };
    const works = Array.from({ length: 30 }, async (_, round) => {
      const one = catalogs[round % 2] ?? catalog;
      if (round % 6 === 5) {
        const removal = await one.removals.remove({ studyInstanceUid: "5" }, { keepDays });
        state.removed += removal?.instanceCount ?? 0;
        return;
      }
      const records = series.map((uid) => {
        const record = catalogRecord("5", uid, `${uid}.1`);
        return { ...record, instance: { ...record.instance, sha256: Buffer.from([round]) } };
      });
      const ordered = round % 4 < 2 ? records : records.toReversed();
      for (const { status } of await one.commit(ordered, { replaceKeepingDays: keepDays })) {
        if (status === "committed") state.committed += 1;
        if (status === "replaced") state.replaced += 1;
      }
    });
    await Promise.all(works);
    assert.equal(state.committed + state.replaced, 25 * 3);
    const left = await counted("5");
    assert.equal(left.counted, left.there);
    assert.equal(left.there, state.committed - state.removed);
    const { count } =
      (await database.knex("removed_instance").whereLike("sop_instance_uid", "5.%").count({ count: "*" }).first()) ??
      {};
    assert.equal(count, state.replaced + state.removed);
  });

  it("restores several pages of instances", async () => {
    const records = Array.from({ length: 200 }, (_, number) => catalogRecord("6.1", "6.1.1", `6.1.1.${number}`));
    await catalog.commit(records);
    const removal = await catalog.removals.remove({ studyInstanceUid: "6.1" }, { keepDays });
    const restored = await catalog.removals.restore(removal?.id ?? 0, { keepDays });
    assert.deepEqual(restored, { restored: 200, stillRemoved: [] });
    assert.deepEqual(await counted("6.1"), { counted: 200, there: 200 });
  });

  it("brings back every column, bulk data, frame table and warnings", async () => {
    const record = catalogRecord("3.1", "3.1.1", "3.1.1.1", { instance_number: 4, content_date: "2024-02-29" });
    const full = {
      ...record,
      study: {
        ...record.study,
        columns: { patient_id: "P", study_date: "2024-01-02", study_time: "10:11:12.5", patient_name: "=A^B=山=" },
        attributes: { "00100020": { vr: "LO", Value: ["P"] } },
      },
      instance: {
        ...record.instance,
        frameTable: Buffer.from([1, 2, 3]),
        bulkData: { "00091010": { segments: [], swapWidth: 1 } },
        warnings: ["something"],
      },
    };
    await catalog.commit([full]);
    const rows = async () => {
      const one: unknown = await database
        .knex("instance")
        .join("series", "series.id", "instance.series_id")
        .join("study", "study.id", "series.study_id")
        .where("sop_instance_uid", "3.1.1.1")
        .first(
          database.knex.raw("to_jsonb(study) - '{id,created_at,updated_at}'::text[] as study"),
          database.knex.raw("to_jsonb(series) - '{id,study_id,created_at,updated_at}'::text[] as series"),
          database.knex.raw("to_jsonb(instance) - '{id,series_id,created_at,updated_at}'::text[] as instance"),
        );
      return one;
    };
    const earlier = await rows();
    const removal = await catalog.removals.remove({ studyInstanceUid: "3.1" }, { keepDays });
    assert.equal(await rows(), undefined);
    await catalog.removals.restore(removal?.id ?? 0, { keepDays });
    assert.deepEqual(await rows(), earlier);
  });

  it("sweeps again what a sweep that broke off has left, and never an object in use", async () => {
    const records = [1, 2, 3].map((number) => catalogRecord("4.1", "4.1.1", `4.1.1.${number}`));
    await catalog.commit(records);
    const [, , inUse] = records;
    assert.ok(inUse);
    for (const number of [1, 2]) {
      const sopInstanceUid = `4.1.1.${number}`;
      const selector = { studyInstanceUid: "4.1", seriesInstanceUid: "4.1.1", sopInstanceUid };
      await catalog.removals.remove(selector, { keepDays: 0 });
    }
    await catalog.removals.sweepLater([inUse.instance.blobKey]);
    const removed: string[] = [];
    let broken = true;
    const remove = async (keys: readonly string[]) => {
      if (broken) throw new Error("the store is away");
      removed.push(...keys);
    };
    const sweep = createSweep({ remove }, catalog);
    await assert.rejects(sweep(new AbortController().signal));
    broken = false;
    await sweep(new AbortController().signal);
    assert.deepEqual(
      removed.sort(),
      records
        .slice(0, 2)
        .map(({ instance }) => instance.blobKey)
        .sort(),
    );
    await sweep(new AbortController().signal);
    assert.equal(removed.length, 2);
  });
});
