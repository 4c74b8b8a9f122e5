/** A whole server on a free port, over a database and a folder of its own. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Knex } from "knex";
import { loadConfig } from "../../server/config.ts";
import { createLog, type Log } from "../../server/log.ts";
import { startServer } from "../../server/server.ts";
import { testDatabase } from "./postgres.ts";

export interface TestServer {
  /** Without a final slash. */
  readonly url: string;
  /** Where its DIMSE door listens, on 127.0.0.1, as NOCTIS. */
  readonly dimsePort: number;
  /** Where it listens over TLS; 0 when it does not. */
  readonly dimseTlsPort: number;
  /** The rows behind it. */
  readonly knex: Knex;
  /** The objects behind it. */
  readonly objectFolder: string;
  /** Settings with which another server is a second one of the same archive. */
  readonly shared: Readonly<Record<"DATABASE_URL" | "DATA_DIR", string>>;
  /** Stops it and removes what it kept. Fails when a route has answered a status that it does not declare. */
  stop(): Promise<void>;
}

/** Starts it with the defaults, changed by `settings`. */
export async function startTestServer(settings: Readonly<Record<string, string>> = {}): Promise<TestServer> {
  const database = await testDatabase();
  const dataFolder = await mkdtemp(path.join(tmpdir(), "noctis-test-"));
  const config = loadConfig({
    DATABASE_URL: database.url,
    DATA_DIR: dataFolder,
    HTTP_PORT: "0",
    DIMSE_PORT: "0",
    ...settings,
  });
  const undeclared: unknown[] = [];
  const server = await startServer(config, watched(createLog(process.env["TEST_LOG_LEVEL"] ?? "silent"), undeclared));
  return {
    url: server.url,
    dimsePort: server.dimsePort ?? 0,
    dimseTlsPort: server.dimseTlsPort ?? 0,
    knex: database.knex,
    objectFolder: path.join(dataFolder, "objects"),
    shared: { DATABASE_URL: database.url, DATA_DIR: dataFolder },
    stop: async () => {
      await server.stop();
      await database.drop();
      await rm(dataFolder, { recursive: true, force: true });
      assert.deepEqual(undeclared, [], "every answered status is declared in server/http/routes.ts");
    },
  };
}

/** `log`, whose reports of a status that its route does not declare are kept in `undeclared`. */
function watched(log: Log, undeclared: unknown[]): Log {
  const error = (fields: object, message?: string) => {
    if ("undeclared" in fields) undeclared.push(fields);
    log.error(fields, message);
  };
  return {
    debug: (fields: object, message?: string) => log.debug(fields, message),
    info: (fields: object, message?: string) => log.info(fields, message),
    warn: (fields: object, message?: string) => log.warn(fields, message),
    error,
  };
}
