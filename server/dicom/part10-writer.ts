/** Writes a data set of the DICOM JSON Model as a DICOM file (PS3.10): explicit VR little endian, text in UTF-8. */
import {
  elementHeader,
  item,
  itemDelimitation,
  itemHeader,
  sequenceDelimitation,
  undefinedLength,
} from "./element-headers.ts";
import { metadataFault } from "./json-reader.ts";
import { type DicomJson, isItem, type JsonAttribute } from "./json.ts";
import type { Uid } from "./uid.ts";
import { paddingOf, valueField } from "./value-writer.ts";
import { type VrRow, vrRow } from "./vr.ts";

/** Bytes that lie elsewhere, to be read when they are written. */
export interface ByteSource {
  /** Length in bytes. */
  readonly byteLength: number;
  /** The bytes from `offset`, `length` of them; all without arguments. */
  readonly bytes: (offset?: number, length?: number) => AsyncIterable<Buffer>;
}

/** What goes into the file beside the data set. */
export interface FileContent {
  readonly sopClassUid: Uid;
  readonly sopInstanceUid: Uid;
  readonly transferSyntaxUid: Uid;
  /** The value of a BulkDataURI. Throws when there is none. */
  readonly bulkData: (uri: string, tag: number) => ByteSource;
  /** Encapsulated Pixel Data (PS3.5 A.4), one source a frame, instead of what the data set has. */
  readonly frames?: readonly ByteSource[] | undefined;
  /** The frames are one stream, which has no offset table (PS3.5 8.2.5). */
  readonly video?: boolean;
}

type Piece = Buffer | ByteSource;

/** UID of this implementation in the files that it makes (PS3.10 7.1), and in associations. */
export const implementationClassUid = "2.25.336549488731070712478028811569103497558";
/** Its name there. */
export const implementationVersionName = "NOCTIS";

const pixelData = 0x7fe00010;
const offsetTables = new Set(["7FE00001", "7FE00002"]);
const specificCharacterSet = "00080005";
const flushLength = 64 * 1024;

/**
 * The bytes of the file. The header is made at the call, so that what cannot be written throws before a byte is given:
 * ArchiveError `malformed-metadata`, or what `content.bulkData` throws. Group lengths, file meta information and
 * (0008,3002), which tells how an instance is stored, are left out of the data set.
 */
export function part10File(dataSet: DicomJson, content: FileContent): AsyncIterable<Buffer> {
  const writer = new DataSetWriter(content);
  writer.write(part10Header(content));
  writer.dataSet(withCharacterSet(dataSet), true);
  return joined(writer.pieces());
}

/** What file meta information tells of the instance. */
type MetaContent = Pick<FileContent, "sopClassUid" | "sopInstanceUid" | "transferSyntaxUid"> & {
  /** Of who sent it over the network and who took it (PS3.10 Table 7.1-1). */
  readonly aeTitles?: { readonly sending: string; readonly receiving: string };
};

/** Preamble, prefix and file meta information: what stands in front of a data set. */
export function part10Header(content: MetaContent): Buffer {
  return Buffer.concat([Buffer.alloc(128), Buffer.from("DICM"), fileMeta(content)]);
}

/** The bytes of a data set without bulk data. @throws ArchiveError `malformed-metadata` */
export function dataSetBytes(dataSet: DicomJson): Buffer {
  const writer = new DataSetWriter({ bulkData: (_uri, tag) => refuseBulkData(tag) });
  writer.dataSet(withCharacterSet(dataSet), false);
  return Buffer.concat(writer.pieces().filter((piece) => Buffer.isBuffer(piece)));
}

function refuseBulkData(tag: number): never {
  throw metadataFault(tag, "has bulk data where there can be none");
}

/** PS3.10 7.1, with its group length. */
function fileMeta({ sopClassUid, sopInstanceUid, transferSyntaxUid, aeTitles }: MetaContent): Buffer {
  const texts: readonly (readonly [number, string, string])[] = [
    [0x00020002, "UI", sopClassUid],
    [0x00020003, "UI", sopInstanceUid],
    [0x00020010, "UI", transferSyntaxUid],
    [0x00020012, "UI", implementationClassUid],
    [0x00020013, "SH", implementationVersionName],
    // Source: to whom this application owes the content that it has written.
    ...(aeTitles
      ? ([
          [0x00020016, "AE", aeTitles.sending],
          [0x00020017, "AE", aeTitles.sending],
          [0x00020018, "AE", aeTitles.receiving],
        ] as const)
      : []),
  ];
  const elements = [
    elementHeader(0x00020001, vrRow("OB"), 2),
    Buffer.from([0, 1]),
    ...texts.flatMap(([tag, vr, text]) => {
      const value = valueField(tag, { vr, Value: [text] });
      return [elementHeader(tag, vrRow(vr), value.length), value];
    }),
  ];
  const group = Buffer.concat(elements);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(group.length);
  return Buffer.concat([elementHeader(0x00020000, vrRow("UL"), 4), length, group]);
}

/** Text is written in UTF-8: Specific Character Set says so, unless there is none and all is ASCII. */
function withCharacterSet(dataSet: DicomJson): DicomJson {
  if (!dataSet[specificCharacterSet] && !holdsMoreThanAscii(dataSet)) return dataSet;
  return { ...dataSet, [specificCharacterSet]: { vr: "CS", Value: ["ISO_IR 192"] } };
}

function holdsMoreThanAscii(value: unknown): boolean {
  if (typeof value === "string") return /[^\0-\x7f]/.test(value);
  return typeof value === "object" && value !== null && Object.values(value).some((inner) => holdsMoreThanAscii(inner));
}

class DataSetWriter {
  readonly #content: Pick<FileContent, "bulkData" | "frames" | "video">;
  readonly #pieces: Piece[] = [];
  #small: Buffer[] = [];
  #smallLength = 0;

  constructor(content: Pick<FileContent, "bulkData" | "frames" | "video">) {
    this.#content = content;
  }

  pieces(): readonly Piece[] {
    this.#flush();
    return this.#pieces;
  }

  write(...buffers: readonly Buffer[]): void {
    for (const buffer of buffers) {
      this.#small.push(buffer);
      this.#smallLength += buffer.length;
    }
    if (this.#smallLength >= flushLength) this.#flush();
  }

  dataSet(dataSet: DicomJson, top: boolean): void {
    let frames = top ? this.#content.frames : undefined;
    for (const tag of Object.keys(dataSet).sort()) {
      const attribute = dataSet[tag];
      const number = Number.parseInt(tag, 16);
      if (!attribute || isLeftOut(tag, number)) continue;
      const encapsulated = top && this.#content.frames !== undefined;
      if (encapsulated && (offsetTables.has(tag) || number === pixelData)) continue;
      if (frames && number > pixelData) {
        this.#encapsulated(frames);
        frames = undefined;
      }
      this.#attribute(number, tag === specificCharacterSet ? { vr: "CS", Value: ["ISO_IR 192"] } : attribute);
    }
    if (frames) this.#encapsulated(frames);
  }

  #attribute(tag: number, attribute: JsonAttribute): void {
    const row = vrRow(attribute.vr);
    if (row.kind === "sequence") this.#sequence(tag, attribute);
    else if (attribute.BulkDataURI !== undefined) this.#bulkData(tag, row, attribute.BulkDataURI);
    else {
      const value = valueField(tag, attribute);
      this.write(elementHeader(tag, row, value.length), value);
    }
  }

  #sequence(tag: number, { Value: items = [] }: JsonAttribute): void {
    if (items.length === 0) {
      this.write(elementHeader(tag, vrRow("SQ"), 0));
      return;
    }
    this.write(elementHeader(tag, vrRow("SQ"), undefinedLength));
    for (const value of items) {
      this.write(itemHeader(item, undefinedLength));
      if (isItem(value)) this.dataSet(value, false);
      this.write(itemHeader(itemDelimitation, 0));
    }
    this.write(itemHeader(sequenceDelimitation, 0));
  }

  #bulkData(tag: number, row: VrRow, uri: string): void {
    const source = this.#content.bulkData(uri, tag);
    const length = source.byteLength + (source.byteLength % 2);
    if (length >= undefinedLength) throw metadataFault(tag, "has bulk data of more than 4,294,967,294 bytes");
    this.write(elementHeader(tag, row, length));
    this.#source(source, row);
  }

  #source(source: ByteSource, row: VrRow): void {
    this.#flush();
    this.#pieces.push(source);
    if (source.byteLength % 2 === 1) this.write(paddingOf(row));
  }

  /** One fragment a frame. Frames of odd length keep theirs in the Extended Offset Table (PS3.3 C.7.6.3.1.8). */
  #encapsulated(frames: readonly ByteSource[]): void {
    const ends: number[] = [0];
    for (const { byteLength } of frames) {
      const length = byteLength + (byteLength % 2);
      if (length >= undefinedLength) throw metadataFault(pixelData, "has a frame of more than 4,294,967,294 bytes");
      ends.push((ends.at(-1) ?? 0) + 8 + length);
    }
    const starts = ends.slice(0, -1);
    const odd = frames.some(({ byteLength }) => byteLength % 2 === 1);
    const extended = this.#content.video !== true && (odd || (starts.at(-1) ?? 0) >= undefinedLength);
    if (extended) {
      this.#offsetTable(0x7fe00001, starts);
      const lengths = frames.map(({ byteLength }) => byteLength);
      this.#offsetTable(0x7fe00002, lengths);
    }
    this.write(elementHeader(pixelData, vrRow("OB"), undefinedLength));
    const basic = extended || frames.length === 1 ? [] : starts;
    const table = Buffer.alloc(basic.length * 4);
    basic.forEach((offset, index) => table.writeUInt32LE(offset, index * 4));
    this.write(itemHeader(item, table.length), table);
    for (const frame of frames) {
      this.write(itemHeader(item, frame.byteLength + (frame.byteLength % 2)));
      this.#source(frame, vrRow("OB"));
    }
    this.write(itemHeader(sequenceDelimitation, 0));
  }

  #offsetTable(tag: number, numbers: readonly number[]): void {
    const bytes = Buffer.alloc(numbers.length * 8);
    numbers.forEach((number, index) => bytes.writeBigUInt64LE(BigInt(number), index * 8));
    this.write(elementHeader(tag, vrRow("OV"), bytes.length), bytes);
  }

  #flush(): void {
    if (this.#smallLength > 0) this.#pieces.push(Buffer.concat(this.#small));
    this.#small = [];
    this.#smallLength = 0;
  }
}

function isLeftOut(tag: string, number: number): boolean {
  const group = number >>> 16;
  return (number & 0xffff) === 0 || group === 0 || group === 2 || tag === "00083002" || tag === "FFFCFFFC";
}

async function* joined(pieces: readonly Piece[]): AsyncGenerator<Buffer> {
  for (const piece of pieces) {
    if (Buffer.isBuffer(piece)) yield piece;
    else yield* piece.bytes();
  }
}
