/** The account that the embedded PostgreSQL runs under: PostgreSQL refuses to run as root. */
import { accessSync, constants, readFileSync, realpathSync, statSync } from "node:fs";
import path from "node:path";
import { ArchiveError } from "../server/errors.ts";

/** An unprivileged user and its group, by number. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** How to start a program of PostgreSQL. */
export interface Launcher {
  /** Who must own the data folder; undefined: the user of this process. */
  readonly account: Account | undefined;
  /** What stands in front of the program (empty, or setpriv and its options). */
  readonly prefix: readonly string[];
  /** For `spawn`, when the operating system alone can change the user. */
  readonly ids: { readonly uid?: number; readonly gid?: number };
}

/** CAP_SETPCAP of <linux/capability.h>: to set the bit below. */
const setCapabilities = 1n << 8n;

/** Capabilities that open a folder to a process that may not traverse it; bit numbers of <linux/capability.h>. */
const traversalCapabilities = [
  { name: "dac_read_search", bit: 2n },
  { name: "dac_override", bit: 1n },
] as const;

/**
 * Chooses the account for a data `folder` (which exists) and programs under `programFolder`. An ordinary user runs
 * PostgreSQL as itself. Root runs it under the owner of the folder, else under `postgres` or `nobody`; where that user
 * cannot reach one of the two folders, it gets the one capability for that through setpriv.
 * Throws `database-unavailable` when there is no way.
 */
export function chooseLauncher(folder: string, programFolder: string): Launcher {
  if (process.geteuid?.() !== 0) return { account: undefined, prefix: [], ids: {} };
  const account = ownerOf(folder) ?? ownerOf(path.dirname(folder)) ?? namedAccount();
  const reachable = [path.dirname(folder), programFolder].every((each) => canReach(each, account));
  if (reachable) return { account, prefix: [], ids: account };
  return { account, prefix: setprivPrefix(account), ids: {} };
}

function ownerOf(folder: string): Account | undefined {
  const { uid, gid } = statSync(folder);
  return uid === 0 ? undefined : { uid, gid };
}

/** `postgres`, else `nobody`, as /etc/passwd has them: initdb asks for the name of its user. */
function namedAccount(): Account {
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  const entries = lines.map((line) => line.split(":"));
  const entry = ["postgres", "nobody"].map((name) => entries.find((fields) => fields[0] === name)).find(Boolean);
  const [uid, gid] = [Number(entry?.[2]), Number(entry?.[3])];
  if (uid > 0 && Number.isInteger(gid)) return { uid, gid };
  throw new ArchiveError(
    "database-unavailable",
    "The embedded PostgreSQL refuses to run as root and there is no user `postgres` or `nobody` to run it under: " +
      "start Noctis as an ordinary user, or set DATABASE_URL.",
  );
}

/** Whether the account may traverse `folder` and every folder above it, by their mode bits. */
function canReach(folder: string, account: Account): boolean {
  const real = realpathSync(folder);
  const { mode, uid, gid } = statSync(real);
  const execute = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
  if ((mode & execute) === 0) return false;
  const above = path.dirname(real);
  return above === real || canReach(above, account);
}

function setprivPrefix(account: Account): readonly string[] {
  const setpriv = findSetpriv();
  const own = effectiveCapabilities();
  const capability = traversalCapabilities.find(({ bit }) => (own & (1n << bit)) !== 0n);
  if (setpriv === undefined || capability === undefined || (own & setCapabilities) === 0n) {
    throw new ArchiveError(
      "database-unavailable",
      "The embedded PostgreSQL refuses to run as root, and an unprivileged user cannot reach the data folder or " +
        "node_modules: open their parent folders (chmod o+x), install setpriv (util-linux), " +
        "start Noctis as an ordinary user, or set DATABASE_URL.",
    );
  }
  return [
    setpriv,
    `--reuid=${account.uid}`,
    `--regid=${account.gid}`,
    "--clear-groups",
    // initdb asks access(2) about its programs, which leaves capabilities out of account without this bit.
    "--securebits=+no_setuid_fixup",
    `--inh-caps=+${capability.name}`,
    `--ambient-caps=+${capability.name}`,
    "--",
  ];
}

function findSetpriv(): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(path.delimiter), "/usr/bin", "/bin"];
  return folders
    .map((folder) => path.join(folder, "setpriv"))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return path.isAbsolute(file);
      } catch {
        return false;
      }
    });
}

/** The effective capabilities of this process as a bit set; none where the kernel does not tell. */
function effectiveCapabilities(): bigint {
  try {
    const digits = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    return BigInt(`0x${digits ?? "0"}`);
  } catch {
    return 0n;
  }
}
