/** Runs statements; those of a few forms are prepared once a connection, which saves PostgreSQL their planning. */
import { createHash } from "node:crypto";
import type { Knex } from "knex";
import { boundValues, type Sql } from "./catalog-sql.ts";
import { codeOf } from "./error-code.ts";

/** Forms that are prepared at most: each takes memory in every connection. */
const mostForms = 100;

/** The names of forms, by their text. The text has no value in it, and is the same for all databases. */
const names = new Map<string, string>();

/**
 * What PostgreSQL says of a prepared statement that is not there, or there already, where a pooler has changed the
 * connection; or whose tables a newer version has changed.
 */
const refusal = /^(0A000|26000|42P05|08P01)$/;

/** Pools behind which statements do not stay prepared. */
const refused = new WeakSet<Knex>();

/**
 * The rows of `sql`.
 * @param prepared whether it is one of a few forms that come again and again
 */
export async function run<Row>(knex: Knex, sql: Sql, prepared = false): Promise<readonly Row[]> {
  const query = () => knex.raw<{ readonly rows: readonly Row[] }>(sql.text, boundValues(sql));
  const name = prepared && !refused.has(knex) ? nameOf(sql.text) : undefined;
  if (name === undefined) return (await query()).rows;
  try {
    return (await query().options({ name })).rows;
  } catch (error) {
    if (!refusal.test(codeOf(error))) throw error;
    refused.add(knex);
    return (await query()).rows;
  }
}

/** One name means one text, whichever process gives it: a pooler hands connections from one to another. */
function nameOf(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined || names.size >= mostForms) return known;
  const name = `noctis_${createHash("sha256").update(text).digest("hex").slice(0, 40)}`;
  names.set(text, name);
  return name;
}
