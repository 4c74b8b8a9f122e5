/** What the header of a compressed image or video tells of its pixels, so that it can be wrapped into an instance. */
import { ArchiveError } from "../errors.ts";
import type { ByteSource } from "./part10-writer.ts";

/** The pixels of a stream in the terms of PS3.3 C.7.6.3. */
export interface PixelDescription {
  /** Of the bytes as they are; undefined when their header does not tell which of several it is. */
  readonly transferSyntaxUid: string | undefined;
  readonly rows: number;
  readonly columns: number;
  readonly samplesPerPixel: 1 | 3;
  readonly bitsStored: number;
  readonly signed: boolean;
  readonly photometricInterpretation: string;
  /** Defined Term of Lossy Image Compression Method (0028,2114) when information was lost; undefined when none was. */
  readonly lossyMethod: string | undefined;
  /** The part of the stream that is Pixel Data; all of it when absent. */
  readonly codestream?: { readonly offset: number; readonly length: number };
  /** Frames of a video; undefined when its header does not tell. */
  readonly numberOfFrames?: number | undefined;
  /** Time of one frame of a video in milliseconds. */
  readonly frameTime?: number | undefined;
  readonly warnings: readonly string[];
}

/** The error for a stream that is not what its media type says. */
export function malformedMedia(fault: string): ArchiveError {
  return new ArchiveError("malformed-media", fault);
}

/** Bytes that are read ahead: headers are many small pieces, and each read of stored bytes has its price. */
const windowLength = 64 * 1024;

/** At most `length` bytes from `offset`: fewer at the end. */
export type ReadAt = (offset: number, length: number) => Promise<Buffer>;

/** Reads pieces of `source`; those that lie near each other by one read. */
export function reader(source: ByteSource): ReadAt {
  let window = Buffer.alloc(0);
  let start = 0;
  return async (offset, length) => {
    const present = Math.max(0, Math.min(length, source.byteLength - offset));
    if (present > windowLength) return gathered(source, offset, present);
    if (offset < start || offset + present > start + window.length) {
      window = await gathered(source, offset, Math.min(windowLength, source.byteLength - offset));
      start = offset;
    }
    return window.subarray(offset - start, offset - start + present);
  };
}

async function gathered(source: ByteSource, offset: number, length: number): Promise<Buffer<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  if (length > 0) for await (const chunk of source.bytes(offset, length)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** One or three samples; DICOM has no other images (PS3.3 C.7.6.3.1.1). @throws ArchiveError `malformed-media` */
export function samplesOf(components: number, name: string): 1 | 3 {
  if (components === 1 || components === 3) return components;
  throw malformedMedia(`The ${name} image has ${components} components; DICOM images have 1 or 3.`);
}

/** Bits of a sample, as Bits Stored (0028,0101) can have them beside 16 allocated. @throws ArchiveError `malformed-media` */
export function bitsOf(bits: number, name: string): number {
  if (bits >= 1 && bits <= 16) return bits;
  throw malformedMedia(`The ${name} image has samples of ${bits} bits; images of 1 to 16 bits can be wrapped.`);
}
