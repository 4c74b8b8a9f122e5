/** Searches of the catalog: conditions on typed columns in, rows of DICOM JSON by level out, a page at a time. */
import type { Knex } from "knex";
import type { Condition, Level } from "./catalog-match.ts";
import { behindSql, nearlyBehindSql, type Order, orderSql, type Position, positionSql } from "./catalog-order.ts";
import { newestOfPatientSql, patientCounts } from "./catalog-patients.ts";
import type { LevelDocument } from "./catalog-records.ts";
import type { Sql } from "./catalog-sql.ts";
import { type TagField, tagFieldsSql } from "./catalog-tag-fields.ts";
import { meeting } from "./catalog-where.ts";
import { databaseError } from "./database-error.ts";

/** Levels that can be searched. A patient is a row of no table: the newest study stands for it. */
export type SearchLevel = Level | "patient";

/** What to look for, and how much of it. */
export interface Search {
  readonly level: SearchLevel;
  readonly conditions: readonly Condition[];
  /** Ends with a key that no two matches share. */
  readonly order: Order;
  /** Only matches behind this one. */
  readonly behind?: Position;
  /** Patients as they were when this was the greatest id of a study: a newer study would move its patient. */
  readonly asOf?: number;
  readonly limit: number;
  readonly offset: number;
  /** Also count every match, whatever limit, offset and `behind` leave out. */
  readonly count: boolean;
  /** Also count what belongs to each patient or study found, and collect Modalities in Study. */
  readonly related: boolean;
  /** Also collect SOP Classes in Study, which costs a look at every instance of each study found. */
  readonly sopClassesInStudy: boolean;
  /** Also give the metadata of each instance, or of the first one of each study or series. */
  readonly metadata: boolean;
  /** Also give the values of these query tags. */
  readonly tagFields: readonly TagField[];
}

/** One match: the DICOM JSON of its level and of those above, and what is counted. */
export interface SearchRow {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid?: string;
  readonly sopInstanceUid?: string;
  readonly study: LevelDocument;
  readonly series?: LevelDocument;
  readonly instance?: LevelDocument;
  readonly transferSyntaxUid?: string;
  /** Compressed; see `Catalog.readMetadata`. */
  readonly metadata?: Buffer | null;
  /** Values by the id of the tag, see `Search.tagFields`. */
  readonly tagFields?: Readonly<Record<string, readonly string[] | null>>;
  readonly modalitiesInStudy?: readonly string[];
  readonly sopClassesInStudy?: readonly string[];
  /** These three of a patient alone; a patient has none of the others. */
  readonly numberOfPatientRelatedStudies?: number;
  readonly numberOfPatientRelatedSeries?: number;
  readonly numberOfPatientRelatedInstances?: number;
  readonly numberOfStudyRelatedSeries?: number;
  readonly numberOfStudyRelatedInstances?: number;
  readonly numberOfSeriesRelatedInstances?: number;
}

/** The matches of one search. */
export interface SearchResult {
  /** Once; a page of rows in memory at a time, and no connection held between two pages. */
  readonly pages: AsyncIterable<readonly SearchRow[]>;
  /** Where the last of them stands in the order; undefined when there are no matches behind it. */
  readonly last: Position | undefined;
  /** See `Search.asOf`; undefined when it is no search for patients, or found none. */
  readonly asOf: number | undefined;
  /** All matches, when they were to be counted. */
  readonly count: number | undefined;
}

/** Rows of the first page: as many as a search without limit answers, so that it takes one statement. */
const firstPageSize = 1000;
/** Rows of the pages that follow. */
const pageSize = 250;
/** Rows of every page with metadata, which may be some hundred kilobytes a row. */
const pageSizeWithMetadata = 100;

/** The metadata of the instance found, or of the first one of the series or study found. */
const firstMetadata: Readonly<Record<Level, string>> = {
  study: `(select metadata from instance
    where series_id = (select id from series where study_id = found.study_key order by id limit 1)
    order by instance_number, id limit 1)`,
  series: "(select metadata from instance where series_id = found.series_key order by instance_number, id limit 1)",
  instance: "(select metadata from instance where id = found.instance_key)",
};

/** Counted for the page alone, after the limit. */
const studyCounts = `
  left join lateral (
    select count(*) as series_count, coalesce(sum(instance_count), 0)::bigint as instance_count,
      coalesce(array_agg(distinct modality order by modality) filter (where modality is not null), '{}') as modalities
    from series as of_study where of_study.study_id = found.study_key
  ) as counted on true`;

const sopClasses = `
  left join lateral (
    select array_agg(distinct sop_class_uid order by sop_class_uid) as sop_classes
    from instance join series as of_study on of_study.id = instance.series_id where of_study.study_id = found.study_key
  ) as classes on true`;

/**
 * See `Catalog.search`. One statement gives the first page, and one row more. When the limit reaches beyond the page, a
 * second one takes down by their ids which matches follow: the answer is then complete and without repetition, whatever
 * is stored while it is read, and each further page is a look-up by ids, however costly the matching is.
 */
export async function searchCatalog(knex: Knex, search: Search): Promise<SearchResult> {
  const count = search.count ? await countMatches(knex, search) : undefined;
  const size = Math.min(search.limit, search.metadata ? pageSizeWithMetadata : firstPageSize);
  if (size === 0) return { pages: pages(knex, search, [], []), last: undefined, asOf: undefined, count };
  const first = await firstPage(knex, search, size);
  const rows = first.slice(0, size);
  const last = (first.length > size && rows.at(-1)?.position) || undefined;
  const asOf = search.asOf ?? rows.at(0)?.as_of;
  if (!last || search.limit === size) return { pages: pages(knex, search, rows, []), last, asOf, count };
  const rest = await idsBehind(knex, { ...search, ...(asOf !== undefined && { asOf }) }, last, search.limit - size);
  return { pages: pages(knex, search, rows, rest.ids), last: rest.last, asOf, count };
}

type FoundRow = SearchRow & { readonly position: Position | null; readonly as_of?: number };

async function* pages(
  knex: Knex,
  search: Search,
  first: readonly SearchRow[],
  ids: readonly number[],
): AsyncGenerator<readonly SearchRow[], void, undefined> {
  yield first;
  const size = search.metadata ? pageSizeWithMetadata : pageSize;
  for (let at = 0; at < ids.length; at += size) yield await rowsOfIds(knex, search, ids.slice(at, at + size));
}

/** One row more than `size` tells whether there are more; row `size` says where it stands. */
async function firstPage(knex: Knex, search: Search, size: number): Promise<FoundRow[]> {
  const nearly = search.behind && nearlyBehindSql(search.order, search.behind);
  if (nearly) {
    const page = await pageOf(knex, search, size, matching(knex, search, search.behind).whereRaw(...nearly));
    if (page.length > size) return page;
  }
  return pageOf(knex, search, size, matching(knex, search, search.behind));
}

async function pageOf(knex: Knex, search: Search, size: number, matches: Knex.QueryBuilder): Promise<FoundRow[]> {
  const found = matches
    .select(columns[search.level])
    .select(search.level === "patient" ? knex.raw("(select max(id) from study) as as_of") : [])
    .select(rankAndPosition(knex, search.order, search.offset + size))
    .orderByRaw(orderSql(search.order))
    .limit(size + 1)
    .offset(search.offset);
  return await databaseError(async () => await completed(knex, search, found));
}

/** Of the `most` matches behind `position`: the ids, and where the last one stands when there are more. */
async function idsBehind(
  knex: Knex,
  search: Search,
  position: Position,
  most: number,
): Promise<{ ids: readonly number[]; last: Position | undefined }> {
  const found = matching(knex, search, position)
    .select({ id: idOf(search.level) })
    .select(rankAndPosition(knex, search.order, most))
    .orderByRaw(orderSql(search.order))
    .limit(most + 1);
  const query = knex
    .with("found", found)
    .from("found")
    .first({
      // As JSON, for the driver makes strings of an array of bigint.
      ids: knex.raw("coalesce(json_agg(id order by rank) filter (where rank <= ?), '[]')", [most]),
      last: knex.raw("(select position from found where rank = ?)", [most]),
      count: knex.raw("count(*)"),
    });
  const row: { ids: number[]; last: Position | null; count: number } = await databaseError(async () => await query);
  return { ids: row.ids, last: (row.count > most && row.last) || undefined };
}

/** Matches that have gone in the meantime are left out. */
async function rowsOfIds(knex: Knex, search: Search, ids: readonly number[]): Promise<SearchRow[]> {
  const wanted = knex.raw("unnest(?::bigint[]) with ordinality as wanted (id, rank)", [[...ids]]);
  const found = joined(knex, search.level)
    .join(wanted, "wanted.id", idOf(search.level))
    .select(columns[search.level])
    .select("wanted.rank");
  return await databaseError(async () => await completed(knex, search, found));
}

async function countMatches(knex: Knex, { asOf: _asOf, ...search }: Search): Promise<number> {
  const query = matching(knex, search).first({ count: knex.raw("count(*)") });
  const row: { count: number } = await databaseError(async () => await query);
  return row.count;
}

/** The rank of every match; of the one whose rank is `which`, also where it stands. */
function rankAndPosition(knex: Knex, order: Order, which: number): Knex.Raw {
  const rank = `row_number() over (order by ${orderSql(order)})`;
  return knex.raw(`${rank} as rank, case when ${rank} = ? then ${positionSql(order)} end as position`, [which]);
}

/** The found rows with what is counted for each, in the order of their rank. */
function completed(knex: Knex, search: Search, found: Knex.QueryBuilder): Knex.QueryBuilder {
  const query = knex.select("found.*").from(found.as("found")).orderBy("rank");
  if (search.level === "patient") {
    if (!search.related) return query;
    return query.joinRaw(patientCounts).select({
      numberOfPatientRelatedStudies: "counted.study_count",
      numberOfPatientRelatedSeries: "counted.series_count",
      numberOfPatientRelatedInstances: "counted.instance_count",
    });
  }
  const joins = (search.related ? studyCounts : "") + (search.sopClassesInStudy ? sopClasses : "");
  const more = {
    ...(search.related && {
      numberOfStudyRelatedSeries: "counted.series_count",
      numberOfStudyRelatedInstances: "counted.instance_count",
      modalitiesInStudy: "counted.modalities",
    }),
    ...(search.sopClassesInStudy && { sopClassesInStudy: "classes.sop_classes" }),
    ...(search.metadata && { metadata: knex.raw(firstMetadata[search.level]) }),
    ...(search.tagFields.length > 0 && { tagFields: rawOf(knex, tagFieldsSql(search.tagFields)) }),
  };
  const withMore = Object.keys(more).length === 0 ? query : query.select(more);
  return joins === "" ? withMore : withMore.joinRaw(joins);
}

function rawOf(knex: Knex, { text, bindings }: Sql): Knex.Raw {
  return knex.raw(
    text,
    bindings.map((value) => (typeof value === "object" ? [...value] : value)),
  );
}

function matching(knex: Knex, { level, conditions, order, asOf }: Search, behind?: Position): Knex.QueryBuilder {
  const all = conditions.reduce((query, condition) => meeting(query, condition), joined(knex, level));
  const rows = level === "patient" ? all.whereRaw(...newestOfPatientSql(asOf)) : all;
  return behind === undefined ? rows : rows.whereRaw(...behindSql(order, behind));
}

function joined(knex: Knex, level: SearchLevel): Knex.QueryBuilder {
  const studies = knex("study");
  if (level === "study" || level === "patient") return studies;
  const series = studies.join("series", "series.study_id", "study.id");
  return level === "series" ? series : series.join("instance", "instance.series_id", "series.id");
}

/** The column that tells the matches of a level apart. */
function idOf(level: SearchLevel): string {
  return level === "patient" ? "study.id" : `${level}.id`;
}

const studyColumns = {
  study_key: "study.id",
  studyInstanceUid: "study_instance_uid",
  study: "study.attributes",
} as const;
const seriesColumns = {
  ...studyColumns,
  series_key: "series.id",
  seriesInstanceUid: "series_instance_uid",
  series: "series.attributes",
  numberOfSeriesRelatedInstances: "series.instance_count",
} as const;

/** What is read of a match of each level, and of the levels above. */
const columns: Readonly<Record<SearchLevel, Readonly<Record<string, string>>>> = {
  patient: { ...studyColumns, patient_id: "patient_id", issuer_of_patient_id: "issuer_of_patient_id" },
  study: studyColumns,
  series: seriesColumns,
  instance: {
    ...seriesColumns,
    instance_key: "instance.id",
    sopInstanceUid: "sop_instance_uid",
    instance: "instance.attributes",
    transferSyntaxUid: "transfer_syntax_uid",
  },
};
