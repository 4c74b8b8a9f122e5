/** The rows of conflicts, kept true in the transactions that write instances, remove them, or describe studies anew. */
import type { Knex } from "knex";
import type { DescribeLevels } from "./catalog-describe.ts";
import type { SeriesKey } from "./catalog-entities.ts";
import type { Columns, InstanceRecord } from "./catalog-records.ts";
import {
  comparedColumns,
  comparedKeywords,
  differences,
  type Difference,
  isDescribedAlike,
  type StudyValues,
} from "./study-conflicts.ts";

/** One instance that says something otherwise than its study. */
interface ConflictingInstance {
  readonly studyId: number;
  readonly instanceId: number;
  readonly differences: readonly Difference[];
  /** The door through which it came. */
  readonly origin?: string | undefined;
}

/** Longest value of a row, in UTF-16 code units: PostgreSQL indexes 2,704 bytes, and a name has up to 196 characters. */
const longestValue = 256;

/** Instances whose metadata are read at a time. */
const pageSize = 200;

/** An instance that a transaction has added. */
export interface AddedInstance {
  readonly record: InstanceRecord;
  readonly instanceId: number;
  readonly series: SeriesKey;
  /** Whether another series has an instance with its UID. */
  readonly isShared: boolean;
}

/**
 * Notes what added instances say otherwise than their studies, and which of their UIDs others have; tells it by record.
 * @param saidBy what an instance says of its study
 */
export async function noteConflictsOf(
  trx: Knex.Transaction,
  added: readonly AddedInstance[],
  saidBy: (record: InstanceRecord) => Columns,
): Promise<ReadonlyMap<InstanceRecord, readonly Difference[]>> {
  const sharing = added.filter(({ series, isShared }) => isShared || series.isShared);
  const shared = await sharedUidsOf(
    trx,
    sharing.map(({ instanceId }) => instanceId),
  );
  const found = added.flatMap(({ record, instanceId, series: { studyId, studyValues } }) => {
    const all = [...differences(studyValues, saidBy(record)), ...(shared.get(instanceId) ?? [])];
    return all.length === 0 ? [] : [{ record, studyId, instanceId, differences: all, origin: record.origin }];
  });
  await noteConflicts(trx, found);
  return new Map(found.map((one) => [one.record, one.differences]));
}

/** Notes them. Two statements, and none when there is nothing to note. */
async function noteConflicts(trx: Knex.Transaction, instances: readonly ConflictingInstance[]): Promise<void> {
  const found = instances.flatMap((one) => one.differences.map((difference) => ({ ...one, ...difference })));
  if (found.length === 0) return;
  const studies = found.map(({ studyId }) => studyId);
  const attributes = found.map(({ attribute }) => attribute);
  const studyValues = found.map(({ studyValue }) => cut(studyValue));
  const instanceValues = found.map(({ instanceValue }) => cut(instanceValue));
  // In one order, so that transactions that note the same conflicts wait for each other and do not deadlock.
  await trx.raw(
    `insert into conflict (study_id, attribute, study_value, instance_value, origin)
     select distinct on (study_id, attribute, study_value, instance_value)
       study_id, attribute, study_value, instance_value, nullif(origin, '')
     from unnest(?::bigint[], ?::text[], ?::text[], ?::text[], ?::text[])
       as found (study_id, attribute, study_value, instance_value, origin)
     order by study_id, attribute, study_value, instance_value
     on conflict do nothing`,
    [studies, attributes, studyValues, instanceValues, found.map(({ origin }) => origin ?? "")],
  );
  // A statement of its own: it sees a conflict that another transaction has committed meanwhile.
  await trx.raw(
    `insert into conflict_instance (conflict_id, instance_id)
     select conflict.id, instance_id
     from unnest(?::bigint[], ?::text[], ?::text[], ?::text[], ?::bigint[])
       as found (study_id, attribute, study_value, instance_value, instance_id)
     join conflict using (study_id, attribute, study_value, instance_value)
     on conflict do nothing`,
    [studies, attributes, studyValues, instanceValues, found.map(({ instanceId }) => instanceId)],
  );
}

function cut(value: string): string {
  return value.slice(0, longestValue);
}

/** What of the UIDs of instances another series or study has, too, by the id of the instance. */
async function sharedUidsOf(
  trx: Knex.Transaction,
  instanceIds: readonly number[],
): Promise<ReadonlyMap<number, readonly Difference[]>> {
  if (instanceIds.length === 0) return new Map();
  const { rows }: { rows: ({ id: number } & Difference)[] } = await trx.raw(
    `with own as (
       select instance.id, sop_instance_uid, series_id, series_instance_uid, study_instance_uid
       from instance join series on series.id = series_id join study on study.id = series.study_id
       where instance.id = any (?::bigint[])
     )
     select own.id, 'SOPInstanceUID' as attribute, own.study_instance_uid as "studyValue",
       study.study_instance_uid as "instanceValue"
     from own join instance as twin on twin.sop_instance_uid = own.sop_instance_uid and twin.series_id <> own.series_id
       join series on series.id = twin.series_id join study on study.id = series.study_id
     union
     select own.id, 'SeriesInstanceUID', own.study_instance_uid, study.study_instance_uid
     from own join series on series.series_instance_uid = own.series_instance_uid and series.id <> own.series_id
       join study on study.id = series.study_id`,
    [[...instanceIds]],
  );
  const found = new Map<number, Difference[]>();
  for (const { id, ...difference } of rows) found.set(id, [...(found.get(id) ?? []), difference]);
  return found;
}

/** Deletes the conflicts of a study that no instance has any more. */
export async function forgetSettled(trx: Knex.Transaction, studyId: number): Promise<void> {
  await trx.raw(
    `delete from conflict where study_id = ?
       and not exists (select 1 from conflict_instance where conflict_id = conflict.id)`,
    [studyId],
  );
}

/** What the row of a study says; undefined when there is none. */
export async function studyValuesOf(trx: Knex.Transaction, studyId: number): Promise<StudyValues | undefined> {
  return trx("study")
    .where({ id: studyId })
    .first(trx.raw(comparedColumns.join(", ")));
}

/**
 * Makes the conflicts of a study anew where another instance describes it now, which says `columns` and not `before`.
 * Every instance is compared; those that a transaction under way is about to add, too, since it is waited for.
 */
export async function compareAnew(
  trx: Knex.Transaction,
  study: { readonly id: number; readonly before: StudyValues; readonly columns: Columns },
  describe: DescribeLevels,
): Promise<void> {
  if (isDescribedAlike(study.before, study.columns)) return;
  // Whoever adds instances holds a share of this lock since it read what the study says (catalog-entities.ts).
  await trx("study").where({ id: study.id }).forUpdate().select("id");
  const values = (await studyValuesOf(trx, study.id)) ?? {};
  await trx.raw(
    `delete from conflict_instance using conflict
     where conflict_id = conflict.id and study_id = ? and attribute = any (?)`,
    [study.id, [...comparedKeywords]],
  );
  for (let last = 0; ;) {
    const page: { id: number; metadata: Buffer }[] = await trx("instance")
      .join("series", "series.id", "instance.series_id")
      .where("study_id", study.id)
      .where("instance.id", ">", last)
      .orderBy("instance.id")
      .limit(pageSize)
      .select("instance.id", "metadata");
    const found = page.map(({ id, metadata }) => ({
      studyId: study.id,
      instanceId: id,
      differences: differences(values, describe(metadata).study.columns),
    }));
    await noteConflicts(trx, found);
    if (page.length < pageSize) break;
    last = page.at(-1)?.id ?? last;
  }
  await forgetSettled(trx, study.id);
}
