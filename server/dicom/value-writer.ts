/** Writes values of the DICOM JSON Model as the value fields of a file: little endian, text in UTF-8 (PS3.5 6.2). */
import { metadataFault } from "./json-reader.ts";
import type { JsonAttribute, JsonPersonName, JsonValue } from "./json.ts";
import { type VrRow, vrRow } from "./vr.ts";

const empty = Buffer.alloc(0);

/** How each numeric VR is written (PS3.5 Table 6.2-1). */
const writers: Readonly<Record<string, (bytes: Buffer, value: number | string, at: number) => number>> = {
  US: (bytes, value, at) => bytes.writeUInt16LE(Number(value), at),
  SS: (bytes, value, at) => bytes.writeInt16LE(Number(value), at),
  UL: (bytes, value, at) => bytes.writeUInt32LE(Number(value), at),
  SL: (bytes, value, at) => bytes.writeInt32LE(Number(value), at),
  UV: (bytes, value, at) => bytes.writeBigUInt64LE(BigInt(value), at),
  SV: (bytes, value, at) => bytes.writeBigInt64LE(BigInt(value), at),
  FL: (bytes, value, at) => bytes.writeFloatLE(toFloat(value), at),
  FD: (bytes, value, at) => bytes.writeDoubleLE(toFloat(value), at),
};

/**
 * The value field of `attribute`, padded to even length; of one that `readDataSet` gave, and no sequence.
 * @throws ArchiveError `malformed-metadata`
 */
export function valueField(tag: number, attribute: JsonAttribute): Buffer {
  const row = vrRow(attribute.vr);
  if (attribute.InlineBinary !== undefined) return padded(Buffer.from(attribute.InlineBinary, "base64"), row);
  const values = attribute.Value ?? [];
  if (values.length === 0) return empty;
  if (row.kind === "number") return numbers(tag, values, row);
  if (row.kind === "tag") return attributeTags(values);
  if (!row.splits && values.length > 1) throw metadataFault(tag, `holds ${values.length} values, and VR ${row.vr} one`);
  return padded(Buffer.from(textOfValues(values), "utf8"), row);
}

/** The text of a value field, its values joined by backslash (PS3.5 6.4). */
export function textOfValues(values: readonly JsonValue[]): string {
  return values.length === 1 ? textOf(values[0] ?? null) : values.map((value) => textOf(value)).join("\\");
}

/** `bytes` with the padding of the VR when their length is odd (PS3.5 6.2): NUL for UIDs and binary, else a blank. */
export function padded(bytes: Buffer, row: VrRow): Buffer {
  return bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, paddingOf(row)]);
}

/** One byte of padding. */
export function paddingOf({ vr, kind }: VrRow): Buffer {
  return Buffer.from(kind === "binary" || vr === "UI" ? "\0" : " ");
}

function textOf(value: JsonValue): string {
  if (value === null) return "";
  if (typeof value === "string") return value;
  return typeof value === "number" ? decimalString(value) : nameOf(value);
}

/** PS3.5 6.2.1: groups parted by `=`, those missing at the end left out. */
function nameOf(name: JsonPersonName): string {
  const groups = [name.Alphabetic, name.Ideographic, name.Phonetic];
  return groups
    .map((group) => group ?? "")
    .join("=")
    .replace(/=+$/, "");
}

/** A DS has 16 characters at most (PS3.5 Table 6.2-1): as many digits as fit. */
function decimalString(value: number): string {
  const shortest = `${value}`;
  if (shortest.length <= 16) return shortest;
  for (let digits = 15; digits > 1; digits -= 1) {
    const text = `${Number(value.toPrecision(digits))}`;
    if (text.length <= 16) return text;
  }
  return `${Number(value.toPrecision(1))}`;
}

function numbers(tag: number, values: readonly JsonValue[], row: VrRow): Buffer {
  const write = writers[row.vr];
  const bytes = Buffer.alloc(values.length * row.width);
  values.forEach((value, index) => {
    if (value === null || typeof value === "object") throw metadataFault(tag, "holds an empty value among numbers");
    write?.(bytes, value, index * row.width);
  });
  return bytes;
}

function attributeTags(values: readonly JsonValue[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => {
    const tag = typeof value === "string" ? Number.parseInt(value, 16) : 0;
    bytes.writeUInt16LE(tag >>> 16, index * 4);
    bytes.writeUInt16LE(tag & 0xffff, index * 4 + 2);
  });
  return bytes;
}

function toFloat(value: number | string): number {
  if (value === "inf") return Infinity;
  return value === "-inf" ? -Infinity : Number(value);
}
