/** The Defined Terms of Specific Character Set (0008,0005) as data: PS3.3 C.12.1.1.2, Tables C.12-2 to C.12-5. */

/**
 * A graphic set that G0 or G1 can hold. `size` is its bytes per character; `label` the WHATWG encoding in which the
 * set stands in the upper half (0xA1 to 0xFE), with `prefix` before each character where that encoding asks for one.
 * ISO-IR 6 and ISO-IR 14 stand in the lower half and need no table.
 */
export interface GraphicSet {
  readonly size: 1 | 2;
  readonly label: string;
  readonly prefix?: number;
}

/**
 * Every graphic set, by its name in the tables. The labels are WHATWG's: of windows-1254 and windows-874 only
 * 0xA0 to 0xFF are read, where they agree with ISO 8859-9 and TIS 620-2533; `latin1` is the identity and not WHATWG's
 * (which is windows-1252). gbk holds GB 2312 and more; euc-jp maps a few signs (U+FF5E, U+FF0D) as Windows does.
 */
export const graphicSets = {
  "ISO-IR 6": { size: 1, label: "ascii" },
  "ISO-IR 13": { size: 1, label: "shift_jis" },
  "ISO-IR 14": { size: 1, label: "jis-roman" },
  "ISO-IR 58": { size: 2, label: "gbk" },
  "ISO-IR 87": { size: 2, label: "euc-jp" },
  "ISO-IR 100": { size: 1, label: "latin1" },
  "ISO-IR 101": { size: 1, label: "iso-8859-2" },
  "ISO-IR 109": { size: 1, label: "iso-8859-3" },
  "ISO-IR 110": { size: 1, label: "iso-8859-4" },
  "ISO-IR 126": { size: 1, label: "iso-8859-7" },
  "ISO-IR 127": { size: 1, label: "iso-8859-6" },
  "ISO-IR 138": { size: 1, label: "iso-8859-8" },
  "ISO-IR 144": { size: 1, label: "iso-8859-5" },
  "ISO-IR 148": { size: 1, label: "iso-8859-9" },
  "ISO-IR 149": { size: 2, label: "euc-kr" },
  "ISO-IR 159": { size: 2, label: "euc-jp", prefix: 0x8f },
  "ISO-IR 166": { size: 1, label: "windows-874" },
  "ISO-IR 203": { size: 1, label: "iso-8859-15" },
} as const satisfies Record<string, GraphicSet>;

/** Name of a graphic set: "ISO-IR" and its number in the ISO International Register. */
export type GraphicSetName = keyof typeof graphicSets;

/** What one Defined Term says: the encoding of the whole value, or the sets that G0 and G1 hold at its beginning. */
export type CharacterSetTerm =
  | { readonly whole: "utf-8" | "gb18030" | "gbk" }
  | { readonly whole?: undefined; readonly g0: GraphicSetName; readonly g1?: GraphicSetName };

/**
 * The terms by their number in the register, with and without code extensions: Tables C.12-2, C.12-3, C.12-4, and
 * ISO_IR 192 of C.12-5. The multi-byte sets may not stand first; where one does, its characters are taken in G1.
 */
export const termsByRegistration: ReadonlyMap<number, CharacterSetTerm> = new Map<number, CharacterSetTerm>([
  [6, { g0: "ISO-IR 6" }],
  [13, { g0: "ISO-IR 14", g1: "ISO-IR 13" }],
  [58, { g0: "ISO-IR 6", g1: "ISO-IR 58" }],
  [87, { g0: "ISO-IR 6", g1: "ISO-IR 87" }],
  [100, { g0: "ISO-IR 6", g1: "ISO-IR 100" }],
  [101, { g0: "ISO-IR 6", g1: "ISO-IR 101" }],
  [109, { g0: "ISO-IR 6", g1: "ISO-IR 109" }],
  [110, { g0: "ISO-IR 6", g1: "ISO-IR 110" }],
  [126, { g0: "ISO-IR 6", g1: "ISO-IR 126" }],
  [127, { g0: "ISO-IR 6", g1: "ISO-IR 127" }],
  [138, { g0: "ISO-IR 6", g1: "ISO-IR 138" }],
  [144, { g0: "ISO-IR 6", g1: "ISO-IR 144" }],
  [148, { g0: "ISO-IR 6", g1: "ISO-IR 148" }],
  [149, { g0: "ISO-IR 6", g1: "ISO-IR 149" }],
  [159, { g0: "ISO-IR 6", g1: "ISO-IR 159" }],
  [166, { g0: "ISO-IR 6", g1: "ISO-IR 166" }],
  [192, { whole: "utf-8" }],
  [203, { g0: "ISO-IR 6", g1: "ISO-IR 203" }],
]);

/** Table C.12-5: the terms that have no number. */
const termsByName: ReadonlyMap<string, CharacterSetTerm> = new Map<string, CharacterSetTerm>([
  ["GB18030", { whole: "gb18030" }],
  ["GBK", { whole: "gbk" }],
]);

/** What an escape sequence does: puts `set` into G0 or G1. */
export interface Designation {
  readonly area: "g0" | "g1";
  readonly set: GraphicSetName;
}

/**
 * The bytes after ESC, as Latin-1 text, and what they designate: Tables C.12-3 and C.12-4. The last four are not in
 * the tables but are written by equipment: JIS C 6226-1978, Katakana in G0, KS X 1001 and GB 2312 in G0.
 */
export const escapeSequences: ReadonlyMap<string, Designation> = new Map<string, Designation>([
  ["(B", { area: "g0", set: "ISO-IR 6" }],
  ["(J", { area: "g0", set: "ISO-IR 14" }],
  [")I", { area: "g1", set: "ISO-IR 13" }],
  ["-A", { area: "g1", set: "ISO-IR 100" }],
  ["-B", { area: "g1", set: "ISO-IR 101" }],
  ["-C", { area: "g1", set: "ISO-IR 109" }],
  ["-D", { area: "g1", set: "ISO-IR 110" }],
  ["-F", { area: "g1", set: "ISO-IR 126" }],
  ["-G", { area: "g1", set: "ISO-IR 127" }],
  ["-H", { area: "g1", set: "ISO-IR 138" }],
  ["-L", { area: "g1", set: "ISO-IR 144" }],
  ["-M", { area: "g1", set: "ISO-IR 148" }],
  ["-T", { area: "g1", set: "ISO-IR 166" }],
  ["-b", { area: "g1", set: "ISO-IR 203" }],
  ["$B", { area: "g0", set: "ISO-IR 87" }],
  ["$(D", { area: "g0", set: "ISO-IR 159" }],
  ["$)C", { area: "g1", set: "ISO-IR 149" }],
  ["$)A", { area: "g1", set: "ISO-IR 58" }],
  ["$@", { area: "g0", set: "ISO-IR 87" }],
  ["(I", { area: "g0", set: "ISO-IR 13" }],
  ["$(C", { area: "g0", set: "ISO-IR 149" }],
  ["$A", { area: "g0", set: "ISO-IR 58" }],
]);

/** "ISO_IR 100", "ISO 2022 IR 100" and their misspellings: lower case, hyphens, underscores, blanks left out. */
const numberedTerm = /^ISO[-_ ]*(?:2022[-_ ]*)?IR[-_ ]*([0-9]{1,3})$/;
const namedTerm = /^(?:ISO[-_ ]*2022[-_ ]*)?GB[-_ ]*(18030|K)$/;

/** The term that `text`, one value of Specific Character Set, means; undefined when there is none. Empty is ISO IR 6. */
export function characterSetTerm(text: string): CharacterSetTerm | undefined {
  const term = text.replaceAll("\0", " ").trim().toUpperCase();
  if (term === "") return termsByRegistration.get(6);
  const registration = numberedTerm.exec(term)?.[1];
  if (registration !== undefined) return termsByRegistration.get(Number(registration));
  return termsByName.get(`GB${namedTerm.exec(term)?.[1] ?? ""}`);
}
