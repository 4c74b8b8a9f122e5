/** Writes DICOM bytes for tests, right or deliberately wrong, without help from the code under test. */
import { deflateRawSync } from "node:zlib";

/** How elements are written (PS3.5 7.1). */
export interface Encoding {
  readonly explicitVr: boolean;
  readonly littleEndian: boolean;
}

export const explicitLittle: Encoding = { explicitVr: true, littleEndian: true };
export const explicitBig: Encoding = { explicitVr: true, littleEndian: false };
export const implicitLittle: Encoding = { explicitVr: false, littleEndian: true };

/** UIDs of the transfer syntaxes that the tests write (PS3.6 Table A-1). */
export const syntaxUid = {
  implicitLittle: "1.2.840.10008.1.2",
  explicitLittle: "1.2.840.10008.1.2.1",
  deflated: "1.2.840.10008.1.2.1.99",
  explicitBig: "1.2.840.10008.1.2.2",
  jpegBaseline: "1.2.840.10008.1.2.4.50",
  rle: "1.2.840.10008.1.2.5",
} as const;

/** Something that can be written in any encoding: an element, or bytes that are none. */
export type Piece = (encoding: Encoding) => Buffer;

/** What an element may hold: text (padded to even length), bytes as they are, or numbers of the VR. */
export type Content = string | Buffer | readonly (number | bigint)[];

const undefinedLength = 0xffffffff;
/** Explicit VR headers with a 32-bit length (PS3.5 Table 7.1-1). */
const longVrs = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);
const widths: Readonly<Record<string, number>> = { US: 2, SS: 2, OW: 2, AT: 2, UL: 4, SL: 4, FL: 4, OF: 4, OL: 4 };

/** One element. */
export function element(tag: number, vr: string, content: Content = ""): Piece {
  return (encoding) => {
    const value = bytesOf(vr, content, encoding.littleEndian);
    return Buffer.concat([header(tag, vr, value.length, encoding), value]);
  };
}

/** Bytes that stand where elements do. */
export function raw(bytes: Buffer | string): Piece {
  return () => (typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
}

export interface SequenceOptions {
  /** Whether the sequence is ended by a delimitation item. */
  readonly open?: boolean;
  /** Whether each item is. */
  readonly openItems?: boolean;
  /** Written as UN, so that its content is implicit VR little endian (PS3.5 6.2.2). */
  readonly asUn?: boolean;
}

/** A sequence (PS3.5 7.5). */
export function sequence(tag: number, items: readonly (readonly Piece[])[], options: SequenceOptions = {}): Piece {
  return (encoding) => {
    const inner = options.asUn ? implicitLittle : encoding;
    const written = items.map((pieces) => writeItem(write(pieces, inner), inner, options.openItems === true));
    const body = Buffer.concat([...written, ...(options.open ? [delimiter(0xfffee0dd, 0, inner)] : [])]);
    const length = options.open ? undefinedLength : body.length;
    return Buffer.concat([header(tag, options.asUn ? "UN" : "SQ", length, encoding), body]);
  };
}

/** Encapsulated pixel data (PS3.5 A.4): Basic Offset Table and fragments, as they are given. */
export function encapsulated(
  offsets: readonly number[],
  fragments: readonly Buffer[],
  { tag = 0x7fe00010, delimited = true } = {},
): Piece {
  return (encoding) =>
    Buffer.concat([
      header(tag, "OB", undefinedLength, encoding),
      writeItem(numbers("UL", offsets, true), encoding, false),
      ...fragments.map((fragment) => writeItem(fragment, encoding, false)),
      ...(delimited ? [delimiter(0xfffee0dd, 0, encoding)] : []),
    ]);
}

/** The pieces one after the other. */
export function write(pieces: readonly Piece[], encoding: Encoding): Buffer<ArrayBuffer> {
  return Buffer.concat(pieces.map((piece) => piece(encoding)));
}

export interface FileOptions {
  /** Null leaves the element out. */
  readonly syntax?: string | null;
  /** How the data set is written, when the transfer syntax does not say it or says it wrongly. */
  readonly encoding?: Encoding;
  readonly preamble?: boolean;
  /** Other elements of the file meta information. */
  readonly meta?: readonly Piece[];
}

/** A file (PS3.10 7): preamble, file meta information, data set. */
export function dicomFile(pieces: readonly Piece[], options: FileOptions = {}): Buffer<ArrayBuffer> {
  const { syntax = syntaxUid.explicitLittle, preamble = true } = options;
  const body = write(pieces, options.encoding ?? encodingOf(syntax));
  return Buffer.concat([
    ...(preamble ? [Buffer.alloc(128), Buffer.from("DICM")] : []),
    metaGroup(syntax, options.meta ?? []),
    syntax === syntaxUid.deflated ? deflateRawSync(body) : body,
  ]);
}

/** The file meta information with its group length; nothing when there is nothing to say. */
export function metaGroup(syntax: string | null, others: readonly Piece[] = []): Buffer {
  const elements = [...others, ...(syntax === null ? [] : [element(0x00020010, "UI", syntax)])];
  if (elements.length === 0) return Buffer.alloc(0);
  const bytes = write(elements, explicitLittle);
  return Buffer.concat([write([element(0x00020000, "UL", [bytes.length])], explicitLittle), bytes]);
}

function encodingOf(syntax: string | null): Encoding {
  if (syntax === syntaxUid.implicitLittle) return implicitLittle;
  return syntax === syntaxUid.explicitBig ? explicitBig : explicitLittle;
}

function header(tag: number, vr: string, length: number, { explicitVr, littleEndian }: Encoding): Buffer {
  if (!explicitVr) return delimiter(tag, length, { explicitVr, littleEndian });
  const long = longVrs.has(vr);
  const bytes = Buffer.alloc(long ? 12 : 8);
  writeTag(bytes, tag, littleEndian);
  bytes.write(vr, 4, "latin1");
  if (long) bytes.writeUInt32LE(length, 8);
  else bytes.writeUInt16LE(length, 6);
  if (!littleEndian) bytes.subarray(long ? 8 : 6).reverse();
  return bytes;
}

/** A tag and a 32-bit length: an implicit VR header, an item or a delimitation item (PS3.5 7.5). */
export function delimiter(tag: number, length: number, { littleEndian }: Encoding): Buffer {
  const bytes = Buffer.alloc(8);
  writeTag(bytes, tag, littleEndian);
  if (littleEndian) bytes.writeUInt32LE(length, 4);
  else bytes.writeUInt32BE(length, 4);
  return bytes;
}

function writeItem(body: Buffer, encoding: Encoding, open: boolean): Buffer {
  const begin = delimiter(0xfffee000, open ? undefinedLength : body.length, encoding);
  return Buffer.concat([begin, body, ...(open ? [delimiter(0xfffee00d, 0, encoding)] : [])]);
}

function writeTag(bytes: Buffer, tag: number, littleEndian: boolean): void {
  const [group, number] = [Math.floor(tag / 0x10000), tag % 0x10000];
  if (littleEndian) bytes.writeUInt16LE(group, 0);
  else bytes.writeUInt16BE(group, 0);
  if (littleEndian) bytes.writeUInt16LE(number, 2);
  else bytes.writeUInt16BE(number, 2);
}

function bytesOf(vr: string, content: Content, littleEndian: boolean): Buffer {
  if (Buffer.isBuffer(content)) return content;
  if (typeof content !== "string") return numbers(vr, content, littleEndian);
  const text = Buffer.from(content, "latin1");
  return text.length % 2 === 0 ? text : Buffer.concat([text, Buffer.from(vr === "UI" ? "\0" : " ")]);
}

/** Numbers as a VR holds them (PS3.5 6.2); AT values are tags. */
function numbers(vr: string, values: readonly (number | bigint)[], littleEndian: boolean): Buffer {
  return Buffer.concat(
    values.map((value) => {
      if (vr === "AT") return delimiter(Number(value), 0, { explicitVr: false, littleEndian }).subarray(0, 4);
      const bytes = Buffer.alloc(widths[vr] ?? 8);
      if (vr === "FL" || vr === "OF") bytes.writeFloatLE(Number(value));
      else if (vr === "FD" || vr === "OD") bytes.writeDoubleLE(Number(value));
      else if (bytes.length === 8) bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
      else bytes.writeUIntLE(Number(BigInt.asUintN(bytes.length * 8, BigInt(value))), 0, bytes.length);
      return littleEndian ? bytes : bytes.toReversed();
    }),
  );
}
