/** The frame table: where each frame of an instance lies in its file, so that a frame is one ranged read. */
import { type DataSet, integerOf, type PixelData, type Segment, textOf, elementOf } from "./data-set.ts";
import type { TransferSyntax } from "./transfer-syntax.ts";

/** Frames one after the other without gaps, each of `frameBits` bits (PS3.5 8.1.1: one-bit frames share bytes). */
export interface NativeFrames {
  readonly kind: "native";
  readonly offset: number;
  readonly frameBits: number;
  readonly count: number;
  /** Width in bytes of the unit in which big-endian pixels are swapped: a sample, or a word of OW when samples are smaller. */
  readonly sampleBytes: 1 | 2 | 4 | 8;
}

/** Encapsulated frames: the fragments of each. */
export interface EncapsulatedFrames {
  readonly kind: "encapsulated";
  readonly frames: readonly (readonly Segment[])[];
}

export type FrameTable = NativeFrames | EncapsulatedFrames;

/** A frame table, or the reason why there is none, or why it holds fewer frames than the instance declares. */
export interface FrameTableResult {
  readonly table?: FrameTable;
  readonly fault?: string;
}

const tag = {
  samplesPerPixel: 0x00280002,
  photometricInterpretation: 0x00280004,
  numberOfFrames: 0x00280008,
  rows: 0x00280010,
  columns: 0x00280011,
  bitsAllocated: 0x00280100,
  extendedOffsetTable: 0x7fe00001,
  extendedOffsetTableLengths: 0x7fe00002,
} as const;

/** Samples a pixel that are really stored when chrominance is subsampled (PS3.3 C.7.6.3.1.2). */
const storedSamples: Readonly<Record<string, number>> = { YBR_FULL_422: 2, YBR_PARTIAL_422: 2, YBR_PARTIAL_420: 1.5 };

/** First bytes of a frame: SOI of JPEG and JPEG-LS, SOC of JPEG 2000, JPEG XL codestream. */
const frameBeginnings = new Set([0xffd8, 0xff4f, 0xff0a]);

/** The frame table of a scanned instance; `{}` when it has no pixel data. */
export function frameTableOf(
  dataSet: DataSet,
  pixelData: PixelData | undefined,
  syntax: TransferSyntax,
): FrameTableResult {
  if (!pixelData) return {};
  const declared = Math.max(1, integerOf(dataSet, tag.numberOfFrames) ?? 1);
  if (pixelData.kind === "native") return nativeTable(dataSet, pixelData, declared);
  if (syntax.pixels === "video") return {};
  return encapsulatedTable(dataSet, pixelData, declared, syntax);
}

function nativeTable(dataSet: DataSet, pixelData: PixelData & { kind: "native" }, declared: number): FrameTableResult {
  const rows = integerOf(dataSet, tag.rows) ?? 0;
  const columns = integerOf(dataSet, tag.columns) ?? 0;
  const samples = integerOf(dataSet, tag.samplesPerPixel) ?? 1;
  const bitsAllocated = bitsOf(pixelData.tag, integerOf(dataSet, tag.bitsAllocated) ?? 0);
  const photometric = textOf(dataSet, tag.photometricInterpretation) ?? "";
  const full = rows * columns * samples * bitsAllocated;
  const subsampled = rows * columns * (storedSamples[photometric] ?? samples) * bitsAllocated;
  // Senders write 4:2:2 as the photometric interpretation of full samples; the length tells which it is.
  const frameBits = pixelData.length * 8 >= full * declared ? full : subsampled;
  if (frameBits === 0)
    return { fault: "Rows, Columns or Bits Allocated is missing or 0, so frames cannot be told apart." };
  const count = Math.min(declared, Math.floor((pixelData.length * 8) / frameBits));
  if (count === 0) return { fault: `The pixel data holds ${pixelData.length} bytes, less than one frame.` };
  const smallest = !dataSet.littleEndian && elementOf(dataSet, pixelData.tag)?.vr === "OW" ? 2 : 1;
  const sampleBytes = bitsAllocated === 16 ? 2 : bitsAllocated === 32 ? 4 : bitsAllocated === 64 ? 8 : smallest;
  const table = { kind: "native", offset: pixelData.offset, frameBits, count, sampleBytes } as const;
  return count < declared ? { table, fault: `${declared} frames are declared and ${count} are there.` } : { table };
}

/** Float Pixel Data and Double Float Pixel Data have no choice of Bits Allocated (PS3.3 C.7.6.24, C.7.6.25). */
function bitsOf(pixelDataTag: number, bitsAllocated: number): number {
  if (pixelDataTag === 0x7fe00008) return 32;
  return pixelDataTag === 0x7fe00009 ? 64 : bitsAllocated;
}

function encapsulatedTable(
  dataSet: DataSet,
  pixelData: PixelData & { kind: "encapsulated" },
  declared: number,
  syntax: TransferSyntax,
): FrameTableResult {
  const frames =
    byExtendedOffsetTable(dataSet, pixelData.fragments, declared) ??
    byBasicOffsetTable(pixelData, declared) ??
    byFragments(pixelData, declared, syntax);
  if (!frames) {
    const held = pixelData.fragments.length;
    return { fault: `${declared} frames are declared; its ${held} fragments cannot be assigned to them.` };
  }
  const table = { kind: "encapsulated", frames } as const;
  if (frames.length >= declared) return { table };
  return { table, fault: `${declared} frames are declared and ${frames.length} are there.` };
}

/** PS3.3 C.7.6.3.1.8: one fragment a frame, offsets from the first fragment's item tag. */
function byExtendedOffsetTable(
  dataSet: DataSet,
  fragments: readonly Segment[],
  declared: number,
): Segment[][] | undefined {
  const offsets = elementOf(dataSet, tag.extendedOffsetTable)?.value;
  const lengths = elementOf(dataSet, tag.extendedOffsetTableLengths)?.value;
  const [first] = fragments;
  if (!offsets || !lengths || !first || offsets.length !== declared * 8 || lengths.length !== declared * 8)
    return undefined;
  const byOffset = new Map(fragments.map((fragment) => [fragment.offset - first.offset, fragment]));
  const frames: Segment[][] = [];
  for (let at = 0; at < offsets.length; at += 8) {
    const fragment = byOffset.get(Number(offsets.readBigUInt64LE(at)));
    const length = Number(lengths.readBigUInt64LE(at));
    // The length leaves out the padding byte of the fragment.
    if (!fragment || length > fragment.length || length < fragment.length - 1) return undefined;
    byOffset.delete(fragment.offset - first.offset);
    frames.push([{ offset: fragment.offset, length }]);
  }
  return frames;
}

/** PS3.5 A.4: the offset of each frame's first fragment. A table that points between fragments is not believed. */
function byBasicOffsetTable(
  pixelData: PixelData & { kind: "encapsulated" },
  declared: number,
): Segment[][] | undefined {
  const { basicOffsetTable, fragments } = pixelData;
  const [first] = fragments;
  if (!first || basicOffsetTable.length !== declared) return undefined;
  const starts = new Set(basicOffsetTable);
  if (starts.size !== declared || !starts.has(0)) return undefined;
  const frames = new Map<number, Segment[]>();
  let frame: Segment[] = [];
  for (const fragment of fragments) {
    const start = fragment.offset - first.offset;
    if (starts.has(start)) frames.set(start, (frame = [fragment]));
    else frame.push(fragment);
  }
  if (frames.size !== declared) return undefined;
  return basicOffsetTable.flatMap((start) => [frames.get(start) ?? []]);
}

/** Without a table: one frame takes all; as many fragments as frames are one each; else frames show by their first bytes. */
function byFragments(
  pixelData: PixelData & { kind: "encapsulated" },
  declared: number,
  syntax: TransferSyntax,
): Segment[][] | undefined {
  const { fragments, fragmentStarts } = pixelData;
  if (fragments.length === 0) return undefined;
  if (declared === 1) return [[...fragments]];
  if (fragments.length === declared) return fragments.map((fragment) => [fragment]);
  // RLE: a frame is one fragment (PS3.5 A.4.2). Fewer than declared: those that are there.
  if (syntax.frameMediaType === "image/dicom-rle" || syntax.frameMediaType === "application/octet-stream") {
    return fragments.length < declared ? fragments.map((fragment) => [fragment]) : undefined;
  }
  const frames: Segment[][] = [];
  fragments.forEach((fragment, index) => {
    if (frames.length === 0 || frameBeginnings.has(fragmentStarts[index] ?? 0)) frames.push([fragment]);
    else frames.at(-1)?.push(fragment);
  });
  return frames.length <= declared ? frames : undefined;
}
