/** Media types and multipart messages as the suite reads and writes them (RFC 9110 8.3, RFC 2387). */

/** A media type with its parameters, names in lower case, values unquoted. */
export interface MediaType {
  readonly type: string;
  readonly params: Readonly<Record<string, string>>;
}

/** One part of a multipart message. */
export interface Part {
  readonly headers: Readonly<Record<string, string>>;
  readonly mediaType: MediaType;
  readonly body: Buffer;
}

/** Reads a Content-Type value. */
export function parseMediaType(text: string): MediaType {
  const params: Record<string, string> = {};
  for (const [, name = "", quoted, token] of text.matchAll(/;\s*([^=;\s]+)\s*=\s*(?:"([^"]*)"|([^;\s]*))/g)) {
    params[name.toLowerCase()] = quoted ?? token ?? "";
  }
  return { type: (text.split(";", 1)[0] ?? "").trim().toLowerCase(), params };
}

/** The parts of a multipart body. Throws when it is not framed as RFC 2046 5.1 says. */
export function parseMultipart(body: Buffer, boundary: string): Part[] {
  const delimiter = Buffer.from(`--${boundary}`);
  const parts: Part[] = [];
  let at = body.indexOf(delimiter);
  if (at === -1) throw new Error("the body does not hold the boundary of its Content-Type");
  for (;;) {
    at += delimiter.length;
    if (body.toString("latin1", at, at + 2) === "--") return parts;
    const next = body.indexOf(Buffer.concat([Buffer.from("\r\n"), delimiter]), at);
    if (next === -1) throw new Error("the last boundary is missing");
    parts.push(parsePart(body.subarray(body.indexOf("\r\n", at) + 2, next)));
    at = next + 2;
  }
}

function parsePart(bytes: Buffer): Part {
  const isBare = bytes.toString("latin1", 0, 2) === "\r\n";
  const end = isBare ? 0 : bytes.indexOf("\r\n\r\n");
  if (end === -1) throw new Error("the header of a part does not end");
  const headers: Record<string, string> = {};
  for (const line of bytes.toString("latin1", 0, end).split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
  const mediaType = parseMediaType(headers["content-type"] ?? "");
  return { headers, mediaType, body: bytes.subarray(isBare ? 2 : end + 4) };
}

/** The boundary of every message that the suite writes. */
export const boundary = "conformance-6b1f0c";

/** A part to be written. */
export interface NewPart {
  readonly type: string;
  readonly location?: string;
  readonly body: Buffer | string;
}

/** A multipart body with `boundary`. */
export function writeMultipart(parts: readonly NewPart[]): Buffer {
  const written = parts.flatMap(({ type, location, body }) => [
    Buffer.from(`--${boundary}\r\nContent-Type: ${type}\r\n`),
    Buffer.from(location === undefined ? "\r\n" : `Content-Location: ${location}\r\n\r\n`),
    typeof body === "string" ? Buffer.from(body) : body,
    Buffer.from("\r\n"),
  ]);
  return Buffer.concat([...written, Buffer.from(`--${boundary}--\r\n`)]);
}

/** The Content-Type of such a body whose root is of `type`. */
export function relatedType(type: string): string {
  return `multipart/related; type="${type}"; boundary=${boundary}`;
}
