/** Values of query keys by VR (PS3.4 C.2.2.2): which kinds of matching there are, and what each value asks for. */
import type { Match, ValueKind } from "../../storage/catalog-match.ts";
import { isUid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { isUniversal } from "./query-key.ts";
import { nameMatch } from "./query-name.ts";
import { dateRange, requireOrder, timeRange } from "./query-range.ts";

/** How keys of a VR are matched. */
interface VrRule {
  /** What stored values are compared as. */
  readonly as: ValueKind;
  /** Wild Card Matching (PS3.4 C.2.2.2.4): `*` and `?`; in the others these are errors. */
  readonly wildcards: boolean;
  /** Multiple Value Matching (PS3.4 C.2.2.2.8). */
  readonly multiple: boolean;
  /** What one value asks for. */
  readonly parse: (name: string, value: string) => Match;
}

const text = { as: "text", wildcards: true, multiple: false, parse: textMatch } as const;
const listed = { ...text, multiple: true } as const;
const number = { as: "number", wildcards: false, multiple: false, parse: numberMatch } as const;

/**
 * By VR. Case counts in text, with wildcards as well, and not in names (PS3.4 C.2.2.2.1, C.2.2.2.4). Numbers are matched
 * by their value: +7 and 007 match 7 (PS3.4 C.2.2.2.1.4 leaves it open). DT is in query-date-time.ts, since the time zone
 * of the request matters to it. A VR that is missing here cannot be matched.
 */
const rules: Readonly<Record<string, VrRule>> = {
  AE: listed,
  AS: { as: "text", wildcards: false, multiple: true, parse: ageMatch },
  AT: { as: "text", wildcards: false, multiple: false, parse: tagMatch },
  CS: { ...listed, parse: codeMatch },
  DA: { as: "date", wildcards: false, multiple: false, parse: ordered(dateRange) },
  DS: number,
  FD: number,
  FL: number,
  IS: { ...number, parse: integerMatch },
  LO: listed,
  LT: text,
  PN: { as: "name", wildcards: true, multiple: true, parse: nameMatch },
  SH: listed,
  SL: { ...number, parse: integerMatch },
  SS: { ...number, parse: integerMatch },
  ST: text,
  SV: { ...number, parse: longIntegerMatch },
  TM: { as: "time", wildcards: false, multiple: false, parse: ordered(timeRange) },
  UC: listed,
  UI: { as: "text", wildcards: false, multiple: false, parse: uidMatch },
  UL: { ...number, parse: integerMatch },
  UR: text,
  US: { ...number, parse: integerMatch },
  UT: text,
  UV: { ...number, parse: longIntegerMatch },
};

/** Whether values of `vr` can be matched. */
export function isMatchedVr(vr: string): boolean {
  return vr === "DT" || vr in rules;
}

/** How keys of `vr` are matched, for documents; undefined when they cannot be. */
export function matchingOf(vr: string): Pick<VrRule, "as" | "wildcards" | "multiple"> | undefined {
  return rules[vr];
}

/** How stored values of `vr` are compared; undefined when they cannot be matched. */
export function valueKindOf(vr: string): ValueKind | undefined {
  return rules[vr]?.as;
}

/**
 * What the value of a key of `vr` asks for: nothing when it matches everything, several when an attribute must have
 * several values.
 * @param name the parameter, for the message
 * @param multiple whether Multiple Value Matching is asked for (PS3.18 8.3.4.6)
 * @throws ArchiveError `invalid-query`
 */
export function matchesOf(vr: string, name: string, value: string, multiple: boolean): readonly Match[] {
  const rule = rules[vr];
  if (!rule || isUniversal({ value })) return [];
  if (!rule.wildcards && /[*?]/.test(value)) {
    throw new ArchiveError("invalid-query", `${name} has a wildcard, which its VR ${vr} does not take.`);
  }
  const values = multiple && rule.multiple ? value.split(vr === "CS" ? /[\\,]/ : "\\") : [value];
  if (values.length === 1) return [rule.parse(name, value)];
  if (/[*?]/.test(value)) {
    throw new ArchiveError("invalid-query", `${name} has a wildcard in a list of values, which must be whole.`);
  }
  if (values.some((each) => each.trim() === "")) {
    throw new ArchiveError("invalid-query", `${name} has an empty value in a list of values.`);
  }
  return values.map((each) => rule.parse(name, each));
}

/** PS3.4 C.2.2.2.2: a list of UIDs, joined by backslash, or by comma as PS3.18 8.3.4.1 has it. */
function uidMatch(name: string, value: string): Match {
  const values = value.split(/[,\\]/).filter((uid) => uid !== "");
  if (values.length > 0 && values.every(isUid)) return { kind: "anyOf", values };
  throw new ArchiveError("invalid-query", `${name} is not a list of UIDs.`);
}

function integerMatch(name: string, value: string): Match {
  if (/^[+-]?\d{1,10}$/.test(value)) return { kind: "equal", value: Number(value) };
  throw new ArchiveError("invalid-query", `${name} is not a whole number.`);
}

/** Of 64 bits, hence beyond what a number holds exactly. */
function longIntegerMatch(name: string, value: string): Match {
  if (/^[+-]?\d{1,20}$/.test(value)) return { kind: "equal", value: BigInt(value.replace("+", "")).toString() };
  throw new ArchiveError("invalid-query", `${name} is not a whole number.`);
}

/** As DICOM JSON has it (PS3.18 F.2.2). */
function tagMatch(name: string, value: string): Match {
  if (/^[0-9A-Fa-f]{8}$/.test(value)) return { kind: "equal", value: value.toUpperCase() };
  throw new ArchiveError("invalid-query", `${name} is not a tag such as 00100010.`);
}

function numberMatch(name: string, value: string): Match {
  if (/^[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,2})?$/.test(value)) {
    return { kind: "equal", value: Number(value) };
  }
  throw new ArchiveError("invalid-query", `${name} is not a number.`);
}

/** PS3.5 6.2: three digits and the unit. */
function ageMatch(name: string, value: string): Match {
  if (/^\d{3}[DWMY]$/.test(value)) return { kind: "equal", value };
  throw new ArchiveError("invalid-query", `${name} is not an age such as 042Y.`);
}

function ordered(parse: typeof dateRange): VrRule["parse"] {
  return (name, value) => {
    const { single: _single, ...range } = parse(name, value);
    requireOrder(name, range);
    return range;
  };
}

/** Text as it is, commas and all; spaces around it mean nothing (PS3.5 6.2). */
function textMatch(_name: string, value: string): Match {
  const key = value.trim();
  return /[*?]/.test(key) ? { kind: "like", patterns: [likePattern(key)] } : { kind: "equal", value: key };
}

/** Alternatives with wildcards in one key: each of them is tried on every row, while whole ones are looked up. */
const mostPatterns = 100;

/** A code string has neither comma nor backslash (PS3.5 6.2), so there these join alternatives. */
function codeMatch(name: string, value: string): Match {
  const values = value.split(/[,\\]/).map((code) => code.trim());
  if (values.length > mostPatterns && /[*?]/.test(value)) {
    throw new ArchiveError("invalid-query", `${name} has wildcards in more than ${mostPatterns} values.`);
  }
  return /[*?]/.test(value) ? { kind: "like", patterns: values.map(likePattern) } : { kind: "anyOf", values };
}

function likePattern(value: string): string {
  return value
    .replaceAll(/[\\%_]/g, String.raw`\$&`)
    .replaceAll(/\*+/g, "%")
    .replaceAll("?", "_");
}
