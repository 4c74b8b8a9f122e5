/** Blobs in an S3 bucket (MinIO and its like). */
import { randomUUID } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "minio";
import { ArchiveError } from "../server/errors.ts";
import { assertKey, isKey, metadataOfKey, noSuchBlob, privatePrefix } from "./blobs.ts";
import type { BlobEntry, Blobs, ByteRange } from "./blobs.ts";
import { codeOf, isAbsent, mayPass, repeating, toStoreError, translating } from "./blobs-s3-errors.ts";
import { request, requestUpTo, translated } from "./blobs-s3-get.ts";
import { type Bucket, put, putBytes, stat } from "./blobs-s3-put.ts";
import { openTransport } from "./blobs-s3-transport.ts";
import { ByteBudget } from "./byte-budget.ts";
import { createReadCache } from "./read-cache.ts";
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
  /** Bytes of memory for objects that were read; default 0, none. */
  readonly cacheBytes?: number;
  /** How long (milliseconds) the store may be silent; default 30 s. */
  readonly silence?: number;
  readonly log?: StorageLog;
}

/**
 * Bytes that all puts of this process hold before they are sent: 64 puts of slices of a CT, or 8 parts of large objects.
 * Four puts may go on beyond that: so the most is 96 MiB.
 */
const mostHeld = 64 * 1024 * 1024;
const overdrafts = 4;

/** Objects named in one request of removal (S3 API Reference, DeleteObjects). */
const removalsAtOnce = 1000;

/**
 * Connects, and makes the bucket when it is missing. Throws `storage-unavailable` with one sentence: no connection,
 * wrong keys, an endpoint or a bucket name that is none.
 */
export async function openS3Blobs(options: S3Options): Promise<Blobs> {
  const { bucket, log, region = "us-east-1", cacheBytes = 0 } = options;
  const { client, close } = connect(options, region);
  const store: Bucket = { client, name: bucket, budget: new ByteBudget(mostHeld, overdrafts), log };
  try {
    await makeBucket(store, region);
  } catch (error) {
    close();
    throw toStoreError(error);
  }

  const read: Blobs["read"] = (key, range) =>
    translating(() => repeating(async () => buffer(await request(store, key, range))));
  const open = (key: string, range: ByteRange) => translating(() => repeating(() => requestUpTo(store, key, range)));
  const cache = cacheBytes > 0 ? createReadCache({ read, open }, cacheBytes) : undefined;

  return {
    put: async (body, putOptions = {}) => {
      if (putOptions.key !== undefined) assertKey(putOptions.key);
      const entry = await put(store, body, putOptions);
      // An object that was damaged comes back under its key.
      cache?.forget([entry.key]);
      return entry;
    },
    get: async (key, range) => {
      assertKey(key);
      return translated(await translating(() => repeating(() => request(store, key, range))));
    },
    read: async (key, range) => {
      assertKey(key);
      return cache ? cache.read(key, range) : read(key, range);
    },
    readInto: async (key, range, into) => {
      assertKey(key);
      return translating(() => repeating(async () => copyInto(await request(store, key, range), range.length, into)));
    },
    stat: async (key) => {
      assertKey(key);
      return translating(() => stat(store, key));
    },
    remove: async (keys) => {
      keys.forEach(assertKey);
      cache?.forget(keys);
      await translating(() => remove(store, keys));
    },
    list: (prefix = "") => list(store, prefix),
    removeLeftovers: (before) => translating(() => abortUploads(store, before)),
    space: async () => undefined,
    check: () => translating(() => check(store)),
    close: async () => close(),
  };
}

async function copyInto(stream: AsyncIterable<unknown>, length: number, into: Buffer): Promise<Buffer> {
  let filled = 0;
  for await (const chunk of stream) if (Buffer.isBuffer(chunk)) filled += chunk.copy(into, filled);
  if (filled !== length) throw noSuchBlob();
  return into.subarray(0, length);
}

function connect(options: S3Options, region: string): { client: Client; close: () => void } {
  if (!URL.canParse(options.endpoint) || !/^https?:\/\//.test(options.endpoint)) {
    throw new ArchiveError("storage-unavailable", "S3_ENDPOINT is not of the form http://host:port.");
  }
  const { protocol, hostname, port } = new URL(options.endpoint);
  const useSSL = protocol === "https:";
  const { transport, transportAgent, close } = openTransport(useSSL, options.silence);
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
  // Over TLS the client would sign without the hash of the body: the store is to refuse bytes that changed on the way.
  client.enableSHA256 = true;
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
        const { name: key, size: byteLength, lastModified: modifiedAt } = item;
        yield { key, byteLength, modifiedAt, metadata: metadataOfKey(key) };
      }
      return;
    } catch (error) {
      failures += 1;
      if (failures > 3 || !mayPass(error)) throw toStoreError(error);
      await sleep(100 * 2 ** failures);
    }
  }
}

/** Uploads in parts that were neither completed nor aborted: nothing shows them, and their parts take up room. */
async function abortUploads({ client, name }: Bucket, before: Date): Promise<number> {
  let aborted = 0;
  for (let page = { keyMarker: "", uploadIdMarker: "" }; ;) {
    const { keyMarker, uploadIdMarker } = page;
    const found = await repeating(() => client.listIncompleteUploadsQuery(name, "", keyMarker, uploadIdMarker, ""));
    for (const { key, uploadId, initiated } of found.uploads) {
      if (!isKey(key) || !(new Date(initiated ?? Number.NaN) < before)) continue;
      await repeating(() => client.abortMultipartUpload(name, key, uploadId)).catch(passOverAborted);
      aborted += 1;
    }
    if (!found.isTruncated) return aborted;
    page = { keyMarker: found.nextKeyMarker, uploadIdMarker: found.nextUploadIdMarker };
  }
}

/** Somebody else was first. */
function passOverAborted(error: unknown): void {
  if (!isAbsent(error) && codeOf(error) !== "NoSuchUpload") throw error;
}

async function check(store: Bucket): Promise<void> {
  const key = `${privatePrefix}${randomUUID()}`;
  const bytes = Buffer.from("check");
  await repeating(() => putBytes(store, key, bytes));
  if ((await stat(store, key))?.byteLength !== bytes.byteLength) {
    throw new ArchiveError("storage-unavailable", "The object store does not give back what it was given.");
  }
  await repeating(() => store.client.removeObject(store.name, key));
}
