/** Reads the DICOM JSON Model (PS3.18 Annex F) that others write: checked, and brought into one form. */
import { ArchiveError } from "../errors.ts";
import { entryOfTag, tagLabel } from "./dictionary.ts";
import type { DicomJson, JsonAttribute, JsonPersonName, JsonValue } from "./json.ts";
import { type VrRow, vrs } from "./vr.ts";

/** Sequences within sequences; the scan of a file allows as many. */
export const deepest = 256;

/**
 * Objects and arrays, and values, of one text: in memory they take up to a hundred times the bytes of the text. Two
 * thousand instances of three hundred attributes have 1,200,000 objects and arrays.
 */
const mostContainers = 1_500_000;
const mostValues = 8_000_000;

/** Where an attribute stands: item `item` (from 1 on) of the sequence `tag`; item 0 is the data set itself. */
interface Place {
  readonly tag: number;
  readonly item: number;
  readonly depth: number;
  readonly tell: Tell;
}

/** Takes a sentence on what the model has otherwise, and was understood all the same; the same one may come again. */
export type Tell = (sentence: string) => void;

/** The place in words: nothing at the top. */
function wordsOf({ tag, item }: Place): string {
  return item === 0 ? "" : ` in item ${item} of ${tagLabel(tag)}`;
}

type Fields = Readonly<Record<string, unknown>>;

/** The error for an attribute that cannot be understood; its sentence names the attribute first. */
export function metadataFault(tag: number, fault: string, place = ""): ArchiveError {
  return new ArchiveError("malformed-metadata", `${tagLabel(tag)}${place} ${fault}.`);
}

/** Whether `value` is an object with fields. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @throws ArchiveError `invalid-request` for a text of JSON that would take too much memory and time as objects */
export function refuseTooManyValues(text: string): void {
  if (text.length < mostContainers) return;
  let containers = 0;
  let commas = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === comma) commas += 1;
    else if (code === openBrace || code === openBracket) containers += 1;
  }
  if (containers <= mostContainers && commas <= mostValues) return;
  throw new ArchiveError(
    "invalid-request",
    `The JSON holds more than ${mostContainers} objects and arrays, or ${mostValues} values.`,
  );
}

const comma = 0x2c;
const openBracket = 0x5b;
const openBrace = 0x7b;

/**
 * The documents of an application/dicom+json body: an array of data sets (PS3.18 F.2), or one data set, which some
 * clients send. What they hold is not looked at. @throws ArchiveError `invalid-request` when the text is not JSON
 */
export function parseJsonDocuments(text: string): readonly unknown[] {
  refuseTooManyValues(text);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (cause) {
    throw new ArchiveError("invalid-request", "The application/dicom+json metadata is not JSON.", { cause });
  }
  return Array.isArray(parsed) ? parsed : [parsed];
}

/**
 * A data set of the model: tags in upper case, numbers of binary VRs as numbers (PS3.18 F.2.3 lets them be strings),
 * names as objects, a missing `vr` from the dictionary. What text VRs hold is not judged: that is for the index.
 * @throws ArchiveError `malformed-metadata`, naming the attribute and the item it is in
 */
export function readDataSet(value: unknown, tell: Tell = () => undefined): DicomJson {
  return dataSet(value, { tag: 0, item: 0, depth: 0, tell });
}

function dataSet(value: unknown, place: Place): DicomJson {
  if (!isFields(value)) throw new ArchiveError("malformed-metadata", `The metadata${wordsOf(place)} is not an object.`);
  const read: DicomJson = {};
  for (const [key, attribute] of Object.entries(value)) {
    if (!/^[0-9A-Fa-f]{8}$/.test(key)) {
      const shown = JSON.stringify(key.slice(0, 32));
      throw new ArchiveError(
        "malformed-metadata",
        `${shown}${wordsOf(place)} is not a tag of eight hexadecimal digits.`,
      );
    }
    const tag = key.toUpperCase();
    const number = Number.parseInt(tag, 16);
    if (read[tag]) throw metadataFault(number, "is there twice", wordsOf(place));
    read[tag] = readAttribute(number, attribute, place);
  }
  return read;
}

function readAttribute(tag: number, given: unknown, place: Place): JsonAttribute {
  const refuse = (fault: string) => metadataFault(tag, fault, wordsOf(place));
  if (!isFields(given)) throw refuse("is not an object with a vr");
  const vr = given["vr"] ?? entryOfTag(tag)?.vr;
  const row = typeof vr === "string" ? vrs.get(vr) : undefined;
  if (!row) throw refuse(vr === undefined ? "has no vr" : "has a vr that is none of PS3.5");
  const { Value: values, InlineBinary: inline, BulkDataURI: uri } = given;
  const forms = [values, inline, uri].filter((form) => form !== undefined && form !== null);
  if (forms.length > 1) throw refuse("has more than one of Value, InlineBinary and BulkDataURI");
  if (forms.length === 0) return { vr: row.vr };
  if (typeof uri === "string" && uri !== "" && row.kind !== "sequence") return { vr: row.vr, BulkDataURI: uri };
  if (uri !== undefined && uri !== null) throw refuse("has a BulkDataURI that cannot be one");
  if (inline !== undefined && inline !== null) return { vr: row.vr, ...inlineBinary(inline, row, refuse) };
  if (!Array.isArray(values)) throw refuse("has a Value that is not an array");
  if (row.kind === "binary" && values.length > 0) throw refuse(`has a Value, and VR ${row.vr} takes InlineBinary`);
  if (row.kind === "name" && values.some((value) => typeof value === "string")) place.tell(nameAsText(tag));
  const read = values.map((value, index) => readValue(value, row, refuse, () => inside(tag, index, place, refuse)));
  return read.length === 0 ? { vr: row.vr } : { vr: row.vr, Value: read };
}

type Refuse = (fault: string) => ArchiveError;

function inside(tag: number, index: number, place: Place, refuse: Refuse): Place {
  if (place.depth >= deepest) throw refuse(`is nested more than ${deepest} deep`);
  return { tag, item: index + 1, depth: place.depth + 1, tell: place.tell };
}

/** PS3.18 F.2.7: base64; line breaks, which some encoders put in, are let pass. */
function inlineBinary(text: unknown, row: VrRow, refuse: Refuse): { InlineBinary?: string } {
  if (row.kind !== "binary") throw refuse(`has an InlineBinary, which VR ${row.vr} does not take`);
  const base64 = typeof text === "string" ? text.replaceAll(/\s+/g, "") : undefined;
  if (base64 === undefined || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64) || base64.length % 4 !== 0) {
    throw refuse("has an InlineBinary that is not base64");
  }
  return base64 === "" ? {} : { InlineBinary: base64 };
}

function readValue(value: unknown, row: VrRow, refuse: Refuse, item: () => Place): JsonValue {
  if (row.kind === "sequence") return value === null ? {} : dataSet(value, item());
  if (value === null) return null;
  if (row.kind === "name") return personName(value, refuse);
  if (row.kind === "number") return numberOf(value, row, refuse);
  if ((row.kind === "decimal" || row.kind === "integer") && typeof value === "number") {
    const isWritable = row.kind === "decimal" ? Number.isFinite(value) : isIntegerString(value);
    if (isWritable) return value;
    throw refuse(`holds ${value}, which is no ${row.vr}`);
  }
  if (typeof value !== "string") throw refuse(`holds a ${typeof value} where VR ${row.vr} takes a string`);
  if (row.kind === "tag" && !/^[0-9A-Fa-f]{8}$/.test(value)) throw refuse("holds a value that is not a tag");
  if (row.splits && value.includes("\\")) throw refuse("holds a backslash, which parts values");
  return row.kind === "tag" ? value.toUpperCase() : value;
}

/** An IS has 12 characters at most (PS3.5 Table 6.2-1), and no exponent. */
function isIntegerString(value: number): boolean {
  return Number.isInteger(value) && /^-?\d{1,11}$|^\d{12}$/.test(`${value}`);
}

const nameGroups = ["Alphabetic", "Ideographic", "Phonetic"] as const;

function nameAsText(tag: number): string {
  return `${tagLabel(tag)} holds a name as one text; the model has an object with its component groups (PS3.18 F.2.2).`;
}

/** PS3.18 F.2.2; some clients write the name as one string, its groups parted by `=` (PS3.5 6.2.1). */
function personName(value: unknown, refuse: Refuse): JsonPersonName | null {
  const groups = typeof value === "string" ? value.split("=") : undefined;
  if (groups && groups.length > nameGroups.length) throw refuse("holds a name of more than three component groups");
  if (!groups && !isFields(value)) throw refuse("holds a name that is not an object");
  const name: JsonPersonName = {};
  nameGroups.forEach((group, index) => {
    const text = groups ? groups[index] : isFields(value) ? value[group] : undefined;
    if (text === undefined || text === null || text === "") return;
    if (typeof text !== "string" || /[\\=]/.test(text)) throw refuse(`holds a name whose ${group} group is malformed`);
    name[group] = text;
  });
  return Object.keys(name).length === 0 ? null : name;
}

/** Least and greatest value of each integer VR (PS3.5 Table 6.2-1). */
const ranges: Readonly<Record<string, readonly [least: bigint, greatest: bigint]>> = {
  US: [0n, 0xffffn],
  SS: [-0x8000n, 0x7fffn],
  UL: [0n, 0xffffffffn],
  SL: [-0x80000000n, 0x7fffffffn],
  UV: [0n, 2n ** 64n - 1n],
  SV: [-(2n ** 63n), 2n ** 63n - 1n],
};

/** How numbers that JSON cannot hold are written (PS3.18 F.2.3, and XML Schema's spelling), and as we write them. */
const notFinite: ReadonlyMap<string, string> = new Map([
  ["nan", "NaN"],
  ["inf", "inf"],
  ["+inf", "inf"],
  ["infinity", "inf"],
  ["-inf", "-inf"],
  ["-infinity", "-inf"],
]);

function numberOf(value: unknown, row: VrRow, refuse: Refuse): number | string {
  const range = ranges[row.vr];
  const text = typeof value === "number" ? `${value}` : typeof value === "string" ? value.trim() : "";
  if (!range) {
    const special = notFinite.get(text.toLowerCase());
    if (special !== undefined) return special;
    if (!/^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(text)) throw refuse("holds a value that is not a number");
    const number = Number(text);
    const isHeld = Number.isFinite(row.vr === "FL" ? Math.fround(number) : number);
    if (!isHeld) throw refuse(`holds ${text.slice(0, 32)}, which VR ${row.vr} cannot`);
    return number;
  }
  const whole = typeof value === "number" ? Number.isInteger(value) : /^[+-]?\d{1,20}$/.test(text);
  if (!whole) throw refuse("holds a value that is not an integer");
  const integer = BigInt(typeof value === "number" ? value : text.replace(/^\+/, ""));
  if (integer < range[0] || integer > range[1]) throw refuse(`holds ${integer}, which VR ${row.vr} cannot`);
  return Number.isSafeInteger(Number(integer)) ? Number(integer) : `${integer}`;
}
