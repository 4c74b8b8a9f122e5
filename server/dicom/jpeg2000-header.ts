/** Reads the header of JPEG 2000 and HTJ2K (ISO/IEC 15444-1, -2, -15), bare or in the boxes of a JP2 file. */
import { bitsOf, malformedMedia, type PixelDescription, type ReadAt, reader, samplesOf } from "./media-header.ts";
import type { ByteSource } from "./part10-writer.ts";

const headerLength = 64 * 1024;
const mostBoxes = 256;

/** Transfer syntax by family: reversible, irreversible (PS3.6 Table A-1). */
const syntaxes = {
  part1: ["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"],
  part2: ["1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"],
  highThroughput: ["1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.203"],
} as const;

/** What the image says of itself, and where its codestream lies. @throws ArchiveError `malformed-media` */
export async function readJpeg2000Header(source: ByteSource): Promise<PixelDescription> {
  const readAt = reader(source);
  const start = await readAt(0, 12);
  const codestream =
    start.toString("latin1", 4, 8) === "jP  " ? await findCodestream(readAt, source.byteLength) : undefined;
  const header = await readAt(codestream?.offset ?? 0, headerLength);
  if (header.length < 4 || header.readUInt32BE(0) !== 0xff4fff51) {
    throw malformedMedia("The bytes are not a JPEG 2000 image.");
  }
  return { ...describeCodestream(header), ...(codestream && { codestream }) };
}

/** PS3.5 8.2.4: a data set holds the codestream without the boxes of a file. */
async function findCodestream(readAt: ReadAt, byteLength: number): Promise<{ offset: number; length: number }> {
  let at = 0;
  for (let count = 0; count < mostBoxes && at + 8 <= byteLength; count += 1) {
    const head = await readAt(at, 16);
    const short = head.readUInt32BE(0);
    const isLong = short === 1 && head.length === 16;
    const headLength = isLong ? 16 : 8;
    const declared = isLong ? Number(head.readBigUInt64BE(8)) : short;
    const length = short === 0 ? byteLength - at : declared;
    if (length < headLength || at + length > byteLength) break;
    if (head.toString("latin1", 4, 8) === "jp2c") return { offset: at + headLength, length: length - headLength };
    at += length;
  }
  throw malformedMedia("The JP2 file holds no codestream.");
}

function describeCodestream(header: Buffer): PixelDescription {
  const components = header.length >= 42 ? header.readUInt16BE(40) : 0;
  if (header.length < 42 + components * 3) throw malformedMedia("The header of the JPEG 2000 image is cut short.");
  const samplesPerPixel = samplesOf(components, "JPEG 2000");
  const columns = header.readUInt32BE(8) - header.readUInt32BE(16);
  const rows = header.readUInt32BE(12) - header.readUInt32BE(20);
  if (!isDimension(rows) || !isDimension(columns)) {
    throw malformedMedia(`The JPEG 2000 image has ${rows} rows and ${columns} columns, which DICOM cannot say.`);
  }
  const depth = header.readUInt8(42);
  const style = codingStyle(header);
  const rsiz = header.readUInt16BE(6);
  const family = style.highThroughput || rsiz & 0x4000 ? "highThroughput" : rsiz & 0x8000 ? "part2" : "part1";
  return {
    transferSyntaxUid: syntaxes[family][style.reversible ? 0 : 1],
    rows,
    columns,
    samplesPerPixel,
    bitsStored: bitsOf((depth & 0x7f) + 1, "JPEG 2000"),
    signed: (depth & 0x80) !== 0,
    photometricInterpretation: photometric(samplesPerPixel, style),
    lossyMethod: style.reversible ? undefined : family === "highThroughput" ? "ISO_15444_15" : "ISO_15444_1",
    warnings: [],
  };
}

interface CodingStyle {
  readonly reversible: boolean;
  readonly multiComponent: boolean;
  readonly highThroughput: boolean;
}

/** The main header from SIZ on: COD tells the wavelet and the colour transformation, CAP that blocks are HT. */
function codingStyle(header: Buffer): CodingStyle {
  let highThroughput = false;
  for (let at = 2; at + 4 <= header.length;) {
    const marker = header.readUInt16BE(at);
    if (marker === 0xff50) highThroughput = true;
    if (marker === 0xff52 && at + 14 <= header.length) {
      return { reversible: header[at + 13] === 1, multiComponent: header[at + 8] === 1, highThroughput };
    }
    if (marker === 0xff90) break;
    at += 2 + Math.max(2, header.readUInt16BE(at + 2));
  }
  throw malformedMedia("The JPEG 2000 image has no coding style in its main header.");
}

function photometric(samples: 1 | 3, { reversible, multiComponent }: CodingStyle): string {
  if (samples === 1) return "MONOCHROME2";
  if (!multiComponent) return "RGB";
  return reversible ? "YBR_RCT" : "YBR_ICT";
}

function isDimension(value: number): boolean {
  return value > 0 && value <= 0xffff;
}
