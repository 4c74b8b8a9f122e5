/** Request and Reply: a handler is a function from one to the other and never touches a socket. */
import type { Readable } from "node:stream";
import type { Archive } from "../archive/archive.ts";
import type { ReadableBytes } from "../archive/stored-bytes.ts";
import type { AcceptRange } from "./media-type.ts";

/** What a handler gets. `Params` are the parts of the path, checked by the schema of its route. */
export interface Request<Params> {
  readonly params: Params;
  /** Query parameters in their order, decoded. */
  readonly query: URLSearchParams;
  /** The Accept header, or the `accept` query parameter, which overrides it (PS3.18 8.3.3.1). */
  readonly accept: readonly AcceptRange[];
  /** A header by its lower-case name. */
  readonly header: (name: string) => string | undefined;
  readonly body: Readable;
  readonly archive: Archive;
  /** Makes an absolute URL of a path below the DICOMweb root. */
  readonly urlOf: (path: string) => string;
}

/**
 * What a handler gives. A streamed body is pulled at the speed of the client. Whoever sends the reply answers
 * conditional requests by `etag` and `lastModified`, byte ranges of a ReadableBytes, and HEAD: a handler gives the whole.
 */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer | AsyncIterable<Buffer | string> | ReadableBytes;
  /** Entity tag with its quotes, `W/` in front when weak: that of what is sent to this Accept. */
  readonly etag?: string | undefined;
  readonly lastModified?: Date | undefined;
}
