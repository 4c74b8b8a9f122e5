/** Query: what a client asks of a search, parsed and checked once for both doors. */
import type { Condition, Match, Search } from "../../storage/catalog-search.ts";
import { entryOfKeyword, entryOfTag, tagHex } from "../dicom/dictionary.ts";
import { isUid, type Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { attributeByTag, computed, type Level, type LevelAttribute } from "./attributes.ts";
import { toDate, toTime } from "./index-values.ts";

/** Matches answered when the client sets no limit, and at most. */
export const defaultLimit = 1000;
export const largestLimit = 10_000;
/** Characters of a name to look for: PostgreSQL refuses regular expressions that are too complex. */
const longestName = 1024;

/** What to search, and within what. */
export interface SearchScope {
  readonly level: Level;
  readonly studyInstanceUid?: Uid;
  readonly seriesInstanceUid?: Uid;
}

export interface Query {
  readonly scope: SearchScope;
  readonly search: Search;
  /** Tags to be answered beside those answered by default; `all` for every one that the catalog keeps. */
  readonly includeField: "all" | ReadonlySet<string>;
  /** Whether the limit is the server's own: the client asked for none, or for more than is answered at once. */
  readonly limited: boolean;
  /** What was asked for and is not done, in words: for a Warning header (PS3.18 8.3.4). */
  readonly warnings: readonly string[];
}

/** Attribute name (keyword or tag) and value, in the order of the request. */
export type QueryParameters = Iterable<readonly [name: string, value: string]>;

const levelOrder: readonly Level[] = ["study", "series", "instance"];
const notMatched = "The attribute is not matched by this search, and was passed over:";

/** @throws ArchiveError `invalid-query`, naming the parameter */
export function parseQuery(scope: SearchScope, parameters: QueryParameters): Query {
  const conditions: Condition[] = scopeConditions(scope);
  const included = new Set<string>();
  const warnings: string[] = [];
  let limit = defaultLimit;
  let limited = true;
  let offset = 0;
  for (const [name, value] of parameters) {
    if (name === "limit") {
      limited = count(name, value) > largestLimit;
      limit = Math.min(count(name, value), largestLimit);
    } else if (name === "offset") offset = count(name, value);
    else if (name === "includefield") fieldsOf(value).forEach((field) => included.add(includedTag(field)));
    else if (name === "fuzzymatching") warnings.push(...fuzzyWarning(value));
    else if (name === "accept" || name === "charset") continue;
    else conditions.push(...keyCondition(scope, name, value, warnings));
  }
  const includeField = included.has("all") ? "all" : included;
  const sopClassesInStudy = includeField !== "all" && includeField.has(computed.sopClassesInStudy);
  return {
    scope,
    includeField,
    limited,
    warnings,
    search: { level: scope.level, conditions, limit, offset, sopClassesInStudy },
  };
}

function scopeConditions({ studyInstanceUid, seriesInstanceUid }: SearchScope): Condition[] {
  return [
    ...uidCondition("study", "study_instance_uid", studyInstanceUid),
    ...uidCondition("series", "series_instance_uid", seriesInstanceUid),
  ];
}

function uidCondition(level: Level, column: string, uid: Uid | undefined): Condition[] {
  return uid === undefined ? [] : [{ level, column, match: { kind: "equal", value: uid } }];
}

function count(name: string, value: string): number {
  if (/^\d+$/.test(value)) return Math.min(Number(value), Number.MAX_SAFE_INTEGER);
  throw new ArchiveError("invalid-query", `${name} is not a whole number of 0 or more.`);
}

function fieldsOf(value: string): string[] {
  return value.split(",").flatMap((field) => field.trim() || []);
}

/** PS3.18 8.3.4.3: `all`, a keyword or a tag; of a path into a sequence, the sequence. */
function includedTag(field: string): string {
  if (field === "all") return field;
  return tagOf(field.split(".", 1)[0] ?? "", "includefield");
}

function tagOf(name: string, parameter: string): string {
  if (/^[0-9A-Fa-f]{8}$/.test(name)) return name.toUpperCase();
  const entry = entryOfKeyword(name);
  if (entry) return tagHex(entry.tag);
  throw new ArchiveError(
    "invalid-query",
    `${shown(name)}${name === parameter ? "" : ` (${parameter.slice(0, 64)})`} is neither the keyword nor the tag of an attribute.`,
  );
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 64));
}

function fuzzyWarning(value: string): string[] {
  if (value === "false") return [];
  if (value !== "true") throw new ArchiveError("invalid-query", "fuzzymatching is neither true nor false.");
  return ["The fuzzymatching parameter is not supported. Only literal matching has been performed."];
}

/** No condition for universal matching (PS3.4 C.2.2.2.3), nor for an attribute that is not matched. */
function keyCondition(scope: SearchScope, name: string, value: string, warnings: string[]): Condition[] {
  const tag = tagOf(name.split(".", 1)[0] ?? "", name);
  // No DICOM value holds U+0000, and PostgreSQL has no text with it.
  if (value.includes("\0")) throw new ArchiveError("invalid-query", `${shown(name)} holds a NUL character.`);
  if (tag === computed.modalitiesInStudy) {
    const modalities = textMatch("CS", value);
    return modalities ? [{ modalitiesInStudy: modalities }] : [];
  }
  const attribute = attributeByTag.get(tag);
  if (attribute?.column === undefined || name.includes(".") || isBelow(attribute.level, scope.level)) {
    warnings.push(`${notMatched} ${entryOfTag(Number.parseInt(tag, 16))?.keyword ?? tag}.`);
    return [];
  }
  const match = matchOf(attribute, value);
  return match ? [{ level: attribute.level, column: attribute.column, match }] : [];
}

/** PS3.4 C.2.2.2.3: no value, and what asks for any. */
function isUniversal(value: string): boolean {
  return /^\**$/.test(value);
}

function isBelow(level: Level, of: Level): boolean {
  return levelOrder.indexOf(level) > levelOrder.indexOf(of);
}

function matchOf(attribute: LevelAttribute, value: string): Match | undefined {
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
function textMatch(vr: string, value: string): Match | undefined {
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
