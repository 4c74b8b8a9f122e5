/** Scans the first bytes of a DICOM file (PS3.10 7, PS3.5 7) for the UIDs that identify it. */
import { constants, inflateRawSync } from "node:zlib";

import type { Identifiers } from "./import-instance.ts";

const undefinedLength = 0xffffffff;
const deepestNesting = 32;
const deflated = "1.2.840.10008.1.2.1.99";
const implicitLittleEndian = "1.2.840.10008.1.2";
const explicitBigEndian = "1.2.840.10008.1.2.2";

/** VRs with a 32-bit length in explicit VR encodings (PS3.5 Table 7.1-1). */
const longVrs = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);
const shortVrs = new Set("AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split(" "));

/** The elements that are looked for, as group * 0x10000 + element. */
const wanted: ReadonlyMap<number, keyof Identifiers> = new Map([
  [0x0008_0016, "sopClassUid"],
  [0x0008_0018, "sopInstanceUid"],
  [0x0020_000d, "studyInstanceUid"],
  [0x0020_000e, "seriesInstanceUid"],
]);
const lastWanted = 0x0020_000e;
const mediaStorageSopClassUid = 0x0002_0002;
const transferSyntaxUid = 0x0002_0010;

/** What a scan found. */
export interface HeaderScan {
  readonly identifiers: Identifiers;
  /** Media Storage SOP Class UID (0002,0002), which for a DICOMDIR is 1.2.840.10008.1.3.10. */
  readonly mediaStorageSopClassUid?: string;
  /** False when the bytes ended before the last UID could have been passed: more bytes may tell more. */
  readonly complete: boolean;
}

interface Encoding {
  readonly explicit: boolean;
  readonly littleEndian: boolean;
}

interface Element {
  readonly tag: number;
  readonly vr: string | undefined;
  readonly length: number;
  /** Offset of the value in bytes. */
  readonly start: number;
}

type MutableIdentifiers = { -readonly [K in keyof Identifiers]: Identifiers[K] };

/** Reads elements of one byte string; offsets are its own. `undefined` always means: the bytes end here. */
class Cursor {
  readonly #bytes: Buffer;
  readonly #encoding: Encoding;

  constructor(bytes: Buffer, encoding: Encoding) {
    this.#bytes = bytes;
    this.#encoding = encoding;
  }

  element(at: number): Element | undefined {
    if (at + 8 > this.#bytes.length) return undefined;
    const tag = this.#u16(at) * 0x10000 + this.#u16(at + 2);
    // Items and delimiters have no VR in any encoding (PS3.5 7.5).
    if (!this.#encoding.explicit || tag >= 0xfffe_0000) {
      return { tag, vr: undefined, length: this.#u32(at + 4), start: at + 8 };
    }
    const vr = this.#bytes.toString("latin1", at + 4, at + 6);
    if (!longVrs.has(vr)) return { tag, vr, length: this.#u16(at + 6), start: at + 8 };
    if (at + 12 > this.#bytes.length) return undefined;
    return { tag, vr, length: this.#u32(at + 8), start: at + 12 };
  }

  /** The offset after an element, nested sequences of undefined length included. */
  after(element: Element, depth = 0): number | undefined {
    if (element.length !== undefinedLength) return element.start + element.length;
    if (depth > deepestNesting) return undefined;
    // UN of undefined length holds implicit VR little endian (PS3.5 6.2.2, note).
    const inner = element.vr === "UN" ? new Cursor(this.#bytes, { explicit: false, littleEndian: true }) : this;
    for (let at: number | undefined = element.start; at !== undefined;) {
      const next = inner.element(at);
      if (next === undefined) return undefined;
      if (next.tag === 0xfffe_e0dd || next.tag === 0xfffe_e00d) return next.start;
      at = inner.after(next, depth + 1);
    }
    return undefined;
  }

  text(element: Element): string | undefined {
    const end = element.start + element.length;
    if (end > this.#bytes.length) return undefined;
    return this.#bytes.toString("latin1", element.start, end).replace(/[\0 ]+$/u, "");
  }

  #u16(at: number): number {
    return this.#encoding.littleEndian ? this.#bytes.readUInt16LE(at) : this.#bytes.readUInt16BE(at);
  }

  #u32(at: number): number {
    return this.#encoding.littleEndian ? this.#bytes.readUInt32LE(at) : this.#bytes.readUInt32BE(at);
  }
}

function isVr(bytes: Buffer, at: number): boolean {
  const vr = bytes.toString("latin1", at, at + 2);
  return longVrs.has(vr) || shortVrs.has(vr);
}

/** The encoding of a data set that starts with an element of group 0002 or 0008; undefined when it does not. */
function guessEncoding(bytes: Buffer): Encoding | undefined {
  if (bytes.length < 8) return undefined;
  const explicit = isVr(bytes, 4);
  const little = bytes.readUInt16LE(0);
  if (little === 0x0002 || little === 0x0008) {
    // Implicit VR: the first value of a data set is short, other bytes make a length that is not.
    return explicit || bytes.readUInt32LE(4) < 0x1_0000 ? { explicit, littleEndian: true } : undefined;
  }
  const big = bytes.readUInt16BE(0);
  return big === 0x0008 && explicit ? { explicit, littleEndian: false } : undefined;
}

/**
 * Offset of the first element: after preamble and "DICM", or 0 where there are none; undefined when not DICOM. A file
 * without preamble may hold the letters "DICM" at 128 by chance, so what follows them must look like an element.
 */
function firstElement(bytes: Buffer): number | undefined {
  const marked = bytes.toString("latin1", 128, 132) === "DICM";
  if (marked && guessEncoding(bytes.subarray(132)) !== undefined) return 132;
  if (guessEncoding(bytes) !== undefined) return 0;
  return marked ? 132 : undefined;
}

interface FileMeta {
  readonly mediaStorageSopClassUid?: string;
  readonly transferSyntaxUid?: string;
  /** Offset of the first element that is not of group 0002. */
  readonly end: number;
}

function readFileMeta(bytes: Buffer, start: number): FileMeta {
  const explicit = bytes.length < start + 6 || isVr(bytes, start + 4);
  const cursor = new Cursor(bytes, { explicit, littleEndian: true });
  const found: { mediaStorageSopClassUid?: string; transferSyntaxUid?: string } = {};
  for (let at = start; ;) {
    const element = cursor.element(at);
    if (element === undefined || element.tag >= 0x0003_0000) return { ...found, end: at };
    const text =
      element.tag === mediaStorageSopClassUid || element.tag === transferSyntaxUid ? cursor.text(element) : "";
    if (element.tag === mediaStorageSopClassUid && text) found.mediaStorageSopClassUid = text;
    if (element.tag === transferSyntaxUid && text) found.transferSyntaxUid = text;
    const next = cursor.after(element);
    if (next === undefined || next > bytes.length) return { ...found, end: bytes.length };
    at = next;
  }
}

function encodingOf(syntax: string | undefined, dataset: Buffer): Encoding {
  if (syntax === implicitLittleEndian) return { explicit: false, littleEndian: true };
  if (syntax === explicitBigEndian) return { explicit: true, littleEndian: false };
  if (syntax !== undefined) return { explicit: true, littleEndian: true };
  return guessEncoding(dataset) ?? { explicit: false, littleEndian: true };
}

/**
 * As much of a deflated data set as its first bytes tell (PS3.5 A.5); nothing when they are no deflate stream. Deflate
 * expands at most 1032 times, so the output stays below 17 MiB.
 */
function inflate(bytes: Buffer): Buffer {
  try {
    return inflateRawSync(bytes.subarray(0, 16 * 1024), { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return Buffer.alloc(0);
  }
}

/**
 * Reads the identifiers from the first bytes of a file; undefined when they are obviously not DICOM: no "DICM" at 128
 * and no element of group 0002 or 0008 at 0. Never throws: a header that ends or breaks off gives what stood before.
 */
export function scanHeader(bytes: Buffer): HeaderScan | undefined {
  const start = firstElement(bytes);
  if (start === undefined) return undefined;
  const meta = readFileMeta(bytes, start);
  const rest = bytes.subarray(meta.end);
  const dataset = meta.transferSyntaxUid === deflated ? inflate(rest) : rest;
  const identifiers: MutableIdentifiers = {};
  if (meta.transferSyntaxUid !== undefined) identifiers.transferSyntaxUid = meta.transferSyntaxUid;
  const complete = scanDataset(new Cursor(dataset, encodingOf(meta.transferSyntaxUid, dataset)), identifiers);
  const scan = { identifiers, complete };
  return meta.mediaStorageSopClassUid === undefined
    ? scan
    : { ...scan, mediaStorageSopClassUid: meta.mediaStorageSopClassUid };
}

/** Fills `identifiers`; true once an element beyond the last wanted one is reached. */
function scanDataset(cursor: Cursor, identifiers: MutableIdentifiers): boolean {
  for (let at: number | undefined = 0; at !== undefined;) {
    const element = cursor.element(at);
    if (element === undefined) return false;
    if (element.tag > lastWanted) return true;
    const name = wanted.get(element.tag);
    const text = name === undefined ? undefined : cursor.text(element);
    if (name !== undefined && text) identifiers[name] = text;
    at = cursor.after(element);
  }
  return false;
}
