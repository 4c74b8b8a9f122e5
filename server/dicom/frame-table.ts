/** Frame tables as bytes: a version, then unsigned LEB128 numbers; a frame of a large slide costs about four bytes. */
import type { Segment } from "./data-set.ts";
import type { FrameTable } from "./frames.ts";

const version = 1;
const kinds = ["native", "encapsulated"] as const;

/** The table as bytes. Fragments are written as the gap since the last one's end, and their length. */
export function encodeFrameTable(table: FrameTable): Buffer {
  const writer = new NumberWriter();
  writer.write(version);
  writer.write(kinds.indexOf(table.kind));
  if (table.kind === "native") {
    for (const number of [table.offset, table.frameBits, table.count, table.sampleBytes]) writer.write(number);
    return writer.bytes();
  }
  writer.write(table.frames.length);
  let end = 0;
  for (const segments of table.frames) {
    writer.write(segments.length);
    for (const { offset, length } of segments) {
      // Offset tables may list frames in any order: the sign goes into the lowest bit.
      writer.write(offset >= end ? (offset - end) * 2 : (end - offset) * 2 + 1);
      writer.write(length);
      end = offset + length;
    }
  }
  return writer.bytes();
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
  let end = 0;
  const segment = (): Segment => {
    const step = next();
    const half = Math.floor(step / 2);
    const offset = step % 2 === 0 ? end + half : end - half;
    const length = next();
    end = offset + length;
    return { offset, length };
  };
  // Arrays of the right length: one that grows has room for 17 elements from the first on.
  const frames = Array.from({ length: next() }, () => Array.from({ length: next() }, segment));
  return { kind: "encapsulated", frames };
}

/** Bytes of a number at most: they are below 2^53. */
const longestNumber = 8;

/** Unsigned LEB128 numbers, one after the other. An array of numbers would take ten times the memory of the bytes. */
class NumberWriter {
  #bytes = Buffer.alloc(256);
  #length = 0;

  write(number: number): void {
    if (this.#length + longestNumber > this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes], this.#bytes.length * 2);
    }
    let rest = number;
    // Offsets pass 2^32, so no bit operators.
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) + 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  bytes(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#length));
  }
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
