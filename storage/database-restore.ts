/** Puts a dump into an empty database: schema, rows, sequences; what is done is known when it is interrupted. */
import { setTimeout as sleep } from "node:timers/promises";
import { pipeline } from "node:stream/promises";
import type { Knex } from "knex";
import type { Client } from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { ArchiveError } from "../server/errors.ts";
import { databaseError } from "./database-error.ts";
import { type SequenceState, type TableShape, unsavedTables } from "./database-dump.ts";
import { knownMigrations, migrate } from "./migrate.ts";
import { closeBeside, connectBeside, quoted } from "./raw-connection.ts";
import { restoreTable, type RestoreState, readRestoreState } from "./restore-state.ts";

/** A table of a dump: its shape, how many rows it must have, and its rows in the text format of COPY. */
export interface DumpedTable extends TableShape {
  readonly rows: number;
  readonly read: () => AsyncIterable<Buffer>;
}

/** Rows to be restored. */
export interface Dump {
  /** Name of the snapshot. */
  readonly snapshot: string;
  readonly migrations: readonly string[];
  readonly tables: readonly DumpedTable[];
  readonly sequences: readonly SequenceState[];
}

/** Advisory lock (one bigint) of whoever restores: "restore" in ASCII. */
const restoreLock = "32199698071282277";

/** Looks for it: PostgreSQL takes a moment to notice that a restore has ended that was interrupted in the middle of a table. */
const attempts = 12;

/**
 * Makes the schema of the dump, fills it, and brings it up to the code. Goes on where an interrupted one of the same
 * snapshot stopped. When it resolves, the rows are there and `finishRestore` is still to be called, after the objects;
 * until then no archive opens on the database.
 * @throws ArchiveError `archive-not-empty`, `backup-newer`, `backup-damaged`, `database-unavailable`
 */
export async function restoreRows(knex: Knex, dump: Dump): Promise<RestoreState> {
  const known = await knownMigrations();
  const unknown = dump.migrations.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const sentence = `The snapshot was made by a newer Noctis (it has the migration ${unknown}): restore it with that version.`;
    throw new ArchiveError("backup-newer", sentence);
  }
  const client = await databaseError(() => connectBeside(knex));
  client.on("error", () => undefined);
  try {
    await databaseError(() => refuseCompany(client));
    const state = await databaseError(() => readRestoreState(knex));
    if (state?.snapshot !== dump.snapshot || !state.rowsDone) {
      if (state === undefined) await databaseError(() => refuseForeign(client).then(() => refuseRows(client)));
      await databaseError(() => begin(client, dump.snapshot));
      await migrate(knex, undefined, { only: dump.migrations, restoring: true });
      await fill(client, dump);
    }
    await migrate(knex, undefined, { restoring: true });
    const filled = await databaseError(() => readRestoreState(knex));
    if (filled === undefined) throw new ArchiveError("internal", "The restored rows are gone.");
    return filled;
  } finally {
    await closeBeside(client);
  }
}

/** Another restore, or a server, would write meanwhile. */
async function refuseCompany(client: Client): Promise<void> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const { rows } = await client.query<{ free: boolean; others: boolean }>(
      `select pg_try_advisory_lock(${restoreLock}) as free, exists (
         select 1 from pg_stat_activity
         where datname = current_database() and application_name = 'noctis') as others`,
    );
    const [{ free, others } = { free: false, others: true }] = rows;
    if (free && !others) return;
    if (others) break;
    await sleep(250);
  }
  const sentence = "Another Noctis uses the database: stop the server, and any other restore, first.";
  throw new ArchiveError("archive-not-empty", sentence);
}

/** What a server writes by itself, also when nobody uses it. */
const writtenUnasked: readonly string[] = [...unsavedTables, "sweep", "retention_run", "retention_removal"];

/** The schema is made anew: what another program has there must not go with it. */
async function refuseForeign(client: Client): Promise<void> {
  const { rows } = await client.query<{ tables: boolean; ours: boolean }>(
    `select exists (select 1 from pg_class where relkind in ('r', 'p', 'v', 'm', 'f')
         and relnamespace = current_schema()::regnamespace
         and not exists (select 1 from pg_depend where objid = pg_class.oid and deptype = 'e')) as tables,
       to_regclass('migrations') is not null and to_regclass('study') is not null as ours`,
  );
  if (rows[0]?.tables !== true || rows[0].ours) return;
  const sentence = "The database is that of another program: it has tables, and not those of an archive.";
  throw new ArchiveError("archive-not-empty", sentence);
}

/** Tables that can have one row alone have it in an archive that nobody has used yet. */
async function refuseRows(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select relname::text as name from pg_class
     where relkind = 'r' and relnamespace = current_schema()::regnamespace and relname <> all ($1)
       and not exists (select 1 from pg_attribute where attrelid = pg_class.oid and attname = 'only_row')
     order by relname`,
    [writtenUnasked],
  );
  for (const { name } of rows) {
    const { rowCount } = await client.query(`select 1 from ${quoted(name)} limit 1`);
    if (rowCount === 0) continue;
    const sentence = `The archive is not empty (the table ${name} has rows): a backup is restored into an empty one.`;
    throw new ArchiveError("archive-not-empty", sentence);
  }
}

/** Everything that migrations make goes, but for what an extension owns; what is begun is noted with it. */
async function begin(client: Client, snapshot: string): Promise<void> {
  await client.query("begin");
  await client.query(`
    do $$
    declare statement text;
    begin
      for statement in
        select format('drop %s if exists %I cascade',
          case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' else 'table' end, relname)
        from pg_class
        where relkind in ('r', 'p', 'v', 'm', 'S') and relnamespace = current_schema()::regnamespace
          and not exists (select 1 from pg_depend where objid = pg_class.oid and deptype = 'e')
        order by relkind = 'S'
      loop execute statement; end loop;
      for statement in
        select format('drop routine if exists %s cascade', oid::regprocedure) from pg_proc
        where pronamespace = current_schema()::regnamespace
          and not exists (select 1 from pg_depend where objid = pg_proc.oid and deptype = 'e')
      loop execute statement; end loop;
      for statement in
        select format('drop type if exists %I cascade', typname) from pg_type
        where typtype in ('e', 'd') and typnamespace = current_schema()::regnamespace
          and not exists (select 1 from pg_depend where objid = pg_type.oid and deptype = 'e')
      loop execute statement; end loop;
    end $$`);
  await client.query(restoreTable);
  await client.query("insert into restore_state (snapshot) values ($1)", [snapshot]);
  await client.query("commit");
}

/** All rows in one transaction, in which the number of each table is checked. */
async function fill(client: Client, { tables, sequences }: Dump): Promise<void> {
  await databaseError(async () => {
    await client.query("begin");
    // What migrations put there is in the dump as well.
    await client.query(`truncate ${tables.map(({ name }) => quoted(name)).join(", ")}`);
  });
  const order = await databaseError(() => byReference(client));
  for (const table of [...tables].sort((one, other) => order(one.name) - order(other.name))) {
    await fillTable(client, table);
  }
  await databaseError(async () => {
    for (const { name, lastValue, isCalled } of sequences) {
      await client.query("select setval($1::text::regclass, $2::bigint, $3)", [quoted(name), lastValue, isCalled]);
    }
    await client.query("update restore_state set rows_done = true");
    await client.query("commit");
    await client.query("analyze");
  });
}

async function fillTable(client: Client, { name, columns, rows, read }: DumpedTable): Promise<void> {
  const list = columns.map(quoted).join(", ");
  const table = quoted(name);
  await databaseError(async () => {
    await client.query(`alter table ${table} disable trigger user`);
    const copy = client.query(copyFrom(`copy ${table} (${list}) from stdin`));
    copy.on("error", () => undefined);
    await pipeline(read(), copy);
    await client.query(`alter table ${table} enable trigger user`);
    const counted = await client.query<{ count: string }>(`select count(*) from ${table}`);
    if (Number(counted.rows[0]?.count) === rows) return;
    throw new ArchiveError("backup-damaged", `The snapshot has another number of rows of ${name} than it says.`);
  });
}

/** A rank of tables: what others refer to comes first. */
async function byReference(client: Client): Promise<(name: string) => number> {
  const { rows } = await client.query<{ name: string; other: string }>(
    `select conrelid::regclass::text as name, confrelid::regclass::text as other from pg_constraint
     where contype = 'f' and conrelid <> confrelid and connamespace = current_schema()::regnamespace`,
  );
  const rank = (name: string, depth: number): number => {
    if (depth > rows.length) throw new ArchiveError("internal", "Tables of the schema refer to each other.");
    const ranks = rows
      .filter((row) => row.name === quotedIfNeeded(name))
      .map(({ other }) => rank(other, depth + 1) + 1);
    return Math.max(0, ...ranks);
  };
  return (name) => rank(name, 0);
}

/** As regclass writes it. */
function quotedIfNeeded(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : quoted(name);
}
