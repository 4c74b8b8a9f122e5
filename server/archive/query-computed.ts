/** Matching keys of attributes that no level keeps: they are counted or made. */
import type { Condition, RelatedCount } from "../../storage/catalog-match.ts";
import { computed, type Level } from "./attributes.ts";
import { asksForEmpty, type Key, type MatchingRules } from "./query-key.ts";
import { matchesOf } from "./query-match.ts";

/** PS3.4 C.2.2.2: Specific Character Set is never matched. Timezone Offset From UTC is that of the request. */
export const neverMatched: ReadonlySet<string> = new Set(["00080005", "00080201"]);

/** An attribute that is computed, and how it is matched. */
interface ComputedKey {
  /** The level of what is computed: searches of it and of those below match the key; those of patients match none. */
  readonly level: Level;
  readonly conditionsOf: (key: Key, rules: MatchingRules) => readonly Condition[];
}

/** By tag. */
export const computedKeys: ReadonlyMap<string, ComputedKey> = new Map<string, ComputedKey>([
  [computed.modalitiesInStudy, { level: "study", conditionsOf: modalities }],
  [computed.sopClassesInStudy, { level: "study", conditionsOf: sopClasses }],
  [computed.numberOfStudyRelatedSeries, { level: "study", conditionsOf: related("studySeries") }],
  [computed.numberOfStudyRelatedInstances, { level: "study", conditionsOf: related("studyInstances") }],
  [computed.numberOfSeriesRelatedInstances, { level: "series", conditionsOf: related("seriesInstances") }],
  [computed.instanceAvailability, { level: "study", conditionsOf: availability }],
  [computed.availableTransferSyntaxUid, { level: "instance", conditionsOf: transferSyntaxes }],
]);

function modalities(key: Key, rules: MatchingRules): readonly Condition[] {
  if (asksForEmpty(key, rules)) return [{ modalitiesInStudy: "none" }];
  return matchesOf("CS", key.name, key.value, rules.multipleValueMatching).map((modalitiesInStudy) => ({
    modalitiesInStudy,
  }));
}

function sopClasses(key: Key, rules: MatchingRules): readonly Condition[] {
  if (asksForEmpty(key, rules)) return [{ nothing: true }];
  return matchesOf("UI", key.name, key.value, rules.multipleValueMatching).map((match) =>
    match.kind === "anyOf" ? { sopClassesInStudy: match.values } : { nothing: true },
  );
}

function transferSyntaxes(key: Key, rules: MatchingRules): readonly Condition[] {
  if (asksForEmpty(key, rules)) return [{ nothing: true }];
  return matchesOf("UI", key.name, key.value, rules.multipleValueMatching).map((match) => ({
    level: "instance",
    column: "transfer_syntax_uid",
    match,
  }));
}

function related(what: RelatedCount): ComputedKey["conditionsOf"] {
  return (key, rules) => {
    if (asksForEmpty(key, rules)) return [{ nothing: true }];
    return matchesOf("IS", key.name, key.value, false).map((match) =>
      match.kind === "equal" ? { related: what, count: Number(match.value) } : { nothing: true },
    );
  };
}

function availability(key: Key, rules: MatchingRules): readonly Condition[] {
  if (asksForEmpty(key, rules)) return [{ nothing: true }];
  return matchesOf("CS", key.name, key.value, rules.multipleValueMatching).map((instanceAvailability) => ({
    instanceAvailability,
  }));
}
