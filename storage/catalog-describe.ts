/** Which instance describes a study or a series: the first that was stored; when that goes, another that is there. */
import type { Knex } from "knex";
import { compareAnew, studyValuesOf } from "./catalog-conflicts.ts";
import type { EntityRecord } from "./catalog-records.ts";

/** What an instance says of one level. */
export type LevelDescription = Pick<EntityRecord, "columns" | "attributes">;

/** Reads out of the compressed metadata of an instance what it says of its study and its series. */
export type DescribeLevels = (metadata: Buffer) => {
  readonly study: LevelDescription;
  readonly series: LevelDescription;
};

interface Heir {
  readonly id: number;
  readonly metadata: Buffer;
  readonly blob_key: string;
}

/** The first instance, in instance order, of each series of `series` (a condition on it). */
const firstInstances = (series: string) => `
  select series.id, series.study_id, heir.metadata, heir.blob_key
  from series cross join lateral (
    select metadata, blob_key from instance where series_id = series.id order by instance_number, id limit 1
  ) as heir
  where ${series}`;

/**
 * Describes the study and its series anew where the instance that described them has gone: a study must not stay with
 * the patient of an instance that was removed since it was wrong. The rows are locked, and no series is empty.
 */
export async function describeAnew(
  trx: Knex.Transaction,
  studyId: number,
  seriesIds: readonly number[],
  describe: DescribeLevels,
): Promise<void> {
  const ofSeries: { rows: Heir[] } = await trx.raw(
    firstInstances(`series.id = any (?::bigint[]) and not exists (
      select 1 from instance where instance.blob_key = series.described_by and instance.series_id = series.id)`),
    [[...seriesIds]],
  );
  for (const heir of ofSeries.rows) await update(trx, "series", heir.id, heir, describe(heir.metadata).series);
  const ofStudy: { rows: Heir[] } = await trx.raw(
    `${firstInstances(`series.study_id = ? and not exists (
      select 1 from study join series as own on own.study_id = study.id join instance on instance.series_id = own.id
      where study.id = series.study_id and instance.blob_key = study.described_by)`)}
     order by series.id limit 1`,
    [studyId],
  );
  for (const heir of ofStudy.rows) {
    const before = (await studyValuesOf(trx, studyId)) ?? {};
    const said = describe(heir.metadata).study;
    await update(trx, "study", studyId, heir, said);
    await compareAnew(trx, { id: studyId, before, columns: said.columns }, describe);
  }
}

async function update(
  trx: Knex.Transaction,
  table: "study" | "series",
  id: number,
  { blob_key }: Heir,
  { columns, attributes }: LevelDescription,
): Promise<void> {
  await trx(table)
    .where({ id })
    .update({ ...columns, attributes: JSON.stringify(attributes), described_by: blob_key });
}
