/** Reads a multipart body as a stream of parts (RFC 2046 5.1, PS3.18 8.6.1.2), in the memory of one chunk. */
import { ArchiveError } from "../errors.ts";
import { DelimiterScanner } from "./delimiter-scanner.ts";

/** One part of a multipart body. */
export interface BodyPart {
  /** The header fields by lower-case name; of a repeated one the first. */
  readonly headers: ReadonlyMap<string, string>;
  /**
   * The bytes, once: views of the chunks that the source gave. Ends as soon as the delimiter has been seen. Throws
   * ArchiveError `body-incomplete` when the source ends first, or what the source threw.
   */
  readonly body: AsyncIterable<Uint8Array>;
}

/** What a multipart body may ask for. */
export interface MultipartLimits {
  /** Bytes in the header block of one part. */
  readonly headerBytes: number;
  /** Header fields in one part. */
  readonly headerFields: number;
  /** Parts in one body. */
  readonly parts: number;
}

const defaultLimits: MultipartLimits = { headerBytes: 16 * 1024, headerFields: 64, parts: 20_000 };

/** RFC 2046 allows 70 characters; a few clients write more. */
const boundaryLimit = 256;

/**
 * The parts of `source`, in order; `boundary` as the Content-Type parameter says it. The parts are read one after the
 * other, never at once: asking for the next part drains what was not read of the one before. Preamble and epilogue are passed over;
 * lines may end in LF alone, if the first delimiter's does. The source is never destroyed, not even on error: on its
 * socket the caller may still have to answer.
 *
 * Throws ArchiveError: `invalid-multipart` (no such boundary, a malformed header, a limit), `body-incomplete` (the
 * source ended before the closing delimiter); and whatever the source throws.
 */
export async function* readMultipart(
  source: AsyncIterable<Uint8Array>,
  boundary: string,
  limits: Partial<MultipartLimits> = {},
): AsyncGenerator<BodyPart, void, undefined> {
  if (boundary === "" || boundary.length > boundaryLimit || /[^\x20-\x7e]/.test(boundary)) {
    throw new ArchiveError("invalid-multipart", "The boundary that Content-Type names is empty, too long or not text.");
  }
  const reader = new PartReader(source, boundary, { ...defaultLimits, ...limits });
  await reader.skipPreamble();
  for (let count = 1; !reader.closed; count += 1) {
    if (count > reader.limits.parts) {
      throw new ArchiveError("invalid-multipart", `The body has more than ${reader.limits.parts} parts.`);
    }
    const headers = await reader.readHeaders(count);
    yield { headers, body: { [Symbol.asyncIterator]: () => ({ next: () => reader.nextData(count) }) } };
    await reader.drain(count);
  }
  await reader.skipEpilogue();
}

/** The state of one body: which part is open, and how reading ended. */
class PartReader {
  readonly limits: MultipartLimits;
  /** The closing delimiter was seen. */
  closed = false;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #scanner: DelimiterScanner;
  /** Number of the part whose body is being read; 0 for none. */
  #openPart = 0;
  /** What the source threw: it is not asked again. */
  #failure: { readonly error: unknown } | undefined;

  constructor(source: AsyncIterable<Uint8Array>, boundary: string, limits: MultipartLimits) {
    this.#chunks = source[Symbol.asyncIterator]();
    this.#scanner = new DelimiterScanner(boundary);
    this.limits = limits;
  }

  async skipPreamble(): Promise<void> {
    for (;;) {
      const scanned = this.#scanner.next();
      if (scanned === "close") this.closed = true;
      if (scanned === "close" || scanned === "delimiter") return;
      if (scanned === "more" && !(await this.#fill())) {
        throw new ArchiveError("invalid-multipart", "The body does not contain the boundary that Content-Type names.");
      }
    }
  }

  async skipEpilogue(): Promise<void> {
    while (await this.#fill());
  }

  /** The header block of part `part`, whose delimiter line was just passed. */
  async readHeaders(part: number): Promise<ReadonlyMap<string, string>> {
    const lines: string[] = [];
    let read = 0;
    for (;;) {
      const line = await this.#line(this.limits.headerBytes - read);
      read += line.length;
      const text = line.replace(/\r?\n$/, "");
      const delimiter = this.#scanner.delimiterOf(text);
      if (delimiter === "close") this.closed = true;
      if (delimiter !== undefined) return headerFields(lines);
      if (text === "") break;
      if (lines.length >= this.limits.headerFields) {
        throw new ArchiveError("invalid-multipart", "A part has too many header fields.");
      }
      lines.push(text);
    }
    const headers = headerFields(lines);
    this.#scanner.beginData();
    this.#openPart = part;
    return headers;
  }

  /** The next bytes of part `part`; none when that has been read. After a failure it fails again, the same way. */
  async nextData(part: number): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#failure !== undefined) throw this.#failure.error;
    while (this.#openPart === part) {
      const scanned = this.#scanner.next();
      if (scanned === "more") await this.#more();
      else if (typeof scanned !== "string") return { done: false, value: scanned };
      else this.#end(scanned);
    }
    return { done: true, value: undefined };
  }

  /** Reads part `part` to its end. Throws what its body threw. */
  async drain(part: number): Promise<void> {
    while ((await this.nextData(part)).done !== true);
  }

  #end(delimiter: "delimiter" | "close"): void {
    this.#openPart = 0;
    if (delimiter === "close") this.closed = true;
  }

  /** One line of a header block with its end; at the end of the source what there is, if that closes the body. */
  async #line(limit: number): Promise<string> {
    let line = "";
    while (!line.endsWith("\n")) {
      const piece = this.#scanner.line();
      if (line.length + piece.length > limit) {
        throw new ArchiveError("invalid-multipart", "The header of a part is too long.");
      }
      line += piece.toString("latin1");
      if (piece.length > 0) continue;
      if (this.#scanner.delimiterOf(line) === "close") return line;
      await this.#more();
    }
    return line;
  }

  /** The next chunk. Throws `body-incomplete` when there is none. */
  async #more(): Promise<void> {
    if (await this.#fill()) return;
    throw new ArchiveError("body-incomplete", "The body ended before its closing delimiter.");
  }

  async #fill(): Promise<boolean> {
    try {
      const chunk = await this.#chunks.next();
      if (chunk.done === true) return false;
      this.#scanner.push(chunk.value);
      return true;
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }
}

/** Header lines as fields; a line that begins with a blank continues the one before (RFC 5322 2.2.3). */
function headerFields(lines: readonly string[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of unfolded(lines)) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon)).trim().toLowerCase();
    if (name === "") throw new ArchiveError("invalid-multipart", "A header line of a part has no field name.");
    if (!fields.has(name)) fields.set(name, line.slice(colon + 1).trim());
  }
  return fields;
}

function unfolded(lines: readonly string[]): string[] {
  const whole: string[] = [];
  for (const line of lines) {
    const before = /^[ \t]/.test(line) ? whole.pop() : undefined;
    whole.push(before === undefined ? line : `${before} ${line.trim()}`);
  }
  return whole;
}
