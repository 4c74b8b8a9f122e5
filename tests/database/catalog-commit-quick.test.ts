/** The common commit in one statement: the same rows as the other way, and never by what is no longer true. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Knex } from "knex";
import { freshKey } from "../../storage/blobs.ts";
import { createCatalog } from "../../storage/catalog.ts";
import type { InstanceRecord } from "../../storage/catalog-records.ts";
import { connectDatabase } from "../../storage/database.ts";
import { isUndone } from "../../storage/undone.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { catalogRecord, heldObject } from "../support/records.ts";

/** Resolves when `is` says so. */
async function waitFor(is: () => Promise<boolean>): Promise<void> {
  while (!(await is())) await sleep(10);
}

describe("commits into series that are known", () => {
  let database: TestDatabase;
  let knex: Knex;

  before(async () => {
    database = await testDatabase();
    ({ knex } = database);
  });
  after(() => database.drop());

  /** A catalog that has committed one instance of `series`, the second one the quick way. */
  async function warm(study: string, series: string) {
    const catalog = createCatalog(knex);
    await catalog.commit([catalogRecord(study, series, `${series}.1`)]);
    const statements = await counted(() => catalog.commit([catalogRecord(study, series, `${series}.2`)]));
    assert.equal(statements, 1, "the quick way is one statement");
    return catalog;
  }

  /** Statements that `work` runs. */
  async function counted(work: () => Promise<unknown>): Promise<number> {
    let count = 0;
    const listen = () => (count += 1);
    knex.on("query", listen);
    await work();
    knex.off("query", listen);
    return count;
  }

  /** All that rows hold of an instance and its change, but for what no two rows share. */
  async function rowsOf(uid: string) {
    const [instance] = await knex("instance").where({ sop_instance_uid: uid });
    const [change] = await knex("change").where({ sop_instance_uid: uid });
    const own = [
      "id",
      "series_id",
      "sop_instance_uid",
      "series_instance_uid",
      "blob_key",
      "created_at",
      "at",
      "sequence",
    ];
    const rest = (row: object) => Object.fromEntries(Object.entries(row).filter(([name]) => !own.includes(name)));
    return { instance: rest(instance), change: rest(change) };
  }

  it("writes the same rows, of every kind of value", async () => {
    const catalog = await warm("1.1", "1.1.1");
    const rich = (series: string, uid: string): InstanceRecord => {
      const record = catalogRecord("1.1", series, uid, {
        instance_number: 7,
        content_date: "2024-02-29",
        content_time: "10:11:12.123456",
        number_of_frames: 2,
        name_keys: ["a", 'b"{}\\,'],
      });
      const attributes = { "00080018": { vr: "UI", Value: [`Zoë 山田 ' \\ " ? \u2028`] } };
      const bytes = Buffer.from([0, 1, 255, 92, 39]);
      const more = {
        attributes,
        metadata: bytes,
        sha256: Buffer.alloc(32, 200),
        frameTable: bytes,
        dataSetOffset: 344,
      };
      const lists = { bulkData: { "7FE00010": { segments: [1, 2] } }, warnings: ["one ?", 'two "'] };
      return { ...record, instance: { ...record.instance, ...more, ...lists }, origin: "dicomweb" };
    };
    const quick = await counted(() => catalog.commit([rich("1.1.1", "1.1.1.9")]));
    const slow = await counted(() => createCatalog(knex).commit([rich("1.1.2", "1.1.2.9")]));
    assert.deepEqual([quick, slow > 1], [1, true]);
    assert.deepEqual(await rowsOf("1.1.1.9"), await rowsOf("1.1.2.9"));
    const [series] = await catalog.findSeries({ studyInstanceUid: "1.1", seriesInstanceUid: "1.1.1" });
    assert.deepEqual([series?.instanceCount, series?.revision], [3, 3]);
  });

  it("tells duplicates from what is new, in one commit", async () => {
    const catalog = await warm("1.2", "1.2.1");
    const fresh = catalogRecord("1.2", "1.2.1", "1.2.1.3");
    const twin = { ...fresh, instance: { ...fresh.instance, blobKey: freshKey() } };
    const stored = catalogRecord("1.2", "1.2.1", "1.2.1.2");
    const [of, ...others] = await catalog.commit([stored, fresh, twin]);
    assert.deepEqual([of?.status, of?.status === "duplicate" && of.identical], ["duplicate", true]);
    assert.deepEqual(others, [
      { status: "committed", differences: [] },
      { status: "duplicate", identical: true, held: heldObject(fresh) },
    ]);
    const [series] = await catalog.findSeries({ studyInstanceUid: "1.2" });
    assert.equal(series?.instanceCount, 3);
    assert.equal((await knex("change").where({ series_instance_uid: "1.2.1" })).length, 3);
  });

  it("finds a duplicate that another process commits meanwhile, and keeps the others of the batch", async () => {
    const catalog = await warm("1.9", "1.9.1");
    const [series] = await catalog.findSeries({ studyInstanceUid: "1.9" });
    const fresh = [catalogRecord("1.9", "1.9.1", "1.9.1.3"), catalogRecord("1.9", "1.9.1", "1.9.1.4")];
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { promise: waited, resolve: end } = Promise.withResolvers<void>();
    const other = knex.transaction(async (trx) => {
      await trx.raw(
        `insert into instance (series_id, sop_instance_uid, sop_class_uid, attributes, metadata, transfer_syntax_uid,
           blob_key, byte_length, sha256, data_set_offset)
         select series_id, '1.9.1.4', sop_class_uid, attributes, metadata, transfer_syntax_uid, ?, 1, sha256, 1
         from instance where series_id = ? limit 1`,
        [freshKey(), series?.id ?? 0],
      );
      begin();
      await waited;
    });
    await begun;
    const outcomes = catalog.commit(fresh);
    await waitFor(async () => {
      const { rows }: { rows: unknown[] } = await knex.raw(
        "select 1 from pg_stat_activity where wait_event = 'transactionid' and query like 'with expected%'",
      );
      return rows.length > 0;
    });
    end();
    await other;
    const [committed, duplicate] = await outcomes;
    assert.deepEqual(committed, { status: "committed", differences: [] });
    assert.equal(duplicate?.status === "duplicate" && duplicate.identical, false);
    assert.equal(duplicate?.status, "duplicate");
    assert.equal((await knex("change").where({ series_instance_uid: "1.9.1" })).length, 3);
  });

  it("says that nothing was done when the database cannot be asked", async () => {
    const pool = await connectDatabase({ url: database.url, poolSize: 2 });
    const catalog = createCatalog(pool);
    await catalog.commit([catalogRecord("1.10", "1.10.1", "1.10.1.1")]);
    await pool.destroy();
    await assert.rejects(catalog.commit([catalogRecord("1.10", "1.10.1", "1.10.1.2")]), isUndone);
  });

  it("does not say so when the answer is lost", async () => {
    const catalog = await warm("1.11", "1.11.1");
    const { promise: waited, resolve: end } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const other = knex.transaction(async (trx) => {
      await trx("study").where({ study_instance_uid: "1.11" }).forUpdate().first("id");
      begin();
      await waited;
    });
    await begun;
    const lost = catalog.commit([catalogRecord("1.11", "1.11.1", "1.11.1.3")]);
    const refused = assert.rejects(lost, (error) => !isUndone(error));
    await waitFor(async () => {
      const { rows }: { rows: { ended: boolean }[] } = await knex.raw(
        `select pg_terminate_backend(pid) as ended from pg_stat_activity
         where wait_event_type = 'Lock' and query like 'with expected%'`,
      );
      return rows.some(({ ended }) => ended);
    });
    await refused;
    end();
    await other;
  });

  it("sees that another process has changed what the study says", async () => {
    const catalog = await warm("1.3", "1.3.1");
    await knex("study").where({ study_instance_uid: "1.3" }).update({ patient_id: "Q" });
    const [outcome] = await catalog.commit([catalogRecord("1.3", "1.3.1", "1.3.1.3")]);
    assert.deepEqual(outcome, {
      status: "committed",
      differences: [{ attribute: "PatientID", studyValue: "Q", instanceValue: "P" }],
    });
    assert.equal((await knex("conflict").where({ study_value: "Q" })).length, 1);
  });

  it("notes what an instance says otherwise than its study", async () => {
    const catalog = await warm("1.4", "1.4.1");
    const record = catalogRecord("1.4", "1.4.1", "1.4.1.3");
    const [outcome] = await catalog.commit([{ ...record, study: { ...record.study, columns: { patient_id: "R" } } }]);
    assert.equal(outcome?.status === "committed" && outcome.differences[0]?.instanceValue, "R");
    assert.equal((await knex("conflict").where({ instance_value: "R" })).length, 1);
  });

  it("makes a series anew that another process has removed", async () => {
    const catalog = await warm("1.5", "1.5.1");
    await knex("study").where({ study_instance_uid: "1.5" }).delete();
    const [outcome] = await catalog.commit([catalogRecord("1.5", "1.5.1", "1.5.1.3")]);
    assert.equal(outcome?.status, "committed");
    const [series] = await catalog.findSeries({ studyInstanceUid: "1.5" });
    assert.equal(series?.instanceCount, 1);
  });

  it("stores what PostgreSQL does not take from JSON", async () => {
    const catalog = await warm("1.6", "1.6.1");
    const [outcome] = await catalog.commit([catalogRecord("1.6", "1.6.1", "1.6.1.3", { sop_class_uid: "1.\ud800" })]);
    assert.equal(outcome?.status, "committed");
  });

  it("goes the other way where a pooler has lost the prepared statement", async (t) => {
    const pool = await connectDatabase({ url: database.url, poolSize: 2 });
    t.after(() => pool.destroy());
    const catalog = createCatalog(pool);
    const commit = (instance: string) => catalog.commit([catalogRecord("1.8", "1.8.1", `1.8.1.${instance}`)]);
    await commit("1");
    await Promise.all([commit("2"), commit("3")]);
    const forget = () =>
      pool.transaction(async (trx) => {
        await trx.raw("deallocate all");
        await trx.raw("select pg_sleep(0.1)");
      });
    await Promise.all([forget(), forget()]);
    assert.deepEqual(await commit("4"), [{ status: "committed", differences: [] }]);
  });

  it("writes the values of a query tag that another process has added", async () => {
    const catalog = await warm("1.7", "1.7.1");
    const definition = { path: "00181030", privateCreator: "", vr: "LO", level: "series" } as const;
    await createCatalog(knex).queryTags.add([definition]);
    const record = catalogRecord("1.7", "1.7.1", "1.7.1.3");
    const tagValues: InstanceRecord["instance"]["tagValues"] = (tags) =>
      tags.map(({ id }) => ({ tagId: id, values: ["found"] }));
    await catalog.commit([{ ...record, instance: { ...record.instance, tagValues } }]);
    assert.equal((await knex("query_tag_value").where({ value: "found" })).length, 1);
  });
});
