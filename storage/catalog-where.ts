/** The SQL of conditions: the tables are those of the level searched and of the levels above, by their names. */
import type { Knex } from "knex";
import type { Condition, Match, NameWord, RelatedCount } from "./catalog-match.ts";
import { containing, documentSql } from "./catalog-where-document.ts";
import { tagSql } from "./catalog-where-tag.ts";
import { all, any, boundValues, scalarSql, type Sql } from "./catalog-sql.ts";

/** `query` with what `sql` says. */
export function restricted(query: Knex.QueryBuilder, sql: Sql): Knex.QueryBuilder {
  return query.whereRaw(sql.text, boundValues(sql));
}

/** What `condition` says of the rows of the tables. */
export function conditionSql(condition: Condition): Sql {
  if ("nothing" in condition) return { text: "false", bindings: [] };
  if ("queryTag" in condition) return tagSql(condition);
  if ("modalitiesInStudy" in condition) return modalitySql(condition.modalitiesInStudy);
  if ("sopClassesInStudy" in condition) return sopClassSql(condition.sopClassesInStudy);
  if ("instanceAvailability" in condition) return scalarSql("'ONLINE'::text", condition.instanceAvailability);
  if ("related" in condition) return { text: related[condition.related], bindings: [condition.count] };
  if ("nameWords" in condition) return nameWordsSql(condition);
  if ("column" in condition) return scalarSql(`${condition.level}.${condition.column}`, condition.match);
  const { level, document } = condition;
  const found = documentSql(`${level}.attributes`, document);
  const parts = containing(document).map((part) => ({
    text: `${level}.attributes @> ?::jsonb`,
    bindings: [JSON.stringify(part)],
  }));
  return parts.length === 0 ? found : all([any(parts), found]);
}

function modalitySql(match: Match | "none"): Sql {
  if (match === "none") {
    return {
      text: `not exists (select from series as any_series
        where any_series.study_id = study.id and any_series.modality is not null)`,
      bindings: [],
    };
  }
  const { text, bindings } = scalarSql("any_series.modality", match);
  return {
    text: `exists (select from series as any_series where any_series.study_id = study.id and ${text})`,
    bindings,
  };
}

function sopClassSql(sopClassUids: readonly string[]): Sql {
  return {
    text: `exists (select from series as any_series join instance as any_instance
        on any_instance.series_id = any_series.id
      where any_series.study_id = study.id and any_instance.sop_class_uid = any (?::text[]))`,
    bindings: [sopClassUids],
  };
}

const related: Readonly<Record<RelatedCount, string>> = {
  studySeries: "study.id in (select study_id from series group by study_id having count(*) = ?)",
  studyInstances: "study.id in (select study_id from series group by study_id having sum(instance_count) = ?)",
  seriesInstances: "series.instance_count = ?",
};

function nameWordsSql({ level, nameWords, orWithoutKeys }: Extract<Condition, { nameWords: unknown }>): Sql {
  const found = all(nameWords.map((word) => nameWordSql(level, word)));
  return orWithoutKeys ? any([found, { text: `${level}.name_keys is null`, bindings: [] }]) : found;
}

function nameWordSql(level: string, { keys, patterns }: NameWord): Sql {
  const column = `${level}.name_keys`;
  const parts: Sql[] = [];
  if (keys.length > 0) parts.push({ text: `${column} && ?::text[]`, bindings: [keys] });
  if (patterns.length > 0) {
    const text = `exists (select from unnest(${column}) as name_key where name_key like any (?::text[]))`;
    parts.push({ text, bindings: [patterns] });
  }
  return any(parts);
}
