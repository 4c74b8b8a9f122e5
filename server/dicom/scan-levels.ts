/** The levels of a scan in progress (data set, sequence, fragments) and how their headers are read. */
import { ArchiveError } from "../errors.ts";
import type { DataElement, DataSet, PixelData, Segment } from "./data-set.ts";

/** How the elements of a data set are encoded (PS3.5 7.1). */
export interface ElementEncoding {
  readonly explicitVr: boolean;
  readonly littleEndian: boolean;
}

/** What the kinds of levels have in common. */
export interface Level {
  /** Offset just past this level; Infinity when its length is undefined. */
  readonly end: number;
  /** The nearest end of this level and those around it. */
  readonly bound: number;
  readonly encoding: ElementEncoding;
}

/** A data set: the one of the file, or an item. */
export interface DataSetLevel extends Level {
  readonly kind: "dataSet";
  readonly elements: DataElement[];
  signed: boolean;
  lastTag: number;
  /** The tags so far, from the first element on that is not in order. */
  seen?: Set<number>;
}

/** A sequence, between its items. */
export interface SequenceLevel extends Level {
  readonly kind: "sequence";
  readonly tag: number;
  readonly items: DataSet[];
}

/** An encapsulated value (PS3.5 A.4), between its fragments. */
export interface FragmentsLevel extends Level {
  readonly kind: "fragments";
  readonly tag: number;
  readonly vr: string;
  basicOffsetTable: number[] | undefined;
  readonly fragments: Segment[];
  readonly fragmentStarts: number[];
}

/** A data set without elements yet. */
export function dataSetLevel(encoding: ElementEncoding, end: number, bound: number): DataSetLevel {
  return { kind: "dataSet", end, bound, encoding, elements: [], signed: false, lastTag: -1 };
}

/** Where the pixel data ends; an encapsulated one is known only once it has been read to its end. */
export function endOf(pixels: PixelData): number {
  return pixels.kind === "native" ? pixels.offset + pixels.length : 0;
}

/** The tag at the beginning of `bytes`. */
export function readTag(bytes: Buffer, littleEndian: boolean): number {
  const group = littleEndian ? bytes.readUInt16LE(0) : bytes.readUInt16BE(0);
  return group * 0x10000 + (littleEndian ? bytes.readUInt16LE(2) : bytes.readUInt16BE(2));
}

/** Tag and length of an item or a delimitation (PS3.5 7.5). */
export function itemHeader(bytes: Buffer, littleEndian: boolean): { tag: number; length: number } {
  return {
    tag: readTag(bytes, littleEndian),
    length: littleEndian ? bytes.readUInt32LE(4) : bytes.readUInt32BE(4),
  };
}

/** The error of a data set that breaks the rules of PS3.5 7. */
export function malformed(message: string): ArchiveError {
  return new ArchiveError("malformed-dicom", message);
}
