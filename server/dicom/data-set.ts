/** Data sets as the scanner leaves them: elements with their place in the file and, where short enough, their bytes. */

/** A run of bytes of the file: offset from its first byte, and length, both in bytes. */
export interface Segment {
  readonly offset: number;
  readonly length: number;
}

/** One element of a data set (PS3.5 7.1). Exactly one of `value`, `items` and `segments` is there. */
export interface DataElement {
  readonly tag: number;
  readonly vr: string;
  /** The value field, when it is short enough to be kept (see `limits.ts`). */
  readonly value?: Buffer;
  /** The items of a sequence. */
  readonly items?: readonly DataSet[];
  /** Where the value lies in the file when it was not kept: one segment, or one a fragment when encapsulated. */
  readonly segments?: readonly Segment[];
  /** Whether it is encapsulated (PS3.5 A.4): `segments` are its fragments. */
  readonly encapsulated?: true;
}

/** Elements in the order of the file, and how their values are encoded. */
export interface DataSet {
  readonly elements: readonly DataElement[];
  readonly littleEndian: boolean;
}

/** Encapsulated pixel data (PS3.5 A.4). */
export interface Encapsulation {
  /** The Basic Offset Table: offsets from the first fragment's item tag; empty when the file has none. */
  readonly basicOffsetTable: readonly number[];
  /** Value bytes of each fragment. */
  readonly fragments: readonly Segment[];
  /** For each fragment, its first two bytes as a big-endian number (0 when shorter): tells where a frame begins. */
  readonly fragmentStarts: readonly number[];
  /** The file ends behind a fragment, without the delimitation: more may have followed. */
  readonly undelimited?: true;
}

/** The Pixel Data, Float Pixel Data or Double Float Pixel Data of the top level (PS3.3 C.7.6.3). */
export type PixelData =
  | { readonly tag: number; readonly kind: "native"; readonly offset: number; readonly length: number }
  | ({ readonly tag: number; readonly kind: "encapsulated" } & Encapsulation);

/** The element of `tag`; the first one when a file has it twice. */
export function elementOf(dataSet: DataSet, tag: number): DataElement | undefined {
  return dataSet.elements.find((element) => element.tag === tag);
}

/** `text` without the blanks and NULs at its end (PS3.5 6.2), in time linear in its length. */
export function withoutPadding(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === " " || text[end - 1] === "\0")) end -= 1;
  return text.slice(0, end);
}

/** The value of a short text element without padding, undefined when absent or empty. For UIDs and codes. */
export function textOf(dataSet: DataSet, tag: number): string | undefined {
  const value = elementOf(dataSet, tag)?.value;
  if (!value) return undefined;
  return withoutPadding(value.toString("latin1")).trimStart() || undefined;
}

/** The first value of an IS or US element as a whole number, undefined when absent or ill-formed. */
export function integerOf(dataSet: DataSet, tag: number): number | undefined {
  const element = elementOf(dataSet, tag);
  if (!element?.value?.length) return undefined;
  if (element.vr === "US" || element.vr === "SS") {
    if (element.value.length < 2) return undefined;
    return dataSet.littleEndian ? element.value.readUInt16LE(0) : element.value.readUInt16BE(0);
  }
  const text = withoutPadding(element.value.toString("latin1").split("\\", 1)[0] ?? "").trim();
  return /^[+-]?\d{1,10}$/.test(text) ? Number(text) : undefined;
}
