/** Searches of the catalog: conditions on typed columns in, rows of DICOM JSON by level out, a page at a time. */
import type { Knex } from "knex";
import type { Condition, Level } from "./catalog-match.ts";
import type { Order, Position } from "./catalog-order.ts";
import type { LevelDocument } from "./catalog-records.ts";
import { countSql, firstPageSqls, idsBehindSql, isLookUp, rowsOfIdsSql } from "./catalog-search-sql.ts";
import type { TagField } from "./catalog-tag-fields.ts";
import { databaseError } from "./database-error.ts";
import { run } from "./prepared.ts";

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
  /** Cancels the statement under way. */
  readonly signal?: AbortSignal;
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
async function firstPage(knex: Knex, search: Search, size: number): Promise<readonly FoundRow[]> {
  const [likely, all] = firstPageSqls(search, size);
  const prepared = isLookUp(search);
  const page = await databaseError(() => run<FoundRow>(knex, likely, { prepared, signal: search.signal }));
  if (page.length > size || !all) return page;
  return databaseError(() => run<FoundRow>(knex, all, { prepared, signal: search.signal }));
}

/** Of the `most` matches behind `position`: the ids, and where the last one stands when there are more. */
async function idsBehind(
  knex: Knex,
  search: Search,
  position: Position,
  most: number,
): Promise<{ ids: readonly number[]; last: Position | undefined }> {
  const [row] = await databaseError(() =>
    run<{ readonly ids: number[]; readonly last: Position | null; readonly count: number }>(
      knex,
      idsBehindSql(search, position, most),
      { signal: search.signal },
    ),
  );
  return { ids: row?.ids ?? [], last: (row && row.count > most && row.last) || undefined };
}

/** Matches that have gone in the meantime are left out. */
async function rowsOfIds(knex: Knex, search: Search, ids: readonly number[]): Promise<readonly SearchRow[]> {
  return databaseError(() => run<SearchRow>(knex, rowsOfIdsSql(search, ids), { signal: search.signal }));
}

async function countMatches(knex: Knex, search: Search): Promise<number> {
  const [row] = await databaseError(() => run<{ readonly count: number }>(knex, countSql(search)));
  return row?.count ?? 0;
}
