/** The PostgreSQL that Noctis runs itself, under the data folder, when it is given no DATABASE_URL. */
import type { ChildProcess } from "node:child_process";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { ArchiveError } from "../server/errors.ts";
import type { StorageLog } from "./log.ts";
import { findPostmaster, launch, prepareCluster, roleName, type Cluster } from "./postgres-embedded-cluster.ts";
import { evictOrphan, findLivingOwner, openOwnerSession, owned, takeOwnership } from "./postgres-embedded-owner.ts";

/** A running PostgreSQL. */
export interface EmbeddedPostgres {
  /** For `connectDatabase`; holds the password. The port stays the same until `stop`. */
  readonly connectionString: string;
  /** Shuts it down (open sessions are ended). May be called twice. */
  stop(): Promise<void>;
}

/** What `startEmbeddedPostgres` needs. */
export interface EmbeddedPostgresOptions {
  /** Folder of its own, made when absent. */
  readonly folder: string;
  readonly log: StorageLog;
  /** Settings of the server that override its configuration file; the tests turn fsync off. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Settings that are never the administrator's: reached over loopback only; no statement or value in the log. */
const fixedSettings: Readonly<Record<string, string>> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  logging_collector: "off",
  log_destination: "stderr",
  log_line_prefix: "",
  log_min_messages: "log",
  log_checkpoints: "off",
  log_min_error_statement: "panic",
  log_error_verbosity: "terse",
};

/** How long (milliseconds) a start may take; recovery after a crash replays the log. */
const startTime = 5 * 60_000;
/** Starts in a row that may fail: the first one then gives up; later ones, which a full disk may hinder, never do. */
const attempts = 5;
/** The longest pause (milliseconds) between two starts. */
const longestPause = 10_000;
/** A server that ran for so long (milliseconds) has its attempts back. */
const healthyAfter = 60_000;

/** A postmaster that is our child. */
interface Running {
  readonly child: ChildProcess;
  readonly port: number;
  readonly exited: Promise<void>;
  /** The last lines that it wrote, for the cause of a failure. */
  readonly lastLines: string[];
  /** Lines are ordinary while it starts and stops. */
  quiet: boolean;
}

/**
 * Starts PostgreSQL under `folder`, initialising it the first time, and keeps it running until `stop`. A cluster that a
 * killed process left running is stopped first. Throws `database-unavailable`: another Noctis uses the folder, the
 * platform has no PostgreSQL, or it does not start.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { folder, log, settings = {} } = options;
  const cluster = await prepareCluster(folder);
  const first = await claim(cluster, log, settings);
  const stopping = new AbortController();
  const supervised = supervise(cluster, log, settings, first, stopping.signal);
  return {
    connectionString: connectionStringOf(cluster, first.running.port),
    stop: async () => {
      stopping.abort();
      await supervised;
    },
  };
}

/**
 * The PostgreSQL of `folder` beside the server that runs it: `stop` leaves it running. When no server does, as
 * `startEmbeddedPostgres`. It goes away when that server stops.
 */
export async function joinEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const cluster = await prepareCluster(options.folder);
  const ofServer = await joined(cluster);
  if (ofServer) return ofServer;
  try {
    return await startEmbeddedPostgres(options);
  } catch (error) {
    // After a crash its server starts it again, and owns it a moment later.
    const restarted = await joined(cluster);
    if (restarted) return restarted;
    throw error;
  }
}

async function joined(cluster: Cluster): Promise<EmbeddedPostgres | undefined> {
  const postmaster = await findPostmaster(cluster);
  if (!postmaster?.ready || (await findLivingOwner(cluster, postmaster)) === undefined) return undefined;
  return { connectionString: connectionStringOf(cluster, postmaster.port), stop: async () => undefined };
}

function connectionStringOf(cluster: Cluster, port: number): string {
  return `postgresql://${roleName}:${cluster.password}@127.0.0.1:${port}/${roleName}`;
}

interface Claimed {
  readonly running: Running;
  readonly owner: Client;
}

/** Starts the cluster and takes its ownership; when two start together, one gets it and the other throws. */
async function claim(cluster: Cluster, log: StorageLog, settings: Readonly<Record<string, string>>): Promise<Claimed> {
  let failure: unknown;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    await awaitNoPostmaster(cluster);
    const running = start(cluster, await freePort(), log, settings);
    try {
      await awaitReady(cluster, running);
      return { running, owner: await own(cluster, running.port) };
    } catch (error) {
      failure = error;
      await end(running);
    }
  }
  throw failure;
}

async function awaitNoPostmaster(cluster: Cluster): Promise<void> {
  const until = Date.now() + startTime;
  while (Date.now() < until) {
    const postmaster = await findPostmaster(cluster);
    if (postmaster === undefined) return;
    await evictOrphan(cluster, postmaster);
    await sleep(50);
  }
  throw new ArchiveError("database-unavailable", "A PostgreSQL that runs on the data folder does not answer.");
}

async function own(cluster: Cluster, port: number): Promise<Client> {
  const session = await openOwnerSession(cluster, port);
  if (await takeOwnership(session)) return session;
  await session.end();
  throw owned(undefined);
}

function start(cluster: Cluster, port: number, log: StorageLog, settings: Readonly<Record<string, string>>): Running {
  const all = Object.entries({ ...settings, ...fixedSettings, port: String(port) });
  const args = ["-D", cluster.dataFolder, ...all.flatMap(([name, value]) => ["-c", `${name}=${value}`])];
  const child = launch(cluster, cluster.programs.postgres, args, { stdio: ["ignore", "ignore", "pipe"] });
  const running: Running = {
    child,
    port,
    exited: new Promise((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", () => resolve());
    }),
    lastLines: [],
    quiet: true,
  };
  if (child.stderr === null) return running;
  createInterface({ input: child.stderr }).on("line", (line) => {
    running.lastLines.push(line);
    if (running.lastLines.length > 20) running.lastLines.shift();
    log[running.quiet ? "debug" : "warn"]({ component: "postgres" }, line);
  });
  return running;
}

/** Waits until postmaster.pid says that our child accepts sessions. */
async function awaitReady(cluster: Cluster, running: Running): Promise<void> {
  const until = Date.now() + startTime;
  const exit = running.exited.then(() => "exited" as const);
  while (Date.now() < until) {
    const outcome = await Promise.race([exit, sleep(20)]);
    if (outcome === "exited") break;
    const postmaster = await findPostmaster(cluster);
    if (postmaster?.pid !== running.child.pid || !postmaster?.ready) continue;
    running.quiet = false;
    return;
  }
  throw new ArchiveError("database-unavailable", "The embedded PostgreSQL did not start.", {
    cause: new Error(running.lastLines.join("\n")),
  });
}

/** Keeps the server running on its port, and its ownership held, until the signal; then shuts it down. */
async function supervise(
  cluster: Cluster,
  log: StorageLog,
  settings: Readonly<Record<string, string>>,
  first: Claimed,
  signal: AbortSignal,
): Promise<void> {
  const stopped = new Promise<"stopped">((resolve) => signal.addEventListener("abort", () => resolve("stopped")));
  let { running, owner }: { running: Running; owner: Client | undefined } = first;
  let startedAt = Date.now();
  let failures = 0;
  while (!signal.aborted) {
    const dropped = owner === undefined ? sleep(500, "dropped" as const) : sessionEnd(owner);
    const exited = running.exited.then(() => "exited" as const);
    const event = await Promise.race([stopped, exited, dropped]);
    if (event === "stopped") break;
    // A session also drops because the server goes down: give that a moment to show.
    const down = event === "exited" || (await Promise.race([exited, sleep(200)])) === "exited";
    if (signal.aborted) break;
    if (!down) {
      owner = await own(cluster, running.port).catch(() => undefined);
      continue;
    }
    if (Date.now() - startedAt > healthyAfter) failures = 0;
    log.warn({ component: "postgres", failures }, "The embedded PostgreSQL ended unexpectedly and is started again.");
    if (failures === attempts) log.error({ component: "postgres" }, "The embedded PostgreSQL keeps ending.");
    await Promise.race([stopped, sleep(Math.min(100 * 2 ** failures, longestPause))]);
    if (signal.aborted) break;
    failures += 1;
    startedAt = Date.now();
    running = start(cluster, running.port, log, settings);
    // Owned at once: whoever found it without an owner would take it for left behind, and stop it.
    owner = await awaitReady(cluster, running).then(
      () => own(cluster, running.port).catch(() => undefined),
      () => end(running).then(() => undefined),
    );
  }
  await owner?.end().catch(() => undefined);
  await end(running);
}

async function sessionEnd(session: Client): Promise<"dropped"> {
  return new Promise((resolve) => session.once("end", () => resolve("dropped")));
}

/** Fast shutdown, then immediate, then by force. */
async function end(running: Running): Promise<void> {
  running.quiet = true;
  const exited = running.exited.then(() => true);
  for (const [signal, patience] of [
    ["SIGINT", 20_000],
    ["SIGQUIT", 5000],
    ["SIGKILL", 5000],
  ] as const) {
    if (running.child.exitCode !== null || running.child.signalCode !== null) return;
    running.child.kill(signal);
    const timer = new AbortController();
    const patienceOver = sleep(patience, false, { signal: timer.signal }).catch(() => false);
    const gone = await Promise.race([exited, patienceOver]);
    timer.abort();
    if (gone) return;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("A TCP server has no port.");
  return address.port;
}
