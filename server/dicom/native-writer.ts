/** Writes a scanned data set in another native transfer syntax (PS3.5 A.1 to A.3), without work on pixels. */
import type { DataElement, DataSet, Segment } from "./data-set.ts";
import {
  elementHeader,
  item,
  itemDelimitation,
  itemHeader,
  sequenceDelimitation,
  undefinedLength,
} from "./element-headers.ts";
import { tagLabel } from "./dictionary.ts";
import { ArchiveError } from "../errors.ts";
import type { ElementEncoding } from "./scan-levels.ts";
import { paddingOf } from "./value-writer.ts";
import { swapped, type VrRow, vrRow } from "./vr.ts";

/** A value that was not kept by the scan: where it lies, and how wide the numbers are that must be swapped. */
export interface ValueInFile {
  readonly segments: readonly Segment[];
  readonly swapWidth: VrRow["width"];
}

/** What is written, one after the other. */
export type NativePiece = Buffer | ValueInFile;

const dataSetTrailingPadding = 0xfffcfffc;

/** Bytes of small pieces that are put together into one. */
const pieceLength = 64 * 1024;

/**
 * The data set in `encoding`, element by element: values as they are, numbers swapped where the order of bytes changes.
 * Group lengths, which would no longer be right, and padding behind the data set are left out; sequences and items end
 * by delimitation.
 * @throws ArchiveError `not-acceptable` when there are compressed pixels in it, which no native syntax has
 */
export function nativePieces(dataSet: DataSet, encoding: ElementEncoding): NativePiece[] {
  const writer = new NativeWriter(encoding);
  writer.dataSet(dataSet);
  return writer.end();
}

class NativeWriter {
  readonly #encoding: ElementEncoding;
  readonly #pieces: NativePiece[] = [];
  #small: Buffer[] = [];
  #smallLength = 0;

  constructor(encoding: ElementEncoding) {
    this.#encoding = encoding;
  }

  dataSet({ elements, littleEndian }: DataSet): void {
    for (const element of elements) {
      const isGroupLength = (element.tag & 0xffff) === 0;
      if (isGroupLength || element.tag === dataSetTrailingPadding) continue;
      if (element.items) this.#sequence(element.tag, element.items);
      else this.#value(element, littleEndian !== this.#encoding.littleEndian);
    }
  }

  end(): NativePiece[] {
    this.#flush();
    return this.#pieces;
  }

  #sequence(tag: number, items: readonly DataSet[]): void {
    const { littleEndian } = this.#encoding;
    this.#write(elementHeader(tag, vrRow("SQ"), items.length === 0 ? 0 : undefinedLength, this.#encoding));
    if (items.length === 0) return;
    for (const dataSet of items) {
      this.#write(itemHeader(item, undefinedLength, littleEndian));
      this.dataSet(dataSet);
      this.#write(itemHeader(itemDelimitation, 0, littleEndian));
    }
    this.#write(itemHeader(sequenceDelimitation, 0, littleEndian));
  }

  #value({ tag, vr, value, segments = [], encapsulated }: DataElement, isSwapped: boolean): void {
    if (encapsulated) throw new ArchiveError("not-acceptable", `${tagLabel(tag)} is compressed.`);
    const row = vrRow(vr);
    const swapWidth = isSwapped ? row.width : 1;
    const length = value?.length ?? segments.reduce((sum, segment) => sum + segment.length, 0);
    this.#write(elementHeader(tag, row, length + (length % 2), this.#encoding));
    if (value) this.#write(swapWidth === 1 ? value : swapped(value, swapWidth));
    else {
      this.#flush();
      this.#pieces.push({ segments, swapWidth });
    }
    if (length % 2 === 1) this.#write(paddingOf(row));
  }

  #write(bytes: Buffer): void {
    this.#small.push(bytes);
    this.#smallLength += bytes.length;
    if (this.#smallLength >= pieceLength) this.#flush();
  }

  #flush(): void {
    if (this.#smallLength > 0) this.#pieces.push(Buffer.concat(this.#small));
    this.#small = [];
    this.#smallLength = 0;
  }
}
