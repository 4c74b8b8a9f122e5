/** The SQL of conditions on query tags: some value of the entity that is searched, or none at all. */
import type { Level, TagCondition } from "./catalog-match.ts";
import { scalarSql, type Sql } from "./catalog-sql.ts";

/** The values of a tag of each level that belong to a match of that level, or of one below. */
const valuesOf: Readonly<Record<Level, string>> = {
  study: `from query_tag_value as of_tag join series as of_study on of_study.id = of_tag.series_id
    where of_study.study_id = study.id`,
  series: "from query_tag_value as of_tag where of_tag.series_id = series.id",
  instance: "from query_tag_value as of_tag where of_tag.instance_id = instance.id",
};

/** What is compared: a moment is kept as it is written, and behind that in UTC. */
const parts = { whole: "of_tag.value", written: "left(of_tag.value, 26)", utc: "substr(of_tag.value, 28)" } as const;

/** `condition` holds. Found by an index of (tag, value) where the match is exact, a range or has a fixed beginning. */
export function tagSql({ queryTag, level, values: wanted, part }: TagCondition): Sql {
  const values = `${valuesOf[level]} and of_tag.tag_id = ?`;
  if (wanted === "empty") return { text: `not exists (select ${values})`, bindings: [queryTag] };
  const found = scalarSql(parts[part ?? "whole"], wanted);
  return { text: `exists (select ${values} and ${found.text})`, bindings: [queryTag, ...found.bindings] };
}
