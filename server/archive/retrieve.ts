/** Retrieve: instances, metadata, frames and bulk data, passed through as they are stored. */
import { inflateRawSync } from "node:zlib";
import { z } from "zod";
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { InstanceRow, SeriesRow } from "../../storage/catalog-read.ts";
import type { Segment } from "../dicom/data-set.ts";
import { explicitVrLittleEndian } from "../dicom/transfer-syntax.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { frameBytes, frameCount } from "./frame-bytes.ts";
import { createLocate, type InstanceUids, type Located } from "./locate.ts";
import { type ReadableBytes, segmentBytes } from "./stored-bytes.ts";

/** A study, one of its series, or one instance of that. */
export interface ResourceUids {
  readonly studyInstanceUid: Uid;
  readonly seriesInstanceUid?: Uid;
  readonly sopInstanceUid?: Uid;
}

/** What tells one state of a study, a series or an instance from another. */
export interface ResourceState {
  /** Changes whenever an instance of one of the series is stored, changed or removed. */
  readonly version: string;
  /** When that was last. */
  readonly lastModified: Date;
}

/** One instance to be sent. */
export interface RetrievedInstance {
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  readonly transferSyntaxUid: string;
  readonly byteLength: number;
  /** SHA-256 of the stored bytes. */
  readonly sha256: Buffer;
  readonly storedAt: Date;
  /** The stored bytes as they came, all or those of `range`; the object is opened when the first are asked for. */
  readonly bytes: (range?: Segment) => AsyncIterable<Buffer>;
}

/** The instances of a study or a series in instance order, or one. */
export interface RetrievedInstances extends ResourceState, AsyncIterable<RetrievedInstance> {}

/** The metadata of a study, a series or an instance. */
export interface RetrievedMetadata extends ResourceState {
  /** DICOM JSON texts, one an instance; `BulkDataURI`s begin with `urlOf("")`. */
  readonly documents: () => AsyncIterable<string>;
}

/** Whose bytes a frame or a value is of. */
export interface RetrievedSource {
  /** SHA-256 of the stored bytes of the instance. */
  readonly sha256: Buffer;
  readonly storedAt: Date;
}

/** Frames of one instance. */
export interface RetrievedFrames extends RetrievedSource {
  readonly transferSyntaxUid: string;
  readonly mediaType: string;
  /** One element a frame, in the order asked for. */
  readonly frames: readonly ReadableBytes[];
}

/** The value of one element. */
export type RetrievedBulkData =
  | ({ readonly kind: "value"; readonly value: ReadableBytes } & RetrievedSource)
  /** Encapsulated pixel data is retrieved frame by frame (PS3.18 8.7.3.3). */
  | { readonly kind: "frames"; readonly frames: RetrievedFrames };

const segmentSchema = z.object({ offset: z.int(), length: z.int() });
const bulkDataSchema = z.object({
  segments: z.array(segmentSchema),
  swapWidth: z.union([z.literal(1), z.literal(2), z.literal(4), z.literal(8)]),
});

const pixelDataPath = "7FE00010";

/** Makes the retrieve use cases. */
export function createRetrieve(blobs: Blobs, catalog: Catalog) {
  const locate = createLocate(catalog);

  /** @throws ArchiveError `no-such-study`, `no-such-series`, `no-such-instance` */
  async function instances(uids: ResourceUids): Promise<RetrievedInstances> {
    const series = await catalog.findSeries(uids);
    const rows = catalog.findInstances(uids, series)[Symbol.asyncIterator]();
    const first = await rows.next();
    if (first.done === true) throw absent(uids);
    const begun: InstanceRow = first.value;
    const all = (async function* () {
      yield toRetrieved(begun);
      for await (const row of { [Symbol.asyncIterator]: () => rows }) yield toRetrieved(row);
    })();
    return { ...stateOf(series), [Symbol.asyncIterator]: () => all };
  }

  function toRetrieved(row: InstanceRow): RetrievedInstance {
    const { seriesInstanceUid, sopInstanceUid, transferSyntaxUid, byteLength, sha256, createdAt, blobKey } = row;
    const bytes = (range?: Segment) => opened(() => blobs.get(blobKey, range));
    return {
      seriesInstanceUid,
      sopInstanceUid,
      transferSyntaxUid,
      byteLength,
      sha256,
      storedAt: createdAt,
      bytes,
    };
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
    return { ...stateOf(series), documents };
  }

  /** @throws ArchiveError `no-such-instance`, `no-such-frame`, `no-frame-table` */
  async function frames(uids: InstanceUids, numbers: readonly number[]): Promise<RetrievedFrames> {
    return framesOf(await locate(uids), numbers);
  }

  function framesOf(located: Located, numbers: readonly number[]): RetrievedFrames {
    const count = frameCount(located);
    if (numbers.some((number) => number > count)) {
      throw new ArchiveError("no-such-frame", `The instance has ${count} ${count === 1 ? "frame" : "frames"}.`);
    }
    const { row, syntax, table } = located;
    return {
      ...sourceOf(row),
      // Native pixels go out in little endian, whatever the file had (PS3.18 8.7.3.3).
      transferSyntaxUid: table?.kind === "native" ? explicitVrLittleEndian.uid : syntax.uid,
      mediaType: syntax.frameMediaType,
      frames: numbers.map((number) => frameBytes(blobs, located, number)),
    };
  }

  /** @throws ArchiveError `no-such-instance`, `no-such-bulk-data` */
  async function bulkData(uids: InstanceUids, path: string): Promise<RetrievedBulkData> {
    const found = await locate(uids);
    if (path === pixelDataPath && found.table?.kind === "encapsulated") {
      const all = Array.from({ length: frameCount(found) }, (_, index) => index + 1);
      return { kind: "frames", frames: framesOf(found, all) };
    }
    const entry = await catalog.findBulkData(found.row.id, path);
    if (entry === undefined) throw new ArchiveError("no-such-bulk-data", "The instance has no bulk data at this path.");
    const { segments, swapWidth } = bulkDataSchema.parse(entry);
    return { kind: "value", ...sourceOf(found.row), value: segmentBytes(blobs, found.row, segments, swapWidth) };
  }

  return { instances, metadata, frames, bulkData };
}

/** Where a BulkDataURI begins in the stored texts: quotes inside JSON strings are escaped, so only keys match. */
export function withBulkDataRoot(text: string, root: string): string {
  const replacement = `"BulkDataURI":${JSON.stringify(root).slice(0, -1)}`;
  // A function, since "$&" in a replacement text has a meaning.
  return text.replaceAll('"BulkDataURI":"', () => replacement);
}

function stateOf(series: readonly SeriesRow[]): ResourceState {
  const latest = Math.max(...series.map(({ updatedAt }) => updatedAt.getTime()));
  return {
    version: series.map(({ id, revision }) => `${id}.${revision}`).join("-"),
    lastModified: new Date(latest),
  };
}

function sourceOf({ sha256, createdAt }: InstanceRow): RetrievedSource {
  return { sha256, storedAt: createdAt };
}

function toInstanceUids({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: ResourceUids): InstanceUids {
  if (seriesInstanceUid === undefined || sopInstanceUid === undefined)
    throw new TypeError("not the UIDs of an instance");
  return { studyInstanceUid, seriesInstanceUid, sopInstanceUid };
}

/** The error for what is not there: the lowest level that was named is the one that is missing. */
export function absent({ seriesInstanceUid, sopInstanceUid }: ResourceUids): ArchiveError {
  if (sopInstanceUid !== undefined) return new ArchiveError("no-such-instance", "The instance is not in this archive.");
  if (seriesInstanceUid !== undefined) return new ArchiveError("no-such-series", "The series is not in this archive.");
  return new ArchiveError("no-such-study", "The study is not in this archive.");
}

async function* opened(open: () => Promise<AsyncIterable<Buffer>>): AsyncGenerator<Buffer> {
  yield* await open();
}
