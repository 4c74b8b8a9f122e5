/** What of an instance can be shown as it is stored: documents, videos in a container, and some JPEG frames. */
import { inflateRawSync } from "node:zlib";
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { InstanceRow } from "../../storage/catalog-read.ts";
import { readJpegHeader } from "../dicom/jpeg-header.ts";
import { type DicomJson, type JsonValue, parseJsonText } from "../dicom/json.ts";
import type { TransferSyntax } from "../dicom/transfer-syntax.ts";
import { ArchiveError } from "../errors.ts";
import type { Located } from "./locate.ts";
import type { RenderingOptions } from "./rendered.ts";
import { bulkDataOf } from "./retrieve-parts.ts";
import { heldBytes, type ReadableBytes } from "./stored-bytes.ts";

/** Media type of what an encapsulated document holds, by SOP class (PS3.4 B.5). */
const documentTypes: Readonly<Record<string, string>> = {
  "1.2.840.10008.5.1.4.1.1.104.1": "application/pdf",
  "1.2.840.10008.5.1.4.1.1.104.2": "text/xml",
  "1.2.840.10008.5.1.4.1.1.104.3": "model/stl",
  "1.2.840.10008.5.1.4.1.1.104.4": "model/obj",
  "1.2.840.10008.5.1.4.1.1.104.5": "model/mtl",
};

const tag = {
  samplesPerPixel: "00280002",
  photometricInterpretation: "00280004",
  bitsStored: "00280101",
  pixelRepresentation: "00280103",
  windowCenter: "00281050",
  rescaleIntercept: "00281052",
  rescaleSlope: "00281053",
  modalityLutSequence: "00283000",
  voiLutSequence: "00283010",
  encapsulatedDocument: "00420011",
  encapsulatedDocumentLength: "00420015",
  presentationLutShape: "20500020",
  sharedFunctionalGroupsSequence: "52009229",
  perFrameFunctionalGroupsSequence: "52009230",
} as const;

const jpegBaselineUid = "1.2.840.10008.1.2.4.50";
const pixelDataPath = "7FE00010";
/** Enough for the tables and application data before a frame header. */
const headerLength = 65_536;

/** Something to show, in one piece. */
export interface Shown {
  readonly mediaType: string;
  readonly bytes: ReadableBytes;
}

/** The whole metadata of an instance. @throws ArchiveError `no-such-instance` when it has just been removed */
export async function metadataOf(catalog: Catalog, row: InstanceRow): Promise<DicomJson> {
  for await (const packed of catalog.readMetadata(row.seriesId, row.sopInstanceUid)) {
    return parseJsonText(inflateRawSync(packed).toString("utf8"));
  }
  throw new ArchiveError("no-such-instance", "The instance is not in this archive.");
}

/** The encapsulated document (PS3.3 C.24.2); undefined when the instance is none, or holds none. */
export async function documentOf(blobs: Blobs, catalog: Catalog, located: Located): Promise<Shown | undefined> {
  const mediaType = documentTypes[located.row.sopClassUid];
  if (mediaType === undefined) return undefined;
  const json = await metadataOf(catalog, located.row);
  const document = json[tag.encapsulatedDocument];
  const inline = document?.InlineBinary;
  const length = Number(first(json, tag.encapsulatedDocumentLength) ?? Number.NaN);
  if (inline !== undefined) {
    const bytes = Buffer.from(inline, "base64");
    return {
      mediaType,
      bytes: unpadded(
        heldBytes(bytes.length, async () => bytes),
        length,
      ),
    };
  }
  if (document?.BulkDataURI === undefined) return undefined;
  const found = await bulkDataOf(blobs, catalog, located, tag.encapsulatedDocument);
  return found.kind === "value" ? { mediaType, bytes: unpadded(found.value, length) } : undefined;
}

/** The byte that makes the value even is no part of the document; a length that says more than that is not believed. */
function unpadded(bytes: ReadableBytes, length: number): ReadableBytes {
  if (length !== bytes.byteLength - 1) return bytes;
  return { byteLength: length, read: (range) => bytes.read(range ?? { offset: 0, length }) };
}

/** The video, as what its container is. @throws ArchiveError `cannot-render` */
export async function videoOf(
  blobs: Blobs,
  catalog: Catalog,
  located: Located,
  { annotation, viewport, window }: RenderingOptions,
): Promise<Shown> {
  if (annotation ?? viewport ?? window) {
    throw new ArchiveError("cannot-render", "A video cannot be annotated, windowed or scaled yet.");
  }
  const found = await bulkDataOf(blobs, catalog, located, pixelDataPath);
  if (found.kind !== "value") throw new TypeError("a video with a frame table");
  const beginning = await headOf(found.value, 189);
  const mediaType = containerOf(beginning);
  if (mediaType !== undefined) return { mediaType, bytes: found.value };
  throw new ArchiveError("cannot-render", "The video is not in a container that can be played as it is.");
}

/** ISO base media file; MPEG program or elementary stream; MPEG transport stream, whose packets have 188 bytes. */
function containerOf(beginning: Buffer): string | undefined {
  if (beginning.toString("latin1", 4, 8) === "ftyp") return "video/mp4";
  if (["000001ba", "000001b3"].includes(beginning.toString("hex", 0, 4))) return "video/mpeg";
  return beginning[0] === 0x47 && beginning[188] === 0x47 ? "video/mp2t" : undefined;
}

/** Why stored frames cannot stand for rendered ones, by what the data set says; undefined when they can. */
export function imageFault(
  { uid, name }: TransferSyntax,
  json: DicomJson,
  { iccProfile = "no", ...changes }: RenderingOptions,
): string | undefined {
  const only = "Only frames that are stored as JPEG Baseline and need no change can be rendered yet";
  if (uid !== jpegBaselineUid) return `${only}; these are stored as ${name}.`;
  const asked = Object.entries(changes).find(([, value]) => value !== undefined);
  if (asked) return `${only}; ${asked[0]} asks for one.`;
  if (iccProfile !== "no") return `${only}; iccprofile asks for one.`;
  const isGray = first(json, tag.samplesPerPixel) === 1;
  return isGray && needsGrayscaleTransformation(json) ? `${only}; these gray values need a window.` : undefined;
}

/** Whether the grayscale transformations (PS3.4 N.2) do anything to the stored values. */
function needsGrayscaleTransformation(json: DicomJson): boolean {
  const transforming = [
    tag.windowCenter,
    tag.modalityLutSequence,
    tag.voiLutSequence,
    tag.sharedFunctionalGroupsSequence,
    tag.perFrameFunctionalGroupsSequence,
  ];
  return (
    first(json, tag.photometricInterpretation) !== "MONOCHROME2" ||
    first(json, tag.bitsStored) !== 8 ||
    first(json, tag.pixelRepresentation) !== 0 ||
    transforming.some((one) => first(json, one) !== undefined) ||
    Number(first(json, tag.rescaleIntercept) ?? 0) !== 0 ||
    Number(first(json, tag.rescaleSlope) ?? 1) !== 1 ||
    (first(json, tag.presentationLutShape) ?? "IDENTITY") !== "IDENTITY"
  );
}

/** Why a browser would not show this JPEG stream as the data set means it; undefined when it would. */
export async function jpegFault(frame: ReadableBytes, json: DicomJson): Promise<string | undefined> {
  const notBaseline = "The frame is not the JPEG Baseline stream that its transfer syntax says.";
  const head = await headOf(frame, headerLength);
  const source = {
    byteLength: head.length,
    bytes: (offset = 0, length = head.length) => heldBytes(length, async () => head).read({ offset, length }),
  };
  try {
    const header = await readJpegHeader(source);
    if (header.transferSyntaxUid !== jpegBaselineUid || header.bitsStored !== 8) return notBaseline;
    const value = first(json, tag.photometricInterpretation);
    const meant = typeof value === "string" ? value : "";
    const taken = header.photometricInterpretation;
    const same = taken === meant || (taken.startsWith("YBR_FULL") && meant.startsWith("YBR_FULL"));
    return same ? undefined : `The frame is ${meant}, and its JPEG stream would be taken for ${taken}.`;
  } catch (error) {
    if (error instanceof ArchiveError && error.code === "malformed-media") return notBaseline;
    throw error;
  }
}

async function headOf(bytes: ReadableBytes, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of bytes.read({ offset: 0, length: Math.min(length, bytes.byteLength) })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function first(json: DicomJson, at: string): JsonValue | undefined {
  return json[at]?.Value?.[0];
}
