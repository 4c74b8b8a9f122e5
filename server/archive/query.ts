/** Query: what a client asks of a search, parsed and checked once for both doors. */
import type { Condition } from "../../storage/catalog-match.ts";
import type { Search } from "../../storage/catalog-search.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { keywordOf, shown, tagOf } from "./attribute-name.ts";
import { attributeByTag, computed, type Level, patientAttributes, type SearchLevel } from "./attributes.ts";
import { isBelow } from "./levels.ts";
import { matchOf, textMatch } from "./query-match.ts";
import { listOf, type Paging, pagingParameters, parsePaging } from "./query-paging.ts";

/** What to search, and within what. */
export interface SearchScope {
  readonly level: SearchLevel;
  readonly studyInstanceUid?: Uid;
  readonly seriesInstanceUid?: Uid;
}

export interface Query {
  readonly scope: SearchScope;
  readonly search: Search;
  readonly paging: Paging;
  /** Tags to be answered beside those answered by default; `all` for every one that the catalog keeps. */
  readonly includeField: "all" | ReadonlySet<string>;
  /** What was asked for and is not done, in words: for a Warning header (PS3.18 8.3.4). */
  readonly warnings: readonly string[];
}

/** Attribute name (keyword or tag) and value, in the order of the request. */
export type QueryParameters = Iterable<readonly [name: string, value: string]>;

const notMatched = "The attribute is not matched by this search, and was passed over:";

/** @throws ArchiveError `invalid-query`, naming the parameter */
export function parseQuery(scope: SearchScope, parameters: QueryParameters): Query {
  const conditions: Condition[] = scopeConditions(scope);
  const included = new Set<string>();
  const warnings: string[] = [];
  const all = [...parameters];
  for (const [name, value] of all) {
    if (pagingParameters.has(name)) continue;
    if (name === "includefield") listOf(value).forEach((field) => included.add(includedTag(field)));
    else if (name === "fuzzymatching") warnings.push(...fuzzyWarning(value));
    else if (name === "accept" || name === "charset") continue;
    else conditions.push(...keyCondition(scope, name, value, warnings));
  }
  const paging = parsePaging(scope.level, all);
  const includeField = included.has("all") ? "all" : included;
  const sopClassesInStudy = includeField !== "all" && includeField.has(computed.sopClassesInStudy);
  return {
    scope,
    includeField,
    paging,
    warnings,
    search: { level: scope.level, conditions, ...paging, sopClassesInStudy },
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

/** PS3.18 8.3.4.3: `all`, a keyword or a tag; of a path into a sequence, the sequence. */
function includedTag(field: string): string {
  if (field === "all") return field;
  return tagOf(field.split(".", 1)[0] ?? "", "includefield");
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
  const isOfOthers = scope.level === "patient" && !patientAttributes.has(tag);
  if (tag === computed.modalitiesInStudy && !isOfOthers) {
    const modalities = textMatch("CS", value);
    return modalities ? [{ modalitiesInStudy: modalities }] : [];
  }
  const attribute = attributeByTag.get(tag);
  const level = scope.level === "patient" ? "study" : scope.level;
  if (attribute?.column === undefined || isOfOthers || name.includes(".") || isBelow(attribute.level, level)) {
    warnings.push(`${notMatched} ${keywordOf(tag)}.`);
    return [];
  }
  const match = matchOf(attribute, value);
  return match ? [{ level: attribute.level, column: attribute.column, match }] : [];
}
