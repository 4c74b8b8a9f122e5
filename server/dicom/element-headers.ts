/** Headers of elements and items as they are written (PS3.5 7.1.2, 7.1.3, 7.5). */
import type { ElementEncoding } from "./scan-levels.ts";
import { type VrRow, vrRow } from "./vr.ts";

const explicitLittleEndian: ElementEncoding = { explicitVr: true, littleEndian: true };

/** Length of a sequence or an item that ends by a delimitation item. */
export const undefinedLength = 0xffffffff;
export const item = 0xfffee000;
export const itemDelimitation = 0xfffee00d;
export const sequenceDelimitation = 0xfffee0dd;

/**
 * A header with explicit VR (PS3.5 7.1.2), or, when `encoding` says so, without (PS3.5 7.1.3). A value too long for the
 * 16 bits that its VR has for the length goes as UN (PS3.5 6.2.2), from which a reader gets the VR back by the dictionary.
 */
export function elementHeader(tag: number, row: VrRow, length: number, encoding = explicitLittleEndian): Buffer {
  const { explicitVr, littleEndian } = encoding;
  if (!explicitVr) return itemHeader(tag, length, littleEndian);
  if (!row.longLength && length > 0xffff) return elementHeader(tag, vrRow("UN"), length, encoding);
  const bytes = Buffer.alloc(row.longLength ? 12 : 8);
  writeTag(bytes, tag, littleEndian);
  bytes.write(row.vr, 4, "latin1");
  if (row.longLength) writeLength(bytes, length, 8, littleEndian);
  else if (littleEndian) bytes.writeUInt16LE(length, 6);
  else bytes.writeUInt16BE(length, 6);
  return bytes;
}

/** The header of an item or of a delimitation item (PS3.5 7.5). */
export function itemHeader(tag: number, length: number, littleEndian = true): Buffer {
  const bytes = Buffer.alloc(8);
  writeTag(bytes, tag, littleEndian);
  writeLength(bytes, length, 4, littleEndian);
  return bytes;
}

function writeTag(bytes: Buffer, tag: number, littleEndian: boolean): void {
  const [group, element] = [tag >>> 16, tag & 0xffff];
  if (littleEndian) {
    bytes.writeUInt16LE(group, 0);
    bytes.writeUInt16LE(element, 2);
    return;
  }
  bytes.writeUInt16BE(group, 0);
  bytes.writeUInt16BE(element, 2);
}

function writeLength(bytes: Buffer, length: number, at: number, littleEndian: boolean): void {
  if (littleEndian) bytes.writeUInt32LE(length, at);
  else bytes.writeUInt32BE(length, at);
}
