/** Group commit: instances that arrive together become rows in one transaction, each with its own outcome. */
import type { Knex } from "knex";
import { indexNewInstances, type KnownTags, listRevision, type NewInstance } from "./catalog-query-tag-values.ts";
import type { CommitOutcome, EntityRecord, InstanceRecord, PatientIdentity } from "./catalog-records.ts";

/**
 * Makes `records` existent in one transaction. Rows are always taken in the order of their UIDs (studies, then series,
 * then instances), so that processes that write the same series wait for each other and never deadlock.
 * @param knownTags the list of query tags as this process knows it; brought up to date when it is old
 */
export async function commitInstances(
  knex: Knex,
  records: readonly InstanceRecord[],
  knownTags: KnownTags,
): Promise<CommitOutcome[]> {
  return knex.transaction(async (trx) => {
    const series = await resolveSeries(trx, records);
    const seriesOf = (record: InstanceRecord) => known(series, seriesKey(record));
    const inserted = await insertInstances(trx, records, seriesOf);
    const committed = new Map(inserted.map((row) => [row.blob_key, row.series_id]));
    await reviseSeries(trx, committed);
    await indexNewInstances(trx, knownTags, newInstances(inserted, records));
    const allCommitted = committed.size === records.length;
    const stored = allCommitted ? new Map<string, StoredInstance>() : await storedInstances(trx, records, seriesOf);
    return records.map((record): CommitOutcome => {
      const { id, patient } = seriesOf(record);
      if (committed.has(record.instance.blobKey)) return { status: "committed", patient };
      // A commit whose answer was lost is tried again: the row is then this one's own.
      const held = stored.get(`${id}/${record.instance.uid}`);
      if (held?.blob_key === record.instance.blobKey) return { status: "committed", patient };
      return { status: "duplicate", identical: held?.sha256.equals(record.instance.sha256) ?? false };
    });
  });
}

interface SeriesKey {
  readonly id: number;
  readonly patient: PatientIdentity;
}

/** The series of `records`, made where they are missing. Mostly they are there, and one query tells. */
async function resolveSeries(
  trx: Knex.Transaction,
  records: readonly InstanceRecord[],
): Promise<ReadonlyMap<string, SeriesKey>> {
  const entities = distinct(records, seriesKey);
  const found = await findSeries(trx, entities);
  const missing = entities.filter((record) => !found.has(seriesKey(record)));
  if (missing.length === 0) return found;
  await insertSeries(trx, missing, await insertStudies(trx, missing));
  return findSeries(trx, entities);
}

async function findSeries(
  trx: Knex.Transaction,
  entities: readonly InstanceRecord[],
): Promise<ReadonlyMap<string, SeriesKey>> {
  const found: ({ id: number; study: string; series: string } & PatientIdentity)[] = await trx("series")
    .join("study", "study.id", "series.study_id")
    .select({
      id: "series.id",
      study: "study_instance_uid",
      series: "series_instance_uid",
      patientId: "patient_id",
      issuerOfPatientId: "issuer_of_patient_id",
    })
    .whereIn(
      ["study_instance_uid", "series_instance_uid"],
      entities.map(({ study, series }) => [study.uid, series.uid]),
    );
  return new Map(found.map(({ id, study, series, ...patient }) => [`${study}/${series}`, { id, patient }]));
}

/** The ids of the studies of `records`, made where they are missing, by UID. */
async function insertStudies(
  trx: Knex.Transaction,
  records: readonly InstanceRecord[],
): Promise<ReadonlyMap<string, number>> {
  const entities = distinct(records, (record) => record.study.uid);
  const rows = entities.map(({ study }) => ({ study_instance_uid: study.uid, ...values(study) }));
  await trx("study").insert(rows).onConflict("study_instance_uid").ignore();
  const found: { id: number; uid: string }[] = await trx("study")
    .select({ id: "id", uid: "study_instance_uid" })
    .whereIn(
      "study_instance_uid",
      entities.map(({ study }) => study.uid),
    );
  return new Map(found.map(({ id, uid }) => [uid, id]));
}

async function insertSeries(
  trx: Knex.Transaction,
  entities: readonly InstanceRecord[],
  studies: ReadonlyMap<string, number>,
): Promise<void> {
  const rows = entities.map(({ study, series }) => ({
    study_id: known(studies, study.uid),
    series_instance_uid: series.uid,
    ...values(series),
  }));
  await trx("series").insert(rows).onConflict(["study_id", "series_instance_uid"]).ignore();
}

interface InsertedRow {
  readonly id: number;
  readonly blob_key: string;
  readonly series_id: number;
  readonly revision: number;
}

function newInstances(inserted: readonly InsertedRow[], records: readonly InstanceRecord[]): NewInstance[] {
  const tagValues = new Map(records.map(({ instance }) => [instance.blobKey, instance.tagValues]));
  return inserted.map(({ id, blob_key, series_id, revision }) => ({
    instanceId: id,
    seriesId: series_id,
    revision,
    tagValues: tagValues.get(blob_key),
  }));
}

/** The new instances; one that is there already is left out. */
async function insertInstances(
  trx: Knex.Transaction,
  records: readonly InstanceRecord[],
  seriesOf: (record: InstanceRecord) => SeriesKey,
): Promise<InsertedRow[]> {
  const sorted = distinct(records, (record) => `${seriesKey(record)}/${record.instance.uid}`);
  const rows = sorted.map((record) => {
    const { instance } = record;
    return {
      series_id: seriesOf(record).id,
      sop_instance_uid: instance.uid,
      ...values(instance),
      metadata: instance.metadata,
      transfer_syntax_uid: instance.transferSyntaxUid,
      blob_key: instance.blobKey,
      byte_length: instance.byteLength,
      sha256: instance.sha256,
      data_set_offset: instance.dataSetOffset,
      frame_table: instance.frameTable ?? null,
      bulk_data: instance.bulkData === undefined ? null : JSON.stringify(instance.bulkData),
      warnings: instance.warnings.length === 0 ? null : JSON.stringify(instance.warnings),
    };
  });
  return await trx("instance")
    .insert(rows)
    .onConflict(["series_id", "sop_instance_uid"])
    .ignore()
    .returning(["id", "blob_key", "series_id", trx.raw(`${listRevision} as revision`)]);
}

async function reviseSeries(trx: Knex.Transaction, committed: ReadonlyMap<string, number>): Promise<void> {
  const counts = new Map<number, number>();
  for (const id of committed.values()) counts.set(id, (counts.get(id) ?? 0) + 1);
  if (counts.size === 0) return;
  const ids = [...counts.keys()];
  // The rows are locked in the order of their ids first: an update takes them in an order of its own.
  await trx.raw(
    `with added as (select * from unnest(?::bigint[], ?::bigint[]) as added (id, count)),
       locked as materialized (select id from series where id = any (?::bigint[]) order by id for no key update)
     update series set instance_count = instance_count + added.count, revision = revision + 1, updated_at = now()
     from locked join added using (id) where series.id = locked.id`,
    [ids, ids.map((id) => counts.get(id) ?? 0), ids],
  );
}

interface StoredInstance {
  readonly sha256: Buffer;
  readonly blob_key: string;
}

/** Hash and key of every instance that `records` name, as stored. */
async function storedInstances(
  trx: Knex.Transaction,
  records: readonly InstanceRecord[],
  seriesOf: (record: InstanceRecord) => SeriesKey,
): Promise<Map<string, StoredInstance>> {
  const found: (StoredInstance & { series_id: number; sop_instance_uid: string })[] = await trx("instance")
    .select("series_id", "sop_instance_uid", "sha256", "blob_key")
    .whereIn(
      ["series_id", "sop_instance_uid"],
      records.map((record) => [seriesOf(record).id, record.instance.uid]),
    );
  return new Map(found.map((row) => [`${row.series_id}/${row.sop_instance_uid}`, row]));
}

function seriesKey({ study, series }: InstanceRecord): string {
  return `${study.uid}/${series.uid}`;
}

function values(entity: EntityRecord): Record<string, unknown> {
  return { ...entity.columns, attributes: JSON.stringify(entity.attributes) };
}

/** The first record of each key, in the order of the keys. */
function distinct(records: readonly InstanceRecord[], keyOf: (record: InstanceRecord) => string): InstanceRecord[] {
  const first = new Map<string, InstanceRecord>();
  for (const record of records) {
    const key = keyOf(record);
    if (!first.has(key)) first.set(key, record);
  }
  return [...first.entries()].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, record]) => record);
}

/** The value of a key that the same transaction has just written. */
function known<Value>(map: ReadonlyMap<string, Value>, key: string): Value {
  const value = map.get(key);
  if (value === undefined) throw new Error("a row written in this transaction is gone");
  return value;
}
