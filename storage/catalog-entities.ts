/** The studies and series of instances: found, or made where they are missing. Keys, and the order of locks. */
import type { Knex } from "knex";
import type { EntityRecord, InstanceRecord } from "./catalog-records.ts";
import { RowGone } from "./retry.ts";
import { comparedColumns, type StudyValues } from "./study-conflicts.ts";

/** A series, and what the study says that it is in. */
export interface SeriesKey {
  readonly id: number;
  readonly studyId: number;
  readonly studyValues: StudyValues;
  /** Whether another study has a series with its UID. */
  readonly isShared: boolean;
}

/** The series of `records`, made where they are missing. Mostly they are there, and one query tells. */
export async function resolveSeries(
  trx: Knex.Transaction,
  records: readonly InstanceRecord[],
): Promise<ReadonlyMap<string, SeriesKey>> {
  const entities = distinct(records, seriesKey);
  const found = await findSeries(trx, entities);
  // In the order of `records`: a study is described by the first of them, not by that with the lowest UID.
  const missing = records.filter((record) => !found.has(seriesKey(record)));
  if (missing.length === 0) return found;
  await insertSeries(trx, distinct(missing, seriesKey), await insertStudies(trx, missing));
  return findSeries(trx, entities);
}

type FoundSeries = StudyValues & {
  readonly id: number;
  readonly study_id: number;
  readonly study: string;
  readonly series: string;
  readonly is_shared: boolean;
};

/**
 * The series that are there. The lock, which every insert below them takes anyhow, lasts to the end of the transaction:
 * who describes a study anew waits for it, so that no instance is compared with what the study said before.
 */
async function findSeries(
  trx: Knex.Transaction,
  entities: readonly InstanceRecord[],
): Promise<ReadonlyMap<string, SeriesKey>> {
  const found: FoundSeries[] = await trx("series")
    .join("study", "study.id", "series.study_id")
    .select({ id: "series.id", study_id: "study.id", study: "study_instance_uid", series: "series_instance_uid" })
    .select({
      is_shared: trx.raw(
        `exists (select 1 from series as twin
           where twin.series_instance_uid = series.series_instance_uid and twin.id <> series.id)`,
      ),
    })
    .select(trx.raw(comparedColumns.join(", ")))
    .whereIn(
      ["study_instance_uid", "series_instance_uid"],
      entities.map(({ study, series }) => [study.uid, series.uid]),
    )
    .orderBy("study.id")
    .forKeyShare("study");
  return new Map(
    found.map(({ id, study_id: studyId, study, series, is_shared: isShared, ...studyValues }) => [
      `${study}/${series}`,
      { id, studyId, studyValues, isShared },
    ]),
  );
}

/**
 * The ids of the studies of `records`, made where they are missing, by UID. They are locked before a series is inserted,
 * which would lock them, too: others wait for a series that is being inserted, and hold the lock meanwhile.
 */
async function insertStudies(
  trx: Knex.Transaction,
  records: readonly InstanceRecord[],
): Promise<ReadonlyMap<string, number>> {
  const entities = distinct(records, (record) => record.study.uid);
  const rows = entities.map(({ study, instance }) => ({
    study_instance_uid: study.uid,
    described_by: instance.blobKey,
    ...values(study),
  }));
  await trx("study").insert(rows).onConflict("study_instance_uid").ignore();
  const found: { id: number; uid: string }[] = await trx("study")
    .select({ id: "id", uid: "study_instance_uid" })
    .whereIn(
      "study_instance_uid",
      entities.map(({ study }) => study.uid),
    )
    .orderBy("id")
    .forKeyShare();
  return new Map(found.map(({ id, uid }) => [uid, id]));
}

async function insertSeries(
  trx: Knex.Transaction,
  entities: readonly InstanceRecord[],
  studies: ReadonlyMap<string, number>,
): Promise<void> {
  const rows = entities.map(({ study, series, instance }) => ({
    study_id: known(studies, study.uid),
    series_instance_uid: series.uid,
    described_by: instance.blobKey,
    ...values(series),
  }));
  await trx("series").insert(rows).onConflict(["study_id", "series_instance_uid"]).ignore();
}

/** What tells series apart. */
export function seriesKey({ study, series }: InstanceRecord): string {
  return `${study.uid}/${series.uid}`;
}

/** What tells instances apart. */
export function instanceKey(record: InstanceRecord): string {
  return `${seriesKey(record)}/${record.instance.uid}`;
}

/** The row of an entity, but for what identifies it. */
export function values(entity: EntityRecord): Record<string, unknown> {
  return { ...entity.columns, attributes: JSON.stringify(entity.attributes) };
}

/** The first record of each key, in the order of the keys. */
export function distinct(
  records: readonly InstanceRecord[],
  keyOf: (record: InstanceRecord) => string,
): InstanceRecord[] {
  const first = new Map<string, InstanceRecord>();
  for (const record of records) {
    const key = keyOf(record);
    if (!first.has(key)) first.set(key, record);
  }
  return [...first.entries()].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, record]) => record);
}

/** SOP Instance UIDs that two series among `records` have. */
export function twinsAmong(records: readonly InstanceRecord[]): ReadonlySet<string> {
  const seriesOf = new Map<string, string>();
  const twins = new Set<string>();
  for (const record of records) {
    const { uid } = record.instance;
    const series = seriesKey(record);
    if ((seriesOf.get(uid) ?? series) !== series) twins.add(uid);
    seriesOf.set(uid, series);
  }
  return twins;
}

/** The value of a key that was there a moment ago. @throws RowGone when another transaction has removed it since */
export function known<Key, Value>(map: ReadonlyMap<Key, Value | undefined>, key: Key): Value {
  const value = map.get(key);
  if (value === undefined) throw new RowGone("a study or a series is gone");
  return value;
}
