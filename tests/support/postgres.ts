/** A fresh, migrated database for a test file: one PostgreSQL for the whole test process, one template. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Knex } from "knex";
import { connectDatabase } from "../../storage/database.ts";
import { migrate } from "../../storage/migrate.ts";

/** A database of its own. */
export interface TestDatabase {
  readonly url: string;
  readonly knex: Knex;
  /** Closes the pool and removes the database. Call it in an `after` hook. */
  drop(): Promise<void>;
}

interface TestServer {
  /** URL of a database in which others can be created. */
  readonly url: string;
  /** Name of the migrated database that others are copied from. */
  readonly template: string;
}

let shared: Promise<TestServer> | undefined;

/**
 * A database that no other test uses, with every migration applied; `empty` has none. The server is TEST_DATABASE_URL,
 * else an embedded PostgreSQL that is started at the first call and ends with the test process.
 */
export async function testDatabase(kind: "migrated" | "empty" = "migrated"): Promise<TestDatabase> {
  shared ??= startServer();
  const server = await shared;
  const name = freshName();
  const source = kind === "migrated" ? server.template : "template0";
  await onServer(server.url, `create database ${name} template ${source}`);
  const url = withDatabase(server.url, name);
  const knex = await connectDatabase({ url });
  return {
    url,
    knex,
    drop: async () => {
      await knex.destroy();
      await dropDatabase(server.url, name);
    },
  };
}

async function startServer(): Promise<TestServer> {
  const url = process.env["TEST_DATABASE_URL"] ?? (await startHolder());
  const template = freshName();
  await onServer(url, `create database ${template}`);
  const knex = await connectDatabase({ url: withDatabase(url, template) });
  try {
    await migrate(knex);
  } finally {
    await knex.destroy();
  }
  if (process.env["TEST_DATABASE_URL"] !== undefined) removeAtExit(url, template);
  return { url, template };
}

/** In a process of its own, which ends when ours does, however that happens. */
async function startHolder(): Promise<string> {
  const script = path.join(import.meta.dirname, "postgres-holder.ts");
  const child = spawn(process.execPath, [script], { stdio: ["pipe", "pipe", "inherit"], detached: true });
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding("utf8").once("data", (text: string) => resolve(text.trim()));
    child.once("exit", (status) => reject(new Error(`The PostgreSQL of the tests did not start (status ${status}).`)));
  });
  child.removeAllListeners("exit");
  child.stdout.destroy();
  // Neither keeps the tests running: the holder sees the end of its input when this process is gone.
  child.unref();
  if ("unref" in child.stdin && typeof child.stdin.unref === "function") child.stdin.unref();
  return url;
}

/** On a server that stays, the template must not. */
function removeAtExit(url: string, template: string): void {
  process.once("beforeExit", () => void onServer(url, `drop database if exists ${template}`));
}

/** An autovacuum worker cannot be ended by force: it is waited for. */
async function dropDatabase(url: string, name: string, attempts = 20): Promise<void> {
  try {
    await onServer(url, `drop database if exists ${name} with (force)`);
  } catch (error) {
    const isBusy = error instanceof Error && "code" in error && (error.code === "42501" || error.code === "55006");
    if (!isBusy || attempts <= 1) throw error;
    await sleep(250);
    await dropDatabase(url, name, attempts - 1);
  }
}

async function onServer(url: string, sql: string): Promise<void> {
  const knex = await connectDatabase({ url });
  try {
    await knex.raw(sql);
  } finally {
    await knex.destroy();
  }
}

function withDatabase(url: string, name: string): string {
  const copy = new URL(url);
  copy.pathname = `/${name}`;
  return copy.href;
}

function freshName(): string {
  return `noctis_test_${randomBytes(6).toString("hex")}`;
}
