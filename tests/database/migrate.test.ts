/** Migrations: once each, in order, by one process at a time; and what a connection says when there is none. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Knex } from "knex";
import { ArchiveError } from "../../server/errors.ts";
import { connectDatabase } from "../../storage/database.ts";
import { migrate } from "../../storage/migrate.ts";
import { testDatabase, type TestDatabase } from "../support/postgres.ts";

const files = {
  "0001-first.sql": "create table things (id int primary key, tags jsonb); create type colour as enum ('red');",
  "0002-second.sql": "-- is it there?\nalter type colour add value 'blue';",
  "0003-third.sql":
    "insert into things select 1, '{\"a\": 1}' where '{\"a\": 1}'::jsonb ? 'a' and 'blue'::colour is not null;",
};

describe("migrate", () => {
  it("applies each file once, in order, and records names without an extension", async (t) => {
    const { knex } = await emptyDatabase(t);
    const folder = await folderOf(t, files);
    const names = ["0001-first", "0002-second", "0003-third"];
    assert.deepEqual(await migrate(knex, folder), names);
    assert.deepEqual(await migrate(knex, folder), []);
    assert.deepEqual(await recorded(knex), names);
    assert.deepEqual(await knex("things").select("id", "tags"), [{ id: 1, tags: { a: 1 } }]);
  });

  it("applies what is new to a database that has the old", async (t) => {
    const { knex } = await emptyDatabase(t);
    await migrate(knex, await folderOf(t, { "0001-first.sql": files["0001-first.sql"] }));
    assert.deepEqual(await migrate(knex, await folderOf(t, files)), ["0002-second", "0003-third"]);
  });

  it("lets several processes start together on an empty database", async (t) => {
    const database = await emptyDatabase(t);
    const folder = await folderOf(t, {
      ...files,
      "0004-slow.sql": "select pg_sleep(0.3); create table slow (id int);",
    });
    const pools = await Promise.all(
      Array.from({ length: 4 }, () => connectDatabase({ url: database.url, poolSize: 2 })),
    );
    const applied = await Promise.all(pools.map((knex) => migrate(knex, folder)));
    assert.deepEqual(
      applied.map((names) => names.length).sort((one, other) => one - other),
      [0, 0, 0, 4],
    );
    for (const knex of pools) await knex.destroy();
  });

  it("keeps nothing of a migration that fails, and the earlier ones whole", async (t) => {
    const { knex } = await emptyDatabase(t);
    const broken = { ...files, "0002-second.sql": "create table half (id int); select 1 / 0;" };
    await assert.rejects(migrate(knex, await folderOf(t, broken)), /division by zero/);
    assert.deepEqual(await recorded(knex), ["0001-first"]);
    assert.equal(await knex.schema.hasTable("half"), false);
    assert.deepEqual(await migrate(knex, await folderOf(t, files)), ["0002-second", "0003-third"]);
  });

  it("refuses a database that newer code has written", async (t) => {
    const { knex } = await emptyDatabase(t);
    await migrate(knex, await folderOf(t, files));
    const older = await folderOf(t, { "0001-first.sql": files["0001-first.sql"] });
    await unavailable(migrate(knex, older), /written by a newer Noctis \(it has the migration 0002-second\)/);
  });

  it("gives the migrations of the repository to every test database", async (t) => {
    const database = await testDatabase();
    t.after(() => database.drop());
    assert.deepEqual(await migrate(database.knex), []);
  });
});

describe("connectDatabase", () => {
  it("gives integers of 8 bytes as numbers where a number holds them", async (t) => {
    const { knex } = await emptyDatabase(t);
    const sql =
      "select 9007199254740991::int8 as safe, -5::int8 as below, 9007199254740993::int8 as large, count(*) as count";
    const { rows }: { rows: unknown[] } = await knex.raw(sql);
    assert.deepEqual(rows, [{ safe: 9007199254740991, below: -5, large: "9007199254740993", count: 1 }]);
  });

  it("ends a statement that runs too long", async (t) => {
    const database = await emptyDatabase(t);
    const knex = await connectDatabase({ url: database.url, statementTimeout: 100 });
    t.after(() => knex.destroy());
    await assert.rejects(knex.raw("select pg_sleep(5)"), /statement timeout/);
  });

  it("works on after its idle connections were ended", async (t) => {
    const { knex } = await emptyDatabase(t);
    const own = "datname = current_database() and pid <> pg_backend_pid()";
    await Promise.all([knex.raw("select pg_sleep(0.05)"), knex.raw("select pg_sleep(0.05)")]);
    await knex.raw(`select pg_terminate_backend(pid) from pg_stat_activity where ${own}`);
    // The pool learns of it from the socket.
    await sleep(200);
    await Promise.all([knex.raw("select pg_sleep(0.05)"), knex.raw("select 2")]);
  });

  it("names the server and the database in one sentence, never the password", async (t) => {
    const { url } = await emptyDatabase(t);
    const { host } = new URL(url);
    const secret = "a-very-secret-password";
    const refused = new URL(url);
    refused.port = "1";
    refused.password = secret;
    await unavailable(
      connectDatabase({ url: refused.href }),
      /^The database 127\.0\.0\.1:1\/\w+ refuses the connection\.$/,
      secret,
    );
    const absent = new URL(url);
    absent.pathname = "/absent";
    await unavailable(
      connectDatabase({ url: absent.href }),
      new RegExp(`^The database ${host}/absent does not exist\\.$`),
    );
    await unavailable(connectDatabase({ url: `mysql://u:${secret}@h/d` }), /DATABASE_URL is not of the form/, secret);
  });
});

async function emptyDatabase(t: TestContext): Promise<TestDatabase> {
  const database = await testDatabase("empty");
  t.after(() => database.drop());
  return database;
}

async function folderOf(t: TestContext, contents: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "noctis-migrations-"));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, text] of Object.entries(contents)) await writeFile(path.join(folder, name), text);
  await writeFile(path.join(folder, "README.md"), "not a migration");
  return folder;
}

async function recorded(knex: Knex): Promise<string[]> {
  const rows: { name: string }[] = await knex("migrations").select("name").orderBy("id");
  return rows.map((row) => row.name);
}

async function unavailable(promise: Promise<unknown>, message: RegExp, secret?: string): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof ArchiveError, String(error));
    assert.equal(error.code, "database-unavailable");
    assert.match(error.message, message);
    if (secret !== undefined) assert.ok(!error.message.includes(secret));
    return true;
  });
}
