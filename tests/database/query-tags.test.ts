/** The index of query tags under concurrency: no instance escapes a tag, and no value outlives its instance. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { deflateRawSync } from "node:zlib";
import { tagValuesOf, tagValuesOfMetadata } from "../../server/archive/query-tag-values.ts";
import type { DicomJson } from "../../server/dicom/json.ts";
import { freshKey } from "../../storage/blobs.ts";
import { type Catalog, createCatalog } from "../../storage/catalog.ts";
import { listRevision, recheckSeries } from "../../storage/catalog-query-tag-values.ts";
import type { InstanceRecord } from "../../storage/catalog-records.ts";
import { connectDatabase } from "../../storage/database.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

const age = { path: "00101010", privateCreator: "", vr: "AS" } as const;

describe("the index of query tags", () => {
  let database: TestDatabase;
  let catalog: Catalog;
  before(async () => {
    database = await testDatabase();
    catalog = createCatalog(database.knex);
  });
  after(() => database.drop());

  async function indexAll(of: Catalog = catalog): Promise<number> {
    let steps = 0;
    while (await of.queryTags.indexBatch(tagValuesOfMetadata)) steps += 1;
    return steps;
  }

  async function forget(): Promise<void> {
    for (const { id } of await catalog.queryTags.list()) await catalog.queryTags.remove(id);
    await indexAll();
    assert.equal(await rowsOf("query_tag_value"), 0);
    await database.knex("study").delete();
  }

  async function rowsOf(table: string): Promise<number> {
    const [row]: { count: number }[] = await database.knex(table).count();
    return row?.count ?? 0;
  }

  async function valuesOf(tagId: number): Promise<string[]> {
    return await database.knex("query_tag_value").where("tag_id", tagId).orderBy("value").pluck("value");
  }

  it("makes a change of the list wait for a store under way, whose instance is then re-indexed", async () => {
    await catalog.commit([record("1", "1.1", "1.1.1", "001Y")]);
    const series = await database.knex("series").first("id");
    const { promise: finish, resolve } = Promise.withResolvers<void>();
    const storing = database.knex.transaction(async (trx) => {
      await trx.raw(
        `insert into instance
           (series_id, sop_instance_uid, sop_class_uid, attributes, metadata, transfer_syntax_uid, blob_key,
            byte_length, sha256, data_set_offset)
         select ?, '1.1.2', sop_class_uid, attributes, ?, transfer_syntax_uid, 'other', 1, sha256, 0 from instance
         returning ${listRevision}`,
        [series.id, metadataOf("002Y")],
      );
      await finish;
    });
    await sleep(50);
    let added = false;
    const adding = catalog.queryTags.add([{ ...age, level: "instance" }]).then((tags) => {
      added = true;
      return tags;
    });
    await sleep(150);
    assert.equal(added, false, "the list changed under a store");
    resolve();
    await storing;
    const [tag] = await adding;
    assert.ok(tag);
    await indexAll();
    assert.deepEqual(await valuesOf(tag.id), ["001Y", "002Y"]);
    await forget();
  });

  it("misses no instance while two processes store, index, add and remove tags", async (t) => {
    const second = await connectDatabase({ url: database.url });
    t.after(() => second.destroy());
    const catalogs = [catalog, createCatalog(second)];
    const state = { storing: true };
    const workers = catalogs.map(async (of, worker) => {
      for (let round = 0; round < 60; round += 1) {
        const batch = [0, 1, 2].map((series) =>
          record("2", `2.${series}`, `2.${series}.${worker}.${round}`, `${String(round).padStart(3, "0")}Y`),
        );
        await of.commit(worker === 0 ? batch : batch.toReversed());
        await sleep(2);
      }
    });
    const indexers = catalogs.map(async (of) => {
      while (state.storing) {
        await indexAll(of);
        await sleep(5);
      }
    });
    const lists = catalogs.map(async (of, index) => {
      const definition =
        index === 0
          ? ({ ...age, level: "instance" } as const)
          : ({ ...age, path: "00101010", privateCreator: "x", level: "series" } as const);
      for (let round = 0; round < 6; round += 1) {
        await sleep(15);
        const [tag] = await of.queryTags.add([definition]);
        await sleep(25);
        if (round < 5 && tag) await of.queryTags.remove(tag.id);
      }
    });
    await Promise.all([...workers, ...lists]);
    state.storing = false;
    await Promise.all(indexers);
    await indexAll();
    const tags = await catalog.queryTags.list();
    assert.deepEqual(
      tags.map(({ status }) => status),
      ["ready", "ready"],
    );
    const ofLevel = (level: string) => tags.find((tag) => tag.level === level)?.id ?? 0;
    assert.equal((await valuesOf(ofLevel("instance"))).length, 360);
    assert.equal((await valuesOf(ofLevel("series"))).length, 3 * 60, "distinct values by series");
    assert.equal(await rowsOf("query_tag_value"), 360 + 180, "and none of tags that are gone");
    await forget();
  });

  it("goes on where it stopped, in a process that knows nothing of the first", async (t) => {
    for (let from = 0; from < 1200; from += 100) {
      const batch = Array.from({ length: 100 }, (_, index) => record("3", "3.1", `3.1.${from + index}`, "040Y"));
      await catalog.commit(batch);
    }
    const [tag] = await catalog.queryTags.add([{ ...age, level: "instance" }]);
    assert.ok(tag);
    assert.equal(await catalog.queryTags.indexBatch(tagValuesOfMetadata), true);
    const [half] = await catalog.queryTags.list();
    assert.deepEqual([half?.status, half?.total, half?.done], ["adding", 1200, 500]);
    const failing = catalog.queryTags.indexBatch(() => {
      throw new Error("the process dies in a step");
    });
    await assert.rejects(failing, /dies/);
    const second = await connectDatabase({ url: database.url });
    t.after(() => second.destroy());
    await indexAll(createCatalog(second));
    const [whole] = await catalog.queryTags.list();
    assert.deepEqual([whole?.status, whole?.done], ["ready", 1200]);
    assert.equal((await valuesOf(tag.id)).length, 1200);
    await forget();
  });

  it("forgets the values of instances that go, and has series made anew", async () => {
    const records = [record("4", "4.1", "4.1.1", "001Y"), record("4", "4.1", "4.1.2", "002Y")];
    await catalog.commit([...records, record("4", "4.2", "4.2.1", "003Y")]);
    const [ofStudy, ofInstance] = await catalog.queryTags.add([
      { ...age, level: "study" },
      { ...age, privateCreator: "x", level: "instance" },
    ]);
    assert.ok(ofStudy && ofInstance);
    await indexAll();
    assert.deepEqual(await valuesOf(ofStudy.id), ["001Y", "002Y", "003Y"]);
    await database.knex.transaction(async (trx) => {
      await trx("instance").where("sop_instance_uid", "4.1.1").delete();
      await recheckSeries(trx, await trx("series").where("series_instance_uid", "4.1").pluck("id"));
    });
    assert.deepEqual(await valuesOf(ofInstance.id), ["002Y", "003Y"]);
    await indexAll();
    assert.deepEqual(await valuesOf(ofStudy.id), ["002Y", "003Y"]);
    await database.knex("series").where("series_instance_uid", "4.2").delete();
    assert.deepEqual(await valuesOf(ofStudy.id), ["002Y"]);
    await forget();
  });

  it("reads the values of an instance that comes back from its metadata", async () => {
    const [tag] = await catalog.queryTags.add([{ ...age, level: "instance" }]);
    assert.ok(tag);
    const { instance, ...entities } = record("6", "6.1", "6.1.1", "006Y");
    const { tagValues: _known, ...restored } = instance;
    await catalog.commit([{ ...entities, instance: restored }]);
    await indexAll();
    assert.deepEqual(await valuesOf(tag.id), ["006Y"]);
    await forget();
  });

  it("passes over an instance that is being removed, and comes back when it stays", async () => {
    await catalog.commit([record("5", "5.1", "5.1.1", "001Y"), record("5", "5.1", "5.1.2", "002Y")]);
    const [tag] = await catalog.queryTags.add([{ ...age, level: "instance" }]);
    assert.ok(tag);
    const removing = await database.knex.transaction();
    await removing("instance").where("sop_instance_uid", "5.1.1").forUpdate().select("id");
    assert.equal(await catalog.queryTags.indexBatch(tagValuesOfMetadata), true);
    assert.deepEqual(await valuesOf(tag.id), ["002Y"]);
    assert.equal((await catalog.queryTags.list())[0]?.status, "adding");
    await removing.rollback();
    await indexAll();
    assert.deepEqual(await valuesOf(tag.id), ["001Y", "002Y"]);
    assert.equal((await catalog.queryTags.list())[0]?.status, "ready");
    await forget();
  });
});

function metadataOf(patientAge: string): Buffer {
  return deflateRawSync(JSON.stringify(jsonOf(patientAge)));
}

function jsonOf(patientAge: string): DicomJson {
  return { "00101010": { vr: "AS", Value: [patientAge] } };
}

function record(study: string, series: string, instance: string, patientAge: string): InstanceRecord {
  return {
    study: { uid: study, columns: { patient_id: "P" }, attributes: {} },
    series: { uid: series, columns: { modality: "CT" }, attributes: {} },
    instance: {
      uid: instance,
      columns: { sop_class_uid: "1.2" },
      attributes: {},
      metadata: metadataOf(patientAge),
      transferSyntaxUid: "1.2",
      blobKey: freshKey(),
      byteLength: 1,
      sha256: createHash("sha256").update(instance).digest(),
      dataSetOffset: 0,
      frameTable: undefined,
      bulkData: undefined,
      warnings: [],
      tagValues: (tags) => tagValuesOf(jsonOf(patientAge), tags),
    },
  };
}
