/** Reads the header of JPEG (ISO/IEC 10918-1) and JPEG-LS (ISO/IEC 14495-1): size, process, colours. */
import { bitsOf, malformedMedia, type PixelDescription, reader, samplesOf } from "./media-header.ts";
import type { ByteSource } from "./part10-writer.ts";

const startOfScan = 0xda;
const mostMarkers = 4096;
type Process = "baseline" | "extended" | "progressive" | "lossless" | "jpegls";
/** SOF markers by their low byte: what DICOM calls the process (PS3.5 8.2.1, 8.2.3, PS3.6 Table A-1). */
const processes: Readonly<Record<number, Process>> = {
  0xc0: "baseline",
  0xc1: "extended",
  0xc2: "progressive",
  0xc3: "lossless",
  0xf7: "jpegls",
};

interface Frame {
  readonly process: Process;
  readonly bits: number;
  readonly rows: number;
  readonly columns: number;
  readonly ids: readonly number[];
  /** Sampling factors of each component, both in one byte. */
  readonly sampling: readonly number[];
}

/** What the image says of itself. @throws ArchiveError `malformed-media` */
export async function readJpegHeader(source: ByteSource): Promise<PixelDescription> {
  const readAt = reader(source);
  const start = await readAt(0, 2);
  if (start.length < 2 || start.readUInt16BE(0) !== 0xffd8) throw malformedMedia("The bytes are not a JPEG image.");
  let at = 2;
  let frame: Frame | undefined;
  let transform: number | undefined;
  let isJfif = false;
  for (let count = 0; count < mostMarkers; count += 1) {
    const head = await readAt(at, 4);
    if (head.length < 4 || head[0] !== 0xff) break;
    const marker = head[1] ?? 0;
    // Fill bytes, and markers without a segment.
    if (marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += marker === 0xff ? 1 : 2;
      continue;
    }
    const length = head.readUInt16BE(2);
    const segment = await readAt(at + 4, Math.min(length - 2, 1024));
    const process = processes[marker];
    if (process !== undefined) frame ??= readFrame(process, segment);
    if (marker === 0xe0 && segment.toString("latin1", 0, 4) === "JFIF") isJfif = true;
    if (marker === 0xee && segment.toString("latin1", 0, 5) === "Adobe") transform = segment[11];
    if (marker === startOfScan && frame) return description(frame, segment, transform, isJfif);
    if (length < 2) break;
    at += 2 + length;
  }
  throw malformedMedia("The JPEG image has no header of a process that DICOM has.");
}

function readFrame(process: Process, segment: Buffer): Frame {
  const components = segment[5] ?? 0;
  if (segment.length < 6 + components * 3) throw malformedMedia("The header of the JPEG image is cut short.");
  const each = Array.from({ length: components }, (_, index) => 6 + index * 3);
  return {
    process,
    bits: segment.readUInt8(0),
    rows: segment.readUInt16BE(1),
    columns: segment.readUInt16BE(3),
    ids: each.map((at) => segment.readUInt8(at)),
    sampling: each.map((at) => segment.readUInt8(at + 1)),
  };
}

function description(frame: Frame, scan: Buffer, transform: number | undefined, isJfif: boolean): PixelDescription {
  const { process, rows, columns, bits, ids } = frame;
  const samplesPerPixel = samplesOf(ids.length, "JPEG");
  if (rows === 0 || columns === 0) throw malformedMedia("The header of the JPEG image does not tell its size.");
  // Behind the components of the scan: the predictor of a lossless process, the near-lossless bound of JPEG-LS.
  const parameter = scan[1 + (scan[0] ?? 0) * 2] ?? 0;
  const lossless = process === "lossless" || (process === "jpegls" && parameter === 0);
  return {
    transferSyntaxUid: syntaxOf(process, parameter),
    rows,
    columns,
    samplesPerPixel,
    bitsStored: bitsOf(bits, "JPEG"),
    signed: false,
    photometricInterpretation: photometric(frame, transform, isJfif),
    lossyMethod: lossless ? undefined : process === "jpegls" ? "ISO_14495_1" : "ISO_10918_1",
    warnings:
      process === "progressive"
        ? ["The image is a progressive JPEG, whose transfer syntax is retired: few readers know it."]
        : [],
  };
}

function syntaxOf(process: Process, parameter: number): string {
  if (process === "baseline") return "1.2.840.10008.1.2.4.50";
  if (process === "extended") return "1.2.840.10008.1.2.4.51";
  if (process === "progressive") return "1.2.840.10008.1.2.4.55";
  if (process === "lossless") return parameter === 1 ? "1.2.840.10008.1.2.4.70" : "1.2.840.10008.1.2.4.57";
  return parameter === 0 ? "1.2.840.10008.1.2.4.80" : "1.2.840.10008.1.2.4.81";
}

/** Lossless processes carry RGB; others say by JFIF, by Adobe's segment, or by the names of the components. */
function photometric({ process, ids, sampling }: Frame, transform: number | undefined, isJfif: boolean): string {
  if (ids.length === 1) return "MONOCHROME2";
  const namedRgb = String.fromCharCode(...ids) === "RGB";
  const isLossy = process !== "lossless" && process !== "jpegls";
  if (!isJfif && (transform === 0 || (transform === undefined && (namedRgb || !isLossy)))) return "RGB";
  return sampling.every((factors) => factors === sampling[0]) ? "YBR_FULL" : "YBR_FULL_422";
}
