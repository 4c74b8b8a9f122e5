/** The bytes of a stored instance as its frame table counts them: of the object itself, or inflated. */
import { pipeline } from "node:stream";
import { createInflateRaw } from "node:zlib";
import { z } from "zod";
import type { Blobs } from "../../storage/blobs.ts";
import type { Segment } from "../dicom/data-set.ts";
import { transferSyntaxOf } from "../dicom/transfer-syntax.ts";
import { swapped } from "../dicom/vr.ts";
import { ArchiveError } from "../errors.ts";

/** What reading takes of a store. */
export type ReadableBlobs = Pick<Blobs, "get" | "read">;

/** Where an instance lies, of its catalog row. */
export interface StoredPlace {
  readonly transferSyntaxUid: string;
  readonly blobKey: string;
  readonly dataSetOffset: number;
  /** Size of the object in bytes. */
  readonly byteLength: number;
}

/** Bytes of known length, of which any run can be read alone. */
export interface ReadableBytes {
  readonly byteLength: number;
  /** All of them, or those of `range`, which lies within. Nothing is opened before the first are pulled. */
  readonly read: (range?: Segment) => AsyncIterable<Buffer>;
}

/**
 * The bytes of `segments`, one after the other, numbers of `swapWidth` bytes turned from big to little endian. A range
 * reads no more than its own bytes, of a deflated data set all before them too.
 */
export function segmentBytes(
  blobs: ReadableBlobs,
  place: StoredPlace,
  segments: readonly Segment[],
  swapWidth: 1 | 2 | 4 | 8 = 1,
): ReadableBytes {
  const byteLength = segments.reduce((sum, { length }) => sum + length, 0);
  const readAll = (some: readonly Segment[]) => {
    const bytes = readSegments(blobs, place, some);
    return swapWidth === 1 ? bytes : swapBytes(bytes, swapWidth);
  };
  return {
    byteLength,
    read: (range) => {
      if (range === undefined) return readAll(segments);
      // Whole numbers are swapped: the range is widened to them, and cut again.
      const offset = range.offset - (range.offset % swapWidth);
      const end = Math.min(byteLength, Math.ceil((range.offset + range.length) / swapWidth) * swapWidth);
      const bytes = readAll(cutSegments(segments, { offset, length: end - offset }));
      return swapWidth === 1 ? bytes : sliced(bytes, offset, [range]);
    },
  };
}

const segmentSchema = z.object({ offset: z.int(), length: z.int() });
const bulkDataSchema = z.object({
  segments: z.array(segmentSchema),
  swapWidth: z.union([z.literal(1), z.literal(2), z.literal(4), z.literal(8)]),
});

/** The value that `entry` of a table of bulk data (server/dicom/json.ts) says, in little endian. */
export function tabledBytes(blobs: ReadableBlobs, place: StoredPlace, entry: unknown): ReadableBytes {
  const { segments, swapWidth } = bulkDataSchema.parse(entry);
  return segmentBytes(blobs, place, segments, swapWidth);
}

/** `bytes` that are at hand, or made at once when the first are pulled. */
export function heldBytes(byteLength: number, make: () => Promise<Buffer>): ReadableBytes {
  return {
    byteLength,
    read: async function* (range) {
      const bytes = await make();
      yield range === undefined ? bytes : bytes.subarray(range.offset, range.offset + range.length);
    },
  };
}

/** The parts of `segments` that hold `range` of their bytes, counted over all of them. */
function cutSegments(segments: readonly Segment[], range: Segment): Segment[] {
  const cut: Segment[] = [];
  let position = 0;
  for (const { offset, length } of segments) {
    const from = Math.max(range.offset, position);
    const to = Math.min(range.offset + range.length, position + length);
    if (to > from) cut.push({ offset: offset + from - position, length: to - from });
    position += length;
  }
  return cut;
}

/** Bytes of a run that is read in one piece; a longer one is streamed. */
const inOnePiece = 4 * 2 ** 20;

/** The bytes of `segments`, one after the other. Neighbouring segments that nearly touch are read together. */
async function* readSegments(
  blobs: ReadableBlobs,
  place: StoredPlace,
  segments: readonly Segment[],
): AsyncGenerator<Buffer> {
  if (transferSyntaxOf(place.transferSyntaxUid)?.deflated) {
    yield* inflatedSegments(blobs, place, segments);
    return;
  }
  for (const run of runsOf(segments)) {
    const [first] = run;
    const last = run.at(-1);
    if (!first || !last) continue;
    const range = { offset: first.offset, length: last.offset + last.length - first.offset };
    if (range.length > inOnePiece) {
      for await (const chunk of await blobs.get(place.blobKey, range)) yield toBuffer(chunk);
      continue;
    }
    const bytes = await blobs.read(place.blobKey, range);
    for (const { offset, length } of run) yield bytes.subarray(offset - range.offset, offset - range.offset + length);
  }
}

/** The bytes of an object, or of `range` of it, which is opened when the first are pulled. */
export async function* objectBytes(
  blobs: Pick<Blobs, "get">,
  blobKey: string,
  range?: Segment,
): AsyncGenerator<Buffer> {
  for await (const chunk of await blobs.get(blobKey, range)) yield toBuffer(chunk);
}

/** The bytes of `range` in one piece, read when they are pulled. */
export async function* readBytes(blobs: ReadableBlobs, blobKey: string, range: Segment): AsyncGenerator<Buffer> {
  yield await blobs.read(blobKey, range);
}

/** Numbers of `width` bytes from big to little endian, whatever the chunks. */
export async function* swapBytes(source: AsyncIterable<Buffer>, width: 1 | 2 | 4 | 8): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    const whole = bytes.length - (bytes.length % width);
    rest = Buffer.from(bytes.subarray(whole));
    if (whole > 0) yield swapped(bytes.subarray(0, whole), width);
  }
  if (rest.length > 0) yield rest;
}

/** Segments in runs: the item headers between fragments (8 bytes) are read and dropped, since a read costs more. */
function runsOf(segments: readonly Segment[]): Segment[][] {
  const runs: Segment[][] = [];
  let end = -1;
  let start = 0;
  for (const segment of segments) {
    const run = runs.at(-1);
    const near =
      segment.offset >= end && segment.offset - end <= 8 && segment.offset + segment.length - start <= inOnePiece;
    if (run && near) run.push(segment);
    else {
      runs.push([segment]);
      start = segment.offset;
    }
    end = segment.offset + segment.length;
  }
  return runs;
}

/** A deflated data set can only be read from its beginning; segments come in ascending order. */
async function* inflatedSegments(
  blobs: ReadableBlobs,
  place: StoredPlace,
  segments: readonly Segment[],
): AsyncGenerator<Buffer> {
  yield* sliced(inflatedDataSet(blobs, place), place.dataSetOffset, segments);
}

/** The data set of a deflated file, which is in explicit VR little endian (PS3.5 A.5). */
export async function* inflatedDataSet(blobs: ReadableBlobs, place: StoredPlace): AsyncGenerator<Buffer> {
  const { blobKey, dataSetOffset, byteLength } = place;
  const deflated = await blobs.get(blobKey, { offset: dataSetOffset, length: byteLength - dataSetOffset });
  // What fails, and leaving early, destroys both ends; the reader throws it.
  for await (const chunk of pipeline(deflated, createInflateRaw(), () => undefined)) yield toBuffer(chunk);
}

/** The bytes of `segments`, in ascending order, of `source`, whose first byte is at `start`. */
async function* sliced(
  source: AsyncIterable<Buffer>,
  start: number,
  segments: readonly Segment[],
): AsyncGenerator<Buffer> {
  const left = [...segments];
  let position = start;
  for await (const chunk of source) {
    const end = position + chunk.length;
    while (left[0] && left[0].offset < end) {
      const { offset, length } = left[0];
      const from = Math.max(offset, position);
      const to = Math.min(offset + length, end);
      if (to > from) yield chunk.subarray(from - position, to - position);
      if (offset + length > end) break;
      left.shift();
    }
    position = end;
    if (left.length === 0) return;
  }
  if (left.some(({ length }) => length > 0)) throw new ArchiveError("no-such-blob", "The stored bytes end too early.");
}

/** A chunk of a stream of bytes. */
export function toBuffer(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk;
  throw new TypeError("a stream of bytes yields buffers");
}
