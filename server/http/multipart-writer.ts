/** Writes a multipart/related body as a stream (RFC 2387, PS3.18 8.6.1.2). */
import { randomBytes } from "node:crypto";
import { ArchiveError } from "../errors.ts";
import { primed } from "./primed.ts";

/** One part of a body to be written. */
export interface OutgoingPart {
  /** Content-Type of the part, with its parameters, such as `transfer-syntax`. */
  readonly contentType: string;
  /** Content-Location of the part: where it can be retrieved. */
  readonly contentLocation?: string;
  /** Size of the body in bytes, where it is known beforehand; that of a Uint8Array always is. */
  readonly byteLength?: number;
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
}

/** What the whole body says of itself. */
export interface MultipartOptions {
  /** Media type of the root part: parameter `type` of Content-Type. */
  readonly type: string;
  /** A token that occurs in no part; random when absent. */
  readonly boundary?: string;
}

/** A multipart/related message. */
export interface MultipartMessage {
  /** Value of the Content-Type header of the message. */
  readonly contentType: string;
  /** Size of the whole in bytes, where that of every part is known beforehand. */
  readonly byteLength?: number;
  /** The bytes, once. Throws what a part's body throws; what was written by then has no closing delimiter. */
  readonly body: AsyncGenerator<Buffer, void, undefined>;
}

/**
 * A multipart/related message of `parts`, which are pulled one at a time as the body is read; no part's body is
 * touched before its turn, and leaving the body early leaves the parts as early. Parts that can be gone through twice
 * are, for the length of the whole. The first bytes of a part are read
 * before its header is written: what cannot be read at all then still has a status, if it is the first.
 */
export function multipartRelated(
  parts: AsyncIterable<OutgoingPart> | Iterable<OutgoingPart>,
  options: MultipartOptions,
): MultipartMessage {
  // Viewers search the boundary in the pixel data too: 128 random bits keep it out.
  const boundary = options.boundary ?? `noctis-${randomBytes(16).toString("hex")}`;
  const byteLength = isRepeatable(parts) ? lengthOf(parts, boundary) : undefined;
  return {
    contentType: `multipart/related; type="${options.type}"; boundary=${boundary}`,
    ...(byteLength !== undefined && { byteLength }),
    body: writeParts(parts, boundary),
  };
}

/** The headers of a reply whose body is `message`. */
export function multipartHeaders({ contentType, byteLength }: MultipartMessage): Record<string, string> {
  return {
    "Content-Type": contentType,
    ...(byteLength !== undefined && { "Content-Length": `${byteLength}` }),
  };
}

function isRepeatable(parts: AsyncIterable<OutgoingPart> | Iterable<OutgoingPart>): parts is Iterable<OutgoingPart> {
  return Symbol.iterator in parts && !("next" in parts);
}

/** Undefined when a part does not tell its length. */
function lengthOf(parts: Iterable<OutgoingPart>, boundary: string): number | undefined {
  let sum = `--${boundary}--\r\n`.length;
  for (const part of parts) {
    const byteLength = byteLengthOf(part);
    if (byteLength === undefined) return undefined;
    sum += delimited(part, boundary).length + byteLength + 2;
  }
  return sum;
}

async function* writeParts(
  parts: AsyncIterable<OutgoingPart> | Iterable<OutgoingPart>,
  boundary: string,
): AsyncGenerator<Buffer, void, undefined> {
  let lineEnd = "";
  for await (const part of parts) {
    const streamed = part.body instanceof Uint8Array ? undefined : await primed(part.body);
    try {
      yield Buffer.from(lineEnd + delimited(part, boundary), "latin1");
      lineEnd = "\r\n";
      if (part.body instanceof Uint8Array) yield asBuffer(part.body);
      for await (const chunk of streamed ?? []) yield asBuffer(chunk);
    } finally {
      await streamed?.return();
    }
  }
  yield Buffer.from(`${lineEnd}--${boundary}--\r\n`, "latin1");
}

function delimited(part: OutgoingPart, boundary: string): string {
  return `--${boundary}\r\n${headerBlock(part)}\r\n`;
}

function byteLengthOf({ body, byteLength }: OutgoingPart): number | undefined {
  return body instanceof Uint8Array ? body.byteLength : byteLength;
}

/** The header fields, spelt as viewers look for them: with lower-case names OHIF does not find the media type. */
function headerBlock(part: OutgoingPart): string {
  const byteLength = byteLengthOf(part);
  const fields = [`Content-Type: ${part.contentType}`];
  if (part.contentLocation !== undefined) fields.push(`Content-Location: ${part.contentLocation}`);
  if (byteLength !== undefined) fields.push(`Content-Length: ${byteLength}`);
  if (fields.some((field) => /[^\t\x20-\x7e]/.test(field))) {
    throw new ArchiveError("internal", "A header field of a part holds a control character.");
  }
  return `${fields.join("\r\n")}\r\n`;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
