/** Query: what a client asks of a search, parsed and checked once for both doors. */
import type { Condition } from "../../storage/catalog-match.ts";
import type { Search } from "../../storage/catalog-search.ts";
import { entryOfKeyword, entryOfTag, tagHex } from "../dicom/dictionary.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { attributeByTag, computed, type Level } from "./attributes.ts";
import { matchOf, textMatch } from "./query-match.ts";

/** Matches answered when the client sets no limit, and at most. */
export const defaultLimit = 1000;
export const largestLimit = 10_000;

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

function isBelow(level: Level, of: Level): boolean {
  return levelOrder.indexOf(level) > levelOrder.indexOf(of);
}
