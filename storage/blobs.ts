/** Blobs: the whole contract of an object store. `tests/contract/blobs.ts` is the suite that every one must pass. */
import { randomBytes, randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import { ArchiveError } from "../server/errors.ts";

/** One stored object, as `list` and `stat` tell it. */
export interface BlobEntry {
  readonly key: string;
  /** Size in bytes. */
  readonly byteLength: number;
  readonly modifiedAt: Date;
  /** What it was put with, as far as the store keeps and tells it: `list` at most the SHA-256. */
  readonly metadata?: BlobMetadata | undefined;
}

/** What an object says of itself beside its bytes, so that rows can be made of objects alone. */
export interface BlobMetadata {
  /** Of all bytes, in lower-case hexadecimal. */
  readonly sha256: string;
  readonly kind?: "instance" | "non-patient-instance" | undefined;
  readonly sopClassUid?: string | undefined;
  readonly sopInstanceUid?: string | undefined;
  readonly seriesInstanceUid?: string | undefined;
  readonly studyInstanceUid?: string | undefined;
}

/** Bytes that a store has room for, and those that are free. */
export interface BlobSpace {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** A part of an object: `length` bytes from `offset`, both in bytes. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/**
 * Immutable objects under fresh keys. Keys are made here, never by a client, and each is put once; again only with the
 * same bytes, when they were damaged.
 * Every method throws ArchiveError: `no-such-blob`, `storage-full`, `storage-unavailable`; `internal` for a bad key.
 */
export interface Blobs {
  /**
   * Stores the bytes of `body` under a key that the store makes and the answer tells. When the promise resolves the
   * object is durable and readable; when it rejects (the body throws, the store fails, the signal aborts) nothing can be
   * read, and the body's iterator has been closed. What the body throws, and the reason of the signal, are rethrown as
   * they are. The body is pulled at the speed of the store and is never held whole; a chunk is copied before the next is
   * pulled.
   */
  put(body: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<BlobEntry>;

  /**
   * A stream of the object, or of `range` of it. Rejects before the first byte when the object is absent or the range
   * passes its end. The caller reads it to the end or destroys it.
   */
  get(key: string, range?: ByteRange): Promise<Readable>;

  /**
   * The bytes of `range` in one buffer. Rejects (`no-such-blob`) when it passes the end: never a short read. They may
   * come from memory, also when the object is damaged or gone: what must be told of the store itself is told by `get`.
   */
  read(key: string, range: ByteRange): Promise<Buffer>;

  /**
   * The bytes of `range` at the beginning of `into`, which is as long at least; gives that part of it. Of the store
   * itself, as `get`, and rejects as `read`: `into` then holds anything.
   */
  readInto(key: string, range: ByteRange, into: Buffer): Promise<Buffer>;

  /** What is known of the object; undefined when it is absent. */
  stat(key: string): Promise<BlobEntry | undefined>;

  /** Removes objects; one that is absent is no error. */
  remove(keys: readonly string[]): Promise<void>;

  /** Every object whose key begins with `prefix`, in no promised order. */
  list(prefix?: string): AsyncIterable<BlobEntry>;

  /**
   * Removes what puts of processes that died have left half done, when it was begun before `before`; tells how much.
   * A put that has been under way for so long fails.
   */
  removeLeftovers(before: Date): Promise<number>;

  /** The room there is; undefined when the store does not tell. */
  space(): Promise<BlobSpace | undefined>;

  /** Resolves when the store can be written and read; rejects with one clear error otherwise. */
  check(): Promise<void>;

  /** Lets go of connections and file handles. May be called twice. */
  close(): Promise<void>;
}

export interface PutOptions {
  /** A key of `freshKey`, for a caller who must know it before the object exists. */
  readonly key?: string;
  /** Asked once, when the body has ended: only then the hash is known. What it throws is rethrown, and nothing is stored. */
  readonly metadata?: () => BlobMetadata;
  /** Aborts the put. */
  readonly signal?: AbortSignal;
}

/** Prefix of what a store keeps for itself: no key begins with it, and `list` does not show it. */
export const privatePrefix = "tmp/";

const keyPattern = /^[0-9a-z-]+(\/[0-9a-z-]+)*$/;

/** First part of the keys of objects that are no instances of the archive, or not yet. */
export type BlobArea = "spool" | "quarantine";

/**
 * A key that was never used: random, and spread over 256 prefixes (`3f/3fa2b1c0-...`, `spool/3f/3fa2b1c0-...`). More
 * prefixes would make most puts of a young archive wait until a new folder is durable.
 */
export function freshKey(area?: BlobArea): string {
  const name = randomUUID();
  const key = `${name.slice(0, 2)}/${name}`;
  return area === undefined ? key : `${area}/${key}`;
}

/**
 * A fresh key that tells the SHA-256 of its object (`3f/3fa2b1c0d4e5f607-<sha256>`), when it is known: so the bytes can
 * be checked without a row, in whatever store they are copied to. Nothing else depends on the shape of a key.
 * @param first its first two hexadecimal digits, where the store wants objects beside each other; random without
 */
export function keyFor(metadata: Pick<BlobMetadata, "sha256"> | undefined, first = ""): string {
  if (metadata === undefined) return freshKey();
  const name = `${first}${randomBytes(8).toString("hex").slice(first.length)}`;
  return `${name.slice(0, 2)}/${name}-${metadata.sha256}`;
}

/** What the key itself tells of its object. */
export function metadataOfKey(key: string): BlobMetadata | undefined {
  const sha256 = /\/[0-9a-f]{16}-([0-9a-f]{64})$/.exec(key)?.[1];
  return sha256 === undefined ? undefined : { sha256 };
}

/** Whether `key` may name an object: a relative path without dots, of at most 200 characters. */
export function isKey(key: string): boolean {
  return key.length <= 200 && keyPattern.test(key) && !key.startsWith(privatePrefix);
}

/** Throws `internal` when `key` may not name an object. */
export function assertKey(key: string): void {
  if (!isKey(key)) throw new ArchiveError("internal", "A key of the object store is malformed.");
}

/** The error for an object, or a part of one, that is not there. */
export function noSuchBlob(cause?: unknown): ArchiveError {
  return new ArchiveError("no-such-blob", "The stored bytes are missing or shorter than they should be.", { cause });
}
