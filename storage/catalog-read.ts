/** Reads of the catalog by UID: instances to be retrieved, metadata, bulk data. */
import type { Knex } from "knex";
import { databaseError } from "./database-error.ts";

/** A study, one of its series, or one instance of that. */
export interface Selector {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid?: string;
  readonly sopInstanceUid?: string;
}

/** One series, without its instances. */
export interface SeriesRow {
  readonly id: number;
  readonly seriesInstanceUid: string;
  readonly revision: number;
  readonly instanceCount: number;
  /** When an instance of it was last stored, changed or removed; where the study is asked for, also of any series. */
  readonly updatedAt: Date;
}

/** Where one instance lies. */
export interface InstanceRow {
  readonly id: number;
  readonly seriesId: number;
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  readonly sopClassUid: string;
  readonly transferSyntaxUid: string;
  readonly blobKey: string;
  readonly byteLength: number;
  readonly sha256: Buffer;
  readonly dataSetOffset: number;
  readonly frameTable: Buffer | null;
  readonly createdAt: Date;
}

/** The columns of `instance` that an InstanceRow has. */
export const instanceColumns = {
  id: "instance.id",
  sopInstanceUid: "instance.sop_instance_uid",
  sopClassUid: "instance.sop_class_uid",
  transferSyntaxUid: "instance.transfer_syntax_uid",
  blobKey: "instance.blob_key",
  byteLength: "instance.byte_length",
  sha256: "instance.sha256",
  dataSetOffset: "instance.data_set_offset",
  frameTable: "instance.frame_table",
  createdAt: "instance.created_at",
} as const;

/** Rows fetched at a time: the metadata or the frame table of one may be a megabyte. */
const pageSize = 100;

export async function findSeries(knex: Knex, selector: Selector): Promise<SeriesRow[]> {
  const { studyInstanceUid, seriesInstanceUid } = selector;
  return await knex("series")
    .join("study", "study.id", "series.study_id")
    .where({
      study_instance_uid: studyInstanceUid,
      ...(seriesInstanceUid !== undefined && { series_instance_uid: seriesInstanceUid }),
    })
    .orderByRaw("series_number nulls last, series.id")
    .select({
      id: "series.id",
      seriesInstanceUid: "series_instance_uid",
      revision: "revision",
      instanceCount: "instance_count",
      // Of a series that is gone nothing else tells.
      updatedAt:
        seriesInstanceUid === undefined
          ? knex.raw("greatest(series.updated_at, study.updated_at)")
          : "series.updated_at",
    });
}

/** Series by series, in pages by (instance number, id), so that a study of any size takes bounded memory. */
export async function* findInstances(
  knex: Knex,
  selector: Selector,
  known?: readonly SeriesRow[],
): AsyncGenerator<InstanceRow> {
  const series = known ?? (await databaseError(() => findSeries(knex, selector)));
  for (const { id, seriesInstanceUid } of series) {
    const names = { seriesId: id, studyInstanceUid: selector.studyInstanceUid, seriesInstanceUid };
    const query = instancesOf(knex, selector.sopInstanceUid).select({
      ...instanceColumns,
      instanceNumber: "instance_number",
    });
    for await (const row of pages<Omit<InstanceRow, keyof typeof names> & Paged>(query, id)) yield { ...row, ...names };
  }
}

/** See `Catalog.presentInstances`. */
export async function presentInstances(knex: Knex, instanceIds: readonly number[]): Promise<number[]> {
  const { rows }: { rows: { id: number }[] } = await knex.raw("select id from instance where id = any (?::bigint[])", [
    [...instanceIds],
  ]);
  return rows.map(({ id }) => id);
}

/** See `Catalog.findTransferSyntaxes`. */
export async function findTransferSyntaxes(
  knex: Knex,
  series: readonly SeriesRow[],
  sopInstanceUid?: string,
): Promise<string[]> {
  const seriesIds = series.map(({ id }) => id);
  return await instancesOf(knex, sopInstanceUid)
    .whereIn("series_id", seriesIds)
    .distinct("transfer_syntax_uid")
    .orderBy("transfer_syntax_uid")
    .pluck("transfer_syntax_uid");
}

/** See `Catalog.findBulkDataPaths`. */
export async function findBulkDataPaths(knex: Knex, instanceId: number): Promise<string[]> {
  const rows: { path: string }[] = await knex("instance")
    .where("id", instanceId)
    .whereNotNull("bulk_data")
    .select(knex.raw("jsonb_object_keys(bulk_data) as path"))
    .orderBy("path");
  return rows.map(({ path }) => path);
}

/** See `Catalog.readMetadata`. */
export async function* readMetadata(knex: Knex, seriesId: number, sopInstanceUid?: string): AsyncGenerator<Buffer> {
  const query = instancesOf(knex, sopInstanceUid).select({
    id: "id",
    instanceNumber: "instance_number",
    metadata: "metadata",
  });
  for await (const { metadata } of pages<Paged & { metadata: Buffer }>(query, seriesId)) yield metadata;
}

/** See `Catalog.findBulkData`. */
export async function findBulkData(knex: Knex, instanceId: number, path: string): Promise<unknown> {
  const row: { entry: unknown } | undefined = await knex("instance")
    .where("id", instanceId)
    .first({ entry: knex.raw("bulk_data -> ?", [path]) });
  return row?.entry ?? undefined;
}

function instancesOf(knex: Knex, sopInstanceUid: string | undefined): Knex.QueryBuilder {
  return knex("instance").where(sopInstanceUid === undefined ? {} : { sop_instance_uid: sopInstanceUid });
}

/** What pages are made by. */
export interface Paged {
  readonly id: number;
  readonly instanceNumber: number | null;
}

/** The rows of one series in (instance number, id) order; an instance without number comes last. */
export async function* pages<Row extends Paged>(query: Knex.QueryBuilder, seriesId: number): AsyncGenerator<Row> {
  let last: Row | undefined;
  while (true) {
    const page = query
      .clone()
      .where("series_id", seriesId)
      .whereRaw(...after(last))
      .orderByRaw("instance_number nulls last, id")
      .limit(pageSize);
    const rows: Row[] = await databaseError(async () => await page);
    yield* rows;
    last = rows.at(-1);
    if (!last || rows.length < pageSize) return;
  }
}

function after(last: Paged | undefined): [sql: string, bindings: number[]] {
  if (!last) return ["true", []];
  const { instanceNumber, id } = last;
  if (instanceNumber === null) return ["instance_number is null and id > ?", [id]];
  return [
    "(instance_number > ? or instance_number is null or (instance_number = ? and id > ?))",
    [instanceNumber, instanceNumber, id],
  ];
}
