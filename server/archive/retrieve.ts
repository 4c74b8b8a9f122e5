/** Retrieve: instances, metadata, frames and bulk data, passed through as they are stored. */
import { inflateRawSync } from "node:zlib";
import { LRUCache } from "lru-cache";
import { z } from "zod";
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { InstanceRow, Selector } from "../../storage/catalog-read.ts";
import type { Segment } from "../dicom/data-set.ts";
import { decodeFrameTable } from "../dicom/frame-table.ts";
import type { FrameTable, NativeFrames } from "../dicom/frames.ts";
import { type TransferSyntax, transferSyntaxOf } from "../dicom/transfer-syntax.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { readSegments, swapBytes } from "./stored-bytes.ts";

/** A study, one of its series, or one instance of that. */
export interface ResourceUids {
  readonly studyInstanceUid: Uid;
  readonly seriesInstanceUid?: Uid;
  readonly sopInstanceUid?: Uid;
}
export type InstanceUids = Required<ResourceUids>;

/** One instance to be sent. */
export interface RetrievedInstance {
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  readonly transferSyntaxUid: string;
  readonly byteLength: number;
  /** SHA-256 of the stored bytes. */
  readonly sha256: Buffer;
  /** The stored bytes, all of them, as they came; the object is opened when the first are asked for. */
  readonly bytes: () => AsyncIterable<Buffer>;
}

/** The metadata of a study, a series or an instance. */
export interface RetrievedMetadata {
  /** Changes whenever the metadata does. */
  readonly version: string;
  /** DICOM JSON texts, one an instance; `BulkDataURI`s begin with `urlOf("")`. */
  readonly documents: () => AsyncIterable<string>;
}

/** Frames of one instance. */
export interface RetrievedFrames {
  readonly transferSyntaxUid: string;
  readonly mediaType: string;
  /** One element a frame, in the order asked for. */
  readonly frames: AsyncIterable<AsyncIterable<Buffer>>;
}

/** The value of one element. */
export type RetrievedBulkData =
  | { readonly kind: "value"; readonly byteLength: number; readonly bytes: AsyncIterable<Buffer> }
  /** Encapsulated pixel data is retrieved frame by frame (PS3.18 8.7.3.3). */
  | { readonly kind: "frames"; readonly frames: RetrievedFrames };

const segmentSchema = z.object({ offset: z.int(), length: z.int() });
const bulkDataSchema = z.object({
  segments: z.array(segmentSchema),
  swapWidth: z.union([z.literal(1), z.literal(2), z.literal(4), z.literal(8)]),
});

const explicitVrLittleEndianUid = "1.2.840.10008.1.2.1";
const pixelDataPath = "7FE00010";

interface Located {
  readonly row: InstanceRow;
  readonly syntax: TransferSyntax;
  readonly table: FrameTable | undefined;
}

/** Makes the retrieve use cases. */
export function createRetrieve(blobs: Blobs, catalog: Catalog) {
  /** Frame requests come in hundreds for one instance. Rows never change; the time bounds how long a removed one stays. */
  const located = new LRUCache<string, Located>({
    maxSize: 64 * 2 ** 20,
    // Four bytes of a table become an object of about a hundred.
    sizeCalculation: ({ row }) => 1024 + 25 * (row.frameTable?.length ?? 0),
    ttl: 15_000,
  });

  async function locate(uids: InstanceUids): Promise<Located> {
    const key = `${uids.studyInstanceUid}/${uids.seriesInstanceUid}/${uids.sopInstanceUid}`;
    const cached = located.get(key);
    if (cached) return cached;
    for await (const row of catalog.findInstances(uids)) {
      const syntax = transferSyntaxOf(row.transferSyntaxUid);
      if (!syntax) throw new Error("a row with a transfer syntax that is no UID");
      const found = { row, syntax, table: row.frameTable ? decodeFrameTable(row.frameTable) : undefined };
      located.set(key, found);
      return found;
    }
    throw new ArchiveError("no-such-instance", "The instance is not in this archive.");
  }

  /** @throws ArchiveError `no-such-study`, `no-such-series`, `no-such-instance` */
  async function instances(uids: ResourceUids): Promise<AsyncIterable<RetrievedInstance>> {
    const rows = catalog.findInstances(uids)[Symbol.asyncIterator]();
    const first = await rows.next();
    if (first.done === true) throw absent(uids);
    const begun: InstanceRow = first.value;
    return (async function* () {
      yield toRetrieved(begun);
      for await (const row of { [Symbol.asyncIterator]: () => rows }) yield toRetrieved(row);
    })();
  }

  function toRetrieved(row: InstanceRow): RetrievedInstance {
    const { seriesInstanceUid, sopInstanceUid, transferSyntaxUid, byteLength, sha256, blobKey } = row;
    const bytes = () => opened(() => blobs.get(blobKey));
    return { seriesInstanceUid, sopInstanceUid, transferSyntaxUid, byteLength, sha256, bytes };
  }

  /** @throws ArchiveError `no-such-study`, `no-such-series`, `no-such-instance` */
  async function metadata(uids: ResourceUids, urlOf: (path: string) => string): Promise<RetrievedMetadata> {
    const series = await catalog.findSeries(uids);
    if (series.length === 0) throw absent(uids);
    if (uids.sopInstanceUid !== undefined) await locate(toInstanceUids(uids));
    async function* documents(): AsyncGenerator<string> {
      for (const { id } of series) {
        for await (const packed of catalog.readMetadata(id, uids.sopInstanceUid)) {
          yield withBulkDataRoot(inflateRawSync(packed).toString("utf8"), urlOf(""));
        }
      }
    }
    return { version: series.map(({ id, revision }) => `${id}.${revision}`).join("-"), documents };
  }

  /** @throws ArchiveError `no-such-instance`, `no-such-frame`, `no-frame-table` */
  async function frames(uids: InstanceUids, numbers: readonly number[]): Promise<RetrievedFrames> {
    return framesOf(await locate(uids), numbers);
  }

  function framesOf({ row, syntax, table }: Located, numbers: readonly number[]): RetrievedFrames {
    const reason = "The instance has no pixel data, or pixel data that is not a sequence of frames.";
    if (!table) throw new ArchiveError("no-frame-table", reason);
    const count = frameCount(table);
    const beyond = numbers.find((number) => number > count);
    if (beyond !== undefined)
      throw new ArchiveError("no-such-frame", `The instance has ${count} ${count === 1 ? "frame" : "frames"}.`);
    const native = table.kind === "native";
    return {
      // Native pixels go out in little endian, whatever the file had (PS3.18 8.7.3.3).
      transferSyntaxUid: native ? explicitVrLittleEndianUid : syntax.uid,
      mediaType: syntax.frameMediaType,
      frames: eachFrame(row, syntax, table, numbers),
    };
  }

  async function* eachFrame(row: InstanceRow, syntax: TransferSyntax, table: FrameTable, numbers: readonly number[]) {
    for (const number of numbers) yield frame(row, syntax, table, number);
  }

  function frame(row: InstanceRow, syntax: TransferSyntax, table: FrameTable, number: number): AsyncIterable<Buffer> {
    if (table.kind === "encapsulated") return readSegments(blobs, row, table.frames[number - 1] ?? []);
    const width = syntax.littleEndian ? 1 : table.sampleBytes;
    if (table.frameBits % (8 * width) !== 0) return unalignedFrame(row, table, number, width);
    const length = table.frameBits / 8;
    const bytes = readSegments(blobs, row, [{ offset: table.offset + (number - 1) * length, length }]);
    return width === 1 ? bytes : swapBytes(bytes, width);
  }

  /**
   * Frames follow each other without padding (PS3.5 8.1.1), so one of one-bit pixels may begin inside a byte, and one
   * of big-endian words of `width` bytes inside a word.
   */
  async function* unalignedFrame(
    row: InstanceRow,
    table: NativeFrames,
    number: number,
    width: NativeFrames["sampleBytes"],
  ): AsyncGenerator<Buffer> {
    const unit = width * 8;
    const firstBit = (number - 1) * table.frameBits;
    const firstUnit = Math.floor(firstBit / unit);
    const length = (Math.ceil((firstBit + table.frameBits) / unit) - firstUnit) * width;
    const read = readSegments(blobs, row, [{ offset: table.offset + firstUnit * width, length }]);
    const chunks: Buffer[] = [];
    for await (const chunk of width === 1 ? read : swapBytes(read, width)) chunks.push(chunk);
    const skippedBits = firstBit - firstUnit * unit;
    const bytes = Buffer.concat(chunks).subarray(Math.floor(skippedBits / 8));
    yield shifted(bytes, skippedBits % 8, table.frameBits);
  }

  /** @throws ArchiveError `no-such-instance`, `no-such-bulk-data` */
  async function bulkData(uids: InstanceUids, path: string): Promise<RetrievedBulkData> {
    const found = await locate(uids);
    if (path === pixelDataPath && found.table?.kind === "encapsulated") {
      const all = Array.from({ length: frameCount(found.table) }, (_, index) => index + 1);
      return { kind: "frames", frames: framesOf(found, all) };
    }
    const entry = await catalog.findBulkData(found.row.id, path);
    if (entry === undefined) throw new ArchiveError("no-such-bulk-data", "The instance has no bulk data at this path.");
    const { segments, swapWidth } = bulkDataSchema.parse(entry);
    const bytes = readSegments(blobs, found.row, segments);
    return {
      kind: "value",
      byteLength: totalLength(segments),
      bytes: swapWidth === 1 ? bytes : swapBytes(bytes, swapWidth),
    };
  }

  return { instances, metadata, frames, bulkData };
}

/** Where a BulkDataURI begins in the stored texts: quotes inside JSON strings are escaped, so only keys match. */
function withBulkDataRoot(text: string, root: string): string {
  const replacement = `"BulkDataURI":${JSON.stringify(root).slice(0, -1)}`;
  // A function, since "$&" in a replacement text has a meaning.
  return text.replaceAll('"BulkDataURI":"', () => replacement);
}

function frameCount(table: FrameTable): number {
  return table.kind === "native" ? table.count : table.frames.length;
}

function totalLength(segments: readonly Segment[]): number {
  return segments.reduce((sum, { length }) => sum + length, 0);
}

/** `bitCount` bits from bit `shift` on, the first in the lowest bit of the first byte; the rest of the last byte is 0. */
function shifted(bytes: Buffer, shift: number, bitCount: number): Buffer {
  const out = Buffer.alloc(Math.ceil(bitCount / 8));
  for (let at = 0; at < out.length; at += 1) {
    out[at] = (((bytes[at] ?? 0) >> shift) | ((bytes[at + 1] ?? 0) << (8 - shift))) & 0xff;
  }
  const used = bitCount % 8;
  const last = out.length - 1;
  if (used !== 0) out[last] = (out[last] ?? 0) & (0xff >> (8 - used));
  return out;
}

function toInstanceUids({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: ResourceUids): InstanceUids {
  if (seriesInstanceUid === undefined || sopInstanceUid === undefined)
    throw new TypeError("not the UIDs of an instance");
  return { studyInstanceUid, seriesInstanceUid, sopInstanceUid };
}

/** The lowest level that was named is the one that is missing. */
function absent({ seriesInstanceUid, sopInstanceUid }: Selector): ArchiveError {
  if (sopInstanceUid !== undefined) return new ArchiveError("no-such-instance", "The instance is not in this archive.");
  if (seriesInstanceUid !== undefined) return new ArchiveError("no-such-series", "The series is not in this archive.");
  return new ArchiveError("no-such-study", "The study is not in this archive.");
}

async function* opened(open: () => Promise<AsyncIterable<Buffer>>): AsyncGenerator<Buffer> {
  yield* await open();
}
