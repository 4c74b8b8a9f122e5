/** Multipart bodies of any parts for tests (RFC 2387). */

/** One part: its header fields and its bytes. */
export interface RelatedPart {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | string;
}

const boundary = "related-boundary-3e5a";

/** A body of `parts`, and its Content-Type with `type` for the media type of the first. */
export function relatedBody(
  parts: readonly RelatedPart[],
  type: string,
): { readonly contentType: string; readonly body: Buffer<ArrayBuffer> } {
  const pieces = parts.flatMap(({ headers, body }) => [
    Buffer.from(`\r\n--${boundary}\r\n`),
    Buffer.from(
      Object.entries(headers)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join(""),
    ),
    Buffer.from("\r\n"),
    Buffer.from(body),
  ]);
  return {
    contentType: `multipart/related; type="${type}"; boundary=${boundary}`,
    body: Buffer.concat([...pieces, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  };
}
