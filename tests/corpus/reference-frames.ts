/** The frames of a file by an independent reader: dicom-parser for the elements, plain arithmetic for native frames. */
import { inflateRawSync } from "node:zlib";
import dicomParser, { type DataSet, type Element } from "dicom-parser";
import type { CorpusFile } from "./files.ts";

/** (7FE0,0001) OV. */
const extendedOffsetTable = Buffer.from("e07f01004f56", "hex");
/** A file of every VR; its 256 bytes of pixel data are the last ones. */
const everyVr = "private/all_vrs_nested_undefined.dcm";
/** (7FE0,0002) OV, two reserved bytes. */
const offsetTableLengths = Buffer.from("e07f02004f560000", "hex");
/** (7FE0,0010) OB of undefined length. */
const encapsulatedPixels = Buffer.from("e07f10004f420000ffffffff", "hex");

/** Walks the items of the one encapsulated element; frame lengths leave out the padding. */
function fragmentsByHand(file: Buffer): Buffer[] {
  const lengths = file.indexOf(offsetTableLengths) + 12;
  const frames: Buffer[] = [];
  let at = file.indexOf(encapsulatedPixels) + 12;
  at += 8 + file.readUInt32LE(at + 4);
  while (file.readUInt32LE(at) === 0xe000fffe) {
    const length = Number(file.readBigUInt64LE(lengths + frames.length * 8));
    frames.push(file.subarray(at + 8, at + 8 + length));
    at += 8 + file.readUInt32LE(at + 4);
  }
  return frames;
}

/** Frames as a client gets them (native ones in little endian); undefined when the file has none. */
export function framesOf(file: Buffer, { name, transferSyntaxUid }: CorpusFile): Buffer[] | undefined {
  // dicom-parser does not know the VR OV: it stops at an Extended Offset Table, and in a file of every VR.
  if (name === everyVr) return [file.subarray(-256)];
  if (file.includes(extendedOffsetTable)) return fragmentsByHand(file);
  const dataSet = parse(file, transferSyntaxUid, name);
  const pixels = ["x7fe00010", "x7fe00008", "x7fe00009"].map((tag) => dataSet.elements[tag]).find(Boolean);
  if (!pixels || pixels.length === 0) return undefined;
  const count = Number(dataSet.string("x00280008") ?? "1") || 1;
  return pixels.encapsulatedPixelData === true
    ? encapsulated(dataSet, pixels, count)
    : native(dataSet, pixels, count, transferSyntaxUid);
}

/** For dicom-parser: a deflated file with its data set inflated. */
function inflater(bytes: Uint8Array, position: number): Uint8Array {
  return Buffer.concat([bytes.subarray(0, position), inflateRawSync(bytes.subarray(position))]);
}

function parse(file: Buffer, transferSyntaxUid: string, name: string): DataSet {
  try {
    if (file.toString("latin1", 128, 132) === "DICM") return dicomParser.parseDicom(file, { inflater });
    if (file.readUInt16LE(0) === 2) {
      return dicomParser.parseDicom(Buffer.concat([Buffer.alloc(128), Buffer.from("DICM"), file]), { inflater });
    }
    return dicomParser.parseDicom(file, { TransferSyntaxUID: transferSyntaxUid || "1.2.840.10008.1.2" });
  } catch (error) {
    // dicom-parser throws objects that are no errors.
    throw new Error(`dicom-parser does not read ${name}: ${JSON.stringify(error).slice(0, 200)}`, { cause: error });
  }
}

function encapsulated(dataSet: DataSet, pixels: Element, count: number): Buffer[] {
  const fragments = pixels.fragments ?? [];
  const numbers = Array.from({ length: count }, (_, index) => index);
  const fragment = (index: number, length = 1) =>
    Buffer.from(dicomParser.readEncapsulatedPixelDataFromFragments(dataSet, pixels, index, length));
  if (count === 1) return [fragment(0, fragments.length)];
  const lengths = dataSet.elements["x7fe00002"];
  if (fragments.length === count && lengths) {
    return numbers.map((index) => fragment(index).subarray(0, dataSet.uint32("x7fe00002", index * 2)));
  }
  if (fragments.length === count) return numbers.map((index) => fragment(index));
  const table = pixels.basicOffsetTable?.length
    ? pixels.basicOffsetTable
    : dicomParser.createJPEGBasicOffsetTable(dataSet, pixels);
  return numbers.map((index) => Buffer.from(dicomParser.readEncapsulatedImageFrame(dataSet, pixels, index, table)));
}

function native(dataSet: DataSet, pixels: Element, count: number, transferSyntaxUid: string): Buffer[] | undefined {
  const bits = pixels.tag === "x7fe00008" ? 32 : pixels.tag === "x7fe00009" ? 64 : (dataSet.uint16("x00280100") ?? 0);
  const rows = dataSet.uint16("x00280010") ?? 0;
  const columns = dataSet.uint16("x00280011") ?? 0;
  const subsampled = dataSet.string("x00280004") === "YBR_FULL_422";
  const all = Buffer.from(dataSet.byteArray.subarray(pixels.dataOffset, pixels.dataOffset + pixels.length));
  const samples = dataSet.uint16("x00280002") ?? 1;
  const full = rows * columns * samples * bits * count <= all.length * 8;
  const frameBits = rows * columns * (subsampled && !full ? 2 : samples) * bits;
  if (frameBits === 0) return undefined;
  const inWords = bits === 16 || (bits < 16 && pixels.vr === "OW");
  if (transferSyntaxUid === "1.2.840.10008.1.2.2" && inWords) all.swap16();
  if (transferSyntaxUid === "1.2.840.10008.1.2.2" && bits === 32) all.swap32();
  return Array.from({ length: count }, (_, index) => bitsOf(all, index * frameBits, frameBits));
}

/** `count` bits from bit `start` on, bit by bit: slow, and hard to get wrong in the way of a shift. */
function bitsOf(bytes: Buffer, start: number, count: number): Buffer {
  if (start % 8 === 0 && count % 8 === 0) return bytes.subarray(start / 8, (start + count) / 8);
  const out = Buffer.alloc(Math.ceil(count / 8));
  for (let bit = 0; bit < count; bit += 1) {
    const from = start + bit;
    if (((bytes[from >> 3] ?? 0) >> (from & 7)) & 1) out[bit >> 3] = (out[bit >> 3] ?? 0) | (1 << (bit & 7));
  }
  return out;
}
