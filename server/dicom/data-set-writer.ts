/** Writes a small data set of the DICOM JSON Model in any native transfer syntax and character set (PS3.5 7.1). */
import type { DicomTextEncoder } from "./charset-encode.ts";
import { type DicomJson, isItem, type JsonAttribute, type JsonValue } from "./json.ts";
import type { ElementEncoding } from "./scan-levels.ts";
import { padded, textOfValues, valueField } from "./value-writer.ts";
import { swapped, type VrRow, vrRow } from "./vr.ts";

const specificCharacterSet = "00080005";
const item = 0xfffee000;
const empty = Buffer.alloc(0);

/**
 * The bytes of `json`, its text by `encode`, whose character set stands in `json`; undefined when that lacks a character.
 * Bulk data is written empty, sequences and items with their length, and no group length.
 * @throws ArchiveError `malformed-metadata` for a value that its VR cannot hold
 */
export function writtenDataSet(
  json: DicomJson,
  encoding: ElementEncoding,
  encode: DicomTextEncoder,
): Buffer | undefined {
  const writer = new DataSetWriter(encoding, encode);
  return writer.dataSet(json, true) ? writer.bytes() : undefined;
}

class DataSetWriter {
  readonly #syntax: ElementEncoding;
  readonly #encode: DicomTextEncoder;
  readonly #pieces: Buffer[] = [];

  constructor(syntax: ElementEncoding, encode: DicomTextEncoder) {
    this.#syntax = syntax;
    this.#encode = encode;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  /** Whether the character set has every character; what is written of others is of no use. */
  dataSet(json: DicomJson, top: boolean): boolean {
    for (const tag of Object.keys(json).sort()) {
      const attribute = json[tag];
      const number = Number.parseInt(tag, 16);
      if (!attribute || isLeftOut(number) || (!top && tag === specificCharacterSet)) continue;
      const value = attribute.vr === "SQ" ? this.#items(attribute.Value ?? []) : this.#value(number, attribute);
      if (value === undefined) return false;
      this.#pieces.push(this.#header(number, vrRow(attribute.vr), value.length), value);
    }
    return true;
  }

  #items(values: readonly JsonValue[]): Buffer | undefined {
    const pieces: Buffer[] = [];
    for (const value of values) {
      const writer = new DataSetWriter(this.#syntax, this.#encode);
      if (isItem(value) && !writer.dataSet(value, false)) return undefined;
      const bytes = writer.bytes();
      pieces.push(this.#tagAndLength(item, bytes.length), bytes);
    }
    return Buffer.concat(pieces);
  }

  #value(tag: number, attribute: JsonAttribute): Buffer | undefined {
    const row = vrRow(attribute.vr);
    if (!row.localised) {
      const bytes = valueField(tag, attribute);
      return this.#syntax.littleEndian || row.width === 1 ? bytes : swapped(bytes, row.width);
    }
    const bytes = attribute.Value?.length ? this.#encode(textOfValues(attribute.Value), row.vr) : empty;
    return bytes && padded(bytes, row);
  }

  /** PS3.5 7.1.2, 7.1.3. A value too long for the length of its VR goes as UN (PS3.5 6.2.2). */
  #header(tag: number, row: VrRow, length: number): Buffer {
    if (!this.#syntax.explicitVr) return this.#tagAndLength(tag, length);
    if (!row.longLength && length > 0xffff) return this.#header(tag, vrRow("UN"), length);
    const bytes = Buffer.alloc(row.longLength ? 12 : 8);
    this.#writeTag(bytes, tag);
    bytes.write(row.vr, 4, "latin1");
    if (row.longLength) this.#writeLong(bytes, length, 8);
    else if (this.#syntax.littleEndian) bytes.writeUInt16LE(length, 6);
    else bytes.writeUInt16BE(length, 6);
    return bytes;
  }

  #tagAndLength(tag: number, length: number): Buffer {
    const bytes = Buffer.alloc(8);
    this.#writeTag(bytes, tag);
    this.#writeLong(bytes, length, 4);
    return bytes;
  }

  #writeLong(bytes: Buffer, length: number, at: number): void {
    if (this.#syntax.littleEndian) bytes.writeUInt32LE(length, at);
    else bytes.writeUInt32BE(length, at);
  }

  #writeTag(bytes: Buffer, tag: number): void {
    if (this.#syntax.littleEndian) {
      bytes.writeUInt16LE(tag >>> 16);
      bytes.writeUInt16LE(tag & 0xffff, 2);
    } else bytes.writeUInt32BE(tag);
  }
}

/** Group lengths, and what is no part of a data set. */
function isLeftOut(tag: number): boolean {
  const group = tag >>> 16;
  return (tag & 0xffff) === 0 || group === 0 || group === 2 || group === 0xfffe;
}
