/** Every table as it was at one moment, by COPY: any client of PostgreSQL can read it back. */
import type { Knex } from "knex";
import type { Client } from "pg";
import { to as copyTo } from "pg-copy-streams";
import { everyHeldSql } from "./catalog-objects.ts";
import { databaseError } from "./database-error.ts";
import { closeBeside, connectBeside, quoted } from "./raw-connection.ts";

/** A table and its columns, but for those that PostgreSQL computes. */
export interface TableShape {
  readonly name: string;
  readonly columns: readonly string[];
}

/** Where a sequence stands. */
export interface SequenceState {
  readonly name: string;
  /** Decimal: it may be larger than a number holds. */
  readonly lastValue: string;
  readonly isCalled: boolean;
}

/** What was at one moment, readable until it is closed. Every method throws ArchiveError `database-unavailable`. */
export interface DatabaseSnapshot {
  readonly takenAt: Date;
  /** Names of the migrations that made the schema. */
  readonly migrations: readonly string[];
  readonly tables: readonly TableShape[];
  /** At least as far as the rows of the snapshot. */
  readonly sequences: readonly SequenceState[];
  /** The rows of a table in the text format of COPY, a line each. */
  read(table: TableShape): AsyncIterable<Buffer>;
  /** The objects that rows need, each once, by key in the order of its bytes: key, SHA-256 in hexadecimal, bytes. */
  readObjects(): AsyncIterable<Buffer>;
  /** Whether the schema is still the one of the snapshot; when it is not, what was read may lack rows. */
  isCurrent(): Promise<boolean>;
  close(): Promise<void>;
}

/** What belongs to this database and its object store, and not to what is stored in them. */
export const unsavedTables: readonly string[] = [
  "migrations",
  "migrations_lock",
  "backup_run",
  "integrity_run",
  "integrity_fault",
];

const tablesSql = `
  select relname::text as name, array_agg(attname::text order by attnum) as columns
  from pg_class join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped and attgenerated = ''
  where relkind = 'r' and relpersistence = 'p' and relnamespace = current_schema()::regnamespace
    and relname <> all ($1)
  group by relname order by relname`;

const sequencesSql = `
  select sequencename as name, coalesce(last_value, start_value)::text as "lastValue", last_value is not null as "isCalled"
  from pg_sequences where schemaname = current_schema() and sequencename !~ ('^(' || array_to_string($1::text[], '|') || ')_') order by 1`;

const migrationsSql = "select name from migrations order by id";

/**
 * Opens a snapshot. One transaction keeps it; each table is read in a short one of its own that joins it, so that no
 * lock on a table outlives its reading: a long dump holds up nobody who waits for such a lock.
 */
export async function openSnapshot(knex: Knex): Promise<DatabaseSnapshot> {
  return databaseError(async () => {
    const keeper = await connectBeside(knex);
    try {
      // Until the connection closes.
      keeper.on("error", () => undefined);
      await keeper.query("begin isolation level repeatable read read only");
      const { rows } = await keeper.query<{ id: string; now: Date }>("select pg_export_snapshot() as id, now()");
      const [snapshot] = rows;
      if (!snapshot) throw new Error("a select returned nothing");
      const tables = await keeper.query<TableShape>(tablesSql, [unsavedTables]);
      const sequences = await keeper.query<SequenceState>(sequencesSql, [unsavedTables]);
      const migrations = await migrationNames(keeper);
      const read = (sql: string) => copyOut(knex, snapshot.id, sql);
      return {
        takenAt: snapshot.now,
        migrations,
        tables: tables.rows,
        sequences: sequences.rows,
        read: ({ name, columns }) => read(`copy ${quoted(name)} (${columns.map(quoted).join(", ")}) to stdout`),
        readObjects: () => read(`copy (${everyHeldSql()}) to stdout`),
        isCurrent: () =>
          databaseError(async () => {
            const now: { name: string }[] = await knex("migrations").orderBy("id").select("name");
            return now.map(({ name }) => name).join() === migrations.join();
          }),
        close: () => closeBeside(keeper),
      };
    } catch (error) {
      await closeBeside(keeper);
      throw error;
    }
  });
}

async function migrationNames(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(migrationsSql);
  return rows.map(({ name }) => name);
}

/** A reader that stops early, or a fault, ends the connection: in the middle of a COPY it is good for nothing else. */
async function* copyOut(knex: Knex, snapshotId: string, sql: string): AsyncGenerator<Buffer, void, undefined> {
  const client = await databaseError(() => connectBeside(knex));
  // What goes wrong is told by the stream as well.
  client.on("error", () => undefined);
  try {
    await databaseError(async () => {
      await client.query("begin isolation level repeatable read read only");
      await client.query(`set transaction snapshot '${snapshotId}'`);
    });
    const stream = client.query(copyTo(sql));
    // The end of the connection is told to it, also when nobody reads it any more.
    stream.on("error", () => undefined);
    const rows: AsyncIterator<Buffer> = stream[Symbol.asyncIterator]();
    while (true) {
      const next = await databaseError(() => rows.next());
      if (next.done === true) break;
      yield next.value;
    }
  } finally {
    await closeBeside(client);
  }
}
