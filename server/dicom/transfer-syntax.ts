/** The table of transfer syntaxes (PS3.6 Table A-1): how a data set is encoded and what media type its frames have. */
import type { Uid } from "./uid.ts";
import { isUid } from "./uid.ts";

/** How the pixel data of a transfer syntax lies in the file. */
export type PixelEncoding = "native" | "encapsulated" | "video";

export interface TransferSyntax {
  readonly uid: Uid;
  readonly name: string;
  readonly explicitVr: boolean;
  readonly littleEndian: boolean;
  readonly deflated: boolean;
  readonly pixels: PixelEncoding;
  /** Media type of one frame as stored (PS3.18 Table 8.7.3-2). */
  readonly frameMediaType: string;
}

type Row = readonly [uid: string, name: string, pixels: PixelEncoding, frameMediaType: string];

const octets = "application/octet-stream";

/** PS3.6 Table A-1 with the media types of PS3.18 Tables 8.7.3-2 and 8.7.3-5. */
const encapsulatedRows: readonly Row[] = [
  ["1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", "encapsulated", octets],
  ["1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", "encapsulated", "image/jpeg"],
  ["1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 & 4)", "encapsulated", "image/jpeg"],
  ["1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 & 5)", "encapsulated", "image/jpeg"],
  ["1.2.840.10008.1.2.4.53", "JPEG Spectral Selection (Process 6 & 8)", "encapsulated", "image/jpeg"],
  ["1.2.840.10008.1.2.4.54", "JPEG Spectral Selection (Process 7 & 9)", "encapsulated", "image/jpeg"],
  ["1.2.840.10008.1.2.4.55", "JPEG Full Progression (Process 10 & 12)", "encapsulated", "image/jpeg"],
  ["1.2.840.10008.1.2.4.56", "JPEG Full Progression (Process 11 & 13)", "encapsulated", "image/jpeg"],
  ["1.2.840.10008.1.2.4.57", "JPEG Lossless (Process 14)", "encapsulated", "image/jpeg"],
  ["1.2.840.10008.1.2.4.58", "JPEG Lossless (Process 15)", "encapsulated", "image/jpeg"],
  ["1.2.840.10008.1.2.4.70", "JPEG Lossless (Process 14, Selection Value 1)", "encapsulated", "image/jpeg"],
  ["1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", "encapsulated", "image/jls"],
  ["1.2.840.10008.1.2.4.81", "JPEG-LS Near-Lossless", "encapsulated", "image/jls"],
  ["1.2.840.10008.1.2.4.90", "JPEG 2000 (Lossless Only)", "encapsulated", "image/jp2"],
  ["1.2.840.10008.1.2.4.91", "JPEG 2000", "encapsulated", "image/jp2"],
  ["1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component (Lossless Only)", "encapsulated", "image/jpx"],
  ["1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component", "encapsulated", "image/jpx"],
  ["1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level", "video", "video/mpeg"],
  ["1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level", "video", "video/mpeg"],
  ["1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level", "video", "video/mpeg"],
  ["1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level", "video", "video/mpeg"],
  ["1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", "video", "video/mp4"],
  ["1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1", "video", "video/mp4"],
  ["1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", "video", "video/mp4"],
  ["1.2.840.10008.1.2.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible", "video", "video/mp4"],
  ["1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", "video", "video/mp4"],
  ["1.2.840.10008.1.2.4.104.1", "Fragmentable MPEG-4 AVC/H.264 Level 4.2 For 2D Video", "video", "video/mp4"],
  ["1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", "video", "video/mp4"],
  ["1.2.840.10008.1.2.4.105.1", "Fragmentable MPEG-4 AVC/H.264 Level 4.2 For 3D Video", "video", "video/mp4"],
  ["1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", "video", "video/mp4"],
  ["1.2.840.10008.1.2.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile", "video", "video/mp4"],
  ["1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1", "video", "video/mp4"],
  ["1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", "video", "video/mp4"],
  ["1.2.840.10008.1.2.4.110", "JPEG XL Lossless", "encapsulated", "image/jxl"],
  ["1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", "encapsulated", "image/jxl"],
  ["1.2.840.10008.1.2.4.112", "JPEG XL", "encapsulated", "image/jxl"],
  ["1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 (Lossless Only)", "encapsulated", "image/jphc"],
  [
    "1.2.840.10008.1.2.4.202",
    "High-Throughput JPEG 2000 with RPCL Options (Lossless Only)",
    "encapsulated",
    "image/jphc",
  ],
  ["1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000", "encapsulated", "image/jphc"],
  ["1.2.840.10008.1.2.5", "RLE Lossless", "encapsulated", "image/dicom-rle"],
  ["1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", "encapsulated", octets],
];

/** A UID of the standard's own tables. */
function standardUid(text: string): Uid {
  if (!isUid(text)) throw new TypeError(`${text} is not a UID`);
  return text;
}

function native(uid: string, name: string, encoding: Partial<TransferSyntax>): TransferSyntax {
  const base = {
    explicitVr: true,
    littleEndian: true,
    deflated: false,
    pixels: "native",
    frameMediaType: octets,
  } as const;
  return { ...base, ...encoding, uid: standardUid(uid), name };
}

export const implicitVrLittleEndian = native("1.2.840.10008.1.2", "Implicit VR Little Endian", { explicitVr: false });
export const explicitVrLittleEndian = native("1.2.840.10008.1.2.1", "Explicit VR Little Endian", {});
export const explicitVrBigEndian = native("1.2.840.10008.1.2.2", "Explicit VR Big Endian", { littleEndian: false });
export const deflatedExplicitVrLittleEndian = native("1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", {
  deflated: true,
});

/** Every transfer syntax of PS3.6 that an object may be stored in, by UID. */
export const transferSyntaxes: ReadonlyMap<string, TransferSyntax> = new Map(
  [
    implicitVrLittleEndian,
    explicitVrLittleEndian,
    explicitVrBigEndian,
    deflatedExplicitVrLittleEndian,
    ...encapsulatedRows.map(([uid, name, pixels, frameMediaType]) => native(uid, name, { pixels, frameMediaType })),
  ].map((syntax) => [syntax.uid, syntax]),
);

/**
 * The row of `uid`. A UID outside the table (private, or newer than it) is read as explicit VR little endian with
 * encapsulated pixel data, as PS3.5 A.4 asks of every new syntax; undefined when `uid` is not a UID.
 */
export function transferSyntaxOf(uid: string): TransferSyntax | undefined {
  const known = transferSyntaxes.get(uid);
  if (known) return known;
  return isUid(uid) ? native(uid, "Unknown", { pixels: "encapsulated" }) : undefined;
}
