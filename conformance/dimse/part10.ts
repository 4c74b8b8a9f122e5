/** The data set of a DICOM file (PS3.10 7) as it lies there, without a reader of data sets. */

/** A file as a C-STORE request takes it. */
export interface FileParts {
  readonly transferSyntaxUid: string;
  readonly dataSet: Buffer;
}

/** Length of preamble and prefix. */
const prefix = 132;

/**
 * The data set behind the file meta information, whose elements are walked, since a group length may lie. Without any, a
 * file is a data set in implicit VR little endian.
 */
export function partsOf(file: Buffer): FileParts {
  let transferSyntaxUid = "1.2.840.10008.1.2";
  let at = file.toString("latin1", 128, prefix) === "DICM" ? prefix : 0;
  while (at + 8 <= file.length && file.readUInt16LE(at) === 2) {
    const isLong = ["OB", "UN", "OW", "SQ", "UT"].includes(file.toString("latin1", at + 4, at + 6));
    const length = isLong ? file.readUInt32LE(at + 8) : file.readUInt16LE(at + 6);
    const from = at + (isLong ? 12 : 8);
    if (file.readUInt16LE(at + 2) === 0x0010) {
      transferSyntaxUid = file.toString("latin1", from, from + length).replace(/[\0 ]+$/, "");
    }
    at = from + length;
  }
  return { transferSyntaxUid, dataSet: file.subarray(at) };
}
