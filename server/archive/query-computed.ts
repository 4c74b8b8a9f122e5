/** Matching keys of attributes that no level keeps: they are counted or made. */
import type { Condition, RelatedCount } from "../../storage/catalog-match.ts";
import { computed, type Level } from "./attributes.ts";
import { asksForEmpty, type Key, type MatchingRules } from "./query-key.ts";
import { matchesOf } from "./query-match.ts";

/** PS3.4 C.2.2.2: Specific Character Set is never matched. Timezone Offset From UTC is that of the request. */
export const neverMatched: ReadonlySet<string> = new Set(["00080005", "00080201"]);

/** The conditions of a key in a search of a level; undefined when that search does not match it. */
export type ComputedKey = (key: Key, level: Level, rules: MatchingRules) => readonly Condition[] | undefined;

/** By tag. A search of patients matches none of them. */
export const computedKeys: ReadonlyMap<string, ComputedKey> = new Map<string, ComputedKey>([
  [computed.modalitiesInStudy, modalities],
  [
    computed.sopClassesInStudy,
    (key, _level, rules) => uids(key, rules).map((values) => ({ sopClassesInStudy: values })),
  ],
  [computed.numberOfStudyRelatedSeries, (key, _level, rules) => related("studySeries", key, rules)],
  [computed.numberOfStudyRelatedInstances, (key, _level, rules) => related("studyInstances", key, rules)],
  [
    computed.numberOfSeriesRelatedInstances,
    (key, level, rules) => (level === "study" ? undefined : related("seriesInstances", key, rules)),
  ],
  [computed.instanceAvailability, availability],
  [
    computed.availableTransferSyntaxUid,
    (key, level, rules) =>
      level === "instance"
        ? uids(key, rules).map((values) => ({
            level,
            column: "transfer_syntax_uid",
            match: { kind: "anyOf", values },
          }))
        : undefined,
  ],
]);

function modalities(key: Key, _level: Level, rules: MatchingRules): readonly Condition[] {
  if (asksForEmpty(key, rules)) return [{ modalitiesInStudy: "none" }];
  return matchesOf("CS", key.name, key.value, rules.multipleValueMatching).map((modalitiesInStudy) => ({
    modalitiesInStudy,
  }));
}

function uids(key: Key, rules: MatchingRules): readonly (readonly string[])[] {
  return matchesOf("UI", key.name, key.value, rules.multipleValueMatching).flatMap((match) =>
    match.kind === "anyOf" ? [match.values] : [],
  );
}

function related(what: RelatedCount, key: Key, rules: MatchingRules): readonly Condition[] {
  if (asksForEmpty(key, rules)) return [{ nothing: true }];
  return matchesOf("IS", key.name, key.value, false).map((match): Condition =>
    match.kind === "equal" ? { related: what, count: Number(match.value) } : { nothing: true },
  );
}

function availability(key: Key, _level: Level, rules: MatchingRules): readonly Condition[] {
  if (asksForEmpty(key, rules)) return [{ nothing: true }];
  return matchesOf("CS", key.name, key.value, rules.multipleValueMatching).map((instanceAvailability) => ({
    instanceAvailability,
  }));
}
