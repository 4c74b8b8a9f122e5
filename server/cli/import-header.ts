/** Reads the UIDs that identify an instance from the first bytes of its file. */
import { textOf } from "../dicom/data-set.ts";
import { Part10Scan } from "../dicom/part10.ts";
import { ArchiveError } from "../errors.ts";
import type { Identifiers } from "./import-instance.ts";

const tag = {
  mediaStorageSopClassUid: 0x00020002,
  transferSyntaxUid: 0x00020010,
  sopClassUid: 0x00080016,
  sopInstanceUid: 0x00080018,
  studyInstanceUid: 0x0020000d,
  seriesInstanceUid: 0x0020000e,
} as const;

/** What a scan found. */
export interface HeaderScan {
  readonly identifiers: Identifiers;
  /** Media Storage SOP Class UID (0002,0002), which for a DICOMDIR is 1.2.840.10008.1.3.10. */
  readonly mediaStorageSopClassUid?: string;
  /** What the data set is in, if need be as the scan guesses it; undefined when that is not known. */
  readonly transferSyntaxUid?: string;
  /** Where the data set begins. */
  readonly dataSetOffset: number;
  /** False when the bytes ended before the last UID could have been passed: more bytes may tell more. */
  readonly complete: boolean;
}

/**
 * Reads the identifiers from the first bytes of a file; undefined when they are not DICOM. Never throws for what the
 * bytes are: a header that ends or breaks off gives what stood before, and the server judges the file.
 */
export async function scanHeader(bytes: Buffer): Promise<HeaderScan | undefined> {
  const scan = new Part10Scan();
  try {
    await scan.push(bytes);
    await scan.end();
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    if (error.code === "not-dicom") return undefined;
  }
  const { meta, dataSet, dataSetOffset, transferSyntax } = scan.soFar();
  const mediaStorageSopClassUid = textOf(meta, tag.mediaStorageSopClassUid);
  const found = {
    sopClassUid: textOf(dataSet, tag.sopClassUid),
    studyInstanceUid: textOf(dataSet, tag.studyInstanceUid),
    seriesInstanceUid: textOf(dataSet, tag.seriesInstanceUid),
    sopInstanceUid: textOf(dataSet, tag.sopInstanceUid),
    transferSyntaxUid: textOf(meta, tag.transferSyntaxUid),
  };
  return {
    identifiers: Object.fromEntries(Object.entries(found).filter(([, uid]) => uid !== undefined)),
    ...(mediaStorageSopClassUid !== undefined && { mediaStorageSopClassUid }),
    ...(transferSyntax && { transferSyntaxUid: transferSyntax.uid }),
    dataSetOffset,
    complete: dataSet.elements.some((element) => element.tag > tag.seriesInstanceUid),
  };
}
