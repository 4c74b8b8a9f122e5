/** The connection to PostgreSQL: one Knex pool. */
import knexModule, { type Knex } from "knex";
import { types, type Client } from "pg";
import { ArchiveError } from "../server/errors.ts";
import { codeOf } from "./error-code.ts";
import type { StorageLog } from "./log.ts";
import { createSilenceWatch } from "./silence.ts";

/** What `connectDatabase` needs. */
export interface DatabaseOptions {
  /** `postgresql://user:password@host:port/database`. */
  readonly url: string;
  /** Connections at most; default 10. Two at least: `migrate` holds one and works with another. */
  readonly poolSize?: number;
  /** Longest run of one statement, in milliseconds; default one minute; 0: none. */
  readonly statementTimeout?: number;
  /** What is granted beyond that before a connection counts as dead, in milliseconds; default 10 seconds. */
  readonly silenceTimeout?: number;
  /** What the connections call themselves; default `noctis`, which a restore takes for a server. */
  readonly applicationName?: string;
  /** Hears of connections that fail later; none: nobody does. */
  readonly log?: StorageLog;
}

/** How long (milliseconds) to wait for a new connection, and for a free one of the pool. */
const connectTime = 5000;

/** How long (milliseconds) the answer of the server may take on its way beyond the limit of the statement. */
const travelTime = 10_000;

/** What the server or the system says of a connection that failed, in words. */
const connectionFaults: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refuses the connection",
  ENOTFOUND: "has no such host",
  "28000": "does not let this user in",
  "28P01": "refuses the user name or the password",
  "3D000": "does not exist",
  "42501": "does not let this user in",
  "53300": "has no free connection",
  "57P03": "is starting up or shutting down",
};

/**
 * A pool whose database has answered. Integers of 8 bytes arrive as numbers where a number holds them exactly, else as
 * strings. Rejects with `database-unavailable` within seconds when the database does not answer; the sentence names the
 * server and the database, never the password.
 */
export async function connectDatabase(options: DatabaseOptions): Promise<Knex> {
  const { url, poolSize = 10, statementTimeout = 60_000, silenceTimeout = travelTime, log } = options;
  const { applicationName = "noctis" } = options;
  const name = databaseName(url);
  const watch = createSilenceWatch(statementTimeout + silenceTimeout);
  const knex = knexModule.knex({
    client: "pg",
    connection: {
      connectionString: url,
      application_name: applicationName,
      connectionTimeoutMillis: connectTime,
      statement_timeout: statementTimeout,
      keepAlive: true,
    },
    pool: { min: 0, max: Math.max(2, poolSize), afterCreate: prepareConnection(watch.add) },
    acquireConnectionTimeout: connectTime,
    // By default Knex writes to the console.
    log: {
      debug: () => undefined,
      deprecate: () => undefined,
      warn: (message: unknown) => log?.warn({ component: "database" }, String(message)),
      error: (message: unknown) => log?.warn({ component: "database" }, String(message)),
    },
  });
  if (statementTimeout > 0) watch.start(knex);
  try {
    await knex.raw("select 1");
    return knex;
  } catch (cause) {
    await knex.destroy();
    const fault = connectionFaults[codeOf(cause)] ?? "does not answer";
    throw new ArchiveError("database-unavailable", `The database ${name} ${fault}.`, { cause });
  }
}

/** `host:port/database`, which is safe to show. */
function databaseName(url: string): string {
  if (!/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url)) {
    throw new ArchiveError(
      "database-unavailable",
      "DATABASE_URL is not of the form postgresql://user:password@host:port/database.",
    );
  }
  const { hostname, port, pathname, searchParams } = new URL(url);
  return `${searchParams.get("host") ?? (hostname || "localhost")}:${port || "5432"}${pathname}`;
}

/** For this connection alone: the driver's own table of parsers is shared by the whole process. */
function prepareConnection(watch: (client: Client) => void) {
  return (client: Client, done: (error: Error | null, client: Client) => void): void => {
    client.setTypeParser(types.builtins.INT8, parseInt8);
    watch(client);
    done(null, client);
  };
}

function parseInt8(value: string): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
