/** Conditions of a search, and the SQL that they become. */
import type { Knex } from "knex";

/** Levels of the catalog: a table each. */
export type Level = "study" | "series" | "instance";

/** A condition on a column of one level. Patterns are of LIKE, with backslash as the escape. */
export type Match =
  | { readonly kind: "equal"; readonly value: string | number }
  | { readonly kind: "anyOf"; readonly values: readonly string[] }
  /** Case-insensitive. */
  | { readonly kind: "like"; readonly pattern: string }
  /** A regular expression (PostgreSQL's ARE) over `=Alphabetic=Ideographic=Phonetic=`, case-insensitive. */
  | { readonly kind: "name"; readonly regularExpression: string }
  /** Both ends included; one may be open. */
  | { readonly kind: "range"; readonly from?: string; readonly to?: string };

/** One thing that every match must meet. */
export type Condition =
  | { readonly level: Level; readonly column: string; readonly match: Match }
  /** Some series of the study has a modality that matches (PS3.4 C.3.4). */
  | { readonly modalitiesInStudy: Match };

/** `query` with `condition`; its tables are those of the level searched and of the levels above. */
export function meeting(knex: Knex, query: Knex.QueryBuilder, condition: Condition): Knex.QueryBuilder {
  if (!("modalitiesInStudy" in condition)) {
    return match(query, `${condition.level}.${condition.column}`, condition.match);
  }
  const some = knex("series as any_series").select(knex.raw("1")).whereRaw("any_series.study_id = study.id");
  return query.whereExists(match(some, "any_series.modality", condition.modalitiesInStudy));
}

function match(query: Knex.QueryBuilder, column: string, how: Match): Knex.QueryBuilder {
  if (how.kind === "equal") return query.where(column, how.value);
  if (how.kind === "anyOf") return query.whereIn(column, [...how.values]);
  if (how.kind === "like") return query.whereRaw("lower(??) like lower(?)", [column, how.pattern]);
  if (how.kind === "name") return query.whereRaw("?? ~* ?", [column, how.regularExpression]);
  return query.whereRaw(...bound(column, ">=", how.from)).whereRaw(...bound(column, "<=", how.to));
}

function bound(column: string, operator: ">=" | "<=", value: string | undefined): [sql: string, bindings: string[]] {
  return value === undefined ? ["true", []] : [`?? ${operator} ?`, [column, value]];
}
