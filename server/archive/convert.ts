/** Conversion between transfer syntaxes that needs no work on pixels: native ones to native ones (PS3.5 A.1 to A.5). */
import { createDeflateRaw } from "node:zlib";
import { pipeline, Readable } from "node:stream";
import { type NativePiece, nativePieces } from "../dicom/native-writer.ts";
import { Part10Scan } from "../dicom/part10.ts";
import { part10Header } from "../dicom/part10-writer.ts";
import {
  deflatedExplicitVrLittleEndian,
  explicitVrBigEndian,
  explicitVrLittleEndian,
  implicitVrLittleEndian,
  transferSyntaxOf,
} from "../dicom/transfer-syntax.ts";
import { parseUid } from "../dicom/uid.ts";
import { swapped } from "../dicom/vr.ts";
import { ArchiveError } from "../errors.ts";
import {
  inflatedDataSet,
  objectBytes,
  type ReadableBlobs,
  segmentBytes,
  type StoredPlace,
  swapBytes,
  toBuffer,
} from "./stored-bytes.ts";

/** Native transfer syntaxes, those first that keep most of what is stored and are read by most. */
const nativeSyntaxUids: readonly string[] = [
  explicitVrLittleEndian.uid,
  implicitVrLittleEndian.uid,
  deflatedExplicitVrLittleEndian.uid,
  explicitVrBigEndian.uid,
];

/** Transfer syntaxes that an instance stored in `transferSyntaxUid` can be sent in as a file: that one first. */
export function sendableSyntaxes(transferSyntaxUid: string): readonly string[] {
  return dataSetSyntaxes(transferSyntaxUid).slice(0, transferSyntaxUid === explicitVrLittleEndian.uid ? 1 : 2);
}

/** Transfer syntaxes that its data set can be had in alone: that one first, then the others by merit. */
export function dataSetSyntaxes(transferSyntaxUid: string): readonly string[] {
  const others = transferSyntaxOf(transferSyntaxUid)?.pixels === "native" ? nativeSyntaxUids : [];
  return [transferSyntaxUid, ...others.filter((uid) => uid !== transferSyntaxUid)];
}

/** An instance as its row tells it. */
export interface StoredInstance extends StoredPlace {
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
}

/** The instance as a file in explicit VR little endian; of one whose `sendableSyntaxes` have it. */
export async function* inExplicitVrLittleEndian(blobs: ReadableBlobs, row: StoredInstance): AsyncGenerator<Buffer> {
  yield part10Header({
    sopClassUid: parseUid(row.sopClassUid),
    sopInstanceUid: parseUid(row.sopInstanceUid),
    transferSyntaxUid: explicitVrLittleEndian.uid,
  });
  yield* dataSetBytes(blobs, row, explicitVrLittleEndian.uid);
}

/**
 * The data set alone, without preamble and file meta information: as it is stored, or converted to another of its
 * `dataSetSyntaxes`. To convert, a large object is read twice: once for its elements, of which the header is held, and
 * once for the long values among them.
 * @throws ArchiveError `not-acceptable` when the syntax is none of them, or the data set holds compressed pixels in a
 *   native syntax
 */
export async function* dataSetBytes(
  blobs: ReadableBlobs,
  place: StoredPlace,
  transferSyntaxUid: string,
): AsyncGenerator<Buffer> {
  const { blobKey, dataSetOffset, byteLength } = place;
  if (transferSyntaxUid === place.transferSyntaxUid) {
    yield* objectBytes(blobs, blobKey, { offset: dataSetOffset, length: byteLength - dataSetOffset });
    return;
  }
  const target = transferSyntaxOf(transferSyntaxUid);
  if (!target || !dataSetSyntaxes(place.transferSyntaxUid).includes(transferSyntaxUid)) {
    throw new ArchiveError("not-acceptable", `The instance cannot be sent in ${transferSyntaxUid}.`);
  }
  const isInflated = transferSyntaxOf(place.transferSyntaxUid)?.deflated === true;
  const asIs = isInflated && target.explicitVr && target.littleEndian;
  const bytes = asIs ? inflatedDataSet(blobs, place) : written(blobs, place, target);
  yield* target.deflated ? deflated(bytes) : bytes;
}

/** Bytes of an object that is held to be converted, so that it is read once. */
const heldLength = 2 * 2 ** 20;

type Target = Parameters<typeof nativePieces>[1];

async function* written(blobs: ReadableBlobs, place: StoredPlace, target: Target): AsyncGenerator<Buffer> {
  const { blobKey, byteLength } = place;
  const isHeld = byteLength <= heldLength && transferSyntaxOf(place.transferSyntaxUid)?.deflated !== true;
  const chunks: Buffer[] = [];
  const scan = new Part10Scan();
  for await (const chunk of objectBytes(blobs, blobKey, { offset: 0, length: byteLength })) {
    if (isHeld) chunks.push(chunk);
    await scan.push(chunk);
  }
  const pieces = nativePieces((await scan.end()).dataSet, target);
  yield* isHeld ? cut(Buffer.concat(chunks), pieces) : read(blobs, place, pieces);
}

/** The pieces of an object that is in memory. */
function* cut(object: Buffer, pieces: readonly NativePiece[]): Generator<Buffer> {
  for (const piece of pieces) {
    if (Buffer.isBuffer(piece)) yield piece;
    else {
      const { segments, swapWidth } = piece;
      const value = Buffer.concat(segments.map(({ offset, length }) => object.subarray(offset, offset + length)));
      yield swapWidth === 1 ? value : swapped(value, swapWidth);
    }
  }
}

/** The pieces of an object that is not in memory: its long values are read one after the other, in one pass. */
async function* read(blobs: ReadableBlobs, place: StoredPlace, pieces: readonly NativePiece[]): AsyncGenerator<Buffer> {
  const segments = pieces.flatMap((piece) => (Buffer.isBuffer(piece) ? [] : piece.segments));
  const values = new Taking(segmentBytes(blobs, place, segments).read());
  try {
    for (const piece of pieces) {
      if (Buffer.isBuffer(piece)) yield piece;
      else {
        const value = values.take(piece.segments.reduce((sum, { length }) => sum + length, 0));
        yield* piece.swapWidth === 1 ? value : swapBytes(value, piece.swapWidth);
      }
    }
  } finally {
    await values.end();
  }
}

/** Bytes in runs of given length, whatever the chunks. */
class Taking {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(bytes: AsyncIterable<Buffer>) {
    this.#chunks = bytes[Symbol.asyncIterator]();
  }

  /** The next `length` bytes. @throws ArchiveError `no-such-blob` when there are not as many */
  async *take(length: number): AsyncGenerator<Buffer> {
    let missing = length;
    while (missing > 0) {
      if (this.#rest.length === 0) {
        const next = await this.#chunks.next();
        if (next.done === true) throw new ArchiveError("no-such-blob", "The stored bytes end too early.");
        this.#rest = next.value;
      }
      const bytes = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(bytes.length);
      missing -= bytes.length;
      yield bytes;
    }
  }

  /** Lets go of what is read from. */
  async end(): Promise<void> {
    await this.#chunks.return?.();
  }
}

/** A data set deflated, with a NUL behind it when its length were odd (PS3.5 A.5). */
async function* deflated(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let length = 0;
  for await (const chunk of pipeline(Readable.from(bytes), createDeflateRaw(), () => undefined)) {
    const some = toBuffer(chunk);
    length += some.length;
    yield some;
  }
  if (length % 2 === 1) yield Buffer.alloc(1);
}
