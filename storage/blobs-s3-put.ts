/** How an object gets into an S3 bucket: whole, or in parts that are hidden until they are complete. */
import { createHash } from "node:crypto";
import { finished } from "node:stream/promises";
import type { Client } from "minio";
import { ArchiveError } from "../server/errors.ts";
import { inBlocks } from "./blocks.ts";
import { type BlobEntry, freshKey, keyFor, metadataOfKey, type BlobMetadata, type PutOptions } from "./blobs.ts";
import { codeOf, isAbsent, isSilence, mayPass, noSuchBucket, repeating, translating } from "./blobs-s3-errors.ts";
import { fromNamed, toNamed } from "./blobs-s3-metadata.ts";
import type { ByteBudget } from "./byte-budget.ts";
import type { StorageLog } from "./log.ts";

/** An object of at most this many bytes is one request; a larger one is uploaded in parts of this size. */
const partLength = 8 * 1024 * 1024;

/** Of every object. */
export const contentType = { "Content-Type": "application/octet-stream" };

/** One bucket of one store. */
export interface Bucket {
  readonly client: Client;
  readonly name: string;
  /** Bytes that puts may hold at the same time. */
  readonly budget: ByteBudget;
  readonly log: StorageLog | undefined;
}

/**
 * Stores `body`. An object of one part is one request, which is atomic and carries the metadata; the parts of a larger
 * one are hidden until they are completed. Keeps nothing when it throws: what the body throws, the signal's reason, an
 * ArchiveError.
 */
export async function put(store: Bucket, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<BlobEntry> {
  const { key, metadata, signal } = options;
  const blocks = inBlocks(body, partLength, store.budget.share(), signal);
  try {
    const begun = await firstOf(blocks);
    if (begun[0]?.byteLength === partLength) {
      return await putParts(store, key ?? freshKey(), begun, blocks, options);
    }
    // A block that is not full is the last one; asked for the next, the body would let go of it.
    const known = metadata?.();
    return await putWhole(store, key ?? keyFor(known), begun[0] ?? Buffer.alloc(0), known, signal);
  } finally {
    await blocks.return();
  }
}

async function firstOf(blocks: AsyncGenerator<Buffer, void>): Promise<Buffer[]> {
  const first = await blocks.next();
  return first.done === true ? [] : [first.value];
}

async function putWhole(
  store: Bucket,
  key: string,
  bytes: Buffer,
  metadata: BlobMetadata | undefined,
  signal: AbortSignal | undefined,
): Promise<BlobEntry> {
  try {
    await translating(() => repeating(() => putBytes(store, key, bytes, metadata)));
    signal?.throwIfAborted();
    return { key, byteLength: bytes.byteLength, modifiedAt: new Date() };
  } catch (error) {
    // The answer may have been lost after the bytes arrived.
    await unlessSilent(error, forget(store, key));
    throw error;
  }
}

/**
 * One PUT. Not the client's `putObject`, which copies the bytes and makes an MD5 beside the SHA-256: the one that came
 * with the object is what the store checks the bytes by that reach it.
 */
export async function putBytes(store: Bucket, key: string, bytes: Buffer, metadata?: BlobMetadata): Promise<void> {
  const named = Object.entries(toNamed(metadata)).map(([name, value]) => [`x-amz-meta-${name}`, value]);
  const headers = { ...contentType, "Content-Length": String(bytes.byteLength), ...Object.fromEntries(named) };
  const request = { method: "PUT", bucketName: store.name, objectName: key, headers };
  const sha256 = metadata?.sha256 ?? createHash("sha256").update(bytes).digest("hex");
  const response = await store.client.makeRequestStreamAsync(request, bytes, sha256, [200], "");
  await finished(response.resume());
}

async function putParts(
  store: Bucket,
  key: string,
  begun: Buffer[],
  rest: AsyncIterable<Buffer>,
  { metadata, signal }: PutOptions,
): Promise<BlobEntry> {
  const { client, name } = store;
  // Repeated, this leaves at worst an upload without parts.
  const uploadId = await translating(() => repeating(() => client.initiateNewMultipartUpload(name, key, contentType)));
  const parts: { part: number; etag: string }[] = [];
  let byteLength = 0;
  const send = async (block: Buffer) => {
    signal?.throwIfAborted();
    const config = { bucketName: name, objectName: key, uploadID: uploadId, partNumber: parts.length + 1, headers: {} };
    parts.push(await translating(() => repeating(() => client.uploadPart(config, block))));
    byteLength += block.byteLength;
  };
  try {
    // Shifted, so that the block is let go when it has been sent.
    for (let block = begun.shift(); block !== undefined; block = begun.shift()) await send(block);
    for await (const block of rest) await send(block);
    signal?.throwIfAborted();
    const known = metadata?.();
    await translating(() => client.completeMultipartUpload(name, key, uploadId, parts));
    const entry = await translating(() => head(store, key));
    if (entry?.byteLength !== byteLength) {
      throw new ArchiveError("storage-unavailable", "The object store kept another number of bytes than it was given.");
    }
    await describe(store, key, known);
    return entry;
  } catch (error) {
    const aborted = repeating(() => client.abortMultipartUpload(name, key, uploadId)).catch((cause: unknown) => {
      if (!isAbsent(cause) && codeOf(cause) !== "NoSuchUpload") warn(store, "An upload could not be aborted.", cause);
    });
    await unlessSilent(
      error,
      aborted.then(() => forget(store, key)),
    );
    throw error;
  }
}

/**
 * Tags carry the metadata of an object in parts, since they are known after its upload has begun. Not a copy onto
 * itself with other headers: stores have lost the bytes of objects over that (RustFS 2789, MinIO 19450, Ceph 70746). An
 * object without tags is whole all the same, so a store that keeps none is no failure.
 */
async function describe(store: Bucket, key: string, metadata: BlobMetadata | undefined): Promise<void> {
  if (metadata === undefined) return;
  await repeating(() => store.client.setObjectTagging(store.name, key, toNamed(metadata))).catch((cause: unknown) => {
    warn(store, "The object store does not keep the tags of an object; only its row tells its hash.", cause);
  });
}

/** Waits for `cleanup`, which never fails, unless the store was silent already: then the failure is told without it. */
async function unlessSilent(error: unknown, cleanup: Promise<void>): Promise<void> {
  if (!isSilence(error)) await cleanup;
}

/** Removes what a failed put may have left. What cannot be removed stays as an orphan. */
async function forget(store: Bucket, key: string): Promise<void> {
  await repeating(() => store.client.removeObject(store.name, key)).catch((cause: unknown) => {
    warn(store, "What a failed put left could not be removed.", cause);
  });
}

function warn(store: Bucket, message: string, cause: unknown): void {
  store.log?.warn({ bucket: store.name, code: codeOf(cause) }, message);
}

/** What the store knows of the object; undefined when it is absent. Throws the client's errors. */
export async function stat(store: Bucket, key: string): Promise<BlobEntry | undefined> {
  const entry = await head(store, key);
  // HEAD says of a missing bucket what it says of a missing object.
  if (!entry && !(await repeating(() => store.client.bucketExists(store.name)))) throw noSuchBucket();
  if (!entry || entry.metadata || !entry.inParts) return entry;
  const tags = await repeating(() => store.client.getObjectTagging(store.name, key)).catch((cause: unknown) => {
    if (mayPass(cause)) throw cause;
    return [];
  });
  return { ...entry, metadata: fromNamed(Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]))) };
}

async function head({ client, name }: Bucket, key: string): Promise<(BlobEntry & { inParts: boolean }) | undefined> {
  try {
    const { size, lastModified, metaData, etag } = await repeating(() => client.statObject(name, key));
    const metadata = fromNamed(metaData) ?? metadataOfKey(key);
    return { key, byteLength: size, modifiedAt: lastModified, metadata, inParts: etag.includes("-") };
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
