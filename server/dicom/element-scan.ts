/** Reads the elements of one data set from a stream of chunks, keeping short values and passing over long ones. */
import { ArchiveError } from "../errors.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { DataElement, DataSet, PixelData } from "./data-set.ts";
import { entryOfTag, implicitVr, tagLabel } from "./dictionary.ts";
import { elementOverhead, fragmentOverhead, inlineLimit, mayBeBulk, type ScanLimits } from "./limits.ts";
import {
  type DataSetLevel,
  dataSetLevel,
  type ElementEncoding,
  endOf,
  type FragmentsLevel,
  itemHeader,
  type Level,
  malformed,
  readTag,
  type SequenceLevel,
} from "./scan-levels.ts";
import { vrRow } from "./vr.ts";

/** Something that is wrong with a file and did not keep it from being read. */
export interface ScanWarning {
  readonly tag?: number;
  readonly message: string;
}

const item = 0xfffee000;
const itemDelimitation = 0xfffee00d;
const sequenceDelimitation = 0xfffee0dd;
const undefinedLength = 0xffffffff;
const pixelRepresentation = 0x00280103;
const pixelData = 0x7fe00010;
const mostWarnings = 16;
const noBytes = Buffer.alloc(0);

/** Float Pixel Data, Double Float Pixel Data, Pixel Data (PS3.3 C.7.6.3): where the header ends. */
const pixelDataTags = new Set([0x7fe00008, 0x7fe00009, 0x7fe00010]);
/** Extended Offset Table and its lengths (PS3.3 C.7.6.3.1.8): needed whole, however long. */
const offsetTables = new Set([0x7fe00001, 0x7fe00002]);
/** A UN of undefined length is a sequence in implicit VR little endian (PS3.5 6.2.2). */
const implicitLittleEndian: ElementEncoding = { explicitVr: false, littleEndian: true };

/** What a finished scan tells. */
export interface ElementScanResult {
  readonly dataSet: DataSet;
  readonly pixelData: PixelData | undefined;
  readonly warnings: readonly ScanWarning[];
}

export class ElementScan {
  readonly #queue: ByteQueue;
  readonly #limits: ScanLimits;
  readonly #root: DataSetLevel;
  readonly #levels: (DataSetLevel | SequenceLevel | FragmentsLevel)[];
  readonly #warnings: ScanWarning[] = [];
  #pixelData: PixelData | undefined;
  #headerLength = 0;
  /** Bytes after Pixel Data that are no elements: passed over. */
  #ignoring = false;

  /** @param position offset of the data set in the file */
  constructor(encoding: ElementEncoding, position: number, limits: ScanLimits) {
    this.#queue = new ByteQueue(position);
    this.#limits = limits;
    this.#root = dataSetLevel(encoding, Infinity, Infinity);
    this.#levels = [this.#root];
  }

  /** Reads the next bytes. @throws ArchiveError of the `malformed-dicom` family */
  push(chunk: Buffer): void {
    if (this.#ignoring || !this.#queue.push(chunk)) return;
    try {
      while (this.#step());
    } catch (error) {
      if (!(error instanceof ArchiveError) || !this.#pixelData) throw error;
      this.#ignoring = true;
      this.#warnings.push({ message: `The bytes after the pixel data are not DICOM elements. ${error.message}` });
    }
  }

  /** Bytes of headers, values and bookkeeping that are held, about. */
  get held(): number {
    return this.#headerLength;
  }

  /** The elements that have been read whole. */
  soFar(): DataSet {
    return { elements: this.#root.elements, littleEndian: this.#root.encoding.littleEndian };
  }

  /** The data set. @throws ArchiveError `truncated-dicom` when the file ends inside an element */
  end(): ElementScanResult {
    const level = this.#levels.at(-1);
    if (!this.#ignoring) this.#checkEnd(level);
    if (level?.kind === "fragments" && this.#levels.length === 2) this.#closeUndelimited(level);
    return {
      dataSet: this.soFar(),
      pixelData: this.#pixelData,
      warnings: this.#warnings,
    };
  }

  #closeUndelimited(level: FragmentsLevel): void {
    this.#close(level);
    if (this.#pixelData?.kind === "encapsulated") this.#pixelData = { ...this.#pixelData, undelimited: true };
  }

  #checkEnd(level: Level | undefined): void {
    const { missing, buffered, position } = this.#queue;
    const last = this.#root.elements.at(-1)?.tag;
    const where = last === undefined ? "its first element" : tagLabel(last);
    const inFragments = this.#levels.length === 2 && this.#levels[1]?.kind === "fragments";
    if (missing === 0 && buffered === 0 && level === this.#root) return;
    if (missing === 0 && buffered === 0 && inFragments) {
      this.#warnings.push({ tag: 0x7fe00010, message: "The pixel data has no sequence delimitation item." });
      return;
    }
    if (this.#pixelData && endOf(this.#pixelData) <= position) {
      const [segment] = this.#root.elements.at(-1)?.segments ?? [];
      if (missing > 0 && segment && segment.offset + segment.length > position) this.#root.elements.pop();
      this.#warnings.push({ message: "The bytes after the pixel data are not DICOM elements." });
      return;
    }
    const short = missing > 0 ? `; ${missing} bytes are missing` : "";
    throw new ArchiveError(
      "truncated-dicom",
      `The file ends at byte ${position}, inside or right after ${where}${short}.`,
    );
  }

  #step(): boolean {
    const level = this.#levels.at(-1);
    if (!level) return false;
    if (this.#queue.position >= level.end) return this.#close(level);
    if (level.kind === "dataSet") return this.#element(level);
    return level.kind === "sequence" ? this.#item(level) : this.#fragment(level);
  }

  #item(level: SequenceLevel): boolean {
    const header = this.#queue.peek(8);
    if (!header) return false;
    const { tag, length } = itemHeader(header, level.encoding.littleEndian);
    if (tag === sequenceDelimitation) {
      this.#queue.skip(8);
      return this.#close(level);
    }
    if (tag !== item) throw malformed(`${tagLabel(level.tag)} holds ${tagLabel(tag)} where an item should be.`);
    this.#queue.skip(8);
    this.#charge(8);
    const end = this.#endOf(length, level, level.tag);
    const opened = dataSetLevel(level.encoding, end, Math.min(end, level.bound));
    const parent = this.#levels.findLast((outer) => outer.kind === "dataSet");
    if (parent?.kind === "dataSet") opened.signed = parent.signed;
    this.#levels.push(opened);
    return true;
  }

  #fragment(level: FragmentsLevel): boolean {
    const header = this.#queue.peek(8);
    if (!header) return false;
    const { tag, length } = itemHeader(header, level.encoding.littleEndian);
    if (tag === sequenceDelimitation) {
      this.#queue.skip(8);
      return this.#close(level);
    }
    if (tag !== item || length === undefinedLength) {
      throw malformed(`The encapsulated ${tagLabel(level.tag)} holds ${tagLabel(tag)} where a fragment should be.`);
    }
    if (this.#queue.position + 8 + length > level.bound) {
      throw malformed(`A fragment of ${tagLabel(level.tag)} is longer than the item that holds it.`);
    }
    if (!level.basicOffsetTable) {
      this.#allow(length);
      const table = this.#queue.peek(8 + length);
      if (!table) return false;
      this.#charge(length);
      level.basicOffsetTable = [];
      for (let at = 8; at + 4 <= 8 + length; at += 4) level.basicOffsetTable.push(table.readUInt32LE(at));
      this.#queue.skip(8 + length);
      return true;
    }
    const begin = this.#queue.peek(8 + Math.min(2, length));
    if (!begin) return false;
    level.fragmentStarts.push(length >= 2 ? begin.readUInt16BE(8) : 0);
    level.fragments.push({ offset: this.#queue.position + 8, length });
    this.#charge(8, fragmentOverhead);
    this.#queue.skip(8 + length);
    return true;
  }

  #element(level: DataSetLevel): boolean {
    const { littleEndian, explicitVr } = level.encoding;
    const start = this.#queue.peek(8);
    if (!start) return false;
    const tag = readTag(start, littleEndian);
    if (tag === itemDelimitation && level !== this.#root) {
      this.#queue.skip(8);
      return this.#close(level);
    }
    // A missing item delimitation: the sequence sees its own delimitation next.
    if (tag === sequenceDelimitation && level !== this.#root) return this.#close(level);
    // Some writers delimit sequences whose length they gave.
    if (tag === itemDelimitation || tag === sequenceDelimitation) {
      this.#queue.skip(8);
      return this.#warn({ tag, message: "A delimitation item stands where nothing began." });
    }
    if (tag === item) throw malformed("An item stands where an element should be.");
    if (!explicitVr) {
      const length = littleEndian ? start.readUInt32LE(4) : start.readUInt32BE(4);
      return this.#value(level, tag, implicitVr(tag, level.signed), length, 8);
    }
    const vr = start.toString("latin1", 4, 6);
    if (!/^[A-Z]{2}$/.test(vr)) throw malformed(`${tagLabel(tag)} has no VR.`);
    if (!vrRow(vr).longLength) {
      return this.#value(level, tag, vr, littleEndian ? start.readUInt16LE(6) : start.readUInt16BE(6), 8);
    }
    const long = this.#queue.peek(12);
    if (!long) return false;
    return this.#value(level, tag, vr, littleEndian ? long.readUInt32LE(8) : long.readUInt32BE(8), 12);
  }

  #value(level: DataSetLevel, tag: number, writtenVr: string, length: number, header: number): boolean {
    const vr = this.#trueVr(level, tag, writtenVr);
    if (length === undefinedLength) return this.#open(level, tag, writtenVr, header);
    const valueAt = this.#queue.position + header;
    if (valueAt + length > level.bound) throw malformed(`${tagLabel(tag)} is longer than the item that holds it.`);
    if (vr === "SQ") return this.#definedSequence(level, tag, writtenVr, length, header);
    const top = level === this.#root;
    if (top && pixelDataTags.has(tag)) {
      this.#queue.skip(header + length);
      this.#add(level, { tag, vr, segments: [{ offset: valueAt, length }] });
      this.#pixelData ??= { tag, kind: "native", offset: valueAt, length };
      return true;
    }
    if (length > inlineLimit(vr, this.#limits) && !(top && offsetTables.has(tag))) {
      if (!mayBeBulk(vr)) throw new ArchiveError("element-too-long", `${tagLabel(tag)} has ${length} bytes.`);
      this.#charge(header);
      this.#queue.skip(header + length);
      return this.#add(level, { tag, vr, segments: [{ offset: valueAt, length }] });
    }
    this.#allow(length);
    const bytes = this.#queue.take(header + length);
    if (!bytes) return false;
    this.#charge(header + length);
    // A view would keep the whole chunk in memory.
    const value = length === 0 ? noBytes : Buffer.from(bytes.subarray(header));
    if (tag === pixelRepresentation && length >= 2) level.signed = (value[0] ?? 0) + (value[1] ?? 0) === 1;
    return this.#add(level, { tag, vr, value });
  }

  /** Known attributes that a sender could only write as UN (PS3.5 6.2.2 Note 2) get their VR back. */
  #trueVr(level: DataSetLevel, tag: number, vr: string): string {
    if (vr !== "UN" || !level.encoding.littleEndian) return vr;
    return entryOfTag(tag)?.vr ?? vr;
  }

  #definedSequence(level: DataSetLevel, tag: number, writtenVr: string, length: number, header: number): boolean {
    if (writtenVr === "UN" && length > 0) {
      const begin = this.#queue.peek(header + Math.min(4, length));
      if (!begin) return false;
      if (length < 8 || readTag(begin.subarray(header), true) !== item) {
        this.#charge(header);
        const offset = this.#queue.position + header;
        this.#queue.skip(header + length);
        return this.#add(level, { tag, vr: "UN", segments: [{ offset, length }] });
      }
    }
    this.#queue.skip(header);
    const end = this.#queue.position + length;
    return this.#push({
      kind: "sequence",
      end,
      bound: Math.min(end, level.bound),
      encoding: writtenVr === "UN" ? implicitLittleEndian : level.encoding,
      tag,
      items: [],
    });
  }

  /** A UN of undefined length is a sequence, whatever VR its attribute has (PS3.5 6.2.2 Note 4). */
  #open(level: DataSetLevel, tag: number, writtenVr: string, header: number): boolean {
    const { bound, encoding } = level;
    const vr = tag === pixelData ? this.#trueVr(level, tag, writtenVr) : writtenVr;
    this.#queue.skip(header);
    const top = level === this.#root;
    if (tag === pixelData || vr === "OB" || vr === "OW") {
      if (top && tag === pixelData && this.#pixelData) throw malformed("There is pixel data twice.");
      const none = { basicOffsetTable: undefined, fragments: [], fragmentStarts: [] };
      return this.#push({ kind: "fragments", end: Infinity, bound, encoding, tag, vr, ...none });
    }
    if (vr !== "SQ" && vr !== "UN") throw malformed(`${tagLabel(tag)} of VR ${vr} has no length.`);
    const inner = vr === "UN" ? implicitLittleEndian : encoding;
    return this.#push({ kind: "sequence", end: Infinity, bound, encoding: inner, tag, items: [] });
  }

  #push(level: SequenceLevel | FragmentsLevel): boolean {
    this.#charge(12);
    this.#levels.push(level);
    if (this.#levels.length > this.#limits.depth * 2) {
      throw new ArchiveError("too-deep", `${tagLabel(level.tag)} is nested more than ${this.#limits.depth} deep.`);
    }
    return true;
  }

  #close(level: DataSetLevel | SequenceLevel | FragmentsLevel): boolean {
    this.#levels.pop();
    const parent = this.#levels.at(-1);
    if (level.kind === "dataSet") {
      if (parent?.kind !== "sequence") throw malformed("An item ends where none began.");
      parent.items.push({ elements: level.elements, littleEndian: level.encoding.littleEndian });
      return true;
    }
    if (parent?.kind !== "dataSet") throw malformed("A sequence ends where none began.");
    if (level.kind === "sequence") return this.#add(parent, { tag: level.tag, vr: "SQ", items: level.items });
    const { tag, vr, fragments, fragmentStarts, basicOffsetTable = [] } = level;
    if (parent === this.#root && pixelDataTags.has(tag)) {
      this.#pixelData = { tag, kind: "encapsulated", basicOffsetTable, fragments, fragmentStarts };
    }
    return this.#add(parent, { tag, vr, segments: fragments, encapsulated: true });
  }

  /** The first of two elements with one tag counts: a reader of a stream has acted on it before it sees the second. */
  #add(level: DataSetLevel, element: DataElement): true {
    if (element.tag > level.lastTag) {
      level.lastTag = element.tag;
      level.seen?.add(element.tag);
      level.elements.push(element);
      return true;
    }
    level.seen ??= new Set(level.elements.map(({ tag }) => tag));
    const twice = level.seen.has(element.tag);
    const fault = twice ? "is there twice; the first counts" : "is out of order";
    this.#warn({ tag: element.tag, message: `${tagLabel(element.tag)} ${fault}.` });
    if (twice) return true;
    level.seen.add(element.tag);
    level.elements.push(element);
    return true;
  }

  /** Files can hold as many faults as bytes: the first ones tell. */
  #warn(warning: ScanWarning): true {
    if (this.#warnings.length < mostWarnings) this.#warnings.push(warning);
    return true;
  }

  #endOf(length: number, level: SequenceLevel, tag: number): number {
    if (length === undefinedLength) return Infinity;
    const end = this.#queue.position + length;
    if (end > level.bound) throw malformed(`An item of ${tagLabel(tag)} is longer than the sequence that holds it.`);
    return end;
  }

  /** Refuses a value that would pass the limit before it is gathered; `#charge` counts it once it is there. */
  #allow(bytes: number): void {
    if (this.#headerLength + bytes > this.#limits.headerLength) this.#charge(bytes);
  }

  #charge(bytes: number, overhead = elementOverhead): void {
    this.#headerLength += bytes + overhead;
    if (this.#headerLength <= this.#limits.headerLength) return;
    throw new ArchiveError("header-too-large", `The header has more than ${this.#limits.headerLength} bytes.`);
  }
}
