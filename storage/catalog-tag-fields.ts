/** The SQL of values of query tags that a search answers, for each match that it has found. */
import type { Level } from "./catalog-match.ts";
import type { Sql } from "./catalog-sql.ts";

/** A tag whose values are answered, of a level at or above the one that is searched. */
export interface TagField {
  readonly id: number;
  readonly level: Level;
}

/** Distinct values of one tag that a match is answered with. */
const mostValues = 100;

const valuesOf: Readonly<Record<Level, string>> = {
  study: `from query_tag_value as of_tag join series as of_study on of_study.id = of_tag.series_id
    where of_study.study_id = found.study_key`,
  series: "from query_tag_value as of_tag where of_tag.series_id = found.series_key",
  instance: "from query_tag_value as of_tag where of_tag.instance_id = found.instance_key",
};

/** A JSON object: by the id of the tag its values in order, or null. */
export function tagFieldsSql(tags: readonly TagField[]): Sql {
  const parts = tags.map(
    ({ level }) => `?::text, (select jsonb_agg(value) from (
      select distinct value ${valuesOf[level]} and of_tag.tag_id = ? order by value limit ${mostValues}) as of_match)`,
  );
  return {
    text: `jsonb_build_object(${parts.join(", ")})`,
    bindings: tags.flatMap(({ id }) => [String(id), id]),
  };
}
