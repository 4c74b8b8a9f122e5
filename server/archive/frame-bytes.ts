/** The bytes of one frame as it is stored; native pixels in little endian (PS3.18 8.7.3.3). */
import type { Blobs } from "../../storage/blobs.ts";
import type { NativeFrames } from "../dicom/frames.ts";
import { ArchiveError } from "../errors.ts";
import type { Located } from "./locate.ts";
import { heldBytes, type ReadableBytes, segmentBytes } from "./stored-bytes.ts";

/** Number of frames of an instance. @throws ArchiveError `no-frame-table` */
export function frameCount({ table }: Located): number {
  if (!table) {
    const reason = "The instance has no pixel data, or pixel data that is not a sequence of frames.";
    throw new ArchiveError("no-frame-table", reason);
  }
  return table.kind === "native" ? table.count : table.frames.length;
}

/** Frame `number`, from 1 on, not more than there are. */
export function frameBytes(blobs: Blobs, { row, syntax, table }: Located, number: number): ReadableBytes {
  if (!table) throw new TypeError("an instance without frames");
  if (table.kind === "encapsulated") return segmentBytes(blobs, row, table.frames[number - 1] ?? []);
  const width = syntax.littleEndian ? 1 : table.sampleBytes;
  if (table.frameBits % (8 * width) !== 0) {
    return heldBytes(Math.ceil(table.frameBits / 8), () => unalignedFrame(blobs, row, table, number, width));
  }
  const length = table.frameBits / 8;
  return segmentBytes(blobs, row, [{ offset: table.offset + (number - 1) * length, length }], width);
}

/**
 * Frames follow each other without padding (PS3.5 8.1.1), so one of one-bit pixels may begin inside a byte, and one
 * of big-endian words of `width` bytes inside a word.
 */
async function unalignedFrame(
  blobs: Blobs,
  row: Located["row"],
  table: NativeFrames,
  number: number,
  width: NativeFrames["sampleBytes"],
): Promise<Buffer> {
  const unit = width * 8;
  const firstBit = (number - 1) * table.frameBits;
  const firstUnit = Math.floor(firstBit / unit);
  const length = (Math.ceil((firstBit + table.frameBits) / unit) - firstUnit) * width;
  const chunks: Buffer[] = [];
  const segments = [{ offset: table.offset + firstUnit * width, length }];
  for await (const chunk of segmentBytes(blobs, row, segments, width).read()) chunks.push(chunk);
  const skippedBits = firstBit - firstUnit * unit;
  const bytes = Buffer.concat(chunks).subarray(Math.floor(skippedBits / 8));
  return shifted(bytes, skippedBits % 8, table.frameBits);
}

/** `bitCount` bits from bit `shift` on, the first in the lowest bit of the first byte; the rest of the last byte is 0. */
function shifted(bytes: Buffer, shift: number, bitCount: number): Buffer {
  const out = Buffer.alloc(Math.ceil(bitCount / 8));
  for (let at = 0; at < out.length; at += 1) {
    out[at] = (((bytes[at] ?? 0) >> shift) | ((bytes[at + 1] ?? 0) << (8 - shift))) & 0xff;
  }
  const used = bitCount % 8;
  const last = out.length - 1;
  if (used !== 0) out[last] = (out[last] ?? 0) & (0xff >> (8 - used));
  return out;
}
