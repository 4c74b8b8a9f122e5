/** Media that instances may hold: how each is read, and the SOP Class and attributes that it gets where none are given. */
import { checkPdf, checkStl } from "../dicom/document-header.ts";
import type { DicomJson, JsonAttribute } from "../dicom/json.ts";
import { readJpeg2000Header } from "../dicom/jpeg2000-header.ts";
import { readJpegHeader } from "../dicom/jpeg-header.ts";
import type { PixelDescription } from "../dicom/media-header.ts";
import { readMp4Header } from "../dicom/mp4-header.ts";
import { readMpeg2Header } from "../dicom/mpeg2-header.ts";
import type { ByteSource } from "../dicom/part10-writer.ts";

/** A document that is wrapped as it is (PS3.3 A.45, A.85, A.104). */
export interface DocumentMedia {
  readonly kind: "document";
  /** As MIME Type of Encapsulated Document (0042,0012) has it. */
  readonly mediaType: string;
  readonly sopClassUid: string;
  readonly modality: string;
  /** Refuses other bytes with `malformed-media`; absent where they are not looked at. */
  readonly check?: (source: ByteSource) => Promise<void>;
}

/** Frames, or a video, that become Pixel Data. */
export interface PixelMedia {
  readonly kind: "pixels";
  /** As PS3.18 Table 8.7.3-5 has it. */
  readonly mediaType: string;
  readonly video: boolean;
  /** Reads the header; absent where the metadata must say everything. */
  readonly read?: (source: ByteSource) => Promise<PixelDescription>;
  /** The transfer syntax where no parameter and no header says it. */
  readonly transferSyntaxUid?: string;
}

export type Media = DocumentMedia | PixelMedia;

const pdf = { ...document("application/pdf", "1.2.840.10008.5.1.4.1.1.104.1", "DOC"), check: checkPdf };
const cda = document("text/XML", "1.2.840.10008.5.1.4.1.1.104.2", "DOC");
const stl = { ...document("model/stl", "1.2.840.10008.5.1.4.1.1.104.3", "M3D"), check: checkStl };
const obj = document("model/obj", "1.2.840.10008.5.1.4.1.1.104.4", "M3D");
const mtl = document("model/mtl", "1.2.840.10008.5.1.4.1.1.104.5", "M3D");
const jpeg = pixels("image/jpeg", readJpegHeader);
const jpegLs = pixels("image/jls", readJpegHeader);
const jpeg2000 = pixels("image/jp2", readJpeg2000Header);
const jpeg2000Part2 = pixels("image/jpx", readJpeg2000Header);
const highThroughput = pixels("image/jphc", readJpeg2000Header);
const rle: PixelMedia = {
  kind: "pixels",
  mediaType: "image/dicom-rle",
  video: false,
  transferSyntaxUid: "1.2.840.10008.1.2.5",
};
const jpegXl: PixelMedia = { kind: "pixels", mediaType: "image/jxl", video: false };
const mp4: PixelMedia = { kind: "pixels", mediaType: "video/mp4", video: true, read: readMp4Header };
const mpeg2: PixelMedia = { kind: "pixels", mediaType: "video/mpeg", video: true, read: readMpeg2Header };

/** By media type, under the names of PS3.18 and those that clients use. */
const table: Readonly<Record<string, Media>> = {
  "application/pdf": pdf,
  "text/xml": cda,
  "application/hl7-cda+xml": cda,
  "model/stl": stl,
  "model/x.stl-binary": stl,
  "application/sla": stl,
  "model/obj": obj,
  "model/mtl": mtl,
  "image/jpeg": jpeg,
  "image/jpg": jpeg,
  "image/jls": jpegLs,
  "image/x-jls": jpegLs,
  "image/jp2": jpeg2000,
  "image/j2k": jpeg2000,
  "image/j2c": jpeg2000,
  "image/jpx": jpeg2000Part2,
  "image/jphc": highThroughput,
  "image/jph": highThroughput,
  "image/jxl": jpegXl,
  "image/dicom-rle": rle,
  "image/x-dicom-rle": rle,
  "video/mp4": mp4,
  "video/quicktime": mp4,
  "video/mpeg": mpeg2,
  "video/mpeg2": mpeg2,
};

/** Media types that can be wrapped, each by its first name, for messages and documents. */
export const mediaTypes: readonly string[] = [
  ...new Set(Object.values(table).map(({ mediaType }) => mediaType.toLowerCase())),
];

/** Every media type that can be wrapped. */
export const mediaByType: ReadonlyMap<string, Media> = new Map(Object.entries(table));

/** What is known of a media type; undefined when it cannot be wrapped. */
export function mediaOf(mediaType: string): Media | undefined {
  return Object.hasOwn(table, mediaType) ? table[mediaType] : undefined;
}

function document(mediaType: string, sopClassUid: string, modality: string): DocumentMedia {
  return { kind: "document", mediaType, sopClassUid, modality };
}

function pixels(mediaType: string, read: PixelMedia["read"]): PixelMedia {
  return { kind: "pixels", mediaType, video: false, ...(read && { read }) };
}

/** The SOP Class of an image or a video that names none, and its Modality (PS3.3 A.32.4, A.32.7, A.8). */
export function imageClass(
  { samplesPerPixel, bitsStored }: PixelDescription,
  { video }: PixelMedia,
  frames: number,
): { readonly sopClassUid: string; readonly modality: string } {
  if (video) return { sopClassUid: "1.2.840.10008.5.1.4.1.1.77.1.4.1", modality: "XC" };
  const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7";
  const isByte = bitsStored <= 8;
  if (frames > 1) {
    const suffix = samplesPerPixel === 3 ? ".4" : isByte ? ".2" : ".3";
    return { sopClassUid: secondaryCapture + suffix, modality: "OT" };
  }
  return isByte
    ? { sopClassUid: "1.2.840.10008.5.1.4.1.1.77.1.4", modality: "XC" }
    : { sopClassUid: secondaryCapture, modality: "OT" };
}

const empty = (vr: string): JsonAttribute => ({ vr });
const one = (vr: string, value: string | number): JsonAttribute => ({ vr, Value: [value] });

/** Attributes of the patient and the study that every instance has, empty when unknown (PS3.3 C.7.1.1, C.7.2.1). */
export const emptyPatientAndStudy: DicomJson = {
  "00100010": empty("PN"),
  "00100020": empty("LO"),
  "00100030": empty("DA"),
  "00100040": empty("CS"),
  "00080020": empty("DA"),
  "00080030": empty("TM"),
  "00080050": empty("SH"),
  "00080090": empty("PN"),
  "00200010": empty("SH"),
};

/** What an instance takes from the others of its study, when it does not say it itself. */
export const ofStudy = [
  "00100010",
  "00100020",
  "00100021",
  "00100024",
  "00100030",
  "00100040",
  "00101010",
  "00080020",
  "00080030",
  "00080050",
  "00080090",
  "00081030",
  "00200010",
] as const;

/** PS3.3 C.24.1 and C.24.2: what a document of unknown origin says of itself. Whoever made it may have burned names in. */
export function documentAttributes({ modality }: DocumentMedia): DicomJson {
  return {
    "00080023": empty("DA"),
    "00080033": empty("TM"),
    "0008002A": empty("DT"),
    "00080060": one("CS", modality),
    "00080064": one("CS", "WSD"),
    "00080070": empty("LO"),
    "00200011": one("IS", 1),
    "00200013": one("IS", 1),
    "00280301": one("CS", "YES"),
    "0040A043": empty("SQ"),
    "00420010": empty("ST"),
  };
}

/** Type 1 attributes of 3D models that nobody but the sender knows (PS3.3 C.35). */
export const modelAttributes = [0x004008ea, 0x00200052] as const;

/** PS3.3 C.7.6.1 and C.8.12.1: what an image of unknown origin says of itself. */
export function imageAttributes(modality: string): DicomJson {
  return {
    "00080008": { vr: "CS", Value: ["ORIGINAL", "PRIMARY"] },
    "00080023": empty("DA"),
    "00080033": empty("TM"),
    "00080060": one("CS", modality),
    ...(modality === "OT" && { "00080064": one("CS", "WSD") }),
    "00080070": empty("LO"),
    "00200011": empty("IS"),
    "00200013": one("IS", 1),
    "00200020": empty("CS"),
    "00400555": empty("SQ"),
  };
}
