/** A whole server on a free port, over a database and a folder of its own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Knex } from "knex";
import { loadConfig } from "../../server/config.ts";
import { createLog } from "../../server/log.ts";
import { startServer } from "../../server/server.ts";
import { testDatabase } from "./postgres.ts";

export interface TestServer {
  /** Without a final slash. */
  readonly url: string;
  /** The rows behind it. */
  readonly knex: Knex;
  /** The objects behind it. */
  readonly objectFolder: string;
  /** Stops it and removes what it kept. */
  stop(): Promise<void>;
}

/** Starts it with the defaults, changed by `settings`. */
export async function startTestServer(settings: Readonly<Record<string, string>> = {}): Promise<TestServer> {
  const database = await testDatabase();
  const dataFolder = await mkdtemp(path.join(tmpdir(), "noctis-test-"));
  const config = loadConfig({ DATABASE_URL: database.url, DATA_DIR: dataFolder, HTTP_PORT: "0", ...settings });
  const server = await startServer(config, createLog(process.env["TEST_LOG_LEVEL"] ?? "silent"));
  return {
    url: server.url,
    knex: database.knex,
    objectFolder: path.join(dataFolder, "objects"),
    stop: async () => {
      await server.stop();
      await database.drop();
      await rm(dataFolder, { recursive: true, force: true });
    },
  };
}
