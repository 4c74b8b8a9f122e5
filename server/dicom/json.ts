/** The DICOM JSON Model (PS3.18 Annex F) of a scanned data set, and the table of its bulk data. */
import { createTextDecoder, type DicomTextDecoder } from "./charset.ts";
import { type DataElement, type DataSet, type Segment, withoutPadding } from "./data-set.ts";
import { tagHex } from "./dictionary.ts";
import { swapped, type VrRow, vrRow, vrs } from "./vr.ts";

/** A person name of the model (PS3.18 F.2.2). */
export interface JsonPersonName {
  Alphabetic?: string;
  Ideographic?: string;
  Phonetic?: string;
}

/** One value of the model; null stands for an empty one among several (PS3.18 F.2.5). */
export type JsonValue = string | number | null | JsonPersonName | DicomJson;

/** One attribute of the model; at most one of Value, InlineBinary and BulkDataURI (PS3.18 F.2.2). */
export interface JsonAttribute {
  vr: string;
  Value?: JsonValue[];
  InlineBinary?: string;
  BulkDataURI?: string;
}

/** A data set of the model: attributes by tag, eight upper-case hexadecimal digits. Written by `toJsonText`. */
export interface DicomJson {
  [tag: string]: JsonAttribute;
}

/** Whether a value of a sequence (SQ) is an item, as it must be; of other VRs only names (PN) are objects. */
export function isItem(value: unknown): value is DicomJson {
  return typeof value === "object" && value !== null;
}

/** Where a value that is not inline lies in the file. */
export interface BulkDataEntry {
  readonly segments: readonly Segment[];
  /** Bytes of one number that must be swapped to give little endian (PS3.18 8.7.3.3); 1 when none. */
  readonly swapWidth: 1 | 2 | 4 | 8;
}

/** Bulk data by path: the tag, or tag/item/tag... with items counted from 1. */
export type BulkDataTable = Record<string, BulkDataEntry>;

export interface JsonOptions {
  /** The BulkDataURI of a path. */
  readonly bulkDataUri: (path: string) => string;
}

export interface JsonResult {
  readonly json: DicomJson;
  readonly bulkData: BulkDataTable;
  /** Terms of Specific Character Set (0008,0005) that PS3.3 does not define. */
  readonly unknownTerms: readonly string[];
}

const specificCharacterSet = 0x00080005;
const dataSetTrailingPadding = 0xfffcfffc;

interface Context {
  readonly options: JsonOptions;
  readonly bulkData: BulkDataTable;
  readonly unknownTerms: Set<string>;
}

/** The model of `dataSet`. Text comes out as Unicode; values that are ill-formed for their VR come out as strings. */
export function toDicomJson(dataSet: DataSet, options: JsonOptions): JsonResult {
  const context: Context = { options, bulkData: {}, unknownTerms: new Set() };
  const json = convert(dataSet, createTextDecoder([]), "", context);
  return { json, bulkData: context.bulkData, unknownTerms: [...context.unknownTerms] };
}

/** A data set of the model, also one that came out of the catalog. */
type WritableJson = Readonly<Record<string, { readonly vr: string; readonly Value?: readonly unknown[] }>>;

/**
 * The model as JSON text, its attributes in ascending order (PS3.18 F.2.2): JavaScript puts those whose tag has no
 * letter and no leading zero before all others.
 */
export function toJsonText(json: WritableJson): string {
  const attributes = Object.keys(json)
    .sort()
    .map((tag) => `"${tag}":${attributeText(json[tag])}`);
  return `{${attributes.join(",")}}`;
}

/** The model that `toJsonText` wrote as `text`. Not for texts of clients: their attributes are not checked. */
export function parseJsonText(text: string): DicomJson {
  return ownJson(JSON.parse(text));
}

/** A data set that Noctis wrote itself, as it came out of the catalog: not checked again. */
export function ownJson(value: unknown): DicomJson {
  if (isOwnModel(value)) return value;
  throw new TypeError("the stored metadata is no data set");
}

function isOwnModel(value: unknown): value is DicomJson {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function attributeText(written: WritableJson[string] | undefined): string {
  if (written?.vr !== "SQ" || !written.Value) return JSON.stringify(written);
  const items = written.Value.map((item) => (isDataSet(item) ? toJsonText(item) : JSON.stringify(item)));
  return `{"vr":"SQ","Value":[${items.join(",")}]}`;
}

function isDataSet(value: unknown): value is WritableJson {
  return typeof value === "object" && value !== null;
}

function convert(dataSet: DataSet, inherited: DicomTextDecoder, path: string, context: Context): DicomJson {
  const decoder = decoderOf(dataSet, inherited, context);
  const json: DicomJson = {};
  const ascending = dataSet.elements.toSorted((one, other) => one.tag - other.tag);
  for (const element of ascending) {
    // Group lengths are no part of the model (PS3.18 F.2.2); trailing padding means nothing (PS3.10 7.2).
    if ((element.tag & 0xffff) === 0 || element.tag === dataSetTrailingPadding) continue;
    const tag = tagHex(element.tag);
    // The text comes out as UTF-8, so that is the character set, also of items that name one of their own.
    if (element.tag === specificCharacterSet) json[tag] = { vr: "CS", Value: ["ISO_IR 192"] };
    else json[tag] = attribute(element, dataSet.littleEndian, decoder, path + tag, context);
  }
  return json;
}

/** An item without Specific Character Set has that of the data set around it (PS3.3 C.12.1.1.2). */
function decoderOf(dataSet: DataSet, inherited: DicomTextDecoder, context: Context): DicomTextDecoder {
  const element = dataSet.elements.find(({ tag }) => tag === specificCharacterSet);
  if (!element?.value) return inherited;
  const text = withoutPadding(element.value.toString("latin1"));
  const decoder = createTextDecoder(text.split("\\").map((term) => term.trim()));
  for (const term of decoder.unknownTerms) context.unknownTerms.add(term);
  return decoder;
}

function attribute(
  element: DataElement,
  littleEndian: boolean,
  decoder: DicomTextDecoder,
  path: string,
  context: Context,
): JsonAttribute {
  // A VR outside PS3.5 has no meaning for a reader of the model.
  const vr = vrs.has(element.vr) ? element.vr : "UN";
  const row = vrRow(vr);
  if (element.items) return sequence(element.items, decoder, path, context);
  if (element.segments) {
    context.bulkData[path] = { segments: element.segments, swapWidth: littleEndian ? 1 : row.width };
    return { vr, BulkDataURI: context.options.bulkDataUri(path) };
  }
  const value = element.value;
  if (!value?.length) return { vr };
  const bytes = littleEndian || row.width === 1 ? value : swapped(value, row.width);
  if (row.kind === "binary") return { vr, InlineBinary: bytes.toString("base64") };
  const values = valuesOf(bytes, row, decoder);
  return values.length === 0 ? { vr } : { vr, Value: values };
}

function sequence(items: readonly DataSet[], decoder: DicomTextDecoder, path: string, context: Context): JsonAttribute {
  if (items.length === 0) return { vr: "SQ" };
  const values = items.map((item, index) => convert(item, decoder, `${path}/${index + 1}/`, context));
  return { vr: "SQ", Value: values };
}

/** The values that `bytes` (little endian, text in UTF-8) are as a value of `vr`: for one that was stored as UN. */
export function toJsonValues(bytes: Buffer, vr: string): JsonValue[] {
  return valuesOf(bytes, vrRow(vr), createTextDecoder(["ISO_IR 192"]));
}

function valuesOf(bytes: Buffer, row: VrRow, decoder: DicomTextDecoder): JsonValue[] {
  if (row.kind === "number") return numbers(bytes, row);
  if (row.kind === "tag") return attributeTags(bytes);
  const text = row.localised ? decoder.decode(bytes, row.vr) : bytes.toString("latin1");
  const parts = row.splits ? text.split("\\") : [text];
  const values = parts.map((part) => textValue(part, row));
  return values.every((value) => value === null) ? [] : values;
}

function textValue(part: string, row: VrRow): JsonValue {
  // Leading blanks mean something in long text only (PS3.5 Table 6.2-1).
  const trimmed = row.kind === "longText" ? withoutPadding(part) : withoutPadding(part).replace(/^ +/, "");
  if (trimmed === "") return null;
  if (row.kind === "name") return personName(trimmed);
  if (row.kind === "decimal") return decimal(trimmed);
  return row.kind === "integer" ? integer(trimmed) : trimmed;
}

/** The least number of full precision; those below it have fewer digits. */
const leastExact = 2 ** -1022;

/** DS as a number (PS3.18 F.2.3.1); what JSON numbers cannot hold exactly, or is no DS, stays a string. */
function decimal(text: string): string | number {
  if (!/^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(text)) return text;
  const value = Number(text);
  const digits = text
    .replace(/[eE].*$/, "")
    .replace(/\D/g, "")
    .replace(/^0+/, "").length;
  const inRange = digits === 0 || (Math.abs(value) >= leastExact && Number.isFinite(value));
  return inRange && digits <= 15 ? value : text;
}

function integer(text: string): string | number {
  if (!/^[+-]?\d+$/.test(text)) return text;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value + 0 : text;
}

/** PS3.5 6.2.1: up to three component groups between `=`. */
function personName(text: string): JsonPersonName | null {
  const [alphabetic, ideographic, phonetic] = text.split("=").map((group) => group.trim());
  const name: JsonPersonName = {};
  if (alphabetic) name.Alphabetic = alphabetic;
  if (ideographic) name.Ideographic = ideographic;
  if (phonetic) name.Phonetic = phonetic;
  return Object.keys(name).length === 0 ? null : name;
}

function attributeTags(bytes: Buffer): string[] {
  const tags: string[] = [];
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    tags.push(tagHex(bytes.readUInt16LE(at) * 0x10000 + bytes.readUInt16LE(at + 2)));
  }
  return tags;
}

/** How each numeric VR is read from little endian bytes (PS3.5 6.2). */
const readers: Readonly<Record<string, (bytes: Buffer, at: number) => number | string>> = {
  US: (bytes, at) => bytes.readUInt16LE(at),
  SS: (bytes, at) => bytes.readInt16LE(at),
  UL: (bytes, at) => bytes.readUInt32LE(at),
  SL: (bytes, at) => bytes.readInt32LE(at),
  UV: (bytes, at) => safe(bytes.readBigUInt64LE(at)),
  SV: (bytes, at) => safe(bytes.readBigInt64LE(at)),
  FL: (bytes, at) => float(bytes.readFloatLE(at)),
  FD: (bytes, at) => float(bytes.readDoubleLE(at)),
};

function numbers(bytes: Buffer, row: VrRow): JsonValue[] {
  const read = readers[row.vr];
  const values: JsonValue[] = [];
  if (!read) return values;
  for (let at = 0; at + row.width <= bytes.length; at += row.width) values.push(read(bytes, at));
  return values;
}

/** 64-bit integers beyond 2^53 are strings (PS3.18 F.2.3: SV and UV may be either). */
function safe(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

/** JSON has no NaN and no infinity: PS3.18 F.2.3 writes them as strings. */
function float(value: number): number | string {
  if (Number.isFinite(value)) return value;
  return Number.isNaN(value) ? "NaN" : value > 0 ? "inf" : "-inf";
}
