/** Blobs in an S3 bucket (MinIO and its like). */
import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "minio";
import { ArchiveError } from "../server/errors.ts";
import { inBlocks } from "./blocks.ts";
import { assertKey, isKey, noSuchBlob, privatePrefix } from "./blobs.ts";
import type { BlobEntry, Blobs, ByteRange } from "./blobs.ts";
import { codeOf, isAbsent, mayPass, repeating, toStoreError } from "./blobs-s3-errors.ts";
import { openTransport } from "./blobs-s3-transport.ts";
import type { StorageLog } from "./log.ts";

/** What `openS3Blobs` needs. */
export interface S3Options {
  /** URL of the store, e.g. `http://127.0.0.1:9000`. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Default us-east-1, which is what MinIO calls itself. */
  readonly region?: string;
  readonly log?: StorageLog;
}

/** An object of at most this many bytes is one request; a larger one is uploaded in parts of this size. */
const partLength = 8 * 1024 * 1024;

/** Objects named in one request of removal (S3 API Reference, DeleteObjects). */
const removalsAtOnce = 1000;

const contentType = { "Content-Type": "application/octet-stream" };

/** One bucket of one store. */
interface Bucket {
  readonly client: Client;
  readonly name: string;
  readonly log: StorageLog | undefined;
}

/**
 * Connects, and makes the bucket when it is missing. Throws `storage-unavailable` with one sentence: no connection,
 * wrong keys, an endpoint or a bucket name that is none.
 */
export async function openS3Blobs(options: S3Options): Promise<Blobs> {
  const { bucket, log, region = "us-east-1" } = options;
  const { client, close } = connect(options, region);
  const store: Bucket = { client, name: bucket, log };
  try {
    await makeBucket(store, region);
  } catch (error) {
    close();
    throw toStoreError(error);
  }

  return {
    put: async (key, body, putOptions) => {
      assertKey(key);
      return put(store, key, body, putOptions?.signal);
    },
    get: async (key, range) => {
      assertKey(key);
      return translated(await translating(() => repeating(() => request(store, key, range))));
    },
    read: async (key, range) => {
      assertKey(key);
      return translating(() => repeating(async () => buffer(await request(store, key, range))));
    },
    stat: async (key) => {
      assertKey(key);
      return translating(() => stat(store, key));
    },
    remove: async (keys) => {
      keys.forEach(assertKey);
      await translating(() => remove(store, keys));
    },
    list: (prefix = "") => list(store, prefix),
    check: () => translating(() => check(store)),
    close: async () => close(),
  };
}

function connect(options: S3Options, region: string): { client: Client; close: () => void } {
  if (!URL.canParse(options.endpoint) || !/^https?:\/\//.test(options.endpoint)) {
    throw new ArchiveError("storage-unavailable", "S3_ENDPOINT is not of the form http://host:port.");
  }
  const { protocol, hostname, port } = new URL(options.endpoint);
  const useSSL = protocol === "https:";
  const { transport, transportAgent, close } = openTransport(useSSL);
  const client = new Client({
    endPoint: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? (useSSL ? 443 : 80) : Number(port),
    useSSL,
    accessKey: options.accessKey,
    secretKey: options.secretKey,
    region,
    pathStyle: true,
    transport,
    transportAgent,
    // Its own retries know only some statuses, and write to the console.
    retryOptions: { disableRetry: true },
  });
  return { client, close };
}

async function makeBucket({ client, name, log }: Bucket, region: string): Promise<void> {
  try {
    if (await repeating(() => client.bucketExists(name))) return;
    await client.makeBucket(name, region);
    log?.info({ bucket: name }, "The bucket was missing and has been made.");
  } catch (error) {
    // Another process made it first.
    if (["BucketAlreadyOwnedByYou", "BucketAlreadyExists"].includes(codeOf(error))) return;
    if (error instanceof Error && error.name === "InvalidBucketNameError") {
      throw new ArchiveError("storage-unavailable", "S3_BUCKET is not a name that a bucket may have.", {
        cause: error,
      });
    }
    throw error;
  }
}

/** An object of one part is one request, which is atomic. The parts of a larger one are hidden until completed. */
async function put(
  store: Bucket,
  key: string,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<BlobEntry> {
  const blocks = inBlocks(body, partLength, signal);
  try {
    const begun = await take(blocks, 2);
    if (begun.length > 1) return await putParts(store, key, begun, blocks, signal);
    return await putWhole(store, key, begun[0] ?? Buffer.alloc(0), signal);
  } finally {
    await blocks.return();
  }
}

async function take(blocks: AsyncGenerator<Buffer, void>, count: number): Promise<Buffer[]> {
  const taken: Buffer[] = [];
  while (taken.length < count) {
    const next = await blocks.next();
    if (next.done === true) break;
    taken.push(next.value);
  }
  return taken;
}

async function putWhole(
  store: Bucket,
  key: string,
  bytes: Buffer,
  signal: AbortSignal | undefined,
): Promise<BlobEntry> {
  try {
    await translating(() =>
      repeating(() => store.client.putObject(store.name, key, bytes, bytes.byteLength, contentType)),
    );
    signal?.throwIfAborted();
    return { key, byteLength: bytes.byteLength, modifiedAt: new Date() };
  } catch (error) {
    // The answer may have been lost after the bytes arrived.
    await forget(store, key);
    throw error;
  }
}

async function putParts(
  store: Bucket,
  key: string,
  begun: Buffer[],
  rest: AsyncIterable<Buffer>,
  signal: AbortSignal | undefined,
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
    // Shifted, so that a block is let go when it has been sent.
    for (let block = begun.shift(); block !== undefined; block = begun.shift()) await send(block);
    for await (const block of rest) await send(block);
    signal?.throwIfAborted();
    await translating(() => client.completeMultipartUpload(name, key, uploadId, parts));
    const entry = await translating(() => stat(store, key));
    if (entry?.byteLength !== byteLength) {
      throw new ArchiveError("storage-unavailable", "The object store kept another number of bytes than it was given.");
    }
    return entry;
  } catch (error) {
    await repeating(() => client.abortMultipartUpload(name, key, uploadId)).catch((cause: unknown) => {
      if (!isAbsent(cause) && codeOf(cause) !== "NoSuchUpload") warn(store, "An upload could not be aborted.", cause);
    });
    await forget(store, key);
    throw error;
  }
}

/** Removes what a failed put may have left. What cannot be removed is an orphan, which `sweep` finds. */
async function forget(store: Bucket, key: string): Promise<void> {
  await repeating(() => store.client.removeObject(store.name, key)).catch((cause: unknown) => {
    warn(store, "What a failed put left could not be removed.", cause);
  });
}

function warn(store: Bucket, message: string, cause: unknown): void {
  store.log?.warn({ bucket: store.name, code: codeOf(cause) }, message);
}

/** The store's answer, whose errors are not translated yet. */
async function request(store: Bucket, key: string, range?: ByteRange): Promise<Readable> {
  const { client, name } = store;
  if (range === undefined) return client.getObject(name, key);
  // S3 has no range of no bytes.
  if (range.length === 0) return emptyPart(store, key, range);
  const response = await client.getPartialObject(name, key, range.offset, range.length);
  if (contentLength(response) === range.length) return response;
  response.on("error", () => undefined).destroy();
  throw noSuchBlob();
}

async function emptyPart(store: Bucket, key: string, range: ByteRange): Promise<Readable> {
  const entry = await stat(store, key);
  if (entry === undefined || range.offset > entry.byteLength) throw noSuchBlob();
  return Readable.from([]);
}

/** The answer's Content-Length: shorter than what was asked when the range passes the end. */
function contentLength(response: Readable): number {
  if (!("headers" in response) || typeof response.headers !== "object" || response.headers === null) return Number.NaN;
  return "content-length" in response.headers ? Number(response.headers["content-length"]) : Number.NaN;
}

/** The same bytes, whose failure on the way is an ArchiveError. */
function translated(source: Readable): Readable {
  const stream = new Readable({
    read: () => void source.resume(),
    destroy: (error, done) => {
      source.destroy();
      done(error);
    },
  });
  source.on("data", (bytes: Buffer) => {
    if (!stream.push(bytes)) source.pause();
  });
  source.on("end", () => stream.push(null));
  source.on("error", (error) => stream.destroy(toStoreError(error)));
  source.pause();
  return stream;
}

async function stat({ client, name }: Bucket, key: string): Promise<BlobEntry | undefined> {
  try {
    const { size, lastModified } = await repeating(() => client.statObject(name, key));
    return { key, byteLength: size, modifiedAt: lastModified };
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

async function remove({ client, name }: Bucket, keys: readonly string[]): Promise<void> {
  for (let start = 0; start < keys.length; start += removalsAtOnce) {
    const some = keys.slice(start, start + removalsAtOnce);
    const answers = await repeating(() => client.removeObjects(name, some));
    const failed = answers.map((answer) => answer?.Error).find((fault) => fault && fault.Code !== "NoSuchKey");
    if (failed) throw Object.assign(new Error(failed.Message ?? "DeleteObjects failed"), { code: failed.Code });
  }
}

/** A page that fails is asked again from the last key that was given. */
async function* list({ client, name }: Bucket, prefix: string): AsyncGenerator<BlobEntry, void, undefined> {
  let last = "";
  let failures = 0;
  while (true) {
    try {
      for await (const item of client.listObjectsV2(name, prefix, true, last)) {
        failures = 0;
        last = item.name ?? last;
        if (item.name === undefined || !isKey(item.name)) continue;
        yield { key: item.name, byteLength: item.size, modifiedAt: item.lastModified };
      }
      return;
    } catch (error) {
      failures += 1;
      if (failures > 3 || !mayPass(error)) throw toStoreError(error);
      await sleep(100 * 2 ** failures);
    }
  }
}

async function check(store: Bucket): Promise<void> {
  const key = `${privatePrefix}${randomUUID()}`;
  const bytes = Buffer.from("check");
  await repeating(() => store.client.putObject(store.name, key, bytes, bytes.byteLength, contentType));
  if ((await stat(store, key))?.byteLength !== bytes.byteLength) {
    throw new ArchiveError("storage-unavailable", "The object store does not give back what it was given.");
  }
  await repeating(() => store.client.removeObject(store.name, key));
}

async function translating<Result>(call: () => Promise<Result>): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    throw toStoreError(error);
  }
}
