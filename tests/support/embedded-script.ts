/** Runs an embedded PostgreSQL in a process of its own, for tests that kill, refuse or confine that process. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import path from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";

/** What became of the start. */
export interface EmbeddedScript {
  readonly child: ChildProcess;
  /** The connection string, or the sentence of the error. */
  readonly said: string;
  /** Resolves when the process has ended. */
  readonly exited: Promise<number | null>;
}

/** How to run it: another checkout, or behind another command (setpriv). */
export interface ScriptOptions {
  readonly checkout?: string;
  readonly prefix?: readonly string[];
}

const ownCheckout = path.resolve(import.meta.dirname, "../..");

/**
 * Starts PostgreSQL on `folder` in a new process and waits for what it says. It stops when its standard input closes,
 * on SIGINT after one more query, and after the test at the latest.
 */
export async function runEmbedded(
  t: TestContext,
  folder: string,
  options: ScriptOptions = {},
): Promise<EmbeddedScript> {
  const { checkout = ownCheckout, prefix = [] } = options;
  const script = path.join(checkout, path.relative(ownCheckout, fileURLToPath(import.meta.url)));
  const [command, ...args] = [...prefix, process.execPath, script, folder];
  assert.ok(command !== undefined);
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], detached: true });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  t.after(async () => {
    child.stdin.end();
    const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
    await exited;
    clearTimeout(timer);
  });
  const said = await new Promise<string>((resolve) => {
    child.stdout.setEncoding("utf8").once("data", (text: string) => resolve(text.trim()));
    child.once("exit", () => resolve("it ended without a word"));
  });
  return { child, said, exited };
}

const silent = () => undefined;

async function main(folder: string): Promise<void> {
  const { startEmbeddedPostgres } = await import("../../storage/postgres-embedded.ts");
  const { connectDatabase } = await import("../../storage/database.ts");
  const log = { debug: silent, info: silent, warn: silent, error: silent };
  const server = await startEmbeddedPostgres({ folder, log });
  process.once("SIGINT", () => {
    void (async () => {
      const knex = await connectDatabase({ url: server.connectionString });
      await knex.raw("select 1");
      await knex.destroy();
      await server.stop();
      process.exit(42);
    })();
  });
  process.stdout.write(`${server.connectionString}\n`);
  process.stdin.resume().once("close", () => void server.stop());
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] !== undefined) {
  await main(process.argv[2]).catch((error: unknown) => {
    process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
    if (process.env["TEST_VERBOSE"] === "1") process.stderr.write(`${inspect(error)}\n`);
  });
}
