/** Images for tests of retrieval in any transfer syntax, written without help from the code under test. */
import { newUid } from "../../server/dicom/uid.ts";
import { dicomFile, element, type Piece, syntaxUid } from "./dicom-writer.ts";

/** UIDs of an image, those that matter. */
export interface ImageUids {
  readonly study?: string;
  readonly series?: string;
}

export interface ImageFile {
  readonly bytes: Buffer<ArrayBuffer>;
  /** Path below the DICOMweb root. */
  readonly path: string;
}

/** Attributes of an image by tag, VR and value: `{ "00280010": ["US", [2]] }`. */
export type ImageAttributes = Readonly<
  Record<string, readonly [vr: string, value: string | Buffer | readonly number[]]>
>;

const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7";

/** A file of `syntax` with these attributes, and `pixels` behind them. */
export function imageFile(
  syntax: string,
  attributes: ImageAttributes,
  pixels: readonly Piece[],
  uids: ImageUids = {},
): ImageFile {
  const { study = newUid(), series = newUid() } = uids;
  const instance = newUid();
  const all: ImageAttributes = {
    "00080016": ["UI", secondaryCapture],
    "00080018": ["UI", instance],
    "00080020": ["DA", "20240102"],
    "00080060": ["CS", "OT"],
    "00100010": ["PN", "Test^Image"],
    "00100020": ["LO", "TEST-2"],
    "0020000D": ["UI", study],
    "0020000E": ["UI", series],
    ...attributes,
  };
  const pieces = Object.entries(all)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([tag, [vr, value]]) => element(Number.parseInt(tag, 16), vr, value));
  return {
    bytes: dicomFile([...pieces, ...pixels], { syntax }),
    path: `/dicom-web/studies/${study}/series/${series}/instances/${instance}`,
  };
}

/** Attributes of pixels of `rows` by `columns` with 8 bits, `frames` of them. */
export function pixelAttributes(rows: number, columns: number, frames: number, photometric = "RGB"): ImageAttributes {
  return {
    "00280002": ["US", [photometric.startsWith("MONO") ? 1 : 3]],
    "00280004": ["CS", photometric],
    "00280008": ["IS", String(frames)],
    "00280010": ["US", [rows]],
    "00280011": ["US", [columns]],
    "00280100": ["US", [8]],
    "00280101": ["US", [8]],
    "00280102": ["US", [7]],
    "00280103": ["US", [0]],
  };
}

/** Native pixels of two rows and two columns of one sample, `frames` of them, counted up from 0. */
export function nativeImage(
  frames: number,
  syntax: string = syntaxUid.explicitLittle,
  uids: ImageUids = {},
): ImageFile {
  const bytes = Buffer.from(Array.from({ length: frames * 4 }, (_, index) => index));
  return imageFile(syntax, pixelAttributes(2, 2, frames, "MONOCHROME2"), [element(0x7fe00010, "OB", bytes)], uids);
}
