/** Identifiers of DIMSE-C messages (PS3.7 9.1.2.1.5), and other small data sets: between bytes and the DICOM JSON Model. */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { createTextEncoder, type DicomTextEncoder } from "../dicom/charset-encode.ts";
import type { DataSet } from "../dicom/data-set.ts";
import { elementOf, withoutPadding } from "../dicom/data-set.ts";
import { writtenDataSet } from "../dicom/data-set-writer.ts";
import { ElementScan } from "../dicom/element-scan.ts";
import { type DicomJson, toDicomJson } from "../dicom/json.ts";
import type { ScanLimits } from "../dicom/limits.ts";
import { explicitVrLittleEndian, type TransferSyntax, transferSyntaxOf } from "../dicom/transfer-syntax.ts";
import { ArchiveError } from "../errors.ts";

/** Longest identifier that is read, in bytes, also when inflated: a list of 16,000 UIDs. */
export const longestIdentifier = 2 ** 20;

/** Short values are all there is, and no identifier nests as deep. */
function limitsOf(longest: number): ScanLimits {
  return {
    depth: 16,
    headerLength: 64 * longest,
    inlineText: longest,
    inlineNumbers: longest,
    inlineBinary: longest,
    inflatedLength: longest,
  };
}

/** An identifier as it came. */
export interface ReadIdentifier {
  readonly json: DicomJson;
  /** The values of Specific Character Set (0008,0005), which `json` does not tell: its text is Unicode. */
  readonly characterSet: readonly string[];
}

/**
 * The data set that `bytes` are in a native transfer syntax, implicit or explicit, or the deflated one.
 * @throws ArchiveError `identifier-mismatch`, naming the element, when they are malformed or too many
 */
export function decodeIdentifier(
  bytes: Buffer,
  transferSyntaxUid: string,
  longest: number = longestIdentifier,
): DicomJson {
  return readIdentifier(bytes, transferSyntaxUid, longest).json;
}

/** The same, with its character set. @throws ArchiveError `identifier-mismatch` */
export function readIdentifier(
  bytes: Buffer,
  transferSyntaxUid: string,
  longest: number = longestIdentifier,
): ReadIdentifier {
  const syntax = transferSyntaxOf(transferSyntaxUid) ?? explicitVrLittleEndian;
  if (bytes.length > longest) throw tooLong(longest);
  const dataSet = scanned(syntax.deflated ? inflated(bytes, longest) : bytes, syntax, limitsOf(longest));
  // Every value is inline: what is longer has not passed.
  const { json } = toDicomJson(dataSet, { bulkDataUri: () => "" });
  return { json, characterSet: characterSetOf(dataSet) };
}

/**
 * The whole of a data set that comes in pieces.
 * @throws ArchiveError `identifier-mismatch` as soon as it is too long
 */
export async function gatherIdentifier(
  pieces: AsyncIterable<Buffer>,
  longest: number = longestIdentifier,
): Promise<Buffer> {
  const gathered: Buffer[] = [];
  let length = 0;
  for await (const piece of pieces) {
    length += piece.length;
    if (length > longest) throw tooLong(longest);
    gathered.push(piece);
  }
  const [only] = gathered;
  return only && gathered.length === 1 ? only : Buffer.concat(gathered);
}

function tooLong(longest: number): ArchiveError {
  return new ArchiveError("identifier-mismatch", `The identifier has more than ${longest} bytes.`);
}

function inflated(bytes: Buffer, maxOutputLength: number): Buffer {
  try {
    return inflateRawSync(bytes, { maxOutputLength });
  } catch (cause) {
    throw new ArchiveError("identifier-mismatch", "The deflated identifier cannot be inflated.", { cause });
  }
}

function scanned(
  bytes: Buffer,
  encoding: { readonly explicitVr: boolean; readonly littleEndian: boolean },
  limits: ScanLimits,
): DataSet {
  const scan = new ElementScan(encoding, 0, limits);
  try {
    scan.push(bytes);
    return scan.end().dataSet;
  } catch (cause) {
    if (!(cause instanceof ArchiveError)) throw cause;
    throw new ArchiveError("identifier-mismatch", cause.message.replace("The file", "The identifier"), { cause });
  }
}

function characterSetOf(dataSet: DataSet): readonly string[] {
  const text = withoutPadding(elementOf(dataSet, 0x00080005)?.value?.toString("latin1") ?? "");
  return text === "" ? [] : text.split("\\").map((term) => term.trim());
}

const specificCharacterSet = "00080005";

/** What a requester without a character set reads beyond ASCII: equipment of old takes it for granted. */
const assumed = ["ISO_IR 100"] as const;
const unicode = ["ISO_IR 192"] as const;

/**
 * The bytes of a data set without bulk data, Specific Character Set (0008,0005) being what its text is written in: what
 * `characterSet` says when that has every character; without one nothing for ASCII, and ISO_IR 100 where that is enough;
 * else ISO_IR 192 (PS3.4 C.2.2.2, C.4.1.1.3.2). Where `json` has (0008,0005), so has the answer, if empty.
 * @param characterSet values of Specific Character Set, as the reader has them
 * @throws ArchiveError `malformed-metadata` for a value that its VR cannot hold
 */
export function encodeIdentifier(
  json: DicomJson,
  transferSyntaxUid: string,
  characterSet: readonly string[] = [],
): Buffer {
  const syntax = transferSyntaxOf(transferSyntaxUid) ?? explicitVrLittleEndian;
  const isNamed = characterSet.some((term) => term !== "");
  const bytes =
    written(json, syntax, isNamed ? characterSet : []) ??
    (isNamed ? undefined : written(json, syntax, assumed)) ??
    written(json, syntax, unicode) ??
    Buffer.alloc(0);
  return syntax.deflated ? evenly(deflateRawSync(bytes)) : bytes;
}

/** PS3.5 A.5: a NUL behind an odd number of bytes. */
function evenly(bytes: Buffer): Buffer {
  return bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)]);
}

function written(json: DicomJson, syntax: TransferSyntax, characterSet: readonly string[]): Buffer | undefined {
  const encode = encoderOf(characterSet);
  if (encode === undefined) return undefined;
  const isNamed = characterSet.length > 0;
  const named = isNamed ? { ...json, [specificCharacterSet]: { vr: "CS", Value: [...characterSet] } } : json;
  const whole = isNamed || !json[specificCharacterSet] ? named : { ...json, [specificCharacterSet]: { vr: "CS" } };
  return writtenDataSet(whole, syntax, encode);
}

/** The encoder of the character set that was asked for last: a peer asks for the same one again and again. */
let last: { readonly terms: string; readonly encode: DicomTextEncoder | undefined } | undefined;

function encoderOf(characterSet: readonly string[]): DicomTextEncoder | undefined {
  const terms = characterSet.join("\\");
  if (last?.terms !== terms) last = { terms, encode: createTextEncoder(characterSet) };
  return last.encode;
}
