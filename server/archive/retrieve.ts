/** Retrieve instances, passed through as they are stored, and metadata. */
import { inflateRawSync } from "node:zlib";
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { InstanceRow, SeriesRow } from "../../storage/catalog-read.ts";
import type { Segment } from "../dicom/data-set.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { inExplicitVrLittleEndian } from "./convert.ts";
import { objectBytes, readBytes } from "./stored-bytes.ts";

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
  /** The same instance in another of its `sendableSyntaxes`. */
  readonly converted: () => AsyncIterable<Buffer>;
}

/** The instances of a study or a series in instance order, or one. */
export interface RetrievedInstances extends ResourceState, AsyncIterable<RetrievedInstance> {
  /** Every transfer syntax that is among them, each once. */
  readonly transferSyntaxUids: readonly string[];
}

/** The metadata of a study, a series or an instance. */
export interface RetrievedMetadata extends ResourceState {
  /** DICOM JSON texts, one an instance; `BulkDataURI`s begin with `urlOf("")`. */
  readonly documents: () => AsyncIterable<string>;
}

/** An instance of at most so many bytes is read in one piece, which the object store may have in memory. */
const inOneRead = 2 ** 20;

/** Makes the retrieve use cases. */
export function createRetrieve(blobs: Blobs, catalog: Catalog) {
  /** @throws ArchiveError `no-such-study`, `no-such-series`, `no-such-instance` */
  async function instances(uids: ResourceUids): Promise<RetrievedInstances> {
    const series = await catalog.findSeries(uids);
    const rows = catalog.findInstances(uids, series)[Symbol.asyncIterator]();
    const first = await rows.next();
    if (first.done === true) throw absent(uids);
    const begun: InstanceRow = first.value;
    const transferSyntaxUids =
      uids.sopInstanceUid === undefined ? await catalog.findTransferSyntaxes(series) : [begun.transferSyntaxUid];
    const all = (async function* () {
      yield toRetrieved(begun, uids.sopInstanceUid !== undefined);
      for await (const row of { [Symbol.asyncIterator]: () => rows }) yield toRetrieved(row, false);
    })();
    return { ...stateOf(series), transferSyntaxUids, [Symbol.asyncIterator]: () => all };
  }

  /** @param isAlone whether it may be asked for again soon: a whole series would drive everything else out of memory */
  function toRetrieved(row: InstanceRow, isAlone: boolean): RetrievedInstance {
    const { seriesInstanceUid, sopInstanceUid, transferSyntaxUid, byteLength, sha256, createdAt, blobKey } = row;
    // Always by range: an object that was cut short is refused, instead of sent as if it were whole.
    const whole = { offset: 0, length: byteLength };
    const read = isAlone && byteLength <= inOneRead ? readBytes : objectBytes;
    const bytes = (range: Segment = whole) => read(blobs, blobKey, range);
    return {
      seriesInstanceUid,
      sopInstanceUid,
      transferSyntaxUid,
      byteLength,
      sha256,
      storedAt: createdAt,
      bytes,
      converted: () => inExplicitVrLittleEndian(blobs, row),
    };
  }

  /** @throws ArchiveError `no-such-study`, `no-such-series`, `no-such-instance` */
  async function metadata(uids: ResourceUids, urlOf: (path: string) => string): Promise<RetrievedMetadata> {
    const { sopInstanceUid } = uids;
    const series = await catalog.findSeries(uids);
    const [first] = series;
    if (!first) throw absent(uids);
    // Of one instance they are read at once, which also tells whether it is there.
    const only = sopInstanceUid === undefined ? undefined : await metadataOfOne(first.id, sopInstanceUid);
    if (sopInstanceUid !== undefined && !only) throw absent(uids);
    const textOf = (packed: Buffer) => withBulkDataRoot(inflateRawSync(packed).toString("utf8"), urlOf(""));
    async function* documents(): AsyncGenerator<string> {
      if (only) yield textOf(only);
      else for (const { id } of series) for await (const packed of catalog.readMetadata(id)) yield textOf(packed);
    }
    return { ...stateOf(series), documents };
  }

  async function metadataOfOne(seriesId: number, sopInstanceUid: Uid): Promise<Buffer | undefined> {
    for await (const packed of catalog.readMetadata(seriesId, sopInstanceUid)) return packed;
    return undefined;
  }

  return { instances, metadata };
}

/** Where a BulkDataURI begins in the stored texts: quotes inside JSON strings are escaped, so only keys match. */
export function withBulkDataRoot(text: string, root: string): string {
  const replacement = `"BulkDataURI":${JSON.stringify(root).slice(0, -1)}`;
  // A function, since "$&" in a replacement text has a meaning.
  return text.replaceAll('"BulkDataURI":"', () => replacement);
}

/** The state of what is in `series`, one at least. */
export function stateOf(series: readonly SeriesRow[]): ResourceState {
  const latest = Math.max(...series.map(({ updatedAt }) => updatedAt.getTime()));
  return {
    version: series.map(({ id, revision }) => `${id}.${revision}`).join("-"),
    lastModified: new Date(latest),
  };
}

/** The error for what is not there: the lowest level that was named is the one that is missing. */
export function absent({ seriesInstanceUid, sopInstanceUid }: ResourceUids): ArchiveError {
  if (sopInstanceUid !== undefined) return new ArchiveError("no-such-instance", "The instance is not in this archive.");
  if (seriesInstanceUid !== undefined) return new ArchiveError("no-such-series", "The series is not in this archive.");
  return new ArchiveError("no-such-study", "The study is not in this archive.");
}
