/** A process that runs one PostgreSQL for the tests until its standard input closes, then removes its folder. */
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { startEmbeddedPostgres } from "../../storage/postgres-embedded.ts";

/** Nothing here outlives the tests, so nothing needs to survive a power cut. */
const fast = { fsync: "off", synchronous_commit: "off", full_page_writes: "off", max_connections: "200" };

const report = (_fields: unknown, message: string) => void process.stderr.write(`postgres: ${message}\n`);
const silent = () => undefined;
const folder = await mkdtemp(path.join(os.tmpdir(), "noctis-postgres-"));
const server = await startEmbeddedPostgres({
  folder: path.join(folder, "postgres"),
  log: { debug: silent, info: silent, warn: report, error: report },
  settings: fast,
});
process.stdout.write(`${server.connectionString}\n`);
process.stdin.resume().once("close", () => void finish());

async function finish(): Promise<void> {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}
