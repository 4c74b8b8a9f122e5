/** Limits of the header scan: what a hostile or broken file may make us hold. */
import { vrRow } from "./vr.ts";

export interface ScanLimits {
  /** Sequences within sequences. */
  readonly depth: number;
  /** Bytes of headers, values and bookkeeping kept of one file. */
  readonly headerLength: number;
  /** Bytes of one value that can only be kept inline (short text, names). */
  readonly inlineText: number;
  /** Bytes of a numeric, decimal or long text value above which it becomes bulk data. */
  readonly inlineNumbers: number;
  /** Bytes of an OB, OD, OF, OL, OV, OW or UN value above which it becomes bulk data. */
  readonly inlineBinary: number;
  /** Bytes that a deflated data set may inflate to. */
  readonly inflatedLength: number;
}

export const defaultLimits: ScanLimits = {
  depth: 256,
  headerLength: 256 * 2 ** 20,
  inlineText: 2 ** 20,
  inlineNumbers: 2 ** 20,
  inlineBinary: 1024,
  inflatedLength: 4 * 2 ** 30,
};

/** What an element costs beside its bytes, about: the objects that describe it, and those of its JSON. */
export const elementOverhead = 256;

/** What a fragment costs: its place. Slides have more than 500,000 of them. */
export const fragmentOverhead = 64;

/** The number of bytes of a value of `vr` that is kept inline. */
export function inlineLimit(vr: string, limits: ScanLimits): number {
  const { kind } = vrRow(vr);
  if (kind === "binary") return limits.inlineBinary;
  return kind === "text" || kind === "name" || kind === "tag" ? limits.inlineText : limits.inlineNumbers;
}

/** Whether a value of `vr` may be bulk data (PS3.18 F.2.6: long text, numbers and binary; never names or codes). */
export function mayBeBulk(vr: string): boolean {
  const { kind } = vrRow(vr);
  return kind !== "text" && kind !== "name" && kind !== "tag";
}
