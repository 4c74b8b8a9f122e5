/** How an object, or a part of it, comes out of an S3 bucket. */
import { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { ArchiveError } from "../server/errors.ts";
import { type ByteRange, noSuchBlob } from "./blobs.ts";
import { toStoreError } from "./blobs-s3-errors.ts";
import { type Bucket, stat } from "./blobs-s3-put.ts";
import type { Arriving } from "./read-window.ts";

/** The store's answer, whose errors are not translated yet. */
export async function request(store: Bucket, key: string, range?: ByteRange): Promise<Readable> {
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
  const value = headerOf(response, "content-length");
  return value === "" ? Number.NaN : Number(value);
}

function headerOf(response: Readable, name: string): string {
  return response instanceof IncomingMessage ? String(response.headers[name] ?? "") : "";
}

/** The bytes of `range`, or fewer when the object ends within it: as many as the answer says, checked against it. */
export async function requestUpTo({ client, name }: Bucket, key: string, range: ByteRange): Promise<Arriving> {
  const stream = await client.getPartialObject(name, key, range.offset, range.length);
  const [start, end, total] = contentRange(stream);
  const length = end - start + 1;
  const expected = Math.min(range.length, total - range.offset);
  if (start === range.offset && length === expected && contentLength(stream) === length) return { stream, length };
  stream.on("error", () => undefined).destroy();
  throw new ArchiveError("storage-unavailable", "The object store gave another part of an object than was asked for.");
}

/** First and last byte, and size of the object, of a Content-Range (RFC 9110 14.4). */
function contentRange(response: Readable): readonly [number, number, number] {
  const value = headerOf(response, "content-range");
  const [, start, end, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(value) ?? [];
  return [Number(start ?? Number.NaN), Number(end ?? Number.NaN), Number(total ?? Number.NaN)];
}

/** The same bytes, whose failure on the way is an ArchiveError. */
export function translated(source: Readable): Readable {
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
