/** Reads the header of an MP4 file (ISO/IEC 14496-12): the video track, its size, its frames, its codec. */
import { malformedMedia, type PixelDescription, reader } from "./media-header.ts";
import type { ByteSource } from "./part10-writer.ts";

const longestMovie = 64 * 2 ** 20;
const mostBoxes = 10_000;

/** What the video track says of itself. @throws ArchiveError `malformed-media`, also without a track that DICOM has */
export async function readMp4Header(source: ByteSource): Promise<PixelDescription> {
  const movie = await findMovie(source);
  for (const track of boxes(movie)) {
    if (track.type !== "trak") continue;
    const media = child(track.body, "mdia");
    if (media && child(media, "hdlr")?.toString("latin1", 8, 12) === "vide") return describeTrack(media);
  }
  throw malformedMedia("The MP4 file has no video track.");
}

async function findMovie(source: ByteSource): Promise<Buffer> {
  const readAt = reader(source);
  let at = 0;
  for (let count = 0; count < mostBoxes && at + 8 <= source.byteLength; count += 1) {
    const head = await readAt(at, 16);
    const short = head.readUInt32BE(0);
    const declared = short === 1 && head.length === 16 ? Number(head.readBigUInt64BE(8)) : short;
    const length = short === 0 ? source.byteLength - at : declared;
    const headLength = short === 1 ? 16 : 8;
    if (length < headLength) break;
    if (head.toString("latin1", 4, 8) === "moov") {
      if (length > longestMovie) throw malformedMedia("The MP4 file has an index of more than 64 MB.");
      return readAt(at + headLength, length - headLength);
    }
    at += length;
  }
  throw malformedMedia("The bytes are not an MP4 file with an index.");
}

interface Box {
  readonly type: string;
  readonly body: Buffer;
}

/** The boxes in `bytes`; one that passes their end is the last. */
function* boxes(bytes: Buffer): Generator<Box> {
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = bytes.readUInt32BE(at) || bytes.length - at;
    if (length < 8) return;
    yield { type: bytes.toString("latin1", at + 4, at + 8), body: bytes.subarray(at + 8, at + length) };
    at += length;
  }
}

function child(bytes: Buffer, ...path: readonly string[]): Buffer | undefined {
  let inside: Buffer | undefined = bytes;
  for (const type of path) {
    if (!inside) return undefined;
    let found: Buffer | undefined;
    for (const box of boxes(inside)) {
      if (box.type !== type) continue;
      found = box.body;
      break;
    }
    inside = found;
  }
  return inside;
}

/** Bytes of a visual sample entry before its boxes (ISO/IEC 14496-12 12.1.3). */
const sampleEntryLength = 78;

function describeTrack(media: Buffer): PixelDescription {
  const description = child(media, "minf", "stbl", "stsd");
  const [entry] = description && description.length > 8 ? boxes(description.subarray(8)) : [];
  if (!entry || entry.body.length < sampleEntryLength) throw malformedMedia("The video track has no description.");
  const columns = entry.body.readUInt16BE(24);
  const rows = entry.body.readUInt16BE(26);
  if (rows === 0 || columns === 0) throw malformedMedia("The video track does not tell its size.");
  const codec = codecOf(entry);
  const sizes = child(media, "minf", "stbl", "stsz");
  const frames = sizes && sizes.length >= 12 ? sizes.readUInt32BE(8) : 0;
  return {
    rows,
    columns,
    samplesPerPixel: 3,
    signed: false,
    photometricInterpretation: "YBR_PARTIAL_420",
    ...codec,
    numberOfFrames: frames > 0 ? frames : undefined,
    frameTime: frames > 0 ? frameTimeOf(media, frames) : undefined,
  };
}

type Codec = Pick<PixelDescription, "transferSyntaxUid" | "bitsStored" | "lossyMethod" | "warnings">;

function codecOf({ type, body }: Box): Codec {
  const inside = body.subarray(sampleEntryLength);
  if (type === "avc1" || type === "avc3") return avc(child(inside, "avcC"));
  if (type === "hvc1" || type === "hev1") return hevc(child(inside, "hvcC"));
  const name = JSON.stringify(type.replaceAll(/[^\x20-\x7e]/g, "?"));
  throw malformedMedia(`The video is coded as ${name}; DICOM has H.264 and H.265 in MP4.`);
}

/** PS3.5 8.2.7 to 8.2.9: High Profile up to level 4.1 or 4.2. Lower profiles are decoded by what decodes the higher. */
function avc(configuration: Buffer | undefined): Codec {
  if (!configuration || configuration.length < 4) throw malformedMedia("The H.264 video has no configuration.");
  const [profile, level] = [configuration.readUInt8(1), configuration.readUInt8(3)];
  const stereo = profile === 118 || profile === 128;
  const syntax = level <= 41 ? "1.2.840.10008.1.2.4.102" : "1.2.840.10008.1.2.4.104";
  const known = [66, 77, 88, 100, 118, 128].includes(profile) && level <= 42;
  const told = `profile ${profile} and level ${level / 10}`;
  return {
    transferSyntaxUid: known ? (stereo ? "1.2.840.10008.1.2.4.106" : syntax) : undefined,
    bitsStored: 8,
    lossyMethod: "ISO_14496_10",
    warnings: known && profile !== 100 && !stereo ? [`The H.264 video has ${told}, not High Profile (100).`] : [],
  };
}

/** PS3.5 8.2.10 and 8.2.11: Main and Main 10 Profile up to level 5.1. */
function hevc(configuration: Buffer | undefined): Codec {
  if (!configuration || configuration.length < 18) throw malformedMedia("The H.265 video has no configuration.");
  const profile = configuration.readUInt8(1) & 0x1f;
  const allowed = configuration.readUInt8(12) <= 153;
  const syntaxes: Readonly<Record<number, string>> = { 1: "1.2.840.10008.1.2.4.107", 2: "1.2.840.10008.1.2.4.108" };
  return {
    transferSyntaxUid: allowed ? syntaxes[profile] : undefined,
    bitsStored: (configuration.readUInt8(17) & 7) + 8,
    lossyMethod: "ISO_23008_2",
    warnings: [],
  };
}

/** Duration of the track over its frames, in milliseconds. */
function frameTimeOf(media: Buffer, frames: number): number | undefined {
  const header = child(media, "mdhd");
  if (!header || header.length < 20) return undefined;
  const isLong = header[0] === 1 && header.length >= 32;
  const timescale = header.readUInt32BE(isLong ? 20 : 12);
  const duration = isLong ? Number(header.readBigUInt64BE(24)) : header.readUInt32BE(16);
  return timescale > 0 && duration > 0 ? (duration * 1000) / timescale / frames : undefined;
}
