/** Writes a scanned data set of another native transfer syntax in explicit VR little endian (PS3.5 A.2). */
import type { DataElement, DataSet, Segment } from "./data-set.ts";
import {
  elementHeader,
  item,
  itemDelimitation,
  itemHeader,
  sequenceDelimitation,
  undefinedLength,
} from "./element-headers.ts";
import { paddingOf } from "./value-writer.ts";
import { swapped, type VrRow, vrRow } from "./vr.ts";

/** A value that was not kept by the scan: where it lies, and how wide the numbers are that must be swapped. */
export interface ValueInFile {
  readonly segments: readonly Segment[];
  readonly swapWidth: VrRow["width"];
}

/** What is written, one after the other. */
export type ExplicitPiece = Buffer | ValueInFile;

const dataSetTrailingPadding = 0xfffcfffc;

/**
 * The data set, element by element: values as they are, numbers of big endian swapped. Group lengths, which would no
 * longer be right, and padding behind the data set are left out; sequences and items end by delimitation.
 */
export function explicitPieces(dataSet: DataSet): ExplicitPiece[] {
  const pieces: ExplicitPiece[] = [];
  writeDataSet(dataSet, pieces);
  return pieces;
}

function writeDataSet({ elements, littleEndian }: DataSet, pieces: ExplicitPiece[]): void {
  for (const element of elements) {
    const isGroupLength = (element.tag & 0xffff) === 0;
    if (isGroupLength || element.tag === dataSetTrailingPadding) continue;
    if (element.items) writeSequence(element.tag, element.items, pieces);
    else writeValue(element, littleEndian, pieces);
  }
}

function writeSequence(tag: number, items: readonly DataSet[], pieces: ExplicitPiece[]): void {
  if (items.length === 0) {
    pieces.push(elementHeader(tag, vrRow("SQ"), 0));
    return;
  }
  pieces.push(elementHeader(tag, vrRow("SQ"), undefinedLength));
  for (const dataSet of items) {
    pieces.push(itemHeader(item, undefinedLength));
    writeDataSet(dataSet, pieces);
    pieces.push(itemHeader(itemDelimitation, 0));
  }
  pieces.push(itemHeader(sequenceDelimitation, 0));
}

function writeValue({ tag, vr, value, segments }: DataElement, littleEndian: boolean, pieces: ExplicitPiece[]): void {
  const row = vrRow(vr);
  const swapWidth = littleEndian ? 1 : row.width;
  const length = value?.length ?? (segments ?? []).reduce((sum, segment) => sum + segment.length, 0);
  pieces.push(elementHeader(tag, row, length + (length % 2)));
  if (value) pieces.push(swapWidth === 1 ? value : swapped(value, swapWidth));
  else pieces.push({ segments: segments ?? [], swapWidth });
  if (length % 2 === 1) pieces.push(paddingOf(row));
}
