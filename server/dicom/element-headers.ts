/** Headers of elements and items as they are written: explicit VR little endian (PS3.5 7.1.2, 7.5). */
import { type VrRow, vrRow } from "./vr.ts";

/** Length of a sequence or an item that ends by a delimitation item. */
export const undefinedLength = 0xffffffff;
export const item = 0xfffee000;
export const itemDelimitation = 0xfffee00d;
export const sequenceDelimitation = 0xfffee0dd;

/**
 * An explicit VR header (PS3.5 7.1.2). A value too long for the 16 bits that its VR has for the length goes as UN
 * (PS3.5 6.2.2), from which a reader gets the VR back by the dictionary.
 */
export function elementHeader(tag: number, row: VrRow, length: number): Buffer {
  if (!row.longLength && length > 0xffff) return elementHeader(tag, vrRow("UN"), length);
  const bytes = Buffer.alloc(row.longLength ? 12 : 8);
  bytes.writeUInt16LE(tag >>> 16, 0);
  bytes.writeUInt16LE(tag & 0xffff, 2);
  bytes.write(row.vr, 4, "latin1");
  if (row.longLength) bytes.writeUInt32LE(length, 8);
  else bytes.writeUInt16LE(length, 6);
  return bytes;
}

/** The header of an item or of a delimitation item (PS3.5 7.5). */
export function itemHeader(tag: number, length: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(tag >>> 16, 0);
  bytes.writeUInt16LE(tag & 0xffff, 2);
  bytes.writeUInt32LE(length, 4);
  return bytes;
}
