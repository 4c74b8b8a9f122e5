/** Search: matches of a query as DICOM JSON, with the attributes that are counted or made. */
import { promisify } from "node:util";
import { inflateRaw } from "node:zlib";
import type { Catalog } from "../../storage/catalog.ts";
import type { SearchRow } from "../../storage/catalog-search.ts";
import { type DicomJson, type JsonValue, ownJson, parseJsonText } from "../dicom/json.ts";
import {
  attributesOfLevel,
  computed,
  ofEveryLevel,
  patientAttributes,
  patientDefaults,
  type SearchLevel,
} from "./attributes.ts";
import { pickField, pickFields } from "./included-fields.ts";
import type { Query } from "./query.ts";
import { addTagFields } from "./query-tag-fields.ts";
import { withBulkDataRoot } from "./retrieve.ts";
import { toCursor } from "./search-order.ts";

/** One match of a search: attributes by tag. */
export type SearchAnswer = DicomJson;

/** What a search found. */
export interface SearchAnswers {
  /** Once; read from the catalog as they are pulled. */
  readonly answers: AsyncIterable<SearchAnswer>;
  /** Goes on behind the last answer; undefined when there are no matches behind it. */
  readonly cursor: string | undefined;
  /** All matches, when the query asks to count them. */
  readonly count: number | undefined;
}

/** Off the main thread, which stays free for others while metadata is read. */
const inflate = promisify(inflateRaw);

/**
 * The matches of `query`, in its order.
 * @param urlOf makes a URL of a path below the DICOMweb root
 */
export async function search(catalog: Catalog, query: Query, urlOf: (path: string) => string): Promise<SearchAnswers> {
  const { pages, last, asOf, count } = await catalog.search(query.search);
  const { level } = query.scope;
  const cursor = last && toCursor(level, query.paging.order, { behind: last, ...(asOf !== undefined && { asOf }) });
  return { answers: answersOf(pages, query, urlOf), cursor, count };
}

/**
 * Every match of `query`, in its order, whatever its limit, which says how many are looked up at a time: what comes or
 * goes meanwhile is there or not, and nothing is repeated.
 * @param urlOf makes a URL of a path below the DICOMweb root
 * @param signal cancels what the database is at
 */
export async function* searchAll(
  catalog: Catalog,
  query: Query,
  urlOf: (path: string) => string,
  signal?: AbortSignal,
): AsyncGenerator<SearchAnswer, void, undefined> {
  const whole = signal ? { ...query.search, signal } : query.search;
  let next = whole;
  for (;;) {
    const { pages, last, asOf } = await catalog.search(next);
    yield* answersOf(pages, query, urlOf);
    if (!last) return;
    next = { ...whole, offset: 0, behind: last, ...(asOf !== undefined && { asOf }) };
  }
}

async function* answersOf(
  pages: AsyncIterable<readonly SearchRow[]>,
  query: Query,
  urlOf: (path: string) => string,
): AsyncGenerator<SearchAnswer, void, undefined> {
  const { level } = query.scope;
  const wanted = wantedLevels(query);
  for await (const rows of pages) {
    for (const row of rows) {
      const answer = level === "patient" ? patientOf(row, query) : answerOf(row, query, wanted, urlOf);
      const whole = row.metadata ? { ...(await fieldsOfMetadata(row.metadata, query, urlOf)), ...answer } : answer;
      if (row.tagFields) addTagFields(whole, query.tagFields, row.tagFields);
      yield whole;
    }
  }
}

async function fieldsOfMetadata(
  metadata: Buffer,
  { included }: Query,
  urlOf: (path: string) => string,
): Promise<SearchAnswer> {
  const text = (await inflate(metadata)).toString("utf8");
  return pickFields(parseJsonText(withBulkDataRoot(text, urlOf(""))), included.ofMetadata);
}

/** The patient whose newest study is `row` (PS3.4 C.6.1.1.2); there is nothing of a patient to be retrieved. */
function patientOf(row: SearchRow, { included }: Query): SearchAnswer {
  const answer: SearchAnswer = {
    ...counted(computed.numberOfPatientRelatedStudies, row.numberOfPatientRelatedStudies),
    ...counted(computed.numberOfPatientRelatedSeries, row.numberOfPatientRelatedSeries),
    ...counted(computed.numberOfPatientRelatedInstances, row.numberOfPatientRelatedInstances),
  };
  const found = ownJson(row.study);
  for (const tag of patientAttributes.keys()) {
    const isWanted = included.defaults && patientDefaults.has(tag);
    const tree = included.all || isWanted ? "whole" : included.fields.get(tag);
    const value = tree && pickField(found[tag], tree);
    if (value) answer[tag] = value;
  }
  return answer;
}

/** Levels whose default attributes are answered: the one searched, and those above that the path does not fix. */
function wantedLevels({ scope, included }: Query): ReadonlySet<SearchLevel> {
  if (!included.defaults) return new Set();
  const levels = new Set<SearchLevel>([scope.level]);
  if (scope.level !== "study" && scope.studyInstanceUid === undefined) levels.add("study");
  if (scope.level === "instance" && scope.seriesInstanceUid === undefined) levels.add("series");
  return levels;
}

function answerOf(
  row: SearchRow,
  query: Query,
  wanted: ReadonlySet<SearchLevel>,
  urlOf: (path: string) => string,
): SearchAnswer {
  const { all, fields } = query.included;
  const answer: SearchAnswer = {};
  const documents = { study: row.study, series: row.series, instance: row.instance };
  for (const level of ["study", "series", "instance"] as const) {
    if (!documents[level]) continue;
    const found = ownJson(documents[level]);
    for (const { tag, byDefault } of attributesOfLevel[level]) {
      const isWanted = byDefault && (wanted.has(level) || (ofEveryLevel.has(tag) && query.included.defaults));
      const tree = all || isWanted ? "whole" : fields.get(tag);
      const value = tree && pickField(found[tag], tree);
      if (value) answer[tag] = value;
    }
  }
  return Object.assign(answer, computedAttributes(row, query, wanted, urlOf));
}

function computedAttributes(
  row: SearchRow,
  { scope, included }: Query,
  wanted: ReadonlySet<SearchLevel>,
  urlOf: (path: string) => string,
): SearchAnswer {
  const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = row;
  const made: SearchAnswer = {
    "0020000D": { vr: "UI", Value: [studyInstanceUid] },
    [computed.instanceAvailability]: { vr: "CS", Value: ["ONLINE"] },
    [computed.retrieveUrl]: { vr: "UR", Value: [urlOf(retrievePath(row))] },
  };
  const add = (level: SearchLevel, tag: string, vr: string, values: readonly (JsonValue | undefined)[] = []) => {
    const present = values.filter((value) => value !== undefined);
    const isWanted = wanted.has(level) || included.all || included.fields.has(tag);
    // An attribute without a value stops some viewers: it is left out.
    if (present.length > 0 && isWanted) made[tag] = { vr, Value: present };
  };
  add("study", computed.modalitiesInStudy, "CS", row.modalitiesInStudy);
  add("study", computed.numberOfStudyRelatedSeries, "IS", [row.numberOfStudyRelatedSeries]);
  add("study", computed.numberOfStudyRelatedInstances, "IS", [row.numberOfStudyRelatedInstances]);
  add(scope.level, computed.sopClassesInStudy, "UI", row.sopClassesInStudy);
  if (seriesInstanceUid !== undefined) made["0020000E"] = { vr: "UI", Value: [seriesInstanceUid] };
  add("series", computed.numberOfSeriesRelatedInstances, "IS", [row.numberOfSeriesRelatedInstances]);
  if (sopInstanceUid !== undefined) made["00080018"] = { vr: "UI", Value: [sopInstanceUid] };
  add("instance", computed.availableTransferSyntaxUid, "UI", [row.transferSyntaxUid]);
  return made;
}

function counted(tag: string, count: number | undefined): SearchAnswer {
  return count === undefined ? {} : { [tag]: { vr: "IS", Value: [count] } };
}

function retrievePath({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: SearchRow): string {
  const series = seriesInstanceUid === undefined ? "" : `/series/${seriesInstanceUid}`;
  return `studies/${studyInstanceUid}${series}${sopInstanceUid === undefined ? "" : `/instances/${sopInstanceUid}`}`;
}
