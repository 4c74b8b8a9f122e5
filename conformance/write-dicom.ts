/** Writes the suite's own instances as DICOM files (PS3.10 7, PS3.5 7), independent of the server under test. */
import { deflateRawSync } from "node:zlib";
import { entryOf } from "./dictionary.ts";

/** What an element may hold; bytes stand as they are, an array holds values or items. */
export type Content = string | number | bigint | Buffer | readonly (string | number | bigint)[] | readonly DataSet[];

/** Elements by keyword, or by tag and VR (`00091001:LO`). */
export interface DataSet {
  readonly [name: string]: Content;
}

/** Transfer syntaxes that the suite writes (PS3.6 Table A-1). */
export const transferSyntax = {
  implicitLittle: "1.2.840.10008.1.2",
  explicitLittle: "1.2.840.10008.1.2.1",
  deflated: "1.2.840.10008.1.2.1.99",
  explicitBig: "1.2.840.10008.1.2.2",
  jpegBaseline: "1.2.840.10008.1.2.4.50",
  rle: "1.2.840.10008.1.2.5",
} as const;

interface Encoding {
  readonly explicitVr: boolean;
  readonly littleEndian: boolean;
}

const explicitLittle: Encoding = { explicitVr: true, littleEndian: true };
/** Explicit VR headers with a 32-bit length (PS3.5 Table 7.1-1). */
const longVrs = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);
/** Numbers in binary; those of DS and IS are text. */
const binaryVrs = new Set(["AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"]);
const paddedWithNull = new Set(["UI", "OB", "UN"]);

/** Fragments of encapsulated pixel data, one a frame, with an empty Basic Offset Table (PS3.5 A.4). */
export function encapsulate(fragments: readonly Buffer[]): Buffer {
  const items = [Buffer.alloc(0), ...fragments].map((fragment) => {
    const padded = padToEven(fragment, 0);
    return Buffer.concat([itemHeader(0xe000, padded.length, true), padded]);
  });
  return Buffer.concat([...items, itemHeader(0xe0dd, 0, true)]);
}

/** One frame of 8-bit grey samples in RLE (PS3.5 G): one segment of literal runs. */
export function runLengthEncode(samples: Buffer): Buffer {
  const header = Buffer.alloc(64);
  header.writeUInt32LE(1, 0);
  header.writeUInt32LE(header.length, 4);
  const runs = Array.from({ length: Math.ceil(samples.length / 128) }, (_, index) => {
    const run = samples.subarray(index * 128, (index + 1) * 128);
    return Buffer.concat([Buffer.from([run.length - 1]), run]);
  });
  return padToEven(Buffer.concat([header, ...runs]), 0);
}

/** One file: preamble, file meta information, data set. */
export function writeFile(dataSet: DataSet, transferSyntaxUid: string): Buffer {
  const encoding = {
    explicitVr: transferSyntaxUid !== transferSyntax.implicitLittle,
    littleEndian: transferSyntaxUid !== transferSyntax.explicitBig,
  };
  const isEncapsulated =
    transferSyntaxUid.startsWith("1.2.840.10008.1.2.4") || transferSyntaxUid === transferSyntax.rle;
  const body = writeDataSet(dataSet, encoding, isEncapsulated);
  const meta = writeDataSet(
    {
      "00020001:OB": Buffer.from([0, 1]),
      MediaStorageSOPClassUID: dataSet["SOPClassUID"] ?? "",
      MediaStorageSOPInstanceUID: dataSet["SOPInstanceUID"] ?? "",
      TransferSyntaxUID: transferSyntaxUid,
      ImplementationClassUID: "2.25.318261730213547819420617",
    },
    explicitLittle,
    false,
  );
  return Buffer.concat([
    Buffer.alloc(128),
    Buffer.from("DICM"),
    writeDataSet({ "00020000:UL": meta.length }, explicitLittle, false),
    meta,
    transferSyntaxUid === transferSyntax.deflated ? padToEven(deflateRawSync(body), 0) : body,
  ]);
}

/** A data set by itself in implicit VR little endian, as identifiers and Action Information are sent. */
export function writeIdentifier(dataSet: DataSet): Buffer {
  return writeDataSet(dataSet, { explicitVr: false, littleEndian: true }, false);
}

function writeDataSet(dataSet: DataSet, encoding: Encoding, isEncapsulated: boolean): Buffer {
  const elements = Object.entries(dataSet).map(([name, content]) => ({ ...entryOf(name), content }));
  elements.sort((a, b) => (a.tag < b.tag ? -1 : 1));
  return Buffer.concat(
    elements.map(({ tag, vr, content }) => {
      if (isEncapsulated && tag === "7FE00010" && Buffer.isBuffer(content)) {
        return Buffer.concat([elementHeader(tag, "OB", 0xffffffff, encoding), content]);
      }
      const value = isItems(content) ? writeItems(content, encoding) : valueBytes(vr, content, encoding);
      return Buffer.concat([elementHeader(tag, vr, value.length, encoding), value]);
    }),
  );
}

function isItems(content: Content): content is readonly DataSet[] {
  return Array.isArray(content) && typeof content[0] === "object";
}

function writeItems(items: readonly DataSet[], encoding: Encoding): Buffer {
  return Buffer.concat(
    items.flatMap((item) => {
      const body = writeDataSet(item, encoding, false);
      return [itemHeader(0xe000, body.length, encoding.littleEndian), body];
    }),
  );
}

function valueBytes(vr: string, content: Exclude<Content, readonly DataSet[]>, encoding: Encoding): Buffer {
  if (Buffer.isBuffer(content)) return padToEven(content, paddedWithNull.has(vr) ? 0 : 0x20);
  const values = typeof content === "object" ? content : [content];
  if (!binaryVrs.has(vr)) {
    return padToEven(Buffer.from(values.join("\\"), "utf8"), paddedWithNull.has(vr) ? 0 : 0x20);
  }
  return Buffer.concat(values.map((value) => numberBytes(vr, value, encoding)));
}

/** Numbers as their VR holds them (PS3.5 6.2). */
function numberBytes(vr: string, value: string | number | bigint | DataSet, { littleEndian }: Encoding): Buffer {
  const bytes = Buffer.alloc(8);
  const integer = typeof value === "bigint" ? value : BigInt(Math.trunc(Number(value)));
  const written: Readonly<Record<string, () => number>> = {
    US: () => bytes.writeUInt16LE(Number(integer)),
    SS: () => bytes.writeInt16LE(Number(integer)),
    UL: () => bytes.writeUInt32LE(Number(integer)),
    SL: () => bytes.writeInt32LE(Number(integer)),
    UV: () => bytes.writeBigUInt64LE(integer),
    SV: () => bytes.writeBigInt64LE(integer),
    FL: () => bytes.writeFloatLE(Number(value)),
    FD: () => bytes.writeDoubleLE(Number(value)),
    AT: () => {
      bytes.writeUInt16LE(Number(integer >> 16n));
      return bytes.writeUInt16LE(Number(integer & 0xffffn), 2);
    },
  };
  const result = bytes.subarray(0, written[vr]?.());
  if (littleEndian) return result;
  return vr === "AT" ? result.swap16() : Buffer.from(result.toReversed());
}

function elementHeader(tag: string, vr: string, length: number, { explicitVr, littleEndian }: Encoding): Buffer {
  const isLong = explicitVr && longVrs.has(vr);
  const bytes = Buffer.alloc(isLong ? 12 : 8);
  bytes.writeUInt16LE(Number.parseInt(tag.slice(0, 4), 16), 0);
  bytes.writeUInt16LE(Number.parseInt(tag.slice(4), 16), 2);
  if (!littleEndian) bytes.subarray(0, 4).swap16();
  if (explicitVr) bytes.write(vr, 4, "latin1");
  const field = isLong ? bytes.subarray(8) : bytes.subarray(explicitVr ? 6 : 4);
  if (littleEndian) field.writeUIntLE(length, 0, field.length);
  else field.writeUIntBE(length, 0, field.length);
  return bytes;
}

/** An item or a delimitation item (PS3.5 7.5) by its element number. */
function itemHeader(element: number, length: number, littleEndian: boolean): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(0xfffe, 0);
  bytes.writeUInt16LE(element, 2);
  if (!littleEndian) bytes.subarray(0, 4).swap16();
  if (littleEndian) bytes.writeUInt32LE(length, 4);
  else bytes.writeUInt32BE(length, 4);
  return bytes;
}

function padToEven(bytes: Buffer, padding: number): Buffer {
  return bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.from([padding])]);
}
