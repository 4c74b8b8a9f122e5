/** The embedded PostgreSQL: first start, restart, one owner, and recovery from every kind of sudden death. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ArchiveError } from "../../server/errors.ts";
import { connectDatabase } from "../../storage/database.ts";
import { startEmbeddedPostgres, type EmbeddedPostgres } from "../../storage/postgres-embedded.ts";
import { runEmbedded } from "../support/embedded-script.ts";

describe("embedded PostgreSQL", { concurrency: 3 }, () => {
  it("initialises at the first start, and keeps its data over restarts", async (t) => {
    const folder = await dataFolder(t);
    const first = await start(t, folder);
    await query(first.connectionString, "create table kept (name text)");
    await query(first.connectionString, "insert into kept values ('Ünïcode 山田')");
    await Promise.all([first.stop(), first.stop()]);
    await first.stop();
    const second = await start(t, folder);
    assert.deepEqual(await query(second.connectionString, "select name from kept"), [{ name: "Ünïcode 山田" }]);
    assert.deepEqual(await readdir(folder), ["cluster", "password"]);
    await second.stop();
  });

  it("keeps its password to its owner, and out of the process list", async (t) => {
    const folder = await dataFolder(t);
    const server = await start(t, folder);
    const file = path.join(folder, "password");
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const password = (await readFile(file, "utf8")).trim();
    const { pid } = await postmaster(folder);
    assert.doesNotMatch(await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""), new RegExp(password));
    await assert.rejects(connectDatabase({ url: server.connectionString.replace(password, "wrong") }), (error) => {
      assert.ok(error instanceof ArchiveError);
      assert.match(error.message, /^The database 127\.0\.0\.1:\d+\/noctis refuses the user name or the password\.$/);
      return true;
    });
    await server.stop();
  });

  it("is durable, sorts by code points, and gives Noctis no superuser", async (t) => {
    const server = await start(t, await dataFolder(t));
    const rows = await query(
      server.connectionString,
      `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit,
        current_setting('listen_addresses') as listens, current_setting('server_encoding') as encoding,
        'a' > 'B' as code_points, upper('é') as upper, usesuper as super from pg_user where usename = current_user`,
    );
    const expected = { fsync: "on", commit: "on", listens: "127.0.0.1", encoding: "UTF8", code_points: true };
    assert.deepEqual(rows, [{ ...expected, upper: "É", super: false }]);
    await server.stop();
  });

  it("refuses a second server on the folder, in this process and in another", async (t) => {
    const folder = await dataFolder(t);
    const server = await start(t, folder);
    const sentence = `Another Noctis server (process ${process.pid}) already uses the data folder: stop it first, or set DATA_DIR to another folder.`;
    const second = await runEmbedded(t, folder);
    assert.equal(second.said, sentence);
    await second.exited;
    // A server that has run for a while is not taken for an orphan either.
    await sleep(2500);
    await assert.rejects(start(t, folder), (error) => error instanceof ArchiveError && error.message === sentence);
    await query(server.connectionString, "select 1");
    await server.stop();
  });

  it("lets exactly one win when several start together", async (t) => {
    const folder = await dataFolder(t);
    const all = await Promise.all(Array.from({ length: 3 }, () => runEmbedded(t, folder)));
    const said = all.map((each) => each.said);
    assert.equal(said.filter((each) => each.startsWith("postgresql://")).length, 1, said.join("\n"));
    assert.equal(said.filter((each) => each.startsWith("Another Noctis server")).length, 2, said.join("\n"));
    for (const each of all) each.child.stdin?.end();
    await Promise.all(all.map((each) => each.exited));
  });

  it("recovers when its process was killed and PostgreSQL runs on", async (t) => {
    const folder = await dataFolder(t);
    const killed = await runEmbedded(t, folder);
    await query(killed.said, "create table kept as select 1 as one");
    killed.child.kill("SIGKILL");
    await killed.exited;
    const orphan = await postmaster(folder);
    process.kill(orphan.pid, 0);
    const server = await start(t, folder);
    assert.throws(() => process.kill(orphan.pid, 0), /ESRCH/);
    assert.deepEqual(await query(server.connectionString, "select one from kept"), [{ one: 1 }]);
    await server.stop();
  });

  it("recovers when everything was killed, even if the process number is in use again", async (t) => {
    const folder = await dataFolder(t);
    const killed = await runEmbedded(t, folder);
    await query(killed.said, "create table kept as select 1 as one");
    killed.child.kill("SIGKILL");
    const { pid } = await postmaster(folder);
    process.kill(pid, "SIGKILL");
    await killed.exited;
    await untilGone(pid);
    const other = spawn(process.execPath, ["-e", "setTimeout(() => undefined, 60_000)"]);
    await once(other, "spawn");
    const file = path.join(folder, "cluster", "postmaster.pid");
    const lines = (await readFile(file, "utf8")).split("\n");
    await writeFile(file, [String(other.pid), ...lines.slice(1)].join("\n"));
    const server = await start(t, folder);
    assert.deepEqual(await query(server.connectionString, "select one from kept"), [{ one: 1 }]);
    await server.stop();
    other.kill();
  });

  it("starts PostgreSQL again on the same port when it dies", async (t) => {
    const folder = await dataFolder(t);
    const warnings: string[] = [];
    const server = await start(t, folder, warnings);
    for (let round = 0; round < 2; round += 1) {
      const { pid } = await postmaster(folder);
      process.kill(pid, "SIGKILL");
      await untilGone(pid);
      await untilAnswers(server.connectionString);
    }
    assert.ok(warnings.some((line) => line.includes("ended unexpectedly")));
    await untilOwned(folder, server);
    const second = await runEmbedded(t, folder);
    assert.match(second.said, /^Another Noctis server/, "the ownership was taken again");
    await second.exited;
    await server.stop();
  });

  it("takes its ownership again when the session that held it is ended", async (t) => {
    const folder = await dataFolder(t);
    const server = await start(t, folder);
    const ended = await query(
      await superuserUrl(folder, server),
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'noctis _%'",
    );
    assert.equal(ended.length, 1);
    await sleep(500);
    await untilOwned(folder, server);
    const second = await runEmbedded(t, folder);
    assert.match(second.said, /^Another Noctis server/);
    await second.exited;
    await server.stop();
  });

  it("survives the terminal's SIGINT until it is stopped", async (t) => {
    const script = await runEmbedded(t, await dataFolder(t));
    assert.ok(script.child.pid !== undefined);
    process.kill(-script.child.pid, "SIGINT");
    assert.equal(await script.exited, 42, "the database answered after the signal");
  });
});

async function dataFolder(t: TestContext): Promise<string> {
  const parent = await mkdtemp(path.join(os.tmpdir(), "noctis-embedded-"));
  t.after(async () => {
    await killPostmaster(path.join(parent, "postgres"));
    await rm(parent, { recursive: true, force: true });
  });
  return path.join(parent, "postgres");
}

const silent = () => undefined;

async function start(t: TestContext, folder: string, warnings: string[] = []): Promise<EmbeddedPostgres> {
  const keep = (_fields: unknown, message: string) => void warnings.push(message);
  const server = await startEmbeddedPostgres({ folder, log: { debug: silent, info: silent, warn: keep, error: keep } });
  t.after(() => server.stop());
  return server;
}

async function superuserUrl(folder: string, server: EmbeddedPostgres): Promise<string> {
  const password = (await readFile(path.join(folder, "password"), "utf8")).trim();
  const url = server.connectionString.replace(/\/\/noctis:/, "//postgres:");
  assert.ok(url.includes(password));
  return url;
}

/** The ownership is taken by a session that is opened in the background, when PostgreSQL answers. */
async function untilOwned(folder: string, server: EmbeddedPostgres): Promise<void> {
  const url = await superuserUrl(folder, server);
  const owners = `select from pg_stat_activity join pg_locks using (pid)
    where application_name like 'noctis _%' and locktype = 'advisory' and granted`;
  for (let waited = 0; waited < 15_000; waited += 100) {
    if ((await query(url, owners)).length === 1) return;
    await sleep(100);
  }
  throw new Error("nobody has taken the ownership again");
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const knex = await connectDatabase({ url });
  try {
    const { rows }: { rows: unknown[] } = await knex.raw(sql);
    return rows;
  } finally {
    await knex.destroy();
  }
}

async function postmaster(folder: string): Promise<{ pid: number }> {
  const text = await readFile(path.join(folder, "cluster", "postmaster.pid"), "utf8");
  return { pid: Number(text.split("\n")[0]) };
}

/** A test that failed may have left one. */
async function killPostmaster(folder: string): Promise<void> {
  const { pid } = await postmaster(folder).catch(() => ({ pid: 0 }));
  const command = pid > 0 ? await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "") : "";
  if (command.includes(folder)) process.kill(pid, "SIGKILL");
}

async function untilGone(pid: number): Promise<void> {
  for (let waited = 0; waited < 10_000; waited += 20) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await sleep(20);
  }
  throw new Error(`process ${pid} is still there`);
}

async function untilAnswers(url: string): Promise<void> {
  for (let waited = 0; waited < 15_000; waited += 100) {
    const answered = await query(url, "select 1").then(
      () => true,
      () => false,
    );
    if (answered) return;
    await sleep(100);
  }
  throw new Error("the database does not answer again");
}
