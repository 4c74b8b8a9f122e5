/** Study match: the studies that a rule or a hold means, said as a search says it, and read without any leniency. */
import type { Condition } from "../../storage/catalog-match.ts";
import type { QueryTagState } from "../../storage/catalog-query-tags.ts";
import type { StudyMatch } from "../../storage/catalog-held.ts";
import { ArchiveError } from "../errors.ts";
import { tagOf } from "./attribute-name.ts";
import { neverMatched } from "./query-computed.ts";
import { parseQuery } from "./query.ts";

/** Parameters of a search that change which studies are found otherwise than by their attributes. */
const refused: ReadonlySet<string> = new Set([
  "limit",
  "offset",
  "orderby",
  "cursor",
  "count",
  "includefield",
  "fuzzymatching",
  "accept",
  "charset",
]);

const timezoneOffsetFromUtc = "00080201";

/**
 * The studies that `text` means: attributes of studies and of series, as in the URL of a search. An attribute that
 * would be passed over is refused, for what it should have kept apart would be matched.
 * @param queryTags attributes that are matched beside those of the table
 * @throws ArchiveError `invalid-query`, naming the parameter
 */
export function readStudyMatch(text: string, queryTags: readonly QueryTagState[] = []): StudyMatch {
  const conditions = readConditions(text, "series", queryTags);
  return {
    ofStudy: conditions.filter((condition) => !isOfSeries(condition)),
    ofSeries: conditions.filter(isOfSeries),
  };
}

/**
 * The instances that `text` means: attributes of studies, series and instances; as `readStudyMatch`.
 * @throws ArchiveError `invalid-query`, naming the parameter
 */
export function readInstanceMatch(text: string, queryTags: readonly QueryTagState[]): readonly Condition[] {
  return readConditions(text, "instance", queryTags);
}

function readConditions(
  text: string,
  level: "series" | "instance",
  queryTags: readonly QueryTagState[],
): readonly Condition[] {
  const parameters = [...new URLSearchParams(text)];
  for (const [name] of parameters) {
    if (refused.has(name))
      throw new ArchiveError("invalid-query", `${name} has no place in the query of a rule or hold.`);
    if (name.endsWith("matching")) continue;
    const tag = tagOf(name.split(".", 1)[0] ?? "", name);
    if (neverMatched.has(tag) && tag !== timezoneOffsetFromUtc) {
      throw new ArchiveError("invalid-query", `${name} is not matched by any search.`);
    }
  }
  const { search, warnings } = parseQuery({ level }, parameters, queryTags);
  const [warning] = warnings;
  if (warning !== undefined) throw new ArchiveError("invalid-query", warning);
  return search.conditions;
}

/** Whether `match` leaves no study out. */
export function isEverything({ ofStudy, ofSeries }: StudyMatch): boolean {
  return ofStudy.length + ofSeries.length === 0;
}

function isOfSeries(condition: Condition): boolean {
  if ("related" in condition) return condition.related === "seriesInstances";
  return "level" in condition && condition.level === "series";
}
