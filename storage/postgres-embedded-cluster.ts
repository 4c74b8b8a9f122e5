/** The files of the embedded PostgreSQL: its password, its cluster, and who runs it according to postmaster.pid. */
import { randomBytes } from "node:crypto";
import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { chmod, chown, link, mkdir, mkdtemp, open, readdir, readFile, readlink, realpath } from "node:fs/promises";
import { rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { ArchiveError } from "../server/errors.ts";
import { syncFolder } from "./disk.ts";
import { chooseLauncher, type Launcher } from "./postgres-embedded-account.ts";
import { findPrograms, type PostgresPrograms } from "./postgres-embedded-programs.ts";

/** Name of the role and the database that Noctis uses; the superuser is `postgres`. */
export const roleName = "noctis";

/** A cluster that exists on disk, and how to run it. */
export interface Cluster {
  /** PGDATA. */
  readonly dataFolder: string;
  /** Password of `postgres` and of `noctis`. */
  readonly password: string;
  readonly programs: PostgresPrograms;
  readonly launcher: Launcher;
}

/** The process that postmaster.pid names, and the port it listens on. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly ready: boolean;
}

/** Settings of a new cluster (postgresql.conf); an administrator may change them there. */
const initialSettings: Readonly<Record<string, string>> = {
  max_connections: "100",
  shared_buffers: "128MB",
  max_wal_size: "1GB",
  fsync: "on",
  synchronous_commit: "on",
  random_page_cost: "1.1",
  jit: "off",
  timezone: "UTC",
  log_timezone: "UTC",
};

/** A staging folder older than this (milliseconds) was left behind by a start that was killed. */
const staleAfter = 10 * 60_000;

/** Environment variables that a program of PostgreSQL gets; none of ours, which hold secrets. */
const passedVariables = ["PATH", "LD_LIBRARY_PATH", "SystemRoot", "TMP", "TEMP"];

/**
 * Makes sure that `folder` holds a password and an initialised cluster. The cluster appears by one rename, so a start
 * that is killed leaves nothing half made. Throws `database-unavailable`.
 */
export async function prepareCluster(folder: string): Promise<Cluster> {
  const programs = await findPrograms();
  await mkdir(folder, { recursive: true });
  const launcher = chooseLauncher(folder, path.dirname(programs.postgres));
  await giveTo(launcher, folder);
  await chmod(folder, 0o700);
  const dataFolder = path.join(folder, "cluster");
  const exists = await isCluster(dataFolder);
  const password = await readOrMakePassword(folder, exists, launcher);
  const cluster = { dataFolder, password, programs, launcher };
  await removeStaleStaging(folder);
  if (!exists) await initialise(folder, cluster);
  return cluster;
}

/** Starts a program of PostgreSQL under the right account, apart from our terminal and our environment. */
export function launch(
  cluster: Cluster,
  program: string,
  args: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  const [command = program, ...rest] = [...cluster.launcher.prefix, program, ...args];
  const passed = passedVariables.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return spawn(command, rest, {
    ...options,
    ...cluster.launcher.ids,
    cwd: path.parse(cluster.dataFolder).root,
    env: { ...Object.fromEntries(passed), LC_ALL: "C", TZ: "UTC" },
    detached: true,
    windowsHide: true,
  });
}

/** The live postmaster of the cluster; undefined when none runs. A pid file whose process is gone is set aside. */
export async function findPostmaster(cluster: Cluster): Promise<Postmaster | undefined> {
  const file = path.join(cluster.dataFolder, "postmaster.pid");
  const text = await readFile(file, "utf8").catch(() => "");
  // Lines of postmaster.pid (PostgreSQL, "Database File Layout"): pid, folder, start, port, socket, address, shm, status.
  const lines = text.split("\n");
  const [pid, port] = [Number(lines[0]), Number(lines[3])];
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined;
  if (await isOtherProgram(pid, cluster.dataFolder)) {
    // The number was given to another process since: PostgreSQL would refuse to start for as long as that one lives.
    await rm(file, { force: true });
    return undefined;
  }
  return { pid, port, ready: lines[7]?.trim() === "ready" };
}

/** Whether a process of this number exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** True only when it is certain: a postmaster's working folder is its data folder. */
async function isOtherProgram(pid: number, dataFolder: string): Promise<boolean> {
  const name = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => undefined);
  if (name === undefined) return false;
  if (name.trim() !== "postgres") return !["initdb", "setpriv"].includes(name.trim());
  const workingFolder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  return workingFolder !== undefined && workingFolder !== "/" && workingFolder !== (await realpath(dataFolder));
}

async function isCluster(dataFolder: string): Promise<boolean> {
  return stat(path.join(dataFolder, "PG_VERSION")).then(
    () => true,
    () => false,
  );
}

async function readOrMakePassword(folder: string, exists: boolean, launcher: Launcher): Promise<string> {
  const file = path.join(folder, "password");
  const present = await readFile(file, "utf8").catch(() => undefined);
  if (present === undefined && exists) {
    throw new ArchiveError(
      "database-unavailable",
      "The password file of the embedded PostgreSQL is missing or unreadable: restore it from a backup.",
    );
  }
  if (present === undefined) await makePassword(folder, file, launcher);
  await chmod(file, 0o600);
  return (present ?? (await readFile(file, "utf8"))).trim();
}

/** Written whole under another name and then linked: two that start together agree on one password. */
async function makePassword(folder: string, file: string, launcher: Launcher): Promise<void> {
  const draft = path.join(folder, `password-${randomBytes(6).toString("hex")}`);
  const handle = await open(draft, "wx", 0o600);
  try {
    await handle.writeFile(`${randomBytes(24).toString("hex")}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await giveTo(launcher, draft);
  await link(draft, file).catch((error: unknown) => ignore(error, "EEXIST"));
  await rm(draft, { force: true });
}

async function initialise(folder: string, cluster: Cluster): Promise<void> {
  const staging = await mkdtemp(path.join(folder, "new-"));
  try {
    await giveTo(cluster.launcher, staging);
    const settings = Object.entries(initialSettings).flatMap(([name, value]) => ["--set", `${name}=${value}`]);
    const pwfile = `--pwfile=${path.join(folder, "password")}`;
    const locale = ["--encoding=UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
    const authentication = ["--username=postgres", "--auth=scram-sha-256", pwfile];
    const common = ["--no-instructions", `--pgdata=${staging}`];
    await run(cluster, cluster.programs.initdb, [...common, ...locale, ...authentication, ...settings], "");
    const single = ["--single", "-D", staging, "-c", "log_min_error_statement=panic", "postgres"];
    await run(cluster, cluster.programs.postgres, single, rolesAndDatabases(cluster.password));
    await rename(staging, cluster.dataFolder).catch((error: unknown) => ignore(error, "ENOTEMPTY", "EEXIST"));
    await syncFolder(folder);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** Noctis works as a role without the superuser's rights; CREATEDB lets an administrator restore beside it. */
function rolesAndDatabases(password: string): string {
  return `create role ${roleName} login createdb password '${password}'\ncreate database ${roleName} owner ${roleName}\n`;
}

async function run(cluster: Cluster, program: string, args: readonly string[], input: string): Promise<void> {
  const child = launch(cluster, program, args, { stdio: ["pipe", "pipe", "pipe"] });
  const output: string[] = [];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => output.push(text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => output.push(text));
  child.stdin?.on("error", () => undefined).end(input);
  const code = await new Promise<number | string | null>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (status, signal) => resolve(status ?? signal));
  });
  const text = output.join("").replaceAll(cluster.password, "***");
  // A single-user PostgreSQL ends with status 0 even after a statement that failed.
  if (code === 0 && !/^.*(ERROR|FATAL|PANIC):/m.test(text)) return;
  throw new ArchiveError("database-unavailable", "The embedded PostgreSQL could not be initialised.", {
    cause: new Error(`${path.basename(program)} ended with ${code}: ${text.slice(-2000)}`),
  });
}

async function removeStaleStaging(folder: string): Promise<void> {
  const drafts = (await readdir(folder)).filter((name) => /^(new|password)-/.test(name));
  for (const name of drafts) {
    const draft = path.join(folder, name);
    const age = Date.now() - (await stat(draft).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
    if (age > staleAfter) await rm(draft, { recursive: true, force: true });
  }
}

async function giveTo(launcher: Launcher, file: string): Promise<void> {
  if (launcher.account !== undefined) await chown(file, launcher.account.uid, launcher.account.gid);
}

function ignore(error: unknown, ...codes: readonly string[]): void {
  if (error instanceof Error && "code" in error && codes.includes(String(error.code))) return;
  throw error;
}
