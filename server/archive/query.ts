/** Query: what a client asks of a search, parsed and checked once for both doors. */
import type { Condition } from "../../storage/catalog-match.ts";
import type { QueryTagState } from "../../storage/catalog-query-tags.ts";
import type { Search } from "../../storage/catalog-search.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { keywordOf, shown, tagOf } from "./attribute-name.ts";
import { computed, type Level, relatedAttributes, type SearchLevel } from "./attributes.ts";
import { deepestField, type IncludedFields, includedFields } from "./included-fields.ts";
import { checkedKey, type Key, type MatchingRules, mostKeys, zoneOf } from "./query-key.ts";
import { matchKeys } from "./query-keys.ts";
import { tagsAt } from "./query-tag-fields.ts";
import { matchQueryTags } from "./query-tag-keys.ts";
import { canonicalPath } from "./query-tag-path.ts";
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
  readonly included: IncludedFields;
  /** Query tags whose values are answered. */
  readonly tagFields: readonly QueryTagState[];
  /** Whether query tags may have what was asked for, beyond what the catalog keeps for every search. */
  readonly passedOver: boolean;
  /** What was asked for and is not done, in words: for a Warning header (PS3.18 8.3.4). */
  readonly warnings: readonly string[];
}

/** What a search asks for, whichever door it comes through. */
export interface QueryRequest {
  readonly keys: readonly Key[];
  readonly rules: MatchingRules;
  readonly paging: Paging;
  /** Paths of attributes to be answered; a matching key is one of them as well. */
  readonly wanted: readonly (readonly string[])[];
  /** What is answered beside them: what PS3.18 10.6.3.3 has for the level, everything that is kept of it, or nothing. */
  readonly unasked: "defaults" | "all" | "nothing";
}

/** Attribute name (keyword or tag) and value, in the order of the request. */
export type QueryParameters = Iterable<readonly [name: string, value: string]>;

export const notMatched = "The attribute is not matched by this search, and was passed over:";
const notAnswered = "The attribute is not answered by this search, and was left out:";
export const literalNames =
  "The fuzzymatching parameter is not supported for items of sequences. Only literal matching has been performed.";

/** Parameters that say how keys are matched (PS3.18 8.3.4.2, 8.3.4.5, 8.3.4.6). */
const matchingParameters = ["fuzzymatching", "emptyvaluematching", "multiplevaluematching"] as const;
const timezoneOffsetFromUtc = "00080201";

/** The parameters of a search, checked whole before anything is looked for; see `makeQuery`. */
export function parseQuery(
  scope: SearchScope,
  parameters: QueryParameters,
  queryTags: readonly QueryTagState[] = [],
): Query {
  return makeQuery(scope, readParameters(scope.level, parameters), queryTags);
}

/** What the parameters of a search ask for. @throws ArchiveError `invalid-query`, naming the parameter */
export function readParameters(level: SearchLevel, parameters: QueryParameters): QueryRequest {
  const all = [...parameters];
  const { keys, rules, wanted } = readKeys(all);
  return {
    keys,
    rules,
    paging: parsePaging(level, all),
    wanted: wanted.filter((field) => field !== "all").map(includedPath),
    unasked: wanted.includes("all") ? "all" : "defaults",
  };
}

function includedPath(field: string): readonly string[] {
  const path = pathOf(field, "includefield");
  if (path.length <= deepestField) return path;
  throw new ArchiveError("invalid-query", "includefield goes into too many sequences.");
}

/**
 * The query that `request` is.
 * @param queryTags attributes that are matched beside those of the table
 * @throws ArchiveError `invalid-query`, naming the key
 */
export function makeQuery(scope: SearchScope, request: QueryRequest, queryTags: readonly QueryTagState[] = []): Query {
  const { keys, rules, paging, wanted } = request;
  const tagged = matchQueryTags(scope.level, keys, rules, queryTags);
  const matched = matchKeys(scope.level, tagged.rest, rules);
  // A matching key is a return key as well (PS3.18 10.6.3.3).
  const paths = keys.map(({ path }) => path);
  const { included, unanswered } = includedFields(scope.level, wanted, paths, request.unasked);
  const tagFields = tagsAt(scope.level, [...paths, ...wanted], queryTags);
  const answered = new Set(tagFields.map(({ path }) => path.split(".", 1)[0]));
  return {
    scope,
    included,
    paging,
    tagFields,
    passedOver: matched.unmatched.length + unanswered.length + included.ofMetadata.size > 0,
    warnings: [
      ...matched.unmatched.map((path) => `${notMatched} ${path}.`),
      ...tagged.warnings,
      ...(matched.literalNames ? [literalNames] : []),
      ...unanswered
        .filter((tag) => !answered.has(canonicalPath([tag])))
        .map((tag) => `${notAnswered} ${keywordOf(tag)}.`),
    ],
    search: {
      level: scope.level,
      conditions: [...scopeConditions(scope), ...matched.conditions, ...tagged.conditions],
      ...paging,
      related: request.unasked !== "nothing" || relatedAttributes.some((tag) => included.fields.has(tag)),
      sopClassesInStudy: included.fields.has(computed.sopClassesInStudy),
      metadata: included.ofMetadata.size > 0,
      tagFields,
    },
  };
}

/**
 * The keys among `parameters`, the rules for them, and the members of `includefield`; the rest is not looked at.
 * @throws ArchiveError `invalid-query`
 */
export function readKeys(parameters: readonly (readonly [name: string, value: string])[]): {
  readonly keys: readonly Key[];
  readonly rules: MatchingRules;
  readonly wanted: readonly string[];
} {
  const wanted: string[] = [];
  const keys = new Map<string, Key>();
  for (const [name, value] of parameters) {
    if (notKeys.has(name)) continue;
    if (name === "includefield") wanted.push(...listOf(value));
    else addKey(keys, name, value);
  }
  return { keys: [...keys.values()], rules: rulesOf(parameters, keys.get(timezoneOffsetFromUtc)), wanted };
}

/** Parameters that are read elsewhere; `accept` and `charset` by the door. */
const notKeys: ReadonlySet<string> = new Set([...pagingParameters, ...matchingParameters, "accept", "charset"]);

function pathOf(text: string, parameter: string): string[] {
  return text.split(".").map((part) => tagOf(part, parameter));
}

/** PS3.18 8.3.4.1: an attribute is not repeated. */
function addKey(keys: Map<string, Key>, name: string, value: string): void {
  const path = pathOf(name, name);
  const joined = path.join(".");
  if (keys.has(joined)) throw new ArchiveError("invalid-query", `${shown(name)} is given more than once.`);
  if (keys.size === mostKeys) throw new ArchiveError("invalid-query", `The query has more than ${mostKeys} keys.`);
  keys.set(joined, checkedKey({ name: name.slice(0, 128), path, value }, shown(name)));
}

function rulesOf(parameters: readonly (readonly [string, string])[], zone: Key | undefined): MatchingRules {
  const given = new Map(parameters);
  const flag = (name: (typeof matchingParameters)[number]) => {
    const value = given.get(name) ?? "false";
    if (value === "true" || value === "false") return value === "true";
    throw new ArchiveError("invalid-query", `${name} is neither true nor false.`);
  };
  return {
    fuzzyMatching: flag("fuzzymatching"),
    emptyValueMatching: flag("emptyvaluematching"),
    multipleValueMatching: flag("multiplevaluematching"),
    combinedDateTimes: true,
    zone: zoneOf(zone),
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
