/** Values of query keys by VR (PS3.4 C.2.2.2): what each asks for. */
import type { Match } from "../../storage/catalog-match.ts";
import { isUid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import type { LevelAttribute } from "./attributes.ts";
import { toDate, toTime } from "./index-values.ts";

/** Characters of a name to look for: PostgreSQL refuses regular expressions that are too complex. */
const longestName = 1024;

/** PS3.4 C.2.2.2.3: no value, and what asks for any. */
function isUniversal(value: string): boolean {
  return /^\**$/.test(value);
}

/** What the value of a key asks for; undefined for universal matching. @throws ArchiveError `invalid-query` */
export function matchOf(attribute: LevelAttribute, value: string): Match | undefined {
  if (isUniversal(value)) return undefined;
  if (attribute.vr === "UI") return uidMatch(attribute.keyword, value);
  if (attribute.vr === "DA") return rangeMatch(attribute.keyword, value, toDate, toDate);
  if (attribute.vr === "TM") return rangeMatch(attribute.keyword, value, toTime, toLatestTime);
  if (attribute.vr === "IS") return { kind: "equal", value: integerKey(attribute.keyword, value) };
  return attribute.vr === "PN" ? nameMatch(attribute.keyword, value) : textMatch(attribute.vr, value);
}

/** PS3.4 C.2.2.2.2: a list of UIDs, joined by backslash, or by comma as PS3.18 8.3.4.1 has it. */
function uidMatch(keyword: string, value: string): Match {
  const values = value.split(/[,\\]/).filter((uid) => uid !== "");
  if (values.every(isUid)) return { kind: "anyOf", values };
  throw new ArchiveError("invalid-query", `${keyword} is not a list of UIDs.`);
}

function integerKey(keyword: string, value: string): number {
  if (/^[+-]?\d{1,10}$/.test(value)) return Number(value);
  throw new ArchiveError("invalid-query", `${keyword} is not a whole number.`);
}

/** PS3.4 C.2.2.2.1 and C.2.2.2.5: one value, or two joined by a hyphen of which one may be missing. */
function rangeMatch(keyword: string, value: string, earliest: Parser, latest: Parser): Match {
  const parse = (text: string, parser: Parser) => {
    const parsed = parser(text);
    if (parsed !== null) return parsed;
    throw new ArchiveError("invalid-query", `${keyword} is neither a value of its VR nor a range of two.`);
  };
  const hyphen = value.indexOf("-");
  if (hyphen < 0) return { kind: "range", from: parse(value, earliest), to: parse(value, latest) };
  const [from, to] = [value.slice(0, hyphen), value.slice(hyphen + 1)];
  if (from === "" && to === "") throw new ArchiveError("invalid-query", `${keyword} is a range without ends.`);
  return {
    kind: "range",
    ...(from !== "" && { from: parse(from, earliest) }),
    ...(to !== "" && { to: parse(to, latest) }),
  };
}

type Parser = (text: string) => string | null;

/** The last moment of a TM that leaves out minutes, seconds or fractions. */
function toLatestTime(text: string): string | null {
  const start = toTime(text);
  if (start === null) return null;
  const digits = text.replaceAll(":", "").split(".", 1)[0]?.length ?? 0;
  const [hour, minute] = start.split(":");
  if (digits === 2) return `${hour}:59:59.999999`;
  if (digits === 4) return `${hour}:${minute}:59.999999`;
  return text.includes(".") ? start : start.replace(/\.0+$/, ".999999");
}

/**
 * Text (PS3.4 C.2.2.2.1, C.2.2.2.4). A literal key is compared as it is; a wildcard key without regard to case, since
 * people type those. A code string has no comma, so there a comma joins alternatives.
 */
export function textMatch(vr: string, value: string): Match | undefined {
  if (isUniversal(value)) return undefined;
  if (/[*?]/.test(value)) return { kind: "like", pattern: likePattern(value) };
  if (vr !== "CS") return { kind: "equal", value };
  return { kind: "anyOf", values: value.split(/[,\\]/).map((code) => code.trim()) };
}

function likePattern(value: string): string {
  return value
    .replaceAll(/[\\%_]/g, String.raw`\$&`)
    .replaceAll("*", "%")
    .replaceAll("?", "_");
}

/** A name matches when one of its component groups does, or, when the key has several, when each of them does. */
function nameMatch(keyword: string, value: string): Match {
  if (value.length > longestName) {
    throw new ArchiveError("invalid-query", `${keyword} has more than ${longestName} characters.`);
  }
  const groups = value.split("=").map((group) => group.replace(/(?<![\^ ])[\^ ]+$/, ""));
  const patterns = groups.map((group) => (group === "" ? "[^=]*" : `${namePattern(group)}[\\^ ]*`));
  return { kind: "name", regularExpression: `${groups.length > 1 ? "^" : ""}=${patterns.join("=")}=` };
}

function namePattern(group: string): string {
  return group
    .replaceAll(/[\\.^$+()[\]{}|]/g, String.raw`\$&`)
    .replaceAll(/\*+/g, "[^=]*")
    .replaceAll("?", "[^=]");
}
