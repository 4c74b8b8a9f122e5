/** Blobs: the whole contract of an object store. `tests/contract/blobs.ts` is the suite that every one must pass. */
import { randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import { ArchiveError } from "../server/errors.ts";

/** One stored object, as `list` and `stat` tell it. */
export interface BlobEntry {
  readonly key: string;
  /** Size in bytes. */
  readonly byteLength: number;
  readonly modifiedAt: Date;
}

/** A part of an object: `length` bytes from `offset`, both in bytes. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/**
 * Immutable objects under fresh keys. Keys are made by `freshKey`, never by a client, and each is put once.
 * Every method throws ArchiveError: `no-such-blob`, `storage-full`, `storage-unavailable`; `internal` for a bad key.
 */
export interface Blobs {
  /**
   * Stores the bytes of `body` under `key`. When the promise resolves the object is durable and readable; when it
   * rejects (the body throws, the store fails, the signal aborts) nothing can be read under `key`, and the body's
   * iterator has been closed. What the body throws, and the reason of the signal, are rethrown as they are.
   * The body is pulled at the speed of the store and is never held whole; a chunk is copied before the next is pulled.
   */
  put(key: string, body: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<BlobEntry>;

  /**
   * A stream of the object, or of `range` of it. Rejects before the first byte when the object is absent or the range
   * passes its end. The caller reads it to the end or destroys it.
   */
  get(key: string, range?: ByteRange): Promise<Readable>;

  /** The bytes of `range` in one buffer. Rejects (`no-such-blob`) when it passes the end: never a short read. */
  read(key: string, range: ByteRange): Promise<Buffer>;

  /** What is known of the object; undefined when it is absent. */
  stat(key: string): Promise<BlobEntry | undefined>;

  /** Removes objects; one that is absent is no error. */
  remove(keys: readonly string[]): Promise<void>;

  /** Every object whose key begins with `prefix`, in no promised order. */
  list(prefix?: string): AsyncIterable<BlobEntry>;

  /** Resolves when the store can be written and read; rejects with one clear error otherwise. */
  check(): Promise<void>;

  /** Lets go of connections and file handles. May be called twice. */
  close(): Promise<void>;
}

export interface PutOptions {
  /** Aborts the put. */
  readonly signal?: AbortSignal;
}

/** Prefix of what a store keeps for itself: no key begins with it, and `list` does not show it. */
export const privatePrefix = "tmp/";

const keyPattern = /^[0-9a-z-]+(\/[0-9a-z-]+)*$/;

/**
 * A key that was never used: random, and spread over 256 prefixes (`3f/3fa2b1c0-...`). More prefixes would make most
 * puts of a young archive wait until a new folder is durable.
 */
export function freshKey(): string {
  const name = randomUUID();
  return `${name.slice(0, 2)}/${name}`;
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
