/** Frame tables as bytes: a version, then unsigned LEB128 numbers; a frame of a large slide costs about four bytes. */
import type { Segment } from "./data-set.ts";
import type { FrameTable } from "./frames.ts";

const version = 1;
const kinds = ["native", "encapsulated"] as const;

/** The table as bytes. Fragments are written as the gap since the last one's end, and their length. */
export function encodeFrameTable(table: FrameTable): Buffer {
  const numbers: number[] = [version, kinds.indexOf(table.kind)];
  if (table.kind === "native") {
    numbers.push(table.offset, table.frameBits, table.count, table.sampleBytes);
    return encode(numbers);
  }
  numbers.push(table.frames.length);
  let end = 0;
  for (const segments of table.frames) {
    numbers.push(segments.length);
    for (const { offset, length } of segments) {
      // Offset tables may list frames in any order: the sign goes into the lowest bit.
      numbers.push(offset >= end ? (offset - end) * 2 : (end - offset) * 2 + 1, length);
      end = offset + length;
    }
  }
  return encode(numbers);
}

/** The table that `encodeFrameTable` wrote. @throws RangeError when the bytes are not one */
export function decodeFrameTable(bytes: Buffer): FrameTable {
  const next = reader(bytes);
  if (next() !== version) throw new RangeError("frame table of another version");
  if (kinds[next()] === "native") {
    const [offset, frameBits, count, width] = [next(), next(), next(), next()];
    const sampleBytes = width === 2 || width === 4 || width === 8 ? width : 1;
    return { kind: "native", offset, frameBits, count, sampleBytes };
  }
  const frames: Segment[][] = [];
  let end = 0;
  for (let left = next(); left > 0; left -= 1) {
    const segments: Segment[] = [];
    for (let fragments = next(); fragments > 0; fragments -= 1) {
      const step = next();
      const half = Math.floor(step / 2);
      const offset = step % 2 === 0 ? end + half : end - half;
      const length = next();
      segments.push({ offset, length });
      end = offset + length;
    }
    frames.push(segments);
  }
  return { kind: "encapsulated", frames };
}

function encode(numbers: readonly number[]): Buffer {
  const bytes: number[] = [];
  for (const number of numbers) {
    let rest = number;
    // Offsets pass 2^32, so no bit operators.
    while (rest >= 0x80) {
      bytes.push((rest % 0x80) + 0x80);
      rest = Math.floor(rest / 0x80);
    }
    bytes.push(rest);
  }
  return Buffer.from(bytes);
}

function reader(bytes: Buffer): () => number {
  let at = 0;
  return () => {
    let value = 0;
    let weight = 1;
    while (true) {
      const byte = bytes[at];
      if (byte === undefined) throw new RangeError("frame table ends early");
      at += 1;
      value += (byte % 0x80) * weight;
      if (byte < 0x80) return value;
      weight *= 0x80;
    }
  };
}
