/** Searches of the catalog: conditions on typed columns in, one SQL statement, rows of DICOM JSON by level out. */
import type { Knex } from "knex";
import { type Condition, type Level, meeting } from "./catalog-match.ts";
import type { LevelDocument } from "./catalog-records.ts";
import { databaseError } from "./database-error.ts";

/** What to look for, and how much of it. */
export interface Search {
  readonly level: Level;
  readonly conditions: readonly Condition[];
  readonly limit: number;
  readonly offset: number;
  /** Also collect SOP Classes in Study, which costs a look at every instance of each study found. */
  readonly sopClassesInStudy: boolean;
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
  readonly modalitiesInStudy: readonly string[];
  readonly sopClassesInStudy?: readonly string[];
  readonly numberOfStudyRelatedSeries: number;
  readonly numberOfStudyRelatedInstances: number;
  readonly numberOfSeriesRelatedInstances?: number;
}

/** Newest study first; within a study by series and instance number. */
const orders: Readonly<Record<Level, string>> = {
  study: "study_date desc nulls last, study_time desc nulls last, study.id desc",
  series: "study_date desc nulls last, study_time desc nulls last, study.id desc, series_number nulls last, series.id",
  instance:
    "study_date desc nulls last, study_time desc nulls last, study.id desc, " +
    "series_number nulls last, series.id, instance_number nulls last, instance.id",
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

/** The matches of one search. */
export interface SearchPage {
  readonly rows: readonly SearchRow[];
  /** Whether there are matches beyond the limit. */
  readonly more: boolean;
}

/** See `Catalog.search`. One row more than the limit tells whether there are more. */
export async function searchCatalog(knex: Knex, search: Search): Promise<SearchPage> {
  const query = knex
    .from(foundRows(knex, { ...search, limit: search.limit + 1 }).as("found"))
    .joinRaw(search.sopClassesInStudy ? studyCounts + sopClasses : studyCounts)
    .select("found.*", {
      numberOfStudyRelatedSeries: "counted.series_count",
      numberOfStudyRelatedInstances: "counted.instance_count",
      modalitiesInStudy: "counted.modalities",
      ...(search.sopClassesInStudy && { sopClassesInStudy: "classes.sop_classes" }),
    })
    .orderBy("position");
  const rows: SearchRow[] = await databaseError(async () => await query);
  return { rows: rows.slice(0, search.limit), more: rows.length > search.limit };
}

function foundRows(knex: Knex, search: Search): Knex.QueryBuilder {
  const order = orders[search.level];
  const matching = search.conditions.reduce(
    (query, condition) => meeting(knex, query, condition),
    joined(knex, search.level),
  );
  return matching
    .select({ study_key: "study.id", studyInstanceUid: "study_instance_uid", study: "study.attributes" })
    .select(knex.raw(`row_number() over (order by ${order}) as position`))
    .orderByRaw(order)
    .limit(search.limit)
    .offset(search.offset);
}

function joined(knex: Knex, level: Level): Knex.QueryBuilder {
  const studies = knex("study");
  if (level === "study") return studies;
  const series = studies.join("series", "series.study_id", "study.id").select({
    seriesInstanceUid: "series_instance_uid",
    series: "series.attributes",
    numberOfSeriesRelatedInstances: "series.instance_count",
  });
  if (level === "series") return series;
  return series.join("instance", "instance.series_id", "series.id").select({
    sopInstanceUid: "sop_instance_uid",
    instance: "instance.attributes",
    transferSyntaxUid: "transfer_syntax_uid",
  });
}
