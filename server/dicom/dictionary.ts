/** The data dictionary (PS3.6): tag to keyword and VR and back, over the table that dcmjs carries. */
import dcmjs from "dcmjs";
import { vrs } from "./vr.ts";

/** One attribute of PS3.6. */
export interface DictionaryEntry {
  /** (gggg,eeee) as one number: group * 65536 + element. */
  readonly tag: number;
  readonly keyword: string;
  /** Value Representation; where PS3.6 gives a choice, the one of `choices`. */
  readonly vr: string;
}

/** How the choices of PS3.6 ("US or SS" and so on) are written in dcmjs, and what they become (PS3.5 A.1). */
const choices: Readonly<Record<string, string>> = { xs: "US", ox: "OW", lt: "OW", up: "UL" };

/** VRs whose choice depends on Pixel Representation (0028,0103), PS3.5 A.1. */
const signDependent = new Set<number>();

/** Repeating groups (PS3.5 7.6): the even groups 5000-501E and 6000-601E stand in the dictionary once. */
const repeatingGroups: Readonly<Record<number, Readonly<Record<number, readonly [keyword: string, vr: string]>>>> = {
  0x5000: {
    0x0005: ["CurveDimensions", "US"],
    0x0010: ["NumberOfPoints", "US"],
    0x0020: ["TypeOfData", "CS"],
    0x0022: ["CurveDescription", "LO"],
    0x0030: ["AxisUnits", "SH"],
    0x0040: ["AxisLabels", "SH"],
    0x0103: ["DataValueRepresentation", "US"],
    0x0104: ["MinimumCoordinateValue", "US"],
    0x0105: ["MaximumCoordinateValue", "US"],
    0x0106: ["CurveRange", "SH"],
    0x0110: ["CurveDataDescriptor", "US"],
    0x0112: ["CoordinateStartValue", "US"],
    0x0114: ["CoordinateStepValue", "US"],
    0x2500: ["CurveLabel", "LO"],
    0x3000: ["CurveData", "OW"],
  },
  0x6000: {
    0x0010: ["OverlayRows", "US"],
    0x0011: ["OverlayColumns", "US"],
    0x0012: ["OverlayPlanes", "US"],
    0x0015: ["NumberOfFramesInOverlay", "IS"],
    0x0022: ["OverlayDescription", "LO"],
    0x0040: ["OverlayType", "CS"],
    0x0045: ["OverlaySubtype", "LO"],
    0x0050: ["OverlayOrigin", "SS"],
    0x0051: ["ImageFrameOrigin", "US"],
    0x0100: ["OverlayBitsAllocated", "US"],
    0x0102: ["OverlayBitPosition", "US"],
    0x1001: ["OverlayActivationLayer", "CS"],
    0x1301: ["ROIArea", "IS"],
    0x1302: ["ROIMean", "DS"],
    0x1303: ["ROIStandardDeviation", "DS"],
    0x1500: ["OverlayLabel", "LO"],
    0x3000: ["OverlayData", "OW"],
  },
};

const byTag = new Map<number, DictionaryEntry>();
const byKeyword = new Map<string, DictionaryEntry>();
for (const { tag: written, vr: writtenVr, name } of Object.values(dcmjs.data.DicomMetaDictionary.nameMap)) {
  const digits = /^\(([0-9A-F]{4}),([0-9A-F]{4})\)$/i.exec(written);
  const vr = choices[writtenVr] ?? writtenVr;
  if (!digits || !vrs.has(vr)) continue;
  const tag = Number.parseInt(`${digits[1]}${digits[2]}`, 16);
  const entry = { tag, keyword: name.replace(/^RETIRED_/, ""), vr };
  if (writtenVr === "xs") signDependent.add(tag);
  byTag.set(tag, entry);
  byKeyword.set(entry.keyword, entry);
}

function repeating(tag: number): DictionaryEntry | undefined {
  const group = tag >>> 16;
  const base = group & 0xff00;
  if (group % 2 !== 0 || (group & 0xff) > 0x1e) return undefined;
  const row = repeatingGroups[base]?.[tag & 0xffff];
  return row && { tag, keyword: row[0], vr: row[1] };
}

/** The entry of a standard tag; undefined for private and unknown ones. */
export function entryOfTag(tag: number): DictionaryEntry | undefined {
  return byTag.get(tag) ?? repeating(tag);
}

/** The entry of a keyword such as `PatientName`. */
export function entryOfKeyword(keyword: string): DictionaryEntry | undefined {
  return byKeyword.get(keyword);
}

/**
 * The VR that an element has in an implicit VR data set (PS3.5 A.1).
 * @param signed whether Pixel Representation (0028,0103) of the data set is 1
 */
export function implicitVr(tag: number, signed: boolean): string {
  const element = tag & 0xffff;
  if (element === 0) return "UL";
  if (((tag >>> 16) & 1) === 1) return element >= 0x10 && element <= 0xff ? "LO" : "UN";
  if (signDependent.has(tag) && signed) return "SS";
  return entryOfTag(tag)?.vr ?? "UN";
}

/** VRs that PS3.6 gives a choice of for some attributes ("US or SS", "OB or OW"), and UN, which stands for any. */
const chosen = new Set(["US", "SS", "OW", "OB", "UN"]);

/** The VR that PS3.6 has for `tag`, when `vr` is another one and PS3.6 gives no choice; undefined when `vr` is right. */
export function otherVr(tag: number, vr: string): string | undefined {
  const expected = entryOfTag(tag)?.vr;
  if (expected === undefined || expected === vr || vr === "UN") return undefined;
  return chosen.has(expected) && chosen.has(vr) ? undefined : expected;
}

/** A tag as PS3.18 writes it: eight upper-case hexadecimal digits. */
export function tagHex(tag: number): string {
  return tag.toString(16).toUpperCase().padStart(8, "0");
}

/** A tag as people write it: `(0010,0010)`, with its keyword where it has one. For messages. */
export function tagLabel(tag: number): string {
  const hex = tagHex(tag);
  const keyword = entryOfTag(tag)?.keyword;
  return `${keyword ? `${keyword} ` : ""}(${hex.slice(0, 4)},${hex.slice(4)})`;
}
