/** The table of Value Representations (PS3.5 Table 6.2-1) as the code needs it. */

/** What kind of value a VR holds; decides how it is decoded, and how much of it is kept inline. */
export type VrKind = "text" | "longText" | "name" | "decimal" | "integer" | "tag" | "number" | "binary" | "sequence";

export interface VrRow {
  readonly vr: string;
  readonly kind: VrKind;
  /** Width of one number in bytes: the unit of byte swapping and of splitting a binary value. 1 for text. */
  readonly width: 1 | 2 | 4 | 8;
  /** Explicit VR header with a 32-bit length (PS3.5 Table 7.1-1). */
  readonly longLength: boolean;
  /** Text in Specific Character Set (0008,0005) rather than ISO 646 (PS3.5 6.1.2.3). */
  readonly localised: boolean;
  /** Multi-valued, separated by backslash (PS3.5 6.2). */
  readonly splits: boolean;
}

type Row = readonly [vr: string, kind: VrKind, width: 1 | 2 | 4 | 8, flags: string];

/** Flags: L long length, C localised by character set, S splits at backslash. PS3.5 Tables 6.2-1 and 7.1-1. */
const rows: readonly Row[] = [
  ["AE", "text", 1, "S"],
  ["AS", "text", 1, "S"],
  ["AT", "tag", 2, ""],
  ["CS", "text", 1, "S"],
  ["DA", "text", 1, "S"],
  ["DS", "decimal", 1, "S"],
  ["DT", "text", 1, "S"],
  ["FD", "number", 8, ""],
  ["FL", "number", 4, ""],
  ["IS", "integer", 1, "S"],
  ["LO", "text", 1, "CS"],
  ["LT", "longText", 1, "C"],
  ["OB", "binary", 1, "L"],
  ["OD", "binary", 8, "L"],
  ["OF", "binary", 4, "L"],
  ["OL", "binary", 4, "L"],
  ["OV", "binary", 8, "L"],
  ["OW", "binary", 2, "L"],
  ["PN", "name", 1, "CS"],
  ["SH", "text", 1, "CS"],
  ["SL", "number", 4, ""],
  ["SQ", "sequence", 1, "L"],
  ["SS", "number", 2, ""],
  ["ST", "longText", 1, "C"],
  ["SV", "number", 8, "L"],
  ["TM", "text", 1, "S"],
  ["UC", "longText", 1, "LCS"],
  ["UI", "text", 1, "S"],
  ["UL", "number", 4, ""],
  ["UN", "binary", 1, "L"],
  ["UR", "longText", 1, "L"],
  ["US", "number", 2, ""],
  ["UT", "longText", 1, "LC"],
  ["UV", "number", 8, "L"],
];

/** Every VR of PS3.5, by its two letters. */
export const vrs: ReadonlyMap<string, VrRow> = new Map(
  rows.map(([vr, kind, width, flags]) => [
    vr,
    {
      vr,
      kind,
      width,
      longLength: flags.includes("L"),
      localised: flags.includes("C"),
      splits: flags.includes("S"),
    },
  ]),
);

const unknown: VrRow = { vr: "UN", kind: "binary", width: 1, longLength: true, localised: false, splits: false };

/** The row of `vr`; one that PS3.5 does not have is treated as UN with a 32-bit length (PS3.5 6.2.2). */
export function vrRow(vr: string): VrRow {
  return vrs.get(vr) ?? unknown;
}

/** Swaps big-endian numbers of `width` bytes to little endian, into a new buffer; a rest shorter than `width` stays. */
export function swapped(bytes: Buffer, width: 1 | 2 | 4 | 8): Buffer {
  const copy = Buffer.from(bytes);
  const whole = copy.subarray(0, copy.length - (copy.length % width));
  if (width === 2) whole.swap16();
  if (width === 4) whole.swap32();
  if (width === 8) whole.swap64();
  return copy;
}
