/** Group commit: instances that arrive together become rows in one transaction, each with its own outcome. */
import type { Knex } from "knex";
import {
  indexNewInstances,
  type KnownTags,
  listRevision,
  type NewInstance,
  recheckSeries,
} from "./catalog-query-tag-values.ts";
import { commitQuickly, type KnownSeries } from "./catalog-commit-quick.ts";
import { compareAnew, forgetSettled, noteConflictsOf } from "./catalog-conflicts.ts";
import type { DescribeLevels } from "./catalog-describe.ts";
import { type HoldName, holdOn, lockHolds, type ReadStudyMatch } from "./catalog-held.ts";
import {
  distinct,
  instanceKey,
  known,
  resolveSeries,
  seriesKey,
  type SeriesKey,
  twinsAmong,
  values,
} from "./catalog-entities.ts";
import type { CommitOutcome, HeldObject, InstanceRecord } from "./catalog-records.ts";
import { lockSeries, lockStudies, makeWay } from "./catalog-replace.ts";
import { retried } from "./retry.ts";
import { differences } from "./study-conflicts.ts";
import { undoneUnlessFinished } from "./undone.ts";

/** How to commit. */
export interface CommitOptions {
  /** What the change of an instance that was not there is called; default `create`. */
  readonly action?: "create" | "restore";
  /**
   * When given, an instance takes the place of one that has its UIDs and other bytes, unless a hold protects that;
   * it can be restored for so many days. Otherwise what is there stays.
   */
  readonly replaceKeepingDays?: number | undefined;
  /** Series that this process knows: with it, what is common needs one statement. */
  readonly memory?: KnownSeries;
  /** Reads the queries of holds. */
  readonly readMatch?: ReadStudyMatch;
  /** Reads what instances say of their study: of those that come back, and of all when another one describes it. */
  readonly describe?: DescribeLevels;
}

/**
 * Makes `records` existent in one transaction, all of them or none. Rows are always taken in the order of their UIDs (studies, then series,
 * then instances), so that processes that write the same series wait for each other and never deadlock.
 * @param knownTags the list of query tags as this process knows it; brought up to date when it is old
 * @throws Undone when it is certain that no row was written
 */
export async function commitInstances(
  knex: Knex,
  records: readonly InstanceRecord[],
  knownTags: KnownTags,
  options: CommitOptions = {},
): Promise<CommitOutcome[]> {
  const { memory, action, replaceKeepingDays } = options;
  const isCommon = memory !== undefined && action !== "restore" && replaceKeepingDays === undefined;
  if (isCommon && (await commitQuickly(knex, records, knownTags, memory))) {
    return records.map(() => ({ status: "committed", differences: [] }));
  }
  return undoneUnlessFinished((finished) =>
    retried(() =>
      knex.transaction(async (trx) => {
        const outcomes = await commitRecords(trx, records, knownTags, options);
        finished();
        return outcomes;
      }),
    ),
  );
}

/** As `commitInstances`, in the transaction of the caller, who runs it again when a row was gone or a lock refused. */
export async function commitRecords(
  trx: Knex.Transaction,
  records: readonly InstanceRecord[],
  knownTags: KnownTags,
  options: CommitOptions,
): Promise<CommitOutcome[]> {
  if (options.replaceKeepingDays === undefined) return commitOnce(trx, records, knownTags, options);
  // Of instances with the same UIDs each replaces the one before.
  const outcomes = new Map<InstanceRecord, CommitOutcome | undefined>();
  for (let left = records; left.length > 0; left = left.filter((record) => !outcomes.has(record))) {
    const round = distinct(left, instanceKey);
    const done = await commitOnce(trx, round, knownTags, options);
    round.forEach((record, index) => outcomes.set(record, done[index]));
  }
  return records.map((record) => known(outcomes, record));
}

async function commitOnce(
  trx: Knex.Transaction,
  records: readonly InstanceRecord[],
  knownTags: KnownTags,
  { action = "create", replaceKeepingDays: keepDays, memory, readMatch, describe }: CommitOptions,
): Promise<CommitOutcome[]> {
  if (keepDays !== undefined) await lockStudies(trx, records);
  const series = await resolveSeries(trx, records);
  for (const [key, found] of series) memory?.set(key, found);
  const seriesOf = (record: InstanceRecord) => known(series, seriesKey(record));
  if (keepDays !== undefined)
    await lockSeries(
      trx,
      [...series.values()].map(({ id }) => id),
    );
  const inserted = await insertInstances(trx, records, seriesOf);
  const committed = new Set(inserted.map((row) => row.blob_key));
  const allCommitted = committed.size === records.length;
  const stored = allCommitted ? new Map<string, StoredInstance>() : await storedInstances(trx, records, seriesOf);
  const replaced = new Set<InstanceRecord>();
  /** Those of them that describe their study from now on. */
  const redescribed = new Set<InstanceRecord>();
  const holds = new Map<InstanceRecord, HoldName>();
  if (keepDays !== undefined) {
    for (const record of records) {
      const { id: seriesId, studyId } = seriesOf(record);
      const there = stored.get(`${seriesId}/${record.instance.uid}`);
      if (!there || there.blob_key === record.instance.blobKey || there.sha256.equals(record.instance.sha256)) continue;
      await lockHolds(trx);
      const hold = await holdOn(trx, { studyId }, readMatch);
      if (hold) {
        holds.set(record, hold);
        continue;
      }
      const way = { seriesId, held: there.blob_key, keepDays };
      if (await makeWay(trx, record, way)) redescribed.add(record);
      replaced.add(record);
    }
    if (replaced.size > 0) inserted.push(...(await insertInstances(trx, [...replaced], seriesOf)));
  }
  const written = records.flatMap((record): WrittenInstance[] => {
    const seriesId = seriesOf(record).id;
    if (replaced.has(record)) return [{ record, seriesId, action: "update" }];
    return committed.has(record.instance.blobKey) ? [{ record, seriesId, action }] : [];
  });
  await reviseSeries(trx, written);
  await indexNewInstances(trx, knownTags, newInstances(inserted, records));
  const altered = written.filter((one) => one.action !== "create").map(({ seriesId }) => seriesId);
  await recheckSeries(trx, altered);
  // What was removed comes back with what its study said, not with what it said itself.
  const saidBy = (record: InstanceRecord) =>
    (action === "restore" && describe ? describe(record.instance.metadata).study : record.study).columns;
  const rows = new Map(inserted.map((row) => [row.blob_key, row]));
  const twins = twinsAmong(records);
  const additions = records.flatMap((record) => {
    const row = rows.get(record.instance.blobKey);
    const isShared = row?.is_shared === true || twins.has(record.instance.uid);
    return row ? [{ record, instanceId: row.id, series: seriesOf(record), isShared }] : [];
  });
  const conflicts = await noteConflictsOf(trx, additions, saidBy);
  for (const record of replaced) {
    const { studyId: id, studyValues: before } = seriesOf(record);
    await forgetSettled(trx, id);
    if (describe && redescribed.has(record))
      await compareAnew(trx, { id, before, columns: record.study.columns }, describe);
  }
  return records.map((record): CommitOutcome => {
    const { id, studyValues } = seriesOf(record);
    const said = () => conflicts.get(record) ?? differences(studyValues, record.study.columns);
    if (committed.has(record.instance.blobKey)) return { status: "committed", differences: said() };
    if (replaced.has(record)) return { status: "replaced", differences: said() };
    // A commit whose answer was lost is tried again: the row is then this one's own.
    const there = known(stored, `${id}/${record.instance.uid}`);
    if (there.blob_key === record.instance.blobKey) return { status: "committed", differences: said() };
    const hold = holds.get(record);
    const identical = there.sha256.equals(record.instance.sha256);
    return { status: "duplicate", identical, held: heldObject(there), ...(hold && { hold }) };
  });
}

interface InsertedRow {
  readonly id: number;
  readonly blob_key: string;
  readonly series_id: number;
  readonly revision: number;
  /** Whether another series had an instance with its UID: one that the same statement inserts is not seen. */
  readonly is_shared: boolean;
}

const hasTwin = `exists (select 1 from instance as twin
  where twin.sop_instance_uid = instance.sop_instance_uid and twin.series_id <> instance.series_id) as is_shared`;

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
  const sorted = distinct(records, instanceKey);
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
    .returning(["id", "blob_key", "series_id", trx.raw(`${listRevision} as revision`), trx.raw(hasTwin)]);
}

/** An instance that this transaction has made existent. */
interface WrittenInstance {
  readonly record: InstanceRecord;
  readonly seriesId: number;
  readonly action: "create" | "update" | "restore";
}

/** Counts and revisions of the series, and a change of each instance, in one statement. */
async function reviseSeries(trx: Knex.Transaction, written: readonly WrittenInstance[]): Promise<void> {
  const counts = new Map<number, number>();
  for (const { seriesId, action } of written) {
    counts.set(seriesId, (counts.get(seriesId) ?? 0) + (action === "update" ? 0 : 1));
  }
  if (counts.size === 0) return;
  const ids = [...counts.keys()];
  // The rows are locked in the order of their ids first: an update takes them in an order of its own.
  await trx.raw(
    `with added as (select * from unnest(?::bigint[], ?::bigint[]) as added (id, count)),
       locked as materialized (select id from series where id = any (?::bigint[]) order by id for no key update),
       revised as (
         update series set instance_count = instance_count + added.count, revision = revision + 1,
           updated_at = greatest(updated_at, clock_timestamp())
         from locked join added using (id) where series.id = locked.id
       )
     insert into change
       (action, study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid, sha256, origin,
         sending_ae_title, receiving_ae_title)
     select action, study, series, sop_instance, sop_class, sha256, nullif(origin, ''), nullif(sending, ''), nullif(receiving, '')
     from unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bytea[], ?::text[], ?::text[], ?::text[])
       as written (action, study, series, sop_instance, sop_class, sha256, origin, sending, receiving)`,
    [
      ids,
      [...counts.values()],
      ids,
      written.map(({ action }) => action),
      written.map(({ record }) => record.study.uid),
      written.map(({ record }) => record.series.uid),
      written.map(({ record }) => record.instance.uid),
      written.map(({ record }) => String(record.instance.columns["sop_class_uid"])),
      written.map(({ record }) => record.instance.sha256),
      written.map(({ record }) => record.origin ?? ""),
      written.map(({ record }) => record.aeTitles?.sending ?? ""),
      written.map(({ record }) => record.aeTitles?.receiving ?? ""),
    ],
  );
}

interface StoredInstance {
  readonly sha256: Buffer;
  readonly blob_key: string;
  readonly byte_length: number;
  readonly data_set_offset: number;
  readonly transfer_syntax_uid: string;
}

function heldObject(row: StoredInstance): HeldObject {
  return {
    blobKey: row.blob_key,
    byteLength: row.byte_length,
    dataSetOffset: row.data_set_offset,
    transferSyntaxUid: row.transfer_syntax_uid,
  };
}

/** Hash and place of every instance that `records` name, as stored. */
async function storedInstances(
  trx: Knex.Transaction,
  records: readonly InstanceRecord[],
  seriesOf: (record: InstanceRecord) => SeriesKey,
): Promise<Map<string, StoredInstance>> {
  const found: (StoredInstance & { series_id: number; sop_instance_uid: string })[] = await trx("instance")
    .select("series_id", "sop_instance_uid", "sha256", "blob_key")
    .select("byte_length", "data_set_offset", "transfer_syntax_uid")
    .whereIn(
      ["series_id", "sop_instance_uid"],
      records.map((record) => [seriesOf(record).id, record.instance.uid]),
    );
  return new Map(found.map((row) => [`${row.series_id}/${row.sop_instance_uid}`, row]));
}
