/** The catalog on a real PostgreSQL: group commit, its outcomes under contention, and pages of many instances. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { levelAttributes } from "../../server/archive/attributes.ts";
import { CommitQueue } from "../../server/archive/commit-queue.ts";
import { createCatalog } from "../../storage/catalog.ts";
import type { InstanceRecord } from "../../storage/catalog-records.ts";
import { freshKey } from "../../storage/blobs.ts";
import { connectDatabase } from "../../storage/database.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { catalogRecord, heldObject } from "../support/records.ts";

describe("the catalog", () => {
  let database: TestDatabase;

  before(async () => {
    database = await testDatabase();
  });
  after(() => database.drop());

  it("has a column for every attribute that can be matched", async () => {
    for (const { level, column } of levelAttributes) {
      if (column !== undefined)
        assert.equal(await database.knex.schema.hasColumn(level, column), true, `${level}.${column}`);
    }
  });

  it("tells committed from identical and from different, within a commit and between two", async () => {
    const catalog = createCatalog(database.knex);
    const one = catalogRecord("1.1", "1.1.1", "1.1.1.1");
    const twin = { ...one, instance: { ...one.instance, blobKey: freshKey() } };
    const other = { ...one, instance: { ...one.instance, blobKey: freshKey(), sha256: Buffer.alloc(32) } };
    const outcomes = [...(await catalog.commit([one, twin])), ...(await catalog.commit([other]))];
    assert.deepEqual(outcomes, [
      { status: "committed", differences: [] },
      { status: "duplicate", identical: true, held: heldObject(one) },
      { status: "duplicate", identical: false, held: heldObject(one) },
    ]);
    const [series] = await catalog.findSeries({ studyInstanceUid: "1.1" });
    assert.deepEqual([series?.instanceCount, series?.revision], [1, 1]);
  });

  it("keeps the same SOP Instance UID in two series, and the same series UID in two studies, apart", async () => {
    const catalog = createCatalog(database.knex);
    const records = [
      catalogRecord("2.1", "2.9", "2.9.9"),
      catalogRecord("2.1", "2.8", "2.9.9"),
      catalogRecord("2.2", "2.9", "2.9.9"),
    ];
    const outcomes = await catalog.commit(records);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["committed", "committed", "committed"],
    );
    assert.equal((await catalog.findSeries({ studyInstanceUid: "2.1" })).length, 2);
  });

  it("neither deadlocks nor loses a count when two processes write the same series in opposite orders", async (t) => {
    const second = await connectDatabase({ url: database.url });
    t.after(() => second.destroy());
    const catalogs = [createCatalog(database.knex), createCatalog(second)];
    const seriesUids = Array.from({ length: 6 }, (_, index) => `3.1.${index}`);
    const commits = Array.from({ length: 24 }, async (_, round) => {
      const records = seriesUids.map((series) => catalogRecord("3.1", series, `${series}.${round}`));
      await catalogs[round % 2]?.commit(round % 4 < 2 ? records : records.toReversed());
    });
    await Promise.all(commits);
    const series = await catalogs[0]?.findSeries({ studyInstanceUid: "3.1" });
    assert.deepEqual(
      series?.map(({ instanceCount }) => instanceCount),
      seriesUids.map(() => 24),
    );
  });

  it("knows its own rows again when the answer to a commit was lost", async () => {
    const catalog = createCatalog(database.knex);
    let lost = false;
    const commit = async (records: readonly InstanceRecord[]) => {
      const outcomes = await catalog.commit(records);
      if (lost) return outcomes;
      lost = true;
      throw new Error("the answer never came");
    };
    const queue = new CommitQueue({ commit });
    const outcomes = await Promise.all(["6.1", "6.2"].map((uid) => queue.commit(catalogRecord("6", "6.0", uid))));
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["committed", "committed"],
    );
  });

  it("fails an instance that PostgreSQL refuses alone, not its neighbours", async () => {
    const queue = new CommitQueue(createCatalog(database.knex));
    const settled = await Promise.allSettled([
      queue.commit(catalogRecord("4.1", "4.1.1", "4.1.1.1")),
      queue.commit(catalogRecord("4.1", "4.1.1", "4.1.1.2", { content_date: "not a date" })),
      queue.commit(catalogRecord("4.1", "4.1.1", "4.1.1.3")),
    ]);
    assert.deepEqual(
      settled.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
  });

  it("reads 1,200 instances in number order, an instance without number last", async () => {
    const catalog = createCatalog(database.knex);
    const numbers = Array.from({ length: 1200 }, (_, index) => (index % 100 === 99 ? null : 5000 - (index % 700)));
    for (let from = 0; from < numbers.length; from += 200) {
      const batch = numbers.slice(from, from + 200);
      await catalog.commit(
        batch.map((number, index) =>
          catalogRecord("5.1", "5.1.1", `5.${from + index + 1000}`, { instance_number: number }),
        ),
      );
    }
    const seen: string[] = [];
    for await (const { sopInstanceUid } of catalog.findInstances({ studyInstanceUid: "5.1" }))
      seen.push(sopInstanceUid);
    const expected = numbers
      .map((number, index) => ({ number: number ?? Infinity, index }))
      .toSorted((one, other) => one.number - other.number || one.index - other.index)
      .map(({ index }) => `5.${index + 1000}`);
    assert.deepEqual(seen, expected);
  });

  it("finds what has a SOP Instance UID by an index, also among what was removed: every duplicate asks for it", async () => {
    await database.knex.transaction(async (trx) => {
      await trx.raw("set local enable_seqscan = off");
      for (const table of ["instance", "removed_instance", "non_patient_instance"]) {
        const plan = await trx.raw(`explain select 1 from ${table} where sop_instance_uid = any (?)`, [["1.1", "1.2"]]);
        assert.doesNotMatch(JSON.stringify(plan.rows), /Seq Scan/, table);
      }
    });
  });

  it("says that the database does not answer, in our words", async () => {
    const gone = await testDatabase();
    const knex = await connectDatabase({ url: gone.url });
    const catalog = createCatalog(knex);
    await gone.drop();
    await assert.rejects(catalog.check(), { code: "database-unavailable" });
    await knex.destroy();
    await assert.rejects(catalog.check(), { code: "database-unavailable" });
  });
});
