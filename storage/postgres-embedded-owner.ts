/** Who owns a running cluster: the process whose session holds one advisory lock in it. */
import { stat } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { ArchiveError } from "../server/errors.ts";
import { isAlive, type Cluster, type Postmaster } from "./postgres-embedded-cluster.ts";

/** The advisory lock (one bigint) that the owner of the cluster holds; "noctis" in ASCII. */
const ownerLock = "121424688998771";

/** How long (milliseconds) a lock may be held by a session whose process is gone before that counts as owned. */
const releaseTime = 2000;

/** A cluster that started, or became ready, less than this ago (milliseconds) may have an owner that has not taken its lock yet. */
const claimTime = 2000;

/** A session of the superuser. The caller ends it. Throws the driver's error. */
export async function openOwnerSession(cluster: Cluster, port: number): Promise<Client> {
  const client = new Client({
    host: "127.0.0.1",
    port,
    user: "postgres",
    database: "postgres",
    password: cluster.password,
    application_name: `noctis ${process.pid}`,
    connectionTimeoutMillis: 5000,
    query_timeout: 5000,
    keepAlive: true,
  });
  // Without a listener, a session that drops would end this process.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

/** Takes the lock; false when another session holds it. */
export async function takeOwnership(session: Client): Promise<boolean> {
  const { rows } = await session.query<{ taken: boolean }>("select pg_try_advisory_lock($1) as taken", [ownerLock]);
  return rows[0]?.taken === true;
}

/**
 * Looks at a live postmaster. When its owner is dead it is stopped, under the lock, so that no one else takes it
 * meanwhile. Returns when the caller should look again; throws `database-unavailable` when another Noctis owns it.
 */
export async function evictOrphan(cluster: Cluster, postmaster: Postmaster): Promise<void> {
  if (!postmaster.ready) return;
  const session = await openOwnerSession(cluster, postmaster.port).catch(ignoreUnlessPasswordRefused);
  if (session === undefined) return;
  try {
    const until = Date.now() + releaseTime;
    while (!(await takeOwnershipOfOld(cluster, session))) {
      const owner = await findOwner(session);
      if (owner !== undefined && isAlive(owner)) throw owned(owner);
      if (Date.now() > until) throw owned(owner);
      await sleep(50);
    }
    await stopByNumber(postmaster.pid);
  } catch (error) {
    // Any other failure means that the cluster went away under the session.
    if (error instanceof ArchiveError) throw error;
  } finally {
    await session.end().catch(() => undefined);
  }
}

/** The process that owns a live postmaster; undefined when it is dead, or cannot be asked just now. */
export async function findLivingOwner(cluster: Cluster, postmaster: Postmaster): Promise<number | undefined> {
  const session = await openOwnerSession(cluster, postmaster.port).catch(ignoreUnlessPasswordRefused);
  if (session === undefined) return undefined;
  try {
    const owner = await findOwner(session);
    return owner !== undefined && isAlive(owner) ? owner : undefined;
  } finally {
    await session.end().catch(() => undefined);
  }
}

async function takeOwnershipOfOld(cluster: Cluster, session: Client): Promise<boolean> {
  return !(await wasStartedJustNow(cluster, session)) && (await takeOwnership(session));
}

/** A fast shutdown (SIGINT), then an immediate one (SIGQUIT): the next start recovers from the log. */
async function stopByNumber(pid: number): Promise<void> {
  for (const signal of ["SIGINT", "SIGQUIT"] as const) {
    process.kill(pid, signal);
    const until = Date.now() + 15_000;
    while (isAlive(pid) && Date.now() < until) await sleep(20);
    if (!isAlive(pid)) return;
  }
}

/** The one sentence for a folder that is in use. */
export function owned(pid: number | undefined): ArchiveError {
  const who = pid === undefined ? "" : ` (process ${pid})`;
  return new ArchiveError(
    "database-unavailable",
    `Another Noctis server${who} already uses the data folder: stop it first, or set DATA_DIR to another folder.`,
  );
}

async function findOwner(session: Client): Promise<number | undefined> {
  const { rows } = await session.query<{ name: string }>(
    `select application_name as name from pg_stat_activity join pg_locks using (pid)
     where locktype = 'advisory' and granted and (classid::bigint << 32 | objid::bigint) = $1`,
    [ownerLock],
  );
  const pid = Number(/^noctis (\d+)$/.exec(rows[0]?.name ?? "")?.[1]);
  return Number.isInteger(pid) ? pid : undefined;
}

/** By when it was started, and by when it became ready: recovery from a crash may take long in between. */
async function wasStartedJustNow(cluster: Cluster, session: Client): Promise<boolean> {
  const { rows } = await session.query<{ age: number }>(
    "select extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8 * 1000 as age",
  );
  const written = await stat(path.join(cluster.dataFolder, "postmaster.pid")).catch(() => undefined);
  const sinceReady = written === undefined ? 0 : Math.abs(Date.now() - written.mtimeMs);
  return Math.min(rows[0]?.age ?? 0, sinceReady) < claimTime;
}

/** A cluster that starts or stops is asked again; a refused password is final. */
function ignoreUnlessPasswordRefused(error: unknown): undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== "28P01") return undefined;
  throw new ArchiveError("database-unavailable", "The embedded PostgreSQL refused the password in its data folder.", {
    cause: error,
  });
}
