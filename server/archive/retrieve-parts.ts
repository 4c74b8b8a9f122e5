/** Retrieve what an instance is made of: its frames, and values that its metadata refers to. */
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import { explicitVrLittleEndian } from "../dicom/transfer-syntax.ts";
import { ArchiveError } from "../errors.ts";
import { frameBytes, frameCount } from "./frame-bytes.ts";
import { type InstanceUids, type Locate, type Located, locatedOf } from "./locate.ts";
import { absent, type ResourceState, type ResourceUids, stateOf } from "./retrieve.ts";
import { type ReadableBytes, tabledBytes } from "./stored-bytes.ts";

/** Whose bytes a frame or a value is of. */
export interface RetrievedSource {
  /** SHA-256 of the stored bytes of the instance. */
  readonly sha256: Buffer;
  readonly storedAt: Date;
}

/** Frames of one instance. */
export interface RetrievedFrames extends RetrievedSource {
  /** What the bytes are in. */
  readonly transferSyntaxUid: string;
  /** What the instance is stored in: another one where native pixels are in little endian whatever the file had. */
  readonly storedSyntaxUid: string;
  readonly mediaType: string;
  /** In the order asked for. Each is made when it is gone through, as often as that is done: slides have 500,000. */
  readonly frames: Iterable<ReadableBytes>;
}

/** The value of one element. */
export type RetrievedBulkData =
  | ({
      readonly kind: "value";
      readonly value: ReadableBytes;
      /** What it may be sent as, the plainest first. */
      readonly mediaTypes: readonly string[];
    } & RetrievedSource)
  /** Encapsulated pixel data is retrieved frame by frame (PS3.18 8.7.3.3). */
  | { readonly kind: "frames"; readonly frames: RetrievedFrames };

/** One value of one of many instances. */
export type LocatedBulkData = RetrievedBulkData & {
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  /** The tag, or tag/item/tag... */
  readonly path: string;
};

/** The values of a study, a series or an instance, in instance order. */
export interface RetrievedBulkDataSet extends ResourceState {
  /** Of every instance, whether it has values or not. */
  readonly transferSyntaxUids: readonly string[];
  readonly values: AsyncIterable<LocatedBulkData>;
}

const octets = "application/octet-stream";
const pixelDataPath = "7FE00010";
/** Pixel Data, Float Pixel Data and Double Float Pixel Data (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25). */
const pixelDataPaths: readonly string[] = ["7FE00008", "7FE00009", pixelDataPath];

/** Makes the use cases of frames and bulk data. */
export function createRetrieveParts(blobs: Blobs, catalog: Catalog, locate: Locate) {
  /** @throws ArchiveError `no-such-instance`, `no-such-frame`, `no-frame-table` */
  async function frames(uids: InstanceUids, numbers: readonly number[]): Promise<RetrievedFrames> {
    return framesOf(blobs, await locate(uids), numbers);
  }

  /** @throws ArchiveError `no-such-instance`, `no-such-bulk-data` */
  async function bulkData(uids: InstanceUids, path: string): Promise<RetrievedBulkData> {
    return bulkDataOf(blobs, catalog, await locate(uids), path);
  }

  /**
   * Every value that is not inline in the metadata, or the pixel data alone. Costs a query an instance, and one a value.
   * @throws ArchiveError `no-such-study`, `no-such-series`, `no-such-instance`
   */
  async function allBulkData(uids: ResourceUids, which: "all" | "pixel data"): Promise<RetrievedBulkDataSet> {
    const series = await catalog.findSeries(uids);
    const transferSyntaxUids = await catalog.findTransferSyntaxes(series, uids.sopInstanceUid);
    if (transferSyntaxUids.length === 0) throw absent(uids);
    async function* values(): AsyncGenerator<LocatedBulkData> {
      for await (const row of catalog.findInstances(uids, series)) {
        const { seriesInstanceUid, sopInstanceUid } = row;
        const located = locatedOf(row);
        for (const path of await catalog.findBulkDataPaths(row.id)) {
          if (which === "pixel data" && !pixelDataPaths.includes(path)) continue;
          const found = await bulkDataOf(blobs, catalog, located, path);
          yield { ...found, seriesInstanceUid, sopInstanceUid, path };
        }
      }
    }
    return { ...stateOf(series), transferSyntaxUids, values: values() };
  }

  return { frames, bulkData, allBulkData };
}

/** Frames by number. @throws ArchiveError `no-such-frame`, `no-frame-table` */
export function framesOf(blobs: Blobs, located: Located, numbers: readonly number[]): RetrievedFrames {
  const count = frameCount(located);
  if (numbers.some((number) => number > count)) {
    throw new ArchiveError("no-such-frame", `The instance has ${count} ${count === 1 ? "frame" : "frames"}.`);
  }
  const { syntax, table } = located;
  return {
    ...sourceOf(located),
    // Native pixels go out in little endian, whatever the file had (PS3.18 8.7.3.3).
    transferSyntaxUid: table?.kind === "native" ? explicitVrLittleEndian.uid : syntax.uid,
    storedSyntaxUid: syntax.uid,
    mediaType: syntax.frameMediaType,
    frames: {
      *[Symbol.iterator]() {
        for (const number of numbers) yield frameBytes(blobs, located, number);
      },
    },
  };
}

/** The value at `path`. @throws ArchiveError `no-such-bulk-data` */
export async function bulkDataOf(
  blobs: Blobs,
  catalog: Catalog,
  located: Located,
  path: string,
): Promise<RetrievedBulkData> {
  const { row, syntax, table } = located;
  if (path === pixelDataPath && table?.kind === "encapsulated") {
    const all = Array.from({ length: frameCount(located) }, (_, index) => index + 1);
    return { kind: "frames", frames: framesOf(blobs, located, all) };
  }
  const entry = await catalog.findBulkData(row.id, path);
  if (entry === undefined) throw new ArchiveError("no-such-bulk-data", "The instance has no bulk data at this path.");
  const isVideo = path === pixelDataPath && syntax.pixels === "video";
  return {
    kind: "value",
    ...sourceOf(located),
    value: tabledBytes(blobs, row, entry),
    mediaTypes: isVideo ? [octets, syntax.frameMediaType] : [octets],
  };
}

function sourceOf({ row }: Located): RetrievedSource {
  return { sha256: row.sha256, storedAt: row.createdAt };
}
