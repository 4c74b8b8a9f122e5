/** Finds the delimiter lines of a multipart body in chunks cut anywhere (RFC 2046 5.1.1), without copying the rest. */

/** What `DelimiterScanner.next` found: data of the part, a delimiter line, or that it needs another chunk. */
export type Scanned = Buffer | "delimiter" | "close" | "more";

/** Transport padding (RFC 2046 5.1.1) longer than this is data. In bytes. */
const paddingLimit = 256;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const hyphen = 0x2d;

/**
 * A cursor over the chunks of a multipart body. The line end and two hyphens before the boundary are looked for
 * together with it; since a line end stands only at the beginning of that needle, a needle cut by the end of a chunk
 * is known by its length alone, and no byte is looked at twice.
 */
export class DelimiterScanner {
  readonly #dashBoundary: string;
  #needle: Buffer;
  #chunk: Buffer = Buffer.alloc(0);
  #at = 0;
  /** Bytes of the needle that matched so far; the first `#virtual` of them belong to the line before, not to data. */
  #matched: number;
  #virtual: number;
  /** The bytes after a complete needle that may still make it a delimiter line. */
  #rest: number[] = [];

  /** `boundary` without the leading hyphens. */
  constructor(boundary: string) {
    this.#dashBoundary = `--${boundary}`;
    // The first delimiter may open the body, and tells by its own end how lines end.
    this.#needle = Buffer.from(`\n${this.#dashBoundary}`, "latin1");
    this.#matched = 1;
    this.#virtual = 1;
  }

  /** Gives the next chunk, once `next` or `line` has asked for more. */
  push(chunk: Uint8Array): void {
    this.#chunk = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#at = 0;
  }

  /** The next piece of data, a view of its chunk; or the delimiter line that was passed. */
  next(): Scanned {
    while (this.#at < this.#chunk.length) {
      const found = this.#step();
      if (found !== "more" && found.length > 0) return found;
    }
    return "more";
  }

  /**
   * The bytes up to and including the next line feed, or all that the chunk still has.
   * For the header block, which lies between a delimiter line and the data.
   */
  line(): Buffer {
    const end = this.#chunk.indexOf(lineFeed, this.#at);
    const from = this.#at;
    this.#at = end === -1 ? this.#chunk.length : end + 1;
    return this.#chunk.subarray(from, this.#at);
  }

  /** The line end of the header block has been read: a delimiter may follow at once, for an empty part. */
  beginData(): void {
    this.#virtual = this.#needle.length - this.#dashBoundary.length;
    this.#matched = this.#virtual;
  }

  /** What `line`, inside a header block, is when it opens with the boundary; undefined when it does not. */
  delimiterOf(line: string): "delimiter" | "close" | undefined {
    if (!line.startsWith(this.#dashBoundary)) return undefined;
    const rest = line.slice(this.#dashBoundary.length);
    if (rest.startsWith("--")) return "close";
    return /^[ \t]*\r?$/.test(rest) ? "delimiter" : undefined;
  }

  #step(): Scanned {
    if (this.#matched === this.#needle.length) return this.#lineRest();
    if (this.#matched > 0) return this.#needleRest();
    const from = this.#at;
    const found = this.#chunk.indexOf(this.#needle, from);
    if (found === -1) {
      this.#matched = this.#cutNeedle();
      this.#at = this.#chunk.length;
      return this.#chunk.subarray(from, this.#at - this.#matched);
    }
    this.#matched = this.#needle.length;
    this.#at = found + this.#needle.length;
    return this.#chunk.subarray(from, found);
  }

  /** Length of the beginning of a needle with which the chunk ends. */
  #cutNeedle(): number {
    const from = Math.max(this.#at, this.#chunk.length - this.#needle.length + 1);
    const tail = this.#chunk.subarray(from);
    const start = tail.lastIndexOf(this.#needle[0] ?? lineFeed);
    if (start === -1) return 0;
    const length = tail.length - start;
    return tail.compare(this.#needle, 0, length, start) === 0 ? length : 0;
  }

  #needleRest(): Scanned {
    const length = Math.min(this.#needle.length - this.#matched, this.#chunk.length - this.#at);
    const matched = this.#matched + length;
    if (this.#chunk.compare(this.#needle, this.#matched, matched, this.#at, this.#at + length) !== 0) {
      return this.#release();
    }
    this.#matched = matched;
    this.#at += length;
    return "more";
  }

  /** After the boundary: two hyphens close; padding and a line end delimit; with anything else it was data. */
  #lineRest(): Scanned {
    const byte = this.#chunk[this.#at] ?? 0;
    const last = this.#rest.at(-1);
    if (byte === lineFeed && last !== hyphen) return this.#delimiter(last === carriageReturn);
    if (byte === hyphen && last === hyphen) return this.#close();
    const mayGoOn = byte === hyphen ? this.#rest.length === 0 : isPadding(byte) && isPaddingOrNone(last);
    if (!mayGoOn || this.#rest.length > paddingLimit) return this.#release();
    this.#rest.push(byte);
    this.#at += 1;
    return "more";
  }

  #delimiter(crlf: boolean): "delimiter" {
    this.#at += 1;
    this.#forget();
    this.#needle = Buffer.from(`${crlf ? "\r" : ""}\n${this.#dashBoundary}`, "latin1");
    return "delimiter";
  }

  #close(): "close" {
    this.#at += 1;
    this.#forget();
    return "close";
  }

  /** What was held back is data after all. */
  #release(): Buffer {
    const held = Buffer.concat([this.#needle.subarray(this.#virtual, this.#matched), Buffer.from(this.#rest)]);
    this.#forget();
    return held;
  }

  #forget(): void {
    this.#matched = 0;
    this.#virtual = 0;
    this.#rest = [];
  }
}

/** Blank, tab, or the carriage return that ends the padding. */
function isPadding(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === carriageReturn;
}

function isPaddingOrNone(byte: number | undefined): boolean {
  return byte === undefined || byte === 0x20 || byte === 0x09;
}
