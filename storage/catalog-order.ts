/** The order of a search, and the condition that goes on behind a match of it (keyset paging). */
import type { Level } from "./catalog-match.ts";
import type { ColumnValue } from "./catalog-records.ts";

/** One key of an order. Nulls come last, whichever way it goes. */
export interface OrderKey {
  readonly level: Level;
  readonly column: string;
  readonly descending: boolean;
}

/** Keys from the first to the last; the last one is unique, or the ones before it make it so. */
export type Order = readonly OrderKey[];

/** The values of the keys of one match, in the order of the keys. */
export type Position = readonly ColumnValue[];

/** The text of an `order by`. Columns are of the archive's own table, never a client's. */
export function orderSql(order: Order): string {
  return order.map((key) => `${nameOf(key)} ${key.descending ? "desc" : "asc"}${nullsOf(key)}`).join(", ");
}

/** The text of an expression that gives the `Position` of a row: dates and times come out of JSON as they go back in. */
export function positionSql(order: Order): string {
  return `jsonb_build_array(${order.map(nameOf).join(", ")})`;
}

/**
 * The condition that a row lies behind `position`, as SQL and its bindings: equal in the keys up to some one, and
 * beyond it there.
 */
export function behindSql(order: Order, position: Position): [sql: string, bindings: ColumnValue[]] {
  const equal: string[] = [];
  const bound: ColumnValue[] = [];
  const alternatives: string[] = [];
  const bindings: ColumnValue[] = [];
  for (const [index, key] of order.entries()) {
    const name = nameOf(key);
    const value = position[index] ?? null;
    if (value === null) {
      // Nulls come last: what lies behind one is null here, too, and the next keys tell.
      equal.push(`${name} is null`);
      continue;
    }
    const beyond = `${name} ${key.descending ? "<" : ">"} ?`;
    alternatives.push([...equal, isId(key) ? beyond : `(${beyond} or ${name} is null)`].join(" and "));
    bindings.push(...bound, value);
    equal.push(`${name} = ?`);
    bound.push(value);
  }
  return [`(${alternatives.join(" or ") || "false"})`, bindings];
}

/**
 * A condition that most rows behind `position` meet, and all rows that do come before those that do not: the first key
 * has a value from that of `position` on. An index finds them without passing over what lies before. Undefined when
 * there are none.
 */
export function nearlyBehindSql([key]: Order, [value]: Position): [sql: string, bindings: ColumnValue[]] | undefined {
  if (!key || value === null || value === undefined) return undefined;
  return [`${nameOf(key)} ${key.descending ? "<=" : ">="} ?`, [value]];
}

/** An index of ids that descend has no word on nulls, of which there are none; with one it would not serve. */
function nullsOf(key: OrderKey): string {
  return isId(key) ? "" : " nulls last";
}

function isId({ column }: OrderKey): boolean {
  return column === "id";
}

function nameOf({ level, column }: OrderKey): string {
  return `${level}.${column}`;
}
