/** Byte ranges (RFC 9110 14): which parts of a representation a Range header asks for, and how several are sent. */
import { randomBytes } from "node:crypto";
import type { ReadableBytes } from "../archive/stored-bytes.ts";
import type { Segment } from "../dicom/data-set.ts";

/** Ranges sent in one answer; who asks for more gets the whole (RFC 9110 14.2 allows both). */
const mostRanges = 16;

/** Bytes between two ranges that cost less than the header of a part. */
const smallGap = 100;

/**
 * The ranges that `header` asks for of `byteLength` bytes, those that overlap or nearly touch as one; empty when none
 * lies within (answer 416). Undefined when the whole is to be sent: another unit, not a list of ranges, too many.
 */
export function parseRange(header: string, byteLength: number): Segment[] | undefined {
  const specs = /^\s*bytes\s*=(.*)$/i.exec(header)?.[1];
  if (specs === undefined || byteLength === 0) return undefined;
  const ranges: Segment[] = [];
  const texts = specs.split(",").map((text) => text.trim());
  if (texts.length > 1000) return undefined;
  for (const text of texts) {
    const [matched, first, last] = /^(\d*)-(\d*)$/.exec(text) ?? [];
    if (matched === undefined || (first === "" && last === "")) return undefined;
    if (first && last && Number(last) < Number(first)) return undefined;
    const offset = first ? Number(first) : Math.max(0, byteLength - Number(last));
    const end = first && last ? Math.min(byteLength, Number(last) + 1) : byteLength;
    if (offset < end) ranges.push({ offset, length: end - offset });
  }
  const coalesced = coalesce(ranges);
  return coalesced.length > mostRanges ? undefined : coalesced;
}

/** Value of Content-Range (RFC 9110 14.4); without a range that of a 416. */
export function contentRange(byteLength: number, range?: Segment): string {
  if (range === undefined) return `bytes */${byteLength}`;
  return `bytes ${range.offset}-${range.offset + range.length - 1}/${byteLength}`;
}

/** A multipart/byteranges message (RFC 9110 14.6) of `ranges` of `body`, its length known beforehand. */
export function multipartByteRanges(
  body: ReadableBytes,
  ranges: readonly Segment[],
  contentType: string,
): { readonly contentType: string; readonly byteLength: number; readonly bytes: AsyncIterable<Buffer> } {
  const boundary = `noctis-${randomBytes(16).toString("hex")}`;
  const heads = ranges.map((range, index) => {
    const fields = `Content-Type: ${contentType}\r\nContent-Range: ${contentRange(body.byteLength, range)}`;
    return Buffer.from(`${index === 0 ? "" : "\r\n"}--${boundary}\r\n${fields}\r\n\r\n`, "latin1");
  });
  const end = Buffer.from(`\r\n--${boundary}--\r\n`);
  async function* bytes(): AsyncGenerator<Buffer, void, undefined> {
    for (const [index, range] of ranges.entries()) {
      yield heads[index] ?? Buffer.alloc(0);
      yield* body.read(range);
    }
    yield end;
  }
  const byteLength = [...heads, end, ...ranges].reduce((sum, { length }) => sum + length, 0);
  return { contentType: `multipart/byteranges; boundary=${boundary}`, byteLength, bytes: bytes() };
}

/** In the order asked for; ranges that are joined stand where the first of them stood. */
function coalesce(ranges: readonly Segment[]): Segment[] {
  const ascending = ranges.map((range, order) => ({ ...range, order })).sort((one, other) => one.offset - other.offset);
  const joined: { offset: number; length: number; order: number }[] = [];
  for (const range of ascending) {
    const last = joined.at(-1);
    if (last && range.offset <= last.offset + last.length + smallGap) {
      last.length = Math.max(last.length, range.offset + range.length - last.offset);
      last.order = Math.min(last.order, range.order);
    } else joined.push({ ...range });
  }
  return joined.sort((one, other) => one.order - other.order).map(({ offset, length }) => ({ offset, length }));
}
