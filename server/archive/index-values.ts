/** Values for the typed columns of the catalog: strict to index, so that what is ill-formed is left out and named. */
import type { LevelDocument } from "../../storage/catalog-records.ts";
import type { DicomJson, JsonAttribute, JsonPersonName, JsonValue } from "../dicom/json.ts";
import { attributesOfLevel, type Level, type LevelAttribute } from "./attributes.ts";
import { nameKeys } from "./name-keys.ts";

/** What a column of the catalog takes: dates as YYYY-MM-DD, times as HH:MM:SS.ffffff. */
export type IndexValue = string | number | readonly string[] | null;

/** What the catalog keeps of one level of an instance. */
export interface IndexedLevel {
  readonly columns: Readonly<Record<string, IndexValue>>;
  /** The attributes of the level, for search answers. */
  readonly attributes: DicomJson;
  /** Attributes whose value could not be indexed, with the reason. */
  readonly faults: readonly string[];
}

/** Longest text that goes into a column (LO has 64 characters, senders write more). */
const longestIndexed = 500;
/** The same in bytes of UTF-8: PostgreSQL indexes 2,704 bytes a row, and an index of patients has two texts. */
const mostIndexedBytes = 1300;
/** More than a search answer should carry of one attribute; sequences of such size stay in the metadata alone. */
const longestAnswered = 4096;

/** Identifiers that the catalog keeps in columns of its own. */
const identifiers = new Set(["study_instance_uid", "series_instance_uid", "sop_instance_uid"]);

/** The columns and the search answer of one level of an instance. */
export function indexLevel(json: DicomJson, level: Level): IndexedLevel {
  const columns: Record<string, IndexValue> = {};
  const attributes: DicomJson = {};
  const faults: string[] = [];
  for (const attribute of attributesOfLevel[level]) {
    const found = json[attribute.tag];
    if (found) answer(attributes, attribute, found);
    if (attribute.column === undefined || identifiers.has(attribute.column)) continue;
    const value = found?.Value?.[0] ?? null;
    const indexed = value === null ? null : columnValue(attribute, value);
    if (value !== null && indexed === null) faults.push(`${attribute.keyword} is ill-formed and is not indexed.`);
    columns[attribute.column] = indexed;
  }
  columns["name_keys"] = nameKeysOf(attributes, level);
  return { columns, attributes, faults };
}

/** The keys of the names in the document of a level; null at the instance level when there are none, as for most. */
export function nameKeysOf(attributes: LevelDocument, level: Level): readonly string[] | null {
  const keys = attributesOfLevel[level].flatMap(({ tag, vr }) =>
    vr === "PN" ? nameKeys(tag, attributes[tag]?.Value ?? []) : [],
  );
  return keys.length === 0 && level === "instance" ? null : keys;
}

/** Bulk data has no place in a search answer. PostgreSQL's jsonb holds no U+0000. */
function answer(attributes: DicomJson, { tag }: LevelAttribute, found: JsonAttribute): void {
  const text = JSON.stringify(found);
  if (text.includes('"BulkDataURI":')) return;
  if (text.length > longestAnswered) return;
  attributes[tag] = text.includes("\\u0000") ? JSON.parse(text, withoutNul) : found;
}

function withoutNul(_key: string, value: unknown): unknown {
  return typeof value === "string" ? value.replaceAll("\0", "") : value;
}

function columnValue({ vr }: LevelAttribute, value: JsonValue): IndexValue {
  if (vr === "DA") return typeof value === "string" ? toDate(value) : null;
  if (vr === "TM") return typeof value === "string" ? toTime(value) : null;
  if (vr === "IS") return typeof value === "number" && Number.isSafeInteger(value) ? value : null;
  if (vr === "PN") return isPersonName(value) ? toIndexedName(value) : null;
  return typeof value === "string" ? toIndexedText(value) : null;
}

/** `text` as PostgreSQL holds it, without U+0000; null when it is too long for an index. */
export function toIndexedText(text: string): string | null {
  if (text.length > longestIndexed || Buffer.byteLength(text) > mostIndexedBytes) return null;
  return text.replaceAll("\0", "");
}

export function isPersonName(value: JsonValue): value is JsonPersonName {
  return typeof value === "object" && value !== null;
}

/** `=Alphabetic=Ideographic=Phonetic=`, so that a pattern between two `=` matches one whole component group. */
export function toIndexedName({ Alphabetic = "", Ideographic = "", Phonetic = "" }: JsonPersonName): string | null {
  return toIndexedText(`=${Alphabetic}=${Ideographic}=${Phonetic}=`);
}

/** DA (PS3.5 6.2) as YYYY-MM-DD, also from the old form YYYY.MM.DD that PS3.5 asks readers to support. */
export function toDate(text: string): string | null {
  const parts = /^(\d{4})(\.?)(\d{2})\2(\d{2})$/.exec(text);
  if (!parts) return null;
  const [, year, , month, day] = parts;
  const date = new Date(`${year}-${month}-${day}T00:00:00Z`);
  if (Number.isNaN(date.getTime()) || date.getUTCDate() !== Number(day) || year === "0000") return null;
  return `${year}-${month}-${day}`;
}

/** TM (PS3.5 6.2) as HH:MM:SS.ffffff with missing parts 0, also from the old form HH:MM:SS. Second 60 becomes 59. */
export function toTime(text: string): string | null {
  const parts = /^(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?$/.exec(text);
  if (!parts) return null;
  const [, hour = "0", minute = "00", second = "00", fraction = "0"] = parts;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return null;
  const within = second === "60" ? "59" : second;
  return `${hour}:${minute}:${within}.${fraction.padEnd(6, "0")}`;
}
