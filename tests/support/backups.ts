/** Archives to back up and to restore into, and everything that they hold. */
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import type { Knex } from "knex";
import { type Archive, createArchive } from "../../server/archive/archive.ts";
import { createBackUp } from "../../server/archive/backup.ts";
import { parseKeepRule } from "../../server/archive/backup-keep.ts";
import { createLog } from "../../server/log.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import type { Blobs } from "../../storage/blobs.ts";
import { type Catalog, createCatalog } from "../../storage/catalog.ts";
import type { BackupCause } from "../../storage/catalog-backups.ts";
import { connectDatabase } from "../../storage/database.ts";
import { unsavedTables } from "../../storage/database-dump.ts";
import { instanceFile } from "./instances.ts";
import { testDatabase } from "./postgres.ts";

/** An archive without doors. */
export interface TestArchive {
  readonly databaseUrl: string;
  readonly knex: Knex;
  readonly blobs: Blobs;
  readonly catalog: Catalog;
  readonly archive: Archive;
}

/** A folder that is removed when the test ends. */
export async function freshFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "noctis-backup-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** An empty archive; on files unless it is given a store. */
export async function freshArchive(t: TestContext, store?: Blobs): Promise<TestArchive> {
  const database = await testDatabase();
  t.after(() => database.drop());
  const blobs = store ?? (await openFileBlobs({ folder: await freshFolder(t) }));
  const { knex } = database;
  const catalog = createCatalog(knex);
  return {
    databaseUrl: database.url,
    knex,
    blobs,
    catalog,
    archive: createArchive({ blobs, catalog, log: createLog("silent") }),
  };
}

/** A database without a schema, as a restore connects to it. */
export async function emptyDatabase(t: TestContext): Promise<Knex> {
  const database = await testDatabase("empty");
  await database.knex.destroy();
  const knex = await connectDatabase({ url: database.url, applicationName: "noctis restore" });
  t.after(async () => {
    await knex.destroy();
    await database.drop();
  });
  return knex;
}

/** Makes a backup; the rule is 7d4w12m, and `target` stays open. */
export function backUp(
  { blobs, catalog }: Pick<TestArchive, "blobs" | "catalog">,
  target: Blobs,
  signal: AbortSignal = new AbortController().signal,
  cause: BackupCause = "command",
) {
  const openTarget = async () => ({ ...target, close: async () => undefined });
  const make = createBackUp(blobs, catalog, createLog("silent"));
  return make({ openTarget, keep: parseKeepRule("7d4w12m"), cause, signal });
}

/** Stores an instance; gives its UIDs. */
export async function storeOne(
  { archive }: Pick<TestArchive, "archive">,
  attributes?: Parameters<typeof instanceFile>[0],
) {
  const file = instanceFile(attributes);
  const outcome = await archive.store(chunked(file.bytes));
  if (outcome.status !== "stored") throw new Error(`not stored: ${outcome.status}`);
  return file;
}

async function* chunked(bytes: Buffer) {
  yield bytes;
}

/** Every row of every table that a backup holds, as text, but for `except`. */
export async function everyRow(
  knex: Knex,
  except: readonly string[] = ["archive_state", "backup_source", "change_counter", "removal", "retention_run"],
) {
  const { rows: tables }: { rows: { name: string }[] } = await knex.raw(
    `select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
     and relname <> all (?) order by relname`,
    [[...unsavedTables, ...except]],
  );
  const all: Record<string, readonly string[]> = {};
  for (const { name } of tables) {
    const { rows }: { rows: { row: string }[] } = await knex.raw(`select t::text as row from ?? as t order by 1`, [
      name,
    ]);
    all[name] = rows.map(({ row }) => row);
  }
  return all;
}

/** SHA-256 of every object by its key. */
export async function everyObject(blobs: Blobs): Promise<Readonly<Record<string, string>>> {
  const all: Record<string, string> = {};
  for (const key of await keysOf(blobs)) {
    const hash = createHash("sha256");
    for await (const chunk of await blobs.get(key)) hash.update(chunk);
    all[key] = hash.digest("hex");
  }
  return all;
}

/** The keys that begin with `prefix`, in order. */
export async function keysOf(blobs: Blobs, prefix = ""): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of blobs.list(prefix)) keys.push(key);
  return keys.sort();
}
