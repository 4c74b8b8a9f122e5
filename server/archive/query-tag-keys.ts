/** Matching keys of attributes that are searchable by a query tag. */
import type { Condition } from "../../storage/catalog-match.ts";
import type { QueryTagState } from "../../storage/catalog-query-tags.ts";
import { ArchiveError } from "../errors.ts";
import { attributeByTag, type Level, type SearchLevel } from "./attributes.ts";
import { isBelow } from "./levels.ts";
import { computedKeys } from "./query-computed.ts";
import { dateTimeRange } from "./query-date-time.ts";
import { asksForEmpty, isUniversal, type Key, type MatchingRules } from "./query-key.ts";
import { matchesOf } from "./query-match.ts";
import { canonicalPath } from "./query-tag-path.ts";

/** The keys that query tags match, and those that they leave. */
export interface TaggedKeys {
  readonly conditions: readonly Condition[];
  readonly rest: readonly Key[];
  /** What a client should know, in words. */
  readonly warnings: readonly string[];
}

/** Whether searches of `level` match the attribute at `path` without a query tag. */
export function isMatchedByTable(level: Level, [tag = "", ...below]: readonly string[]): boolean {
  if (below.length === 0 && computedKeys.has(tag)) return true;
  const attribute = attributeByTag.get(tag);
  return attribute !== undefined && !isBelow(attribute.level, level);
}

/**
 * The conditions of those `keys` of a search of `level` that a tag of that level or of one above matches. A tag of the
 * study matches when any of its series has the value.
 * @throws ArchiveError `invalid-query`, naming the parameter
 */
export function matchQueryTags(
  level: SearchLevel,
  keys: readonly Key[],
  rules: MatchingRules,
  tags: readonly QueryTagState[],
): TaggedKeys {
  if (level === "patient" || tags.length === 0) return { conditions: [], rest: keys, warnings: [] };
  const inReach = tags.filter((tag) => !isBelow(tag.level, level));
  const found = keys.flatMap((key) => {
    const creator = isMatchedByTable(level, key.path) ? undefined : creatorKeyOf(key, keys);
    const tag = isMatchedByTable(level, key.path) ? undefined : tagOfKey(key, creator, inReach);
    return tag ? [{ key, creator, tag }] : [];
  });
  const used = new Set(found.flatMap(({ key, creator }) => [key, creator]));
  return {
    conditions: found.flatMap(({ key, tag }) => conditionsOf(key, tag, rules)),
    rest: keys.filter((key) => !used.has(key)),
    warnings: found.flatMap(({ key, tag }) => [...incomplete(key, tag), ...literal(key, tag, rules)]),
  };
}

/** Private Creator given as a key for the block of a private key, or for any of its group (PS3.18 8.3.4.1). */
function creatorKeyOf({ path }: Key, keys: readonly Key[]): Key | undefined {
  const step = path.find((tag) => canonicalPath([tag]).includes("x"));
  if (step === undefined) return undefined;
  const [group, block] = [step.slice(0, 4), step.slice(4, 6)];
  const creators = keys.filter((key) => key.path.length === 1 && key.path[0]?.startsWith(`${group}00`));
  return block === "xx" ? creators[0] : creators.find((key) => key.path[0]?.endsWith(block));
}

function tagOfKey(key: Key, creator: Key | undefined, tags: readonly QueryTagState[]): QueryTagState | undefined {
  const path = canonicalPath(key.path);
  const found = tags.filter((tag) => tag.path === path && (!creator || tag.privateCreator === creator.value.trim()));
  if (found.length < 2) return found[0];
  throw new ArchiveError(
    "invalid-query",
    `${key.name} is a query tag of several private creators: a key of the creator must say which is meant.`,
  );
}

function conditionsOf(key: Key, { id, level, vr }: QueryTagState, rules: MatchingRules): Condition[] {
  const base = { queryTag: id, level } as const;
  if (asksForEmpty(key, rules)) return [{ ...base, values: "empty" }];
  if (isUniversal(key)) return [];
  if (vr === "DT") {
    const { inUtc, match } = dateTimeRange(key.name, key.value, rules.zone);
    return [{ ...base, values: match, part: inUtc ? "utc" : "written" }];
  }
  return matchesOf(vr, key.name, key.value, rules.multipleValueMatching).map((match) => {
    // A value of 32 bits is not the number that is written, but the nearest one.
    if (vr !== "FL" || match.kind !== "equal") return { ...base, values: match };
    return { ...base, values: { kind: "equal", value: Math.fround(Number(match.value)) } };
  });
}

function incomplete({ name }: Key, { status, done, total }: QueryTagState): string[] {
  if (status === "ready") return [];
  const progress = total === null ? "it has not begun" : `${done} of ${total} instances are in it`;
  return [`The index of ${name} is not complete yet: ${progress}. Matches may be missing.`];
}

function literal({ name }: Key, { vr }: QueryTagState, { fuzzyMatching }: MatchingRules): string[] {
  if (vr !== "PN" || !fuzzyMatching) return [];
  return [`The fuzzymatching parameter is not supported for ${name}. Only literal matching has been performed.`];
}
