/** Pieces of SQL with their bindings: a value that must match, and how pieces are put together. */
import type { Knex } from "knex";
import type { Match } from "./catalog-match.ts";

/** Text with `?` for values, and these. What a client says is never part of the text. */
export interface Sql {
  readonly text: string;
  readonly bindings: readonly (string | number | null | readonly string[] | readonly number[])[];
}

/** The bindings as Knex takes them. */
export function boundValues({ bindings }: Sql): Knex.RawBinding[] {
  return bindings.map((value) => (typeof value === "object" && value !== null ? value.slice() : value));
}

/** One behind the other. */
export function sequence(...parts: readonly Sql[]): Sql {
  return {
    text: parts.map(({ text }) => text).join(""),
    bindings: parts.flatMap(({ bindings }) => bindings),
  };
}

/** Every one holds. */
export function all(parts: readonly Sql[]): Sql {
  return joined(parts, " and ", "true");
}

/** At least one holds. */
export function any(parts: readonly Sql[]): Sql {
  return joined(parts, " or ", "false");
}

function joined(parts: readonly Sql[], word: string, none: string): Sql {
  if (parts.length === 0) return { text: none, bindings: [] };
  return {
    text: `(${parts.map(({ text }) => text).join(word)})`,
    bindings: parts.flatMap(({ bindings }) => bindings),
  };
}

/** One value, SQL without bindings, is what `match` says. */
export function scalarSql(value: string, match: Match): Sql {
  if (match.kind === "equal") return { text: `${value} = ?`, bindings: [match.value] };
  if (match.kind === "anyOf") return { text: `${value} = any (?::text[])`, bindings: [match.values] };
  // One by one: only so does a pattern with a fixed beginning use an index.
  if (match.kind === "like") {
    return any(match.patterns.map((pattern) => ({ text: `${value} like ?`, bindings: [pattern] })));
  }
  if (match.kind === "name") return { text: `${value} ~* ?`, bindings: [match.regularExpression] };
  const bound = (operator: string, end: string | undefined): readonly Sql[] =>
    end === undefined ? [] : [{ text: `${value} ${operator} ?`, bindings: [end] }];
  return all([...bound(">=", match.from), ...bound("<=", match.to)]);
}
