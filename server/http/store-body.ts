/** The body of a store request as parts (PS3.18 8.6.1, 10.5.1.4): single or multipart, encoded or not. */
import { pipeline, Readable } from "node:stream";
import { createGunzip, createInflate } from "node:zlib";
import { mediaOf, mediaTypes } from "../archive/media-classes.ts";
import type { StorePart } from "../archive/store-parts.ts";
import { ArchiveError } from "../errors.ts";
import { type MediaType, parseMediaType } from "./media-type.ts";
import { type BodyPart, readMultipart } from "./multipart-reader.ts";
import type { Request } from "./reply.ts";

/** A body of files, each of which is stored as it comes, or one that must be read whole first. */
export type StoreBody =
  | { readonly kind: "files"; readonly parts: AsyncIterable<FilePart> }
  | { readonly kind: "parts"; readonly parts: AsyncIterable<StorePart> };

/** One file of a body. */
export interface FilePart {
  /** As the sender calls it: the filename of Content-Disposition, else Content-Location. */
  readonly name?: string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
}

/** What a part is by its media type; what is not named is bulk data. */
const kinds: Readonly<Record<string, StorePart["kind"]>> = {
  "application/dicom": "file",
  "application/dicom+json": "json",
  "application/dicom+xml": "xml",
};

/** Bytes that an encoded body may become: a few kilobytes can become any number of them. */
const longestDecoded = 16 * 2 ** 30;

/** @throws ArchiveError `unsupported-media-type`, `invalid-multipart` */
export function storeBody(request: Request<unknown>): StoreBody {
  const mediaType = parseMediaType(request.header("content-type") ?? "");
  const source = decoded(bytesOf(request.body), request.header("content-encoding") ?? "identity");
  if (mediaType?.type === "application/dicom")
    return { kind: "files", parts: single({ name: nameOf(request.header), body: source }) };
  if (mediaType && isKnown(mediaType.type)) {
    return { kind: "parts", parts: single(storePart(mediaType, request.header, source)) };
  }
  const root = mediaType?.type === "multipart/related" ? (mediaType.params.get("type") ?? "application/dicom") : "";
  const rootType = root.toLowerCase();
  if (mediaType === undefined || !isKnown(rootType)) {
    const types = ["application/dicom", "application/dicom+json", "application/dicom+xml", ...mediaTypes].join(", ");
    throw new ArchiveError(
      "unsupported-media-type",
      `Content-Type is none of what can be stored: ${types}, alone or as the type of multipart/related.`,
    );
  }
  const boundary = mediaType.params.get("boundary");
  if (boundary === undefined) throw new ArchiveError("invalid-multipart", "Content-Type names no boundary.");
  const parts = multipart(source, boundary);
  if (rootType === "application/dicom") return { kind: "files", parts: mapped(parts, filePart) };
  return {
    kind: "parts",
    parts: mapped(parts, ({ headers, body }) => {
      // A part without a type is what the root is, unless something refers to it.
      const untyped = headers.has("content-location") || headers.has("content-id") ? octets.type : rootType;
      const partType = parseMediaType(headers.get("content-type") ?? untyped);
      return storePart(partType ?? octets, (name) => headers.get(name), body);
    }),
  };
}

function filePart({ headers, body }: BodyPart): FilePart {
  return { name: nameOf((name) => headers.get(name)), body };
}

/** RFC 6266 4.3, as far as senders of files use it. */
function nameOf(header: (name: string) => string | undefined): string | undefined {
  const disposition = /;\s*filename\s*=\s*(?:"([^"]*)"|([^\s;"]+))/i.exec(header("content-disposition") ?? "");
  return disposition?.[1] ?? disposition?.[2] ?? header("content-location");
}

const octets: MediaType = { type: "application/octet-stream", params: new Map() };

function isKnown(type: string): boolean {
  return Object.hasOwn(kinds, type) || mediaOf(type) !== undefined;
}

function storePart(
  { type, params }: MediaType,
  header: (name: string) => string | undefined,
  body: AsyncIterable<Uint8Array>,
): StorePart {
  const kind = Object.hasOwn(kinds, type) ? kinds[type] : undefined;
  return {
    kind: kind ?? "bulk",
    mediaType: type,
    transferSyntaxUid: params.get("transfer-syntax"),
    location: header("content-location")?.trim() || undefined,
    contentId: header("content-id")?.trim().replace(/^<|>$/g, "") || undefined,
    body,
  };
}

/** The body, left open when reading stops early, so that the answer still reaches the client. */
async function* bytesOf(body: Request<unknown>["body"]): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      if (Buffer.isBuffer(chunk)) yield chunk;
    }
  } catch (cause) {
    throw new ArchiveError("body-incomplete", "The connection ended before the body was complete.", { cause });
  }
}

/** RFC 9110 8.4.1. @throws ArchiveError `unsupported-media-type` */
function decoded(source: AsyncGenerator<Buffer>, encoding: string): AsyncGenerator<Buffer> {
  const coding = encoding.trim().toLowerCase();
  if (coding === "identity") return source;
  if (coding === "gzip" || coding === "x-gzip" || coding === "deflate") return inflated(source, coding === "deflate");
  throw new ArchiveError("unsupported-media-type", "Content-Encoding is none of gzip, deflate and identity.");
}

async function* inflated(source: AsyncGenerator<Buffer>, isDeflate: boolean): AsyncGenerator<Buffer> {
  const inflate = isDeflate ? createInflate() : createGunzip();
  // What fails destroys `inflate`, whose reader throws it.
  pipeline(Readable.from(source, { objectMode: true }), inflate, () => undefined);
  let length = 0;
  try {
    for await (const chunk of inflate) {
      if (!Buffer.isBuffer(chunk)) continue;
      length += chunk.length;
      if (length > longestDecoded) {
        throw new ArchiveError("body-too-large", `The body becomes more than ${longestDecoded} bytes when decoded.`);
      }
      yield chunk;
    }
  } catch (cause) {
    if (cause instanceof ArchiveError) throw cause;
    throw new ArchiveError("invalid-request", "The body is not encoded as Content-Encoding says.", { cause });
  }
}

async function* single<Part>(part: Part): AsyncGenerator<Part> {
  yield part;
}

/** Each of `parts` as `map` has it, one after the other. */
export async function* mapped<Part, Mapped>(
  parts: AsyncIterable<Part>,
  map: (part: Part) => Mapped,
): AsyncGenerator<Mapped> {
  for await (const part of parts) yield map(part);
}

async function* multipart(source: AsyncGenerator<Buffer>, boundary: string): AsyncGenerator<BodyPart> {
  try {
    yield* readMultipart(source, boundary);
  } finally {
    await source.return(undefined);
  }
}
