/** Brings the schema of the database up to the code: migrations/*.sql, each once, in order. */
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import type { Knex } from "knex";
import { ArchiveError } from "../server/errors.ts";
import { readRestoreState } from "./restore-state.ts";

/** Where the migrations stand: append-only files, applied in the order of their names. */
const migrationsFolder = path.resolve(import.meta.dirname, "../migrations");

/** Advisory lock (one bigint) that a migrating process holds: "migrate" in ASCII. */
const migrationLock = "30796665482998885";

const tableName = "migrations";

/** How to migrate. */
export interface MigrateOptions {
  /** Only these, which the schema of a backup has. */
  readonly only?: readonly string[];
  /** Whether a restore works on the database, and calls this. */
  readonly restoring?: boolean;
}

/**
 * Applies what is missing, each file in a transaction of its own, and tells the names of what was applied (file names
 * without `.sql`). Several processes may call it at once: one works, the others wait. Throws `database-unavailable` when
 * the database was written by newer code, or a restore has not ended; a migration that fails throws its own error and
 * leaves the earlier ones.
 */
export async function migrate(
  knex: Knex,
  folder: string = migrationsFolder,
  { only, restoring = false }: MigrateOptions = {},
): Promise<readonly string[]> {
  const names = (await migrationNames(folder)).filter((name) => only?.includes(name) ?? true);
  if (!restoring) await refuseHalfRestored(knex);
  const config: Knex.MigratorConfig = { tableName, migrationSource: sourceOf(folder, names) };
  return knex.transaction(async (holder) => {
    await holder.raw("set local statement_timeout = 0");
    await holder.raw("select pg_advisory_xact_lock(?)", [migrationLock]);
    await refuseNewer(knex, names);
    return applyAll(knex, config);
  });
}

/** One by one, so that a migration may use what an earlier one committed (a new value of an enumerated type). */
async function applyAll(knex: Knex, config: Knex.MigratorConfig): Promise<readonly string[]> {
  const applied: string[] = [];
  while (true) {
    const [, names]: [number, string[]] = await knex.migrate.up(config);
    if (names.length === 0) return applied;
    applied.push(...names);
  }
}

async function refuseNewer(knex: Knex, names: readonly string[]): Promise<void> {
  if (!(await knex.schema.hasTable(tableName))) return;
  const rows: { name: string }[] = await knex(tableName).select("name").orderBy("id");
  const unknown = rows.map((row) => row.name).filter((name) => !names.includes(name));
  if (unknown.length === 0) return;
  throw new ArchiveError(
    "database-unavailable",
    `The database was written by a newer Noctis (it has the migration ${unknown[0]}): start that version instead.`,
  );
}

async function refuseHalfRestored(knex: Knex): Promise<void> {
  const state = await readRestoreState(knex);
  if (state === undefined) return;
  const sentence = `The restore of the snapshot ${state.snapshot} has not ended: run noctis restore again.`;
  throw new ArchiveError("database-unavailable", sentence);
}

/** The migrations of this version, in order. */
export function knownMigrations(): Promise<readonly string[]> {
  return migrationNames(migrationsFolder);
}

async function migrationNames(folder: string): Promise<readonly string[]> {
  const files = await readdir(folder);
  return files
    .filter((file) => file.endsWith(".sql"))
    .map((file) => file.slice(0, -".sql".length))
    .sort();
}

/** Names are recorded without an extension, so that what is recorded does not depend on how the code is built. */
function sourceOf(folder: string, names: readonly string[]): Knex.MigrationSource<string> {
  return {
    getMigrations: async () => [...names],
    getMigrationName: (name) => name,
    getMigration: async (name) => {
      const sql = await readFile(path.join(folder, `${name}.sql`), "utf8");
      return { up: async (transaction) => apply(transaction, sql), down: refuseToGoBack };
    },
  };
}

async function apply(transaction: Knex, sql: string): Promise<void> {
  await transaction.raw("set local statement_timeout = 0");
  // Knex takes a bare `?` for a binding; in these files it is an operator of jsonb.
  await transaction.raw(sql.replaceAll("?", String.raw`\?`));
}

async function refuseToGoBack(): Promise<never> {
  throw new Error("Migrations go forward only.");
}
