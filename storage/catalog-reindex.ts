/** The catalog's part of a reindex: which of the listed objects no row names, in the order in which they were stored. */
import type { Knex } from "knex";
import { isHeld } from "./catalog-objects.ts";
import { databaseError } from "./database-error.ts";

/** An object of a listing. */
export interface ListedObject {
  readonly key: string;
  /** Size in bytes. */
  readonly byteLength: number;
  readonly modifiedAt: Date;
  /** Of its bytes, in hexadecimal, as far as the listing tells. */
  readonly sha256: string | null;
}

/** One run at a time. Every method throws ArchiveError `database-unavailable`. */
export interface ReindexCatalog {
  /** Forgets what an earlier run has noted. */
  clear(): Promise<void>;
  /** Notes those objects that no row names and no sweep is about to remove; tells how many. */
  note(objects: readonly ListedObject[]): Promise<number>;
  /** How many are noted, and their bytes. */
  total(): Promise<{ readonly objects: number; readonly bytes: number }>;
  /** Of the noted objects behind `after` at most `limit`, the oldest first. One that has a row by now may be among them. */
  next(after: ListedObject | undefined, limit: number): Promise<readonly ListedObject[]>;
  /** Those of `keys` that no row names and no sweep is about to remove. */
  unheld(keys: readonly string[]): Promise<ReadonlySet<string>>;
}

/** The same over an open pool. */
export function createReindexCatalog(knex: Knex): ReindexCatalog {
  return {
    clear: () => databaseError(async () => await knex("reindex_object").truncate()),
    note: (objects) => databaseError(() => note(knex, objects)),
    total: () => databaseError(() => total(knex)),
    next: (after, limit) => databaseError(() => next(knex, after, limit)),
    unheld: (keys) => databaseError(() => unheld(knex, keys)),
  };
}

/** An SQL condition: nothing needs the object whose key is `column`, and it is not on its way out either. */
function isUnheld(column: string): string {
  return `not ${isHeld(column)} and not exists (select 1 from sweep where sweep.blob_key = ${column})`;
}

async function note(knex: Knex, objects: readonly ListedObject[]): Promise<number> {
  const noted: { rowCount: number } = await knex.raw(
    `insert into reindex_object (blob_key, byte_length, modified_at, sha256)
     select blob_key, byte_length, modified_at, nullif(sha256, '')
     from unnest(?::text[], ?::bigint[], ?::timestamptz[], ?::text[])
       as listed (blob_key, byte_length, modified_at, sha256)
     where ${isUnheld("listed.blob_key")} on conflict do nothing`,
    [
      objects.map(({ key }) => key),
      objects.map(({ byteLength }) => byteLength),
      objects.map(({ modifiedAt }) => modifiedAt.toISOString()),
      objects.map(({ sha256 }) => sha256 ?? ""),
    ],
  );
  return noted.rowCount;
}

async function total(knex: Knex): Promise<{ objects: number; bytes: number }> {
  const counted: { objects: number; bytes: number } | undefined = await knex("reindex_object").first({
    objects: knex.raw("count(*)"),
    bytes: knex.raw("coalesce(sum(byte_length), 0)::bigint"),
  });
  return counted ?? { objects: 0, bytes: 0 };
}

async function next(knex: Knex, after: ListedObject | undefined, limit: number): Promise<ListedObject[]> {
  const where = after ? "where (modified_at, blob_key) > (?::timestamptz, ?)" : "";
  const { rows }: { rows: ListedObject[] } = await knex.raw(
    `select blob_key as key, byte_length as "byteLength", modified_at as "modifiedAt", sha256
     from reindex_object ${where} order by modified_at, blob_key limit ?`,
    [...(after ? [after.modifiedAt.toISOString(), after.key] : []), limit],
  );
  return rows;
}

async function unheld(knex: Knex, keys: readonly string[]): Promise<Set<string>> {
  const { rows }: { rows: { key: string }[] } = await knex.raw(
    `select key from unnest(?::text[]) as asked (key) where ${isUnheld("asked.key")}`,
    [[...keys]],
  );
  return new Set(rows.map(({ key }) => key));
}
