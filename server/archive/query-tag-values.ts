/** What a data set holds for query tags: strict to index, so that an ill-formed value is left out and named. */
import { inflateRawSync } from "node:zlib";
import type { QueryTagValues } from "../../storage/catalog-query-tag-values.ts";
import type { QueryTag } from "../../storage/catalog-query-tags.ts";
import { type DicomJson, isItem, type JsonAttribute, type JsonValue, toJsonValues } from "../dicom/json.ts";
import { isPersonName, toDate, toIndexedName, toIndexedText, toTime } from "./index-values.ts";

/** Values of one attribute of one instance that are indexed. */
const mostValues = 1000;
/** Characters of a value that could not be indexed that are kept. */
const longestShown = 64;

/** A value as the catalog compares it; null when it is ill-formed. */
type Canonical = (value: JsonValue, zone: string | undefined) => string | null;

/** By VR: those that can be a query tag (PS3.5 Table 6.2-1). Equal values become equal texts; dates and times sort. */
const canonicalOf: Readonly<Record<string, Canonical>> = {
  AE: toText,
  AS: toText,
  AT: toText,
  CS: toText,
  DA: (value) => (typeof value === "string" ? toDate(value) : null),
  DS: toNumber,
  DT: (value, zone) => (typeof value === "string" ? toMoment(value, zone) : null),
  FD: toNumber,
  FL: toNumber,
  IS: toNumber,
  LO: toText,
  LT: toText,
  PN: (value) => (isPersonName(value) ? toIndexedName(value) : null),
  SH: toText,
  SL: toNumber,
  SS: toNumber,
  ST: toText,
  SV: toNumber,
  TM: (value) => (typeof value === "string" ? toTime(value) : null),
  UC: toText,
  UI: toText,
  UL: toNumber,
  UR: toText,
  US: toNumber,
  UT: toText,
  UV: toNumber,
};

/** Whether values of `vr` can be searched. */
export function isSearchableVr(vr: string): boolean {
  return Object.hasOwn(canonicalOf, vr);
}

/** What the data set `json` holds for each tag; nothing for a tag that it does not have. */
export function tagValuesOf(json: DicomJson, tags: readonly QueryTag[]): QueryTagValues[] {
  return tags.flatMap((tag) => valuesOfTag(json, tag) ?? []);
}

/** The same of metadata as the catalog keeps it. Never throws. */
export function tagValuesOfMetadata(metadata: Buffer, tags: readonly QueryTag[]): QueryTagValues[] {
  try {
    const json: DicomJson = JSON.parse(inflateRawSync(metadata).toString("utf8"));
    return tagValuesOf(json, tags);
  } catch {
    const fault = { value: "", reason: "The stored metadata cannot be read." };
    return tags.map(({ id }) => ({ tagId: id, values: [], fault }));
  }
}

function valuesOfTag(json: DicomJson, { id, path, privateCreator, vr }: QueryTag): QueryTagValues | undefined {
  const found = attributesAt([json], path.split("."), privateCreator);
  if (found.length === 0) return undefined;
  const zone = zoneOf(json);
  const canonical = canonicalOf[vr];
  const values = new Set<string>();
  let fault: QueryTagValues["fault"];
  for (const attribute of found) {
    const raw = rawValues(attribute, vr);
    if (raw === undefined) fault ??= { value: "", reason: reasonOf(attribute, vr) };
    for (const value of raw ?? []) {
      if (value === null) continue;
      const text = canonical?.(value, zone) ?? null;
      if (text === null) fault ??= { value: shown(value), reason: `It is ill-formed for ${vr}, or too long.` };
      else if (values.size < mostValues) values.add(text);
      else fault ??= { value: shown(value), reason: `There are more than ${mostValues} values.` };
    }
  }
  if (values.size === 0 && !fault) return undefined;
  return { tagId: id, values: [...values], ...(fault && { fault }) };
}

/** The attributes at the end of a path: one an item of the sequences on the way. */
function attributesAt(dataSets: readonly DicomJson[], path: readonly string[], creator: string): JsonAttribute[] {
  const [step, ...rest] = path;
  if (step === undefined) return [];
  const found = dataSets.flatMap((json) => tagsOf(json, step, creator).flatMap((tag) => json[tag] ?? []));
  if (rest.length === 0) return found;
  const items = found.flatMap(({ vr, Value }) => (vr === "SQ" ? (Value ?? []).filter(isItem) : []));
  return attributesAt(items, rest, creator);
}

/** A private step is where the creator reserved a block in this very data set (PS3.5 7.8.1). */
function tagsOf(json: DicomJson, step: string, creator: string): string[] {
  if (!step.includes("x")) return [step];
  const [group, element] = step.split("xx");
  const tags: string[] = [];
  for (let block = 0x10; block <= 0xff; block += 1) {
    const digits = block.toString(16).toUpperCase();
    if (creatorOf(json[`${group}00${digits}`]) === creator) tags.push(`${group}${digits}${element}`);
  }
  return tags;
}

/** Of a block whose creator was stored as UN, too. */
function creatorOf(attribute: JsonAttribute | undefined): JsonValue | undefined {
  return attribute && rawValues(attribute, "LO")?.[0];
}

/** In a file of implicit VR a private element is UN: its bytes are read as the VR of the tag. */
function rawValues({ vr, Value, InlineBinary, BulkDataURI }: JsonAttribute, wanted: string): JsonValue[] | undefined {
  if (BulkDataURI !== undefined || vr === "SQ") return undefined;
  if (InlineBinary === undefined) return Value ?? [];
  return vr === "UN" ? toJsonValues(Buffer.from(InlineBinary, "base64"), wanted) : undefined;
}

function reasonOf({ vr, BulkDataURI }: JsonAttribute, wanted: string): string {
  return BulkDataURI === undefined ? `Its VR is ${vr} instead of ${wanted}.` : "It is too long.";
}

function shown(value: JsonValue): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  // Half a character is no text to PostgreSQL.
  return text.slice(0, longestShown).replaceAll("\0", "").toWellFormed();
}

function toText(value: JsonValue): string | null {
  if (typeof value === "number") return String(value);
  return typeof value === "string" ? toIndexedText(value) : null;
}

/** A number without needless digits; integers beyond what a double holds come as text, and stay exact. */
function toNumber(value: JsonValue): string | null {
  if (typeof value === "number") return String(value + 0);
  if (typeof value !== "string") return null;
  if (/^-?\d{1,20}$/.test(value)) return BigInt(value).toString();
  return /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(value) && Number.isFinite(Number(value))
    ? String(Number(value) + 0)
    : null;
}

const momentForm = /^(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?))?)?)?([+-]\d{4})?$/;

/** Timezone Offset From UTC (0008,0201) of a data set. */
function zoneOf(json: DicomJson): string | undefined {
  const zone = json["00080201"]?.Value?.[0];
  return typeof zone === "string" && /^[+-]\d{4}$/.test(zone) ? zone : undefined;
}

/**
 * DT (PS3.5 6.2) as `YYYY-MM-DD HH:MM:SS.ffffff`, with missing parts the first: as it is written, a space, the same in
 * UTC. Without an offset of its own it is in the `zone` (`+HHMM`) of its data set, else taken as UTC.
 */
function toMoment(text: string, zone: string | undefined): string | null {
  const parts = momentForm.exec(text);
  if (!parts) return null;
  const [, year = "", month = "01", day = "01", clock = "00", offset = zone ?? "+0000"] = parts;
  const date = toDate(year + month + day);
  const time = toTime(clock);
  if (date === null || time === null) return null;
  const [whole, fraction] = time.split(".");
  const minutes = Number(offset.slice(1, 3)) * 60 + Number(offset.slice(3));
  const utc = Date.parse(`${date}T${whole}Z`) - (offset.startsWith("-") ? -minutes : minutes) * 60_000;
  const [utcDate, utcTime = ""] = new Date(utc).toISOString().split("T");
  return `${date} ${time} ${utcDate} ${utcTime.slice(0, 8)}.${fraction}`;
}
