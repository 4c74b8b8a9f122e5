/** Measures query tags: the re-index of stored instances, and what tags cost a store. `node bench/query-tags.ts [instances]` */
import { createHash } from "node:crypto";
import { deflateRawSync } from "node:zlib";
import type { Knex } from "knex";
import { tagValuesOf, tagValuesOfMetadata } from "../server/archive/query-tag-values.ts";
import type { DicomJson } from "../server/dicom/json.ts";
import { freshKey } from "../storage/blobs.ts";
import { type Catalog, createCatalog } from "../storage/catalog.ts";
import type { InstanceRecord } from "../storage/catalog-records.ts";
import { testDatabase } from "../tests/support/postgres.ts";

const instances = Number(process.argv[2] ?? 50_000);
const tags = [
  { path: "00101010", privateCreator: "", vr: "AS", level: "study" },
  { path: "00400275.00400009", privateCreator: "", vr: "SH", level: "series" },
  { path: "0019xx07", privateCreator: "ACME", vr: "DS", level: "instance" },
] as const;

/** As many attributes as the header of a CT slice has: about 7 kB of JSON. */
function headerOf(number: number): DicomJson {
  const json: DicomJson = {
    "00101010": { vr: "AS", Value: [`${String(number % 100).padStart(3, "0")}Y`] },
    "00190010": { vr: "LO", Value: ["ACME"] },
    "00191007": { vr: "DS", Value: [number / 10] },
    "00400275": { vr: "SQ", Value: [{ "00400009": { vr: "SH", Value: [`STEP${number % 1000}`] } }] },
  };
  for (let index = 0; index < 120; index += 1) {
    const tag = (0x00181000 + index).toString(16).toUpperCase().padStart(8, "0");
    json[tag] = { vr: "LO", Value: [`value ${index} of ${number % 64}`] };
  }
  return json;
}

function say(what: string, count: number, milliseconds: number): void {
  const rate = Math.round((1000 * count) / milliseconds);
  process.stdout.write(`${what}: ${count} instances in ${Math.round(milliseconds)} ms, ${rate} a second\n`);
}

/** By SQL: 200 instances a series, two series a study. */
async function seed(knex: Knex): Promise<void> {
  await knex.raw(
    `insert into study (study_instance_uid, attributes)
     select '1.' || study, '{}' from generate_series(0, ? / 400) as study`,
    [instances],
  );
  await knex.raw(
    `insert into series (study_id, series_instance_uid, attributes, instance_count)
     select study.id, study_instance_uid || '.' || series, '{}', 200 from study, generate_series(0, 1) as series`,
  );
  const headers = Array.from({ length: 64 }, (_, number) =>
    deflateRawSync(JSON.stringify(headerOf(number)), { level: 4 }),
  );
  await knex.raw(
    `insert into instance (series_id, sop_instance_uid, sop_class_uid, instance_number, attributes, metadata,
       transfer_syntax_uid, blob_key, byte_length, sha256, data_set_offset)
     select (select min(id) from series) + number / 200, '2.' || number, '1.2', number, '{}',
       (?::bytea[])[number % 64 + 1], '1.2', 'seeded/' || number, 1, '\\x00', 0
     from generate_series(0, ? - 1) as number`,
    [headers, instances],
  );
}

async function store(catalog: Catalog, first: number, count: number): Promise<number> {
  const begun = performance.now();
  for (let from = first; from < first + count; from += 50) {
    await catalog.commit(Array.from({ length: 50 }, (_, index) => record(from + index)));
  }
  return performance.now() - begun;
}

function record(number: number): InstanceRecord {
  const json = headerOf(number);
  return {
    study: { uid: "9", columns: {}, attributes: {} },
    series: { uid: `9.${number % 4}`, columns: {}, attributes: {} },
    instance: {
      uid: `9.9.${number}`,
      columns: { sop_class_uid: "1.2" },
      attributes: {},
      metadata: deflateRawSync(JSON.stringify(json), { level: 4 }),
      transferSyntaxUid: "1.2",
      blobKey: freshKey(),
      byteLength: 1,
      sha256: createHash("sha256").update(String(number)).digest(),
      dataSetOffset: 0,
      frameTable: undefined,
      bulkData: undefined,
      warnings: [],
      tagValues: (wanted) => tagValuesOf(json, wanted),
    },
  };
}

async function main(): Promise<void> {
  const database = await testDatabase();
  const catalog = createCatalog(database.knex);
  try {
    await seed(database.knex);
    await store(catalog, 0, 2000);
    say("store without tags", 5000, await store(catalog, 10_000, 5000));
    const added = performance.now();
    await catalog.queryTags.add(tags);
    process.stdout.write(`${tags.length} tags added in ${Math.round(performance.now() - added)} ms\n`);
    const begun = performance.now();
    while (await catalog.queryTags.indexBatch(tagValuesOfMetadata));
    say("re-index", instances + 7000, performance.now() - begun);
    say("store with tags", 5000, await store(catalog, 20_000, 5000));
    const removed = performance.now();
    for (const { id } of await catalog.queryTags.list()) await catalog.queryTags.remove(id);
    process.stdout.write(`tags removed in ${Math.round(performance.now() - removed)} ms\n`);
    const purged = performance.now();
    while (await catalog.queryTags.indexBatch(tagValuesOfMetadata));
    process.stdout.write(`values purged in ${Math.round(performance.now() - purged)} ms\n`);
  } finally {
    await database.drop();
  }
}

await main();
