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

export interface RunOptions {
  /** Whether the statement is one of a few forms that come again and again. */
  readonly prepared?: boolean;
  /** Cancels it, at PostgreSQL as well. */
  readonly signal?: AbortSignal | undefined;
}

/** The rows of `sql`. */
export async function run<Row>(knex: Knex, sql: Sql, options: RunOptions = {}): Promise<readonly Row[]> {
  const name = options.prepared && !refused.has(knex) ? nameOf(sql.text) : undefined;
  try {
    return await ask<Row>(knex, sql, name, options.signal);
  } catch (error) {
    if (name === undefined || !refusal.test(codeOf(error))) throw error;
    refused.add(knex);
    return ask<Row>(knex, sql, undefined, options.signal);
  }
}

async function ask<Row>(knex: Knex, sql: Sql, name?: string, signal?: AbortSignal): Promise<readonly Row[]> {
  const raw = knex.raw<{ readonly rows: readonly Row[] }>(sql.text, boundValues(sql));
  const query = name === undefined ? raw : raw.options({ name });
  if (!signal) return (await query).rows;
  const connection: unknown = await knex.client.acquireConnection();
  let cancelled: Promise<unknown> | undefined;
  const cancel = () => {
    cancelled = knex.client.cancelQuery(connection);
    cancelled?.catch(() => undefined);
  };
  signal.addEventListener("abort", cancel, { once: true });
  try {
    signal.throwIfAborted();
    return (await query.connection(connection)).rows;
  } finally {
    signal.removeEventListener("abort", cancel);
    // What comes next on the connection is not to be cancelled in its place.
    await cancelled?.catch(() => undefined);
    await knex.client.releaseConnection(connection);
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
