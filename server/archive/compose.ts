/** Composes the file of an instance that came as metadata and bulk data (PS3.18 10.5.1.4, 10.5.2). */
import { otherVr, tagHex, tagLabel } from "../dicom/dictionary.ts";
import { metadataFault } from "../dicom/json-reader.ts";
import type { DicomJson } from "../dicom/json.ts";
import type { PixelDescription } from "../dicom/media-header.ts";
import { type ByteSource, part10File } from "../dicom/part10-writer.ts";
import {
  explicitVrLittleEndian,
  type TransferSyntax,
  transferSyntaxes,
  transferSyntaxOf,
} from "../dicom/transfer-syntax.ts";
import { isUid, type Uid, uidRule } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import type { BulkPart, BulkParts } from "./bulk-parts.ts";
import {
  documentAttributes,
  imageAttributes,
  imageClass,
  mediaOf,
  modelAttributes,
  type PixelMedia,
} from "./media-classes.ts";
import { identified, type Surroundings } from "./identified.ts";
import {
  completed,
  compressionAndCine,
  contradictions,
  isEmpty,
  numberOfFrames,
  pixelAttributes,
} from "./pixel-attributes.ts";

/** A file to be stored, and what its sender should know of it. */
export interface Composed {
  readonly file: AsyncIterable<Buffer>;
  readonly warnings: readonly string[];
}

const pixelData = "7FE00010";
const encapsulatedDocument = "00420011";
const sopClassUid = "00080016";
const sopInstanceUid = "00080018";
const transferSyntaxUid = "00020010";

/** Stands for the document where the metadata have no BulkDataURI for it. */
const theDocument = "urn:noctis:document";

interface Wrapped {
  readonly dataSet: DicomJson;
  readonly syntax: TransferSyntax;
  readonly frames?: readonly ByteSource[];
  readonly video?: boolean;
  readonly document?: ByteSource;
  readonly warnings: readonly string[];
}

/**
 * The file of `given`. Where its pixel data or document are media (image/jpeg, application/pdf...), it gets the
 * attributes that these imply and that it lacks, and UIDs; where it names no SOP Class, also that, what it needs, and
 * patient and study of the instances around it. Nothing that it says is changed. `adopted` are parts that it does not name and that are its own.
 * @throws ArchiveError `malformed-metadata`, `malformed-media`, `missing-bulk-data`, `missing-identifier`,
 *   `unknown-transfer-syntax`
 */
export async function compose(
  given: DicomJson,
  parts: BulkParts,
  adopted: readonly BulkPart[],
  surroundings: Surroundings,
): Promise<Composed> {
  const { dataSet, syntax, frames, video, document, warnings } = await wrap(given, parts, adopted, surroundings);
  const file = part10File(dataSet, {
    sopClassUid: identifier(dataSet, sopClassUid),
    sopInstanceUid: identifier(dataSet, sopInstanceUid),
    transferSyntaxUid: syntax.uid,
    bulkData: (uri, tag) =>
      document && uri === theDocument ? document : joined(found(parts, uri, tag).map(({ source }) => source)),
    frames,
    video: video === true,
  });
  return { file, warnings: [...warnings, ...vrFaults(given)] };
}

/** A sentence for each attribute of the top level that has another VR than PS3.6 gives it. */
function vrFaults(dataSet: DicomJson): string[] {
  return Object.entries(dataSet).flatMap(([tag, { vr }]) => {
    const number = Number.parseInt(tag, 16);
    const expected = otherVr(number, vr);
    return expected === undefined ? [] : [`${tagLabel(number)} has VR ${vr}; PS3.6 gives it ${expected}.`];
  });
}

async function wrap(
  given: DicomJson,
  parts: BulkParts,
  adopted: readonly BulkPart[],
  surroundings: Surroundings,
): Promise<Wrapped> {
  const pixelUri = given[pixelData]?.BulkDataURI;
  const documentUri = given[encapsulatedDocument]?.BulkDataURI;
  const holdsMedia = !isEmpty(given[pixelData]) || !isEmpty(given[encapsulatedDocument]);
  // Octets that nothing names may be anything; they are told of as left over.
  const own = holdsMedia
    ? []
    : adopted.filter((part) => !isOctets(part) || octetsSyntax(given, part)?.pixels !== "native");
  for (const part of own) parts.use(part);
  const documents = documentUri === undefined ? own.filter(isDocument) : found(parts, documentUri, 0x00420011);
  if (documents.length > 0) return wrapDocument(given, documents, surroundings);
  const frames = pixelUri === undefined ? own : found(parts, pixelUri, 0x7fe00010);
  const [frame] = frames;
  if (frame) return wrapPixels(given, frames, frame, surroundings);
  return { dataSet: given, syntax: explicitVrLittleEndian, warnings: [] };
}

function isDocument({ mediaType }: BulkPart): boolean {
  return mediaOf(mediaType)?.kind === "document";
}

async function wrapDocument(
  given: DicomJson,
  documents: readonly BulkPart[],
  surroundings: Surroundings,
): Promise<Wrapped> {
  const [part, ...others] = documents;
  if (!part || others.length > 0) throw metadataFault(0x00420011, `has ${documents.length} bulk data parts`);
  const media = mediaOf(part.mediaType);
  const syntax = explicitVrLittleEndian;
  const { byteLength } = part.source;
  const length: DicomJson = { "00420015": { vr: "UL", Value: [byteLength] } };
  if (media?.kind !== "document") {
    // Without it nobody could tell the padding from the document.
    return { dataSet: byteLength % 2 === 1 ? completed(given, length) : given, syntax, warnings: [] };
  }
  await media.check?.(part.source);
  const mimeType: DicomJson = { "00420012": { vr: "LO", Value: [media.mediaType] } };
  const ofClass = isEmpty(given[sopClassUid]) ? documentAttributes(media) : {};
  const implied = { ...ofClass, ...mimeType, ...length };
  const whole = completed(await identified(given, media.sopClassUid, surroundings), implied);
  const dataSet: DicomJson = { ...whole, [encapsulatedDocument]: { vr: "OB", BulkDataURI: theDocument } };
  const lacking = media.modality === "M3D" ? modelAttributes : [];
  const warnings = lacking
    .filter((tag) => isEmpty(dataSet[tagHex(tag)]))
    .map((tag) => `${tagLabel(tag)} is missing, which a 3D model must have.`);
  return { dataSet, syntax, document: part.source, warnings };
}

async function wrapPixels(
  given: DicomJson,
  parts: readonly BulkPart[],
  first: BulkPart,
  surroundings: Surroundings,
): Promise<Wrapped> {
  const media = mediaOf(first.mediaType);
  if (!media) return wrapOctets(given, parts, first);
  if (media.kind === "document") throw metadataFault(0x7fe00010, `has a bulk data part of ${first.mediaType}`);
  const { pixels, faults } = await readHeader(given, first, media);
  const { syntax, warnings } = syntaxOf(first, media, pixels);
  const frames: ByteSource[] = [];
  for (const { source } of parts) {
    // Only the frames of files with boxes have a codestream of their own.
    const { codestream } = pixels?.codestream ? ((await media.read?.(source)) ?? pixels) : {};
    frames.push(codestream ? sliceOf(source, codestream) : source);
  }
  if (media.video && frames.length > 1)
    throw metadataFault(0x7fe00010, `has ${frames.length} parts of ${first.mediaType}`);
  const encoding = { syntax, frames, video: media.video };
  if (!pixels) return { ...encoding, ...counted(given, frames.length, [...warnings, ...faults]) };
  const { sopClassUid: implied, modality } = imageClass(pixels, media, frames.length);
  const byteLength = frames.reduce((sum, frame) => sum + frame.byteLength, 0);
  const attributes = pixelAttributes(pixels, frames.length);
  const ofClass = isEmpty(given[sopClassUid])
    ? { ...imageAttributes(modality), ...compressionAndCine(pixels, frames.length, byteLength) }
    : {};
  const own = completed(given, { ...ofClass, ...attributes });
  return {
    ...encoding,
    dataSet: await identified(own, implied, surroundings),
    warnings: [...warnings, ...pixels.warnings, ...contradictions(given, attributes)],
  };
}

/** The header of a stream; one that is broken is only a fault where all that it says is said elsewhere. */
async function readHeader(given: DicomJson, { source, transferSyntaxUid: declared }: BulkPart, media: PixelMedia) {
  const isDeclared = declared !== undefined && transferSyntaxes.get(declared)?.frameMediaType === media.mediaType;
  try {
    return { pixels: await media.read?.(source), faults: [] };
  } catch (error) {
    const isNeeded = !isDeclared || isEmpty(given["00280010"]) || isEmpty(given["00280011"]);
    if (isNeeded || !(error instanceof ArchiveError) || error.code !== "malformed-media") throw error;
    return { pixels: undefined, faults: [error.message] };
  }
}

/** Octets are native pixels, unless a transfer syntax says that they are compressed (PS3.18 8.7.3.3). */
function wrapOctets(given: DicomJson, parts: readonly BulkPart[], first: BulkPart): Wrapped {
  if (!isOctets(first)) {
    throw metadataFault(
      0x7fe00010,
      `has a bulk data part of ${first.mediaType}, for which DICOM has no transfer syntax`,
    );
  }
  const syntax = octetsSyntax(given, first);
  if (!syntax) throw new ArchiveError("unknown-transfer-syntax", "The transfer syntax of the bulk data is not a UID.");
  if (syntax.pixels === "native") return { dataSet: given, syntax: explicitVrLittleEndian, warnings: [] };
  const video = syntax.pixels === "video";
  const frames = parts.map(({ source }) => source);
  return { syntax, frames, video, ...(video ? { dataSet: given, warnings: [] } : counted(given, frames.length, [])) };
}

/** `given` with the number of its frames, where no header says more: without it several would be taken for one. */
function counted(given: DicomJson, frames: number, warnings: readonly string[]): Pick<Wrapped, "dataSet" | "warnings"> {
  const implied = numberOfFrames(frames);
  return { dataSet: completed(given, implied), warnings: [...warnings, ...contradictions(given, implied)] };
}

function isOctets({ mediaType }: BulkPart): boolean {
  return mediaType === "application/octet-stream";
}

/** What the part or the metadata declare; undefined when that is not a UID. */
function octetsSyntax(given: DicomJson, part: BulkPart): TransferSyntax | undefined {
  const declared = part.transferSyntaxUid ?? given[transferSyntaxUid]?.Value?.[0];
  return typeof declared === "string" ? transferSyntaxOf(declared) : explicitVrLittleEndian;
}

/** What the part declares, if its media type has that transfer syntax (PS3.18 Table 8.7.3-5); else what its header says. */
function syntaxOf(
  part: BulkPart,
  media: PixelMedia,
  pixels: PixelDescription | undefined,
): { readonly syntax: TransferSyntax; readonly warnings: readonly string[] } {
  const { transferSyntaxUid: declared, mediaType } = part;
  const row = declared === undefined ? undefined : transferSyntaxes.get(declared);
  if (row?.frameMediaType === media.mediaType) return { syntax: row, warnings: [] };
  const read = pixels?.transferSyntaxUid ?? media.transferSyntaxUid;
  const syntax = read === undefined ? undefined : transferSyntaxOf(read);
  if (!syntax) {
    const fault = `The ${mediaType} part does not tell a transfer syntax that DICOM has: name it as its parameter.`;
    throw new ArchiveError("unknown-transfer-syntax", fault);
  }
  if (declared === undefined) return { syntax, warnings: [] };
  return {
    syntax,
    warnings: [`The transfer syntax that the part declares is none of ${mediaType}; ${syntax.uid} is.`],
  };
}

/** @throws ArchiveError `missing-identifier` */
function identifier(dataSet: DicomJson, tag: string): Uid {
  const value = dataSet[tag]?.Value?.[0];
  if (typeof value === "string" && isUid(value)) return value;
  const fault = value === undefined || value === null ? "is missing" : uidRule;
  throw new ArchiveError("missing-identifier", `${tagLabel(Number.parseInt(tag, 16))} ${fault}.`);
}

/** @throws ArchiveError `missing-bulk-data` */
function found(parts: BulkParts, uri: string, tag: number): readonly BulkPart[] {
  const these = parts.find(uri);
  if (these.length > 0) return these;
  const shown = JSON.stringify(uri.slice(0, 100));
  throw new ArchiveError("missing-bulk-data", `${tagLabel(tag)} refers to ${shown}, and no part of the body is that.`);
}

function sliceOf({ bytes }: ByteSource, { offset, length }: { offset: number; length: number }): ByteSource {
  return { byteLength: length, bytes: (from = 0, count = length - from) => bytes(offset + from, count) };
}

/** Several parts of one name, where they are no frames: one value. */
function joined(sources: readonly ByteSource[]): ByteSource {
  const [only] = sources;
  if (only && sources.length === 1) return only;
  return {
    byteLength: sources.reduce((sum, { byteLength }) => sum + byteLength, 0),
    async *bytes() {
      for (const source of sources) yield* source.bytes();
    },
  };
}
