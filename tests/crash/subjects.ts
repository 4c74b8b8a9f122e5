/** What clients store in a crash test: instances of any size, each version with pixels that no other has. */
import { createHash, randomBytes } from "node:crypto";
import { newUid } from "../../server/dicom/uid.ts";
import { dicomFile, element } from "../support/dicom-writer.ts";
import { imageFile, pixelAttributes } from "../support/images.ts";
import { relatedBody } from "../support/related.ts";
import type { Random } from "../support/scan.ts";

/** What was sent as an instance. */
export interface Version {
  /** SHA-256 of the file in hex; undefined until it was read, when the server itself has composed the file. */
  readonly file: string | undefined;
  /** SHA-256 of the only frame in hex. */
  readonly pixels: string;
}

/** What may be found under the UIDs of an instance. */
export type State = Version | "absent";

/** One instance, and what was promised of it. */
export interface Subject {
  /** An image of a patient, or a color palette, which belongs to none: without study, series and frame. */
  readonly kind: "image" | "palette";
  readonly study: string;
  readonly series: string;
  readonly instance: string;
  /** The states that it may be in: one when every answer came, more when an answer was lost. */
  possible: readonly State[];
  /** What its last acknowledged deletion took, which can be restored. */
  deleted: Version | undefined;
  /** The round in which it was touched last. */
  round: number;
}

/** Columns of every image: the rows make the size. */
const columns = 1024;

/** Bytes that no two cuts share; made once, since they cost more than everything else. */
const pool = randomBytes(24 * 2 ** 20);

/** A new instance of a series. */
export function newSubject(study: string, series: string, round: number, kind: Subject["kind"] = "image"): Subject {
  return { kind, study, series, instance: newUid(), possible: ["absent"], deleted: undefined, round };
}

/** Path below the DICOMweb root. */
export function pathOf({ kind, study, series, instance }: Subject): string {
  if (kind === "palette") return `color-palettes/${instance}`;
  return `studies/${study}/series/${series}/instances/${instance}`;
}

/** A file of about `byteLength` bytes for `subject`. */
export function fileOf(subject: Subject, byteLength: number, random: Random): { bytes: Buffer; version: Version } {
  const { pixels, rows } = pixelsOf(byteLength, random);
  const attributes = {
    ...pixelAttributes(rows, columns, 1, "MONOCHROME2"),
    "00080018": ["UI", subject.instance],
    "00100020": ["LO", `CRASH-${subject.study.slice(-8)}`],
  } as const;
  const { bytes } = imageFile("1.2.840.10008.1.2.1", attributes, [element(0x7fe00010, "OB", pixels)], subject);
  return { bytes, version: { file: sha256(bytes), pixels: sha256(pixels) } };
}

/** A color palette (PS3.3 A.58) of about `byteLength` bytes; the digest of its table stands for that of pixels. */
export function paletteOf(subject: Subject, byteLength: number, random: Random): { bytes: Buffer; version: Version } {
  const { pixels: table } = pixelsOf(byteLength, random);
  const bytes = dicomFile([
    element(0x00080016, "UI", "1.2.840.10008.5.1.4.39.1"),
    element(0x00080018, "UI", subject.instance),
    element(0x00281201, "OW", table),
    element(0x00700080, "CS", "CRASH"),
  ]);
  return { bytes, version: { file: sha256(bytes), pixels: sha256(table) } };
}

/** The same as metadata and bulk data (PS3.18 10.5.1.4): the server composes the file. */
export function composedOf(subject: Subject, byteLength: number, random: Random) {
  const { pixels, rows } = pixelsOf(byteLength, random);
  const number = (value: number) => ({ vr: "US", Value: [value] });
  const document = {
    "00080016": { vr: "UI", Value: ["1.2.840.10008.5.1.4.1.1.7"] },
    "00080018": { vr: "UI", Value: [subject.instance] },
    "00080060": { vr: "CS", Value: ["OT"] },
    "00100020": { vr: "LO", Value: [`CRASH-${subject.study.slice(-8)}`] },
    "0020000D": { vr: "UI", Value: [subject.study] },
    "0020000E": { vr: "UI", Value: [subject.series] },
    "00280002": number(1),
    "00280004": { vr: "CS", Value: ["MONOCHROME2"] },
    "00280010": number(rows),
    "00280011": number(columns),
    "00280100": number(8),
    "00280101": number(8),
    "00280102": number(7),
    "00280103": number(0),
    "7FE00010": { vr: "OB", BulkDataURI: "bulk/1" },
  };
  const type = "application/dicom+json";
  const metadata = { headers: { "Content-Type": type }, body: JSON.stringify([document]) };
  const octets = { "Content-Type": "application/octet-stream", "Content-Location": "bulk/1" };
  const version: Version = { file: undefined, pixels: sha256(pixels) };
  return { ...relatedBody([metadata, { headers: octets, body: pixels }], type), version };
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A cut of the pool behind a number of its own. */
function pixelsOf(byteLength: number, random: Random): { pixels: Buffer; rows: number } {
  const rows = Math.max(1, Math.ceil(byteLength / columns));
  const length = rows * columns;
  const start = random(pool.length - length);
  return { pixels: Buffer.concat([randomBytes(16), pool.subarray(start, start + length - 16)]), rows };
}
