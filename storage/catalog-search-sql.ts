/** The statements of searches of the catalog: what is read of each match, and which rows are matches. */
import type { Level } from "./catalog-match.ts";
import { behindSql, nearlyBehindSql, type Order, orderSql, type Position, positionSql } from "./catalog-order.ts";
import { newestOfPatientSql, patientCounts } from "./catalog-patients.ts";
import type { Search, SearchLevel } from "./catalog-search.ts";
import { all, type Sql, sequence } from "./catalog-sql.ts";
import { tagFieldsSql } from "./catalog-tag-fields.ts";
import { conditionSql } from "./catalog-where.ts";

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

/** What is read of a match of each level, as SQL. */
const columnTexts: Readonly<Record<SearchLevel, string>> = {
  patient: `${columnText(columns.patient)}, (select max(id) from study) as as_of`,
  study: columnText(columns.study),
  series: columnText(columns.series),
  instance: columnText(columns.instance),
};

function columnText(named: Readonly<Record<string, string>>): string {
  return Object.entries(named)
    .map(([name, column]) => `${column} as "${name}"`)
    .join(", ");
}

const seriesOfStudy = "study join series on series.study_id = study.id";

/** The table of each level, with those above. */
const tables: Readonly<Record<SearchLevel, string>> = {
  patient: "study",
  study: "study",
  series: seriesOfStudy,
  instance: `${seriesOfStudy} join instance on instance.series_id = series.id`,
};

/**
 * The statement of the first page: `size` rows and one more. Behind a position two of them: the first one sees what an
 * index leads to, which is all that there is when it has more than `size` rows.
 */
export function firstPageSqls(search: Search, size: number): readonly [likely: Sql, all?: Sql] {
  const whole = pageSql(search, size, []);
  const nearly = search.behind && nearlyBehindSql(search.order, search.behind);
  return nearly ? [pageSql(search, size, [{ text: nearly[0], bindings: nearly[1] }]), whole] : [whole];
}

function pageSql(search: Search, size: number, more: readonly Sql[]): Sql {
  const { level, order, offset } = search;
  const found = sequence(
    { text: `select ${columnTexts[level]}, `, bindings: [] },
    rankAndPosition(order, offset + size),
    matching(search, search.behind, more),
    { text: ` order by ${orderSql(order)} limit ? offset ?`, bindings: [size + 1, offset] },
  );
  return completed(search, found);
}

/** One row: the ids of the `most` matches behind `position`, where the last one stands, and how many there are up to one more. */
export function idsBehindSql(search: Search, position: Position, most: number): Sql {
  const found = sequence(
    { text: `select ${idOf(search.level)} as id, `, bindings: [] },
    rankAndPosition(search.order, most),
    matching(search, position),
    { text: ` order by ${orderSql(search.order)} limit ?`, bindings: [most + 1] },
  );
  // Ids as JSON, for the driver makes strings of an array of bigint.
  return sequence({ text: "with found as (", bindings: [] }, found, {
    text: `) select coalesce(json_agg(id order by rank) filter (where rank <= ?), '[]') as ids,
      (select position from found where rank = ?) as last, count(*) as count from found`,
    bindings: [most, most],
  });
}

/** The matches of `ids`, in their order. */
export function rowsOfIdsSql(search: Search, ids: readonly number[]): Sql {
  const { level } = search;
  const text = `select ${columnTexts[level]}, wanted.rank from ${tables[level]}
    join unnest(?::bigint[]) with ordinality as wanted (id, rank) on wanted.id = ${idOf(level)}`;
  return completed(search, { text, bindings: [ids] });
}

/** One row: how many matches there are in all. */
export function countSql({ asOf: _asOf, ...search }: Search): Sql {
  return sequence({ text: "select count(*) as count", bindings: [] }, matching(search));
}

/** Columns of which a value has few rows: whatever it is, an index leads to them. */
const lookedUp: ReadonlySet<string> = new Set([
  "accession_number",
  "patient_id",
  "study_instance_uid",
  "series_instance_uid",
  "sop_instance_uid",
]);

/**
 * Whether the search is one of a few forms that come again and again, and are worth planning once: a value of a column
 * that tells things apart, and other columns.
 */
export function isLookUp({ conditions, behind, asOf }: Search): boolean {
  if (behind !== undefined || asOf !== undefined) return false;
  return (
    conditions.every((condition) => "column" in condition) &&
    conditions.some(({ column, match }) => lookedUp.has(column) && (match.kind === "equal" || match.kind === "anyOf"))
  );
}

/** The rank of every match; of the one whose rank is `which`, also where it stands. */
function rankAndPosition(order: Order, which: number): Sql {
  const rank = `row_number() over (order by ${orderSql(order)})`;
  return {
    text: `${rank} as rank, case when ${rank} = ? then ${positionSql(order)} end as position`,
    bindings: [which],
  };
}

/** The found rows with what is counted for each, in the order of their rank. */
function completed(search: Search, found: Sql): Sql {
  const parts = search.level === "patient" ? patientParts(search) : partsOf(search.level, search);
  const fields = parts.map(({ field }) => field);
  const joins = parts.map(({ join = "" }) => join).join("");
  return sequence(
    { text: "select found.*", bindings: [] },
    ...fields.map(({ text, bindings }) => ({ text: `, ${text}`, bindings })),
    { text: " from (", bindings: [] },
    found,
    { text: `) as found${joins} order by rank`, bindings: [] },
  );
}

/** Fields of each match, and the join that they come from. */
interface Part {
  readonly field: Sql;
  readonly join?: string;
}

function patientParts({ related }: Search): readonly Part[] {
  const text = `counted.study_count as "numberOfPatientRelatedStudies",
    counted.series_count as "numberOfPatientRelatedSeries", counted.instance_count as "numberOfPatientRelatedInstances"`;
  return related ? [{ field: { text, bindings: [] }, join: patientCounts }] : [];
}

function partsOf(level: Level, { related, sopClassesInStudy, metadata, tagFields }: Search): readonly Part[] {
  const parts: Part[] = [];
  if (related) {
    const text = `counted.series_count as "numberOfStudyRelatedSeries",
      counted.instance_count as "numberOfStudyRelatedInstances", counted.modalities as "modalitiesInStudy"`;
    parts.push({ field: { text, bindings: [] }, join: studyCounts });
  }
  if (sopClassesInStudy) {
    parts.push({ field: { text: 'classes.sop_classes as "sopClassesInStudy"', bindings: [] }, join: sopClasses });
  }
  if (metadata) parts.push({ field: { text: `${firstMetadata[level]} as metadata`, bindings: [] } });
  if (tagFields.length > 0) {
    const { text, bindings } = tagFieldsSql(tagFields);
    parts.push({ field: { text: `${text} as "tagFields"`, bindings } });
  }
  return parts;
}

/** `from ... where ...` of the matches, those behind `behind` where it is given. */
function matching({ level, conditions, order, asOf }: Search, behind?: Position, more: readonly Sql[] = []): Sql {
  const met = [...conditions.map(conditionSql), ...more];
  if (level === "patient") {
    const [text, bindings] = newestOfPatientSql(asOf);
    met.push({ text, bindings });
  }
  if (behind !== undefined) {
    const [text, bindings] = behindSql(order, behind);
    met.push({ text, bindings });
  }
  return sequence({ text: ` from ${tables[level]} where `, bindings: [] }, all(met));
}

/** The column that tells the matches of a level apart. */
function idOf(level: SearchLevel): string {
  return level === "patient" ? "study.id" : `${level}.id`;
}
