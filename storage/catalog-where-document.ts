/** The SQL of conditions on documents (DICOM JSON in jsonb): values of attributes, and items of sequences. */
import type { DateTimeCondition, DocumentCondition, Match, ValueKind } from "./catalog-match.ts";
import { all, scalarSql, type Sql } from "./catalog-sql.ts";

/** Offset from UTC that dates and times of the study are in (PS3.3 C.12.1.1.8), as it was stored. */
const storedZone = "study.attributes #>> '{00080201,Value,0}'";

/** `condition` holds in the document that `document` (SQL) gives. */
export function documentSql(document: string, condition: DocumentCondition, depth = 0): Sql {
  if ("part" in condition) return dateTimeSql(document, condition);
  const value = `value_${depth}`;
  const values = `from jsonb_array_elements(${document} #> ?::text[]) as ${value}`;
  const path = [condition.tag, "Value"];
  if ("empty" in condition) {
    // An empty value among several is null or an empty object (PS3.18 F.2.5).
    return {
      text: `not exists (select ${values} where ${value} not in ('null', '""', '{}'))`,
      bindings: [path],
    };
  }
  const found =
    "item" in condition
      ? all(condition.item.map((part) => documentSql(value, part, depth + 1)))
      : valueSql[condition.as](value, condition.match);
  return { text: `exists (select ${values} where ${found.text})`, bindings: [path, ...found.bindings] };
}

/**
 * Documents of which a document that meets `condition` contains one (operator `@>`), which a GIN index finds; none when
 * that cannot be said.
 */
export function containing(condition: DocumentCondition): readonly object[] {
  if ("part" in condition || "empty" in condition) return [];
  const values = "item" in condition ? [itemOf(condition.item)] : exactValues(condition.match);
  return values.filter((value) => value !== undefined).map((value) => ({ [condition.tag]: { Value: [value] } }));
}

function itemOf(conditions: readonly DocumentCondition[]): object | undefined {
  const parts = conditions.map(containing).filter((documents) => documents.length === 1);
  return parts.length === 0 ? undefined : Object.assign({}, ...parts.flat());
}

function exactValues(match: Match): readonly (string | number)[] {
  if (match.kind === "equal") return [match.value];
  return match.kind === "anyOf" ? match.values : [];
}

/** How one value, the jsonb named `value`, is compared. What is ill-formed matches nothing. */
const valueSql: Readonly<Record<ValueKind, (value: string, match: Match) => Sql>> = {
  text: (value, match) => scalarSql(`(${value} #>> '{}')`, match),
  name: (value, match) =>
    scalarSql(
      `concat('=', ${value} ->> 'Alphabetic', '=', ${value} ->> 'Ideographic', '=', ${value} ->> 'Phonetic', '=')`,
      match,
    ),
  number: (value, match) => scalarSql(`case when jsonb_typeof(${value}) = 'number' then ${value}::numeric end`, match),
  date: (value, match) => scalarSql(`dicom_date(${value} #>> '{}')`, match),
  time: (value, match) => scalarSql(`dicom_time(${value} #>> '{}')`, match),
  dateTime: (value, match) => scalarSql(`dicom_moment(substring(${value} #>> '{}' from '^[0-9.]+'), null)`, match),
  moment: (value, match) => scalarSql(`dicom_moment(${value} #>> '{}', dicom_offset(${storedZone}))`, match),
};

const casts = { date: "::date", time: "::time", both: "" } as const;

/** In a zone: from that of the value, else as it is; a date without a time is not moved. */
function dateTimeSql(document: string, { date, time, part, zone, match }: DateTimeCondition): Sql {
  const found = scalarSql(
    `(${zone === undefined ? "dicom_moment(da || tm, null)" : movedTo(zone)})${casts[part]}`,
    match,
  );
  const needed = part === "date" ? "" : "tm is not null and ";
  return {
    text: `exists (
      select from (
        select translate(${document} #>> ?::text[], '.', '') as da, translate(${document} #>> ?::text[], ':', '') as tm
      ) as value where ${needed}${found.text})`,
    bindings: [[date, "Value", "0"], [time, "Value", "0"], ...found.bindings],
  };
}

function movedTo(zone: number): string {
  const offset = `interval '${zone} minutes'`;
  const ofValue = `case when tm is not null then dicom_offset(${storedZone}) end`;
  return `dicom_moment(da || coalesce(tm, ''), coalesce(${ofValue}, ${offset})) + ${offset}`;
}
