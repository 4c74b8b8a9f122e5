/** Reads of the catalog by lists of UIDs and by patient: what a retrieval over DIMSE, or a job, names. */
import type { Knex } from "knex";
import { type InstanceRow, type Paged, pages } from "./catalog-read.ts";
import { databaseError } from "./database-error.ts";

/** Which instances, by what they belong to. Every constraint is met; lists have one member at least. */
export interface SelectionRecord<Text extends string = string> {
  readonly patientId?: string | undefined;
  /** Of the patient; without it, of any issuer. */
  readonly issuerOfPatientId?: string | undefined;
  readonly studyInstanceUids?: readonly Text[] | undefined;
  readonly seriesInstanceUids?: readonly Text[] | undefined;
  readonly sopInstanceUids?: readonly Text[] | undefined;
}

/** A series that has selected instances. */
export interface SelectedSeries {
  readonly id: number;
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
}

/** How many of the selected instances have the same SOP class and are stored in the same transfer syntax. */
export interface InstanceKind {
  readonly sopClassUid: string;
  readonly transferSyntaxUid: string;
  readonly count: number;
}

/** Where a selected instance lies: frame tables, which may be long, are not read. */
export type SelectedRow = Omit<InstanceRow, "frameTable">;

export interface SelectionCatalog {
  /** The series that hold selected instances, study by study. */
  series(selection: SelectionRecord): Promise<readonly SelectedSeries[]>;
  /** What the selected instances of `series` are. */
  kinds(series: readonly SelectedSeries[], sopInstanceUids?: readonly string[]): Promise<readonly InstanceKind[]>;
  /** Their rows, in series and instance order, a page at most at a time in memory. */
  instances(series: readonly SelectedSeries[], sopInstanceUids?: readonly string[]): AsyncIterable<SelectedRow>;
}

export function createSelectionCatalog(knex: Knex): SelectionCatalog {
  return {
    series: (selection) => databaseError(() => seriesOf(knex, selection)),
    kinds: (series, uids) => databaseError(() => kindsOf(knex, series, uids)),
    instances: (series, uids) => instancesOf(knex, series, uids),
  };
}

/** The condition of each constraint; its value is the one binding. */
const conditions = {
  patientId: "patient_id = ?",
  issuerOfPatientId: "coalesce(issuer_of_patient_id, '') = ?",
  studyInstanceUids: "study_instance_uid = any (?::text[])",
  seriesInstanceUids: "series_instance_uid = any (?::text[])",
  sopInstanceUids: "series.id in (select series_id from instance where sop_instance_uid = any (?::text[]))",
} as const satisfies Record<keyof SelectionRecord, string>;

const constraints = [
  "patientId",
  "issuerOfPatientId",
  "studyInstanceUids",
  "seriesInstanceUids",
  "sopInstanceUids",
] as const;

/** @throws Error when nothing is named: everything would be selected */
async function seriesOf(knex: Knex, selection: SelectionRecord): Promise<SelectedSeries[]> {
  const given = constraints.filter((name) => selection[name] !== undefined);
  if (given.length === 0) throw new Error("a selection without any constraint");
  const all = given.map((name) => `(${conditions[name]})`).join(" and ");
  const values = given.map((name) => selection[name] ?? "");
  return await knex("series")
    .join("study", "study.id", "series.study_id")
    .whereRaw(
      all,
      values.map((value) => (typeof value === "string" ? value : [...value])),
    )
    .orderByRaw("study.id, series_number nulls last, series.id")
    .select({ id: "series.id", studyInstanceUid: "study_instance_uid", seriesInstanceUid: "series_instance_uid" });
}

async function kindsOf(
  knex: Knex,
  series: readonly SelectedSeries[],
  sopInstanceUids?: readonly string[],
): Promise<InstanceKind[]> {
  if (series.length === 0) return [];
  return await named(knex, sopInstanceUids)
    .whereRaw("series_id = any (?::bigint[])", [series.map(({ id }) => id)])
    .groupBy("sop_class_uid", "transfer_syntax_uid")
    .orderBy(["sop_class_uid", "transfer_syntax_uid"])
    .select({
      sopClassUid: "sop_class_uid",
      transferSyntaxUid: "transfer_syntax_uid",
      count: knex.raw("count(*)::integer"),
    });
}

async function* instancesOf(
  knex: Knex,
  series: readonly SelectedSeries[],
  sopInstanceUids?: readonly string[],
): AsyncGenerator<SelectedRow> {
  for (const { id, studyInstanceUid, seriesInstanceUid } of series) {
    const names = { seriesId: id, studyInstanceUid, seriesInstanceUid };
    const query = named(knex, sopInstanceUids).select({
      id: "id",
      instanceNumber: "instance_number",
      sopInstanceUid: "sop_instance_uid",
      sopClassUid: "sop_class_uid",
      transferSyntaxUid: "transfer_syntax_uid",
      blobKey: "blob_key",
      byteLength: "byte_length",
      sha256: "sha256",
      dataSetOffset: "data_set_offset",
      createdAt: "created_at",
    });
    for await (const row of pages<Omit<SelectedRow, keyof typeof names> & Paged>(query, id)) yield { ...row, ...names };
  }
}

function named(knex: Knex, sopInstanceUids?: readonly string[]): Knex.QueryBuilder {
  const query = knex("instance");
  return sopInstanceUids ? query.whereRaw("sop_instance_uid = any (?::text[])", [[...sopInstanceUids]]) : query;
}
