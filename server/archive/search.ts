/** Search: matches of a query as DICOM JSON, with the attributes that are counted or made. */
import type { Catalog } from "../../storage/catalog.ts";
import type { LevelDocumentAttribute } from "../../storage/catalog-records.ts";
import type { SearchRow } from "../../storage/catalog-search.ts";
import { attributesOfLevel, computed, patientAttributes, patientDefaults, type SearchLevel } from "./attributes.ts";
import type { Query } from "./query.ts";
import { toCursor } from "./search-order.ts";

/** One match of a search: attributes by tag. */
export type SearchAnswer = Record<string, LevelDocumentAttribute>;

/** What a search found. */
export interface SearchAnswers {
  /** Once; read from the catalog as they are pulled. */
  readonly answers: AsyncIterable<SearchAnswer>;
  /** Goes on behind the last answer; undefined when there are no matches behind it. */
  readonly cursor: string | undefined;
  /** All matches, when the query asks to count them. */
  readonly count: number | undefined;
}

/**
 * The matches of `query`, in its order.
 * @param urlOf makes a URL of a path below the DICOMweb root
 */
export async function search(catalog: Catalog, query: Query, urlOf: (path: string) => string): Promise<SearchAnswers> {
  const { rows, last, asOf, count } = await catalog.search(query.search);
  const { level } = query.scope;
  const wanted = wantedLevels(query);
  async function* answers(): AsyncGenerator<SearchAnswer, void, undefined> {
    for await (const row of rows) {
      yield level === "patient" ? patientOf(row, query) : answerOf(row, query, wanted, urlOf);
    }
  }
  const cursor = last && toCursor(level, query.paging.order, { behind: last, ...(asOf !== undefined && { asOf }) });
  return { answers: answers(), cursor, count };
}

/** The patient whose newest study is `row` (PS3.4 C.6.1.1.2); there is nothing of a patient to be retrieved. */
function patientOf(row: SearchRow, { includeField }: Query): SearchAnswer {
  const answer: SearchAnswer = {
    [computed.numberOfPatientRelatedStudies]: { vr: "IS", Value: [row.numberOfPatientRelatedStudies] },
    [computed.numberOfPatientRelatedSeries]: { vr: "IS", Value: [row.numberOfPatientRelatedSeries] },
    [computed.numberOfPatientRelatedInstances]: { vr: "IS", Value: [row.numberOfPatientRelatedInstances] },
  };
  for (const tag of patientAttributes.keys()) {
    const value = row.study[tag];
    if (value && (patientDefaults.has(tag) || includeField === "all" || includeField.has(tag))) answer[tag] = value;
  }
  return answer;
}

/** Levels whose default attributes are answered: the one searched, and those above that the path does not fix. */
function wantedLevels({ scope }: Query): ReadonlySet<SearchLevel> {
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
  const { includeField } = query;
  const includes = (tag: string) => includeField === "all" || includeField.has(tag);
  const answer: SearchAnswer = {};
  const documents = { study: row.study, series: row.series, instance: row.instance };
  for (const level of ["study", "series", "instance"] as const) {
    const found = documents[level];
    if (!found) continue;
    for (const { tag, byDefault } of attributesOfLevel[level]) {
      const value = found[tag];
      if (value && ((byDefault && wanted.has(level)) || includes(tag))) answer[tag] = value;
    }
  }
  Object.assign(answer, computedAttributes(row, query, wanted, includes, urlOf));
  return answer;
}

function computedAttributes(
  row: SearchRow,
  { scope }: Query,
  wanted: ReadonlySet<SearchLevel>,
  includes: (tag: string) => boolean,
  urlOf: (path: string) => string,
): SearchAnswer {
  const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = row;
  const made: SearchAnswer = {
    "0020000D": { vr: "UI", Value: [studyInstanceUid] },
    [computed.instanceAvailability]: { vr: "CS", Value: ["ONLINE"] },
    [computed.retrieveUrl]: { vr: "UR", Value: [urlOf(retrievePath(row))] },
  };
  const add = (level: SearchLevel, tag: string, vr: string, values: readonly unknown[] | undefined) => {
    // An attribute without a value stops some viewers: it is left out.
    if (values?.length && (wanted.has(level) || includes(tag))) made[tag] = { vr, Value: [...values] };
  };
  add("study", computed.modalitiesInStudy, "CS", row.modalitiesInStudy);
  add("study", computed.numberOfStudyRelatedSeries, "IS", [row.numberOfStudyRelatedSeries]);
  add("study", computed.numberOfStudyRelatedInstances, "IS", [row.numberOfStudyRelatedInstances]);
  if (row.sopClassesInStudy) add(scope.level, computed.sopClassesInStudy, "UI", row.sopClassesInStudy);
  if (seriesInstanceUid !== undefined) made["0020000E"] = { vr: "UI", Value: [seriesInstanceUid] };
  if (row.numberOfSeriesRelatedInstances !== undefined) {
    add("series", computed.numberOfSeriesRelatedInstances, "IS", [row.numberOfSeriesRelatedInstances]);
  }
  if (sopInstanceUid !== undefined) made["00080018"] = { vr: "UI", Value: [sopInstanceUid] };
  if (row.transferSyntaxUid !== undefined) {
    add("instance", computed.availableTransferSyntaxUid, "UI", [row.transferSyntaxUid]);
  }
  return made;
}

function retrievePath({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: SearchRow): string {
  const series = seriesInstanceUid === undefined ? "" : `/series/${seriesInstanceUid}`;
  return `studies/${studyInstanceUid}${series}${sopInstanceUid === undefined ? "" : `/instances/${sopInstanceUid}`}`;
}
