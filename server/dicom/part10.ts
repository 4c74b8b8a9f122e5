/** Streaming scan of a DICOM file (PS3.10): preamble, file meta information, data set, with pixel data passed over. */
import { createInflateRaw } from "node:zlib";
import { ArchiveError } from "../errors.ts";
import { ByteQueue } from "./byte-queue.ts";
import { type DataSet, type PixelData, textOf, withoutPadding } from "./data-set.ts";
import { entryOfTag } from "./dictionary.ts";
import { ElementScan, type ScanWarning } from "./element-scan.ts";
import { defaultLimits, type ScanLimits } from "./limits.ts";
import {
  explicitVrBigEndian,
  explicitVrLittleEndian,
  implicitVrLittleEndian,
  type TransferSyntax,
  transferSyntaxOf,
} from "./transfer-syntax.ts";
import { vrRow, vrs } from "./vr.ts";

/** What a scan learns of a file. Offsets count from the first byte of the file. */
export interface ScannedFile {
  /** File Meta Information (PS3.10 7.1); empty when the file has none. */
  readonly meta: DataSet;
  readonly transferSyntax: TransferSyntax;
  readonly dataSet: DataSet;
  /** Where the data set begins. In a deflated file, offsets behind it count inflated bytes. */
  readonly dataSetOffset: number;
  readonly pixelData: PixelData | undefined;
  readonly warnings: readonly ScanWarning[];
}

const transferSyntaxUid = 0x00020010;
const metaGroupLength = 0x00020000;
const metaLimit = 2 ** 20;
const preambleLength = 128;

/**
 * A scan in progress: `push` every chunk of the file in order, then `end`. Holds the header and nothing else.
 * Every fault is an ArchiveError: `not-dicom`, `malformed-dicom`, `truncated-dicom`, `too-deep`, `element-too-long`,
 * `header-too-large`, `unknown-transfer-syntax`.
 */
export class Part10Scan {
  readonly #limits: ScanLimits;
  readonly #queue = new ByteQueue();
  readonly #warnings: ScanWarning[] = [];
  #phase: "start" | "meta" | "body" = "start";
  #meta: DataSet = { elements: [], littleEndian: true };
  #metaAt = 0;
  #retryAt = 0;
  #transferSyntax: TransferSyntax | undefined;
  #dataSetOffset = 0;
  #body: ElementScan | undefined;
  #inflate: Inflation | undefined;

  constructor(limits: ScanLimits = defaultLimits) {
    this.#limits = limits;
  }

  /** Reads the next bytes; a promise of it when they have to be inflated, which is to be waited for. */
  push(chunk: Buffer): Promise<void> | undefined {
    if (this.#phase === "body") return this.#pushBody(chunk);
    this.#queue.push(chunk);
    if (this.#queue.buffered < this.#retryAt) return undefined;
    return this.#advance(false);
  }

  async end(): Promise<ScannedFile> {
    await this.#advance(true);
    await this.#inflate?.end();
    if (!this.#body || !this.#transferSyntax) throw new ArchiveError("not-dicom", "The file holds no data set.");
    const { dataSet, pixelData, warnings } = this.#body.end();
    return {
      meta: this.#meta,
      transferSyntax: this.#transferSyntax,
      dataSet,
      dataSetOffset: this.#dataSetOffset,
      pixelData,
      warnings: [...this.#warnings, ...warnings],
    };
  }

  /** Bytes of memory that the header takes so far, about. */
  get held(): number {
    return this.#body?.held ?? 0;
  }

  /** What has been read so far, also after an error: for those who need the beginning of a file only. */
  soFar(): Pick<ScannedFile, "meta" | "dataSet" | "dataSetOffset"> & Partial<Pick<ScannedFile, "transferSyntax">> {
    const dataSet = this.#body?.soFar() ?? { elements: [], littleEndian: true };
    const transferSyntax = this.#transferSyntax;
    return { meta: this.#meta, dataSet, dataSetOffset: this.#dataSetOffset, ...(transferSyntax && { transferSyntax }) };
  }

  #advance(atEnd: boolean): Promise<void> | undefined {
    if (this.#phase === "start") this.#readStart(atEnd);
    return this.#phase === "meta" ? this.#readMeta(atEnd) : undefined;
  }

  #readStart(atEnd: boolean): void {
    const view = this.#queue.peek(Math.min(preambleLength + 8, atEnd ? this.#queue.buffered : Infinity));
    if (!view) {
      this.#retryAt = preambleLength + 8;
      return;
    }
    if (view.length === 0) throw new ArchiveError("not-dicom", "The file is empty.");
    this.#metaAt = hasPrefix(view) ? preambleLength + 4 : 0;
    if (this.#metaAt === 0) this.#warnings.push({ message: "The file has no preamble and no DICM prefix." });
    this.#phase = "meta";
  }

  #readMeta(atEnd: boolean): Promise<void> | undefined {
    const { buffered } = this.#queue;
    const view = this.#queue.peek(buffered) ?? Buffer.alloc(0);
    const read = readMeta(view.subarray(0, buffered), this.#metaAt, atEnd);
    if (!read) {
      this.#retryAt = buffered * 2;
      return undefined;
    }
    this.#meta = read.meta;
    this.#dataSetOffset = read.end;
    this.#transferSyntax = this.#chooseSyntax(view.subarray(read.end, Math.min(read.end + 8, buffered)));
    this.#queue.skip(read.end);
    this.#phase = "body";
    this.#body = new ElementScan(this.#transferSyntax, read.end, this.#limits);
    if (this.#transferSyntax.deflated) this.#inflate = new Inflation(this.#body, this.#limits.inflatedLength);
    return this.#pushBody(this.#queue.drain());
  }

  #pushBody(chunk: Buffer): Promise<void> | undefined {
    if (this.#inflate) return this.#inflate.push(chunk);
    this.#body?.push(chunk);
    return undefined;
  }

  /** The declared transfer syntax, checked against the first bytes of the data set, which senders contradict. */
  #chooseSyntax(start: Buffer): TransferSyntax {
    const declared = textOf(this.#meta, transferSyntaxUid);
    const syntax = declared === undefined ? undefined : transferSyntaxOf(declared);
    if (declared !== undefined && !syntax) {
      throw new ArchiveError("unknown-transfer-syntax", "The Transfer Syntax UID (0002,0010) is not a UID.");
    }
    if (syntax?.deflated || (syntax && start.length < 8)) return syntax;
    const seen = guessEncoding(start);
    if (!syntax) {
      if (!seen)
        throw new ArchiveError("not-dicom", "The file is not DICOM: it begins with neither DICM nor an element.");
      this.#warnings.push({ tag: transferSyntaxUid, message: "There is no Transfer Syntax UID (0002,0010)." });
      return seen;
    }
    if (!seen || (seen.explicitVr === syntax.explicitVr && seen.littleEndian === syntax.littleEndian)) return syntax;
    this.#warnings.push({
      tag: transferSyntaxUid,
      message: `The data set is not in ${syntax.name}, which the Transfer Syntax UID (0002,0010) names.`,
    });
    return { ...syntax, explicitVr: seen.explicitVr, littleEndian: seen.littleEndian };
  }
}

/** Inflates a deflated data set (PS3.5 A.5) into its scan, at the pace of the scan. */
class Inflation {
  readonly #stream = createInflateRaw();
  #state: "open" | "ended" | "failed" = "open";
  #failure: ArchiveError | undefined;
  /** Settles the write under way, which the stream answers neither behind its end nor when it fails. */
  #wake: () => void = () => undefined;

  constructor(scan: ElementScan, limit: number) {
    let inflated = 0;
    this.#stream.on("data", (chunk: Buffer) => {
      inflated += chunk.length;
      try {
        if (inflated > limit) throw new ArchiveError("header-too-large", `It inflates to more than ${limit} bytes.`);
        scan.push(chunk);
      } catch (error) {
        this.#stream.destroy(error instanceof Error ? error : undefined);
      }
    });
    this.#stream.on("end", () => this.#settle("ended"));
    this.#stream.on("error", (error) => {
      this.#failure = inflationError(error);
      this.#settle("failed");
    });
  }

  /** What follows the end of the deflated stream is padding (PS3.5 A.5). */
  async push(chunk: Buffer): Promise<void> {
    if (this.#state === "open") await this.#until((done) => this.#stream.write(chunk, done));
    if (this.#failure) throw this.#failure;
  }

  async end(): Promise<void> {
    if (this.#state === "open") await this.#until(() => this.#stream.end());
    if (this.#failure) throw this.#failure;
  }

  #until(start: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      start(resolve);
    });
  }

  #settle(state: "ended" | "failed"): void {
    this.#state = state;
    this.#wake();
  }
}

function inflationError(cause: Error & { code?: string }): ArchiveError {
  if (cause instanceof ArchiveError) return cause;
  if (cause.code === "Z_BUF_ERROR") {
    return new ArchiveError("truncated-dicom", "The deflated data set ends too early.", { cause });
  }
  return new ArchiveError("malformed-dicom", "The deflated data set cannot be inflated.", { cause });
}

/** DICM behind a preamble; by chance a data set without preamble may hold those letters there, so look further. */
function hasPrefix(view: Buffer): boolean {
  if (view.toString("latin1", preambleLength, preambleLength + 4) !== "DICM") return false;
  if (view.length >= preambleLength + 6 && view.readUInt16LE(preambleLength + 4) === 2) return true;
  return guessEncoding(view) === undefined;
}

/** The file meta information from `start` (PS3.10 7.1); undefined when `view` does not hold its end yet. */
function readMeta(view: Buffer, start: number, atEnd: boolean): { meta: DataSet; end: number } | undefined {
  const elements: DataSet["elements"][number][] = [];
  let at = start;
  let declaredEnd: number | undefined;
  let deflated = false;
  while (true) {
    const enough = view.length >= at + 12;
    if (!enough && !atEnd) return undefined;
    const more = view.length >= at + 8 && view.readUInt16LE(at) === 2;
    if (!more || (deflated && at === declaredEnd)) break;
    const vr = view.toString("latin1", at + 4, at + 6);
    const long = vrs.has(vr) && vrRow(vr).longLength;
    if (!enough && long) throw endsInMeta(at);
    const header = vrs.has(vr) && long ? 12 : 8;
    const length = !vrs.has(vr)
      ? view.readUInt32LE(at + 4)
      : long
        ? view.readUInt32LE(at + 8)
        : view.readUInt16LE(at + 6);
    const end = at + header + length;
    if (end - start > metaLimit) {
      throw new ArchiveError("header-too-large", `The file meta information has more than ${metaLimit} bytes.`);
    }
    if (end > view.length) {
      if (atEnd) throw endsInMeta(at);
      return undefined;
    }
    const tag = 0x00020000 + view.readUInt16LE(at + 2);
    const value = view.subarray(at + header, end);
    elements.push({ tag, vr: vrs.has(vr) ? vr : (entryOfTag(tag)?.vr ?? "UN"), value });
    if (tag === metaGroupLength && value.length === 4) declaredEnd = end + value.readUInt32LE(0);
    if (tag === transferSyntaxUid)
      deflated = transferSyntaxOf(withoutPadding(value.toString("latin1")))?.deflated === true;
    at = end;
  }
  return { meta: { elements, littleEndian: true }, end: at };
}

function endsInMeta(at: number): ArchiveError {
  return new ArchiveError("truncated-dicom", `The file meta information ends inside the element at byte ${at}.`);
}

/** What the first bytes of a data set look like (PS3.5 7.1); undefined when they look like none. */
function guessEncoding(start: Buffer): TransferSyntax | undefined {
  if (start.length < 8) return undefined;
  const little = start.readUInt16LE(0) * 0x10000 + start.readUInt16LE(2);
  const big = start.readUInt16BE(0) * 0x10000 + start.readUInt16BE(2);
  const vr = start.toString("latin1", 4, 6);
  if (vrs.has(vr)) {
    if (isFirstTag(little)) return explicitVrLittleEndian;
    return isFirstTag(big) ? explicitVrBigEndian : undefined;
  }
  // Two letters that are no VR are a VR newer than the table rather than a length.
  if (/^[A-Z]{2}$/.test(vr)) return undefined;
  return isFirstTag(little) && start.readUInt32LE(4) < metaLimit ? implicitVrLittleEndian : undefined;
}

/** Whether a data set may begin with `tag`: a group length or an attribute of the first groups of PS3.6. */
function isFirstTag(tag: number): boolean {
  const group = tag >>> 16;
  if (group < 0x0004 || group > 0x0040) return false;
  return (tag & 0xffff) === 0 || group % 2 === 1 || entryOfTag(tag) !== undefined;
}
