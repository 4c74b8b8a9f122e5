/** Moves instances from where searches and retrievals look to the tables of what was removed. */
import type { Knex } from "knex";
import type { Selector } from "./catalog-read.ts";

/** Why instances are moved out. */
export type RemovalReason = "deleted" | "replaced";

/** Which instances to move out of series that the transaction has locked. */
export interface MoveOut {
  readonly why: RemovalReason;
  readonly selector: Selector;
  readonly seriesIds: readonly number[];
  /** How long they can be restored. */
  readonly keepDays: number;
  /** The door through which it was asked for. */
  readonly origin?: string | undefined;
}

/** What was moved out. */
export interface MovedOut {
  readonly removalId: number;
  /** How many instances of each series, by its id. */
  readonly counts: ReadonlyMap<number, number>;
}

/** Columns that the catalog itself fills: a document of what was removed does not repeat them. */
const ownColumns = {
  study: ["id", "study_instance_uid", "attributes", "created_at", "updated_at"],
  series: [
    "id",
    "study_id",
    "series_instance_uid",
    "attributes",
    "instance_count",
    "revision",
    "created_at",
    "updated_at",
  ],
  instance: [
    "id",
    "series_id",
    "sop_instance_uid",
    "attributes",
    "metadata",
    "transfer_syntax_uid",
    "blob_key",
    "byte_length",
    "sha256",
    "data_set_offset",
    "frame_table",
    "bulk_data",
    "warnings",
    "created_at",
    "updated_at",
  ],
} as const;

type Table = keyof typeof ownColumns;

/** Names of columns by table. */
export type DocumentColumns = Readonly<Record<Table, readonly string[]>>;

/**
 * Moves the instances of `move` out, and, when they were deleted, notes a change of each. Counts of series are not
 * touched: the caller has more to change there. Nothing is moved when nothing matches; then there is no removal.
 */
export async function moveOut(trx: Knex.Transaction, move: MoveOut): Promise<MovedOut | undefined> {
  const { why, selector, seriesIds, keepDays, origin } = move;
  const { studyInstanceUid, seriesInstanceUid = null, sopInstanceUid = null } = selector;
  const level = sopInstanceUid !== null ? "instance" : seriesInstanceUid !== null ? "series" : "study";
  const [removal]: { id: number }[] = await trx("removal").insert(
    {
      level,
      why,
      study_instance_uid: studyInstanceUid,
      series_instance_uid: seriesInstanceUid,
      sop_instance_uid: sopInstanceUid,
      instance_count: 0,
      kept_until: trx.raw("now() + make_interval(days => ?::int)", [keepDays]),
    },
    ["id"],
  );
  if (!removal) throw new Error("an insert returned nothing");
  const documents = await documentExpressions(trx);
  const moved: { rows: { series_id: number; count: number }[] } = await trx.raw(moveSql(documents), {
    removal: removal.id,
    series: seriesIds,
    sop: sopInstanceUid,
    logged: why === "deleted",
    origin: origin ?? null,
  });
  if (moved.rows.length === 0) {
    await trx("removal").where("id", removal.id).delete();
    return undefined;
  }
  const counts = new Map(moved.rows.map((row) => [row.series_id, row.count]));
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  await trx("removal").where("id", removal.id).update({ instance_count: total });
  return { removalId: removal.id, counts };
}

function moveSql(documents: Readonly<Record<Table, string>>): string {
  return `
    with kept as (
      insert into removed_series (removal_id, series_id, study, series)
      select :removal, series.id,
        jsonb_build_object('uid', study_instance_uid, 'attributes', study.attributes, 'columns', ${documents.study}),
        jsonb_build_object('uid', series_instance_uid, 'attributes', series.attributes, 'columns', ${documents.series})
      from series join study on study.id = series.study_id
      where series.id = any (:series) order by series.id
      returning id, series_id, study ->> 'uid' as study_instance_uid, series ->> 'uid' as series_instance_uid
    ), gone as (
      delete from instance using kept
      where instance.series_id = kept.series_id
        and (:sop::text is null or instance.sop_instance_uid = :sop::text)
      returning kept.id as removed_series_id, study_instance_uid, series_instance_uid, instance.id, instance.series_id,
        sop_instance_uid, sop_class_uid, sha256, metadata, frame_table, blob_key,
        jsonb_build_object('attributes', instance.attributes, 'columns', ${documents.instance},
          'transferSyntaxUid', transfer_syntax_uid, 'byteLength', byte_length, 'sha256', encode(sha256, 'hex'),
          'dataSetOffset', data_set_offset, 'bulkData', bulk_data, 'warnings', warnings) as document
    ), moved as (
      insert into removed_instance (removed_series_id, sop_instance_uid, instance, metadata, frame_table, blob_key)
      select removed_series_id, sop_instance_uid, document, metadata, frame_table, blob_key from gone order by id
    ), logged as (
      insert into change (action, study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid, sha256, origin)
      select 'delete', study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid, sha256, :origin::text
      from gone where :logged::boolean order by series_id, id
    )
    select series_id, count(*) as count from gone group by series_id`;
}

/** The columns of each table that a document of what was removed holds: not its own, and none that is computed. */
export async function documentColumns(trx: Knex.Transaction): Promise<DocumentColumns> {
  const { rows }: { rows: { name: string; columns: string[] }[] } = await trx.raw(
    `select attrelid::regclass::text as name, array_agg(attname::text order by attnum) as columns
     from pg_attribute
     where attrelid in ('study'::regclass, 'series'::regclass, 'instance'::regclass)
       and attnum > 0 and not attisdropped and attgenerated = ''
     group by attrelid`,
  );
  const columnsOf = (table: Table) => {
    const own: readonly string[] = ownColumns[table];
    return (rows.find(({ name }) => name === table)?.columns ?? []).filter((column) => !own.includes(column));
  };
  return { study: columnsOf("study"), series: columnsOf("series"), instance: columnsOf("instance") };
}

/** For each table an SQL expression: a JSON object of its columns. */
async function documentExpressions(trx: Knex.Transaction): Promise<Record<Table, string>> {
  const columns = await documentColumns(trx);
  const expression = (table: Table) =>
    `(select to_jsonb(document) from (select ${columns[table].map((column) => `${table}."${column}"`).join(", ")}) as document)`;
  return { study: expression("study"), series: expression("series"), instance: expression("instance") };
}
