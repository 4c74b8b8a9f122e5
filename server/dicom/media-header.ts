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

/** At most `length` bytes from `offset`. */
export async function readAt(source: ByteSource, offset: number, length: number): Promise<Buffer> {
  const present = Math.max(0, Math.min(length, source.byteLength - offset));
  if (present === 0) return Buffer.alloc(0);
  const chunks: Buffer[] = [];
  for await (const chunk of source.bytes(offset, present)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** One or three samples; DICOM has no other images (PS3.3 C.7.6.3.1.1). @throws ArchiveError `malformed-media` */
export function samplesOf(components: number, name: string): 1 | 3 {
  if (components === 1 || components === 3) return components;
  throw malformedMedia(`The ${name} image has ${components} components; DICOM images have 1 or 3.`);
}
