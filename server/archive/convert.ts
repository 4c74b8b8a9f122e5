/** Conversion between transfer syntaxes that needs no work on pixels: to explicit VR little endian (PS3.5 A.2). */
import type { Blobs } from "../../storage/blobs.ts";
import type { InstanceRow } from "../../storage/catalog-read.ts";
import { explicitPieces } from "../dicom/explicit-writer.ts";
import { Part10Scan } from "../dicom/part10.ts";
import { part10Header } from "../dicom/part10-writer.ts";
import { explicitVrLittleEndian, transferSyntaxOf } from "../dicom/transfer-syntax.ts";
import { parseUid } from "../dicom/uid.ts";
import { inflatedDataSet, objectBytes, segmentBytes } from "./stored-bytes.ts";

/** Transfer syntaxes that an instance stored in `transferSyntaxUid` can be sent in: that one first. */
export function sendableSyntaxes(transferSyntaxUid: string): readonly string[] {
  const syntax = transferSyntaxOf(transferSyntaxUid);
  const isOther = syntax?.pixels === "native" && syntax.uid !== explicitVrLittleEndian.uid;
  return isOther ? [transferSyntaxUid, explicitVrLittleEndian.uid] : [transferSyntaxUid];
}

/**
 * The instance in explicit VR little endian; of one whose `sendableSyntaxes` have it. The object is read twice: once
 * for its elements, of which the header is held, and once for the long values among them.
 */
export async function* inExplicitVrLittleEndian(blobs: Blobs, row: InstanceRow): AsyncGenerator<Buffer> {
  yield part10Header({
    sopClassUid: parseUid(row.sopClassUid),
    sopInstanceUid: parseUid(row.sopInstanceUid),
    transferSyntaxUid: explicitVrLittleEndian.uid,
  });
  if (transferSyntaxOf(row.transferSyntaxUid)?.deflated) {
    yield* inflatedDataSet(blobs, row);
    return;
  }
  const scan = new Part10Scan();
  for await (const chunk of objectBytes(blobs, row.blobKey)) await scan.push(chunk);
  for (const piece of explicitPieces((await scan.end()).dataSet)) {
    if (Buffer.isBuffer(piece)) yield piece;
    else yield* segmentBytes(blobs, row, piece.segments, piece.swapWidth).read();
  }
}
