/** The server as a process of its own, for what only a process shows: signals, crashes, memory, two at once. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";

const root = path.join(import.meta.dirname, "..", "..");

/** The flags of Node in `npm start`: what is measured and proved with them holds for what operators run. */
export const startFlags: readonly string[] = flagsOf(readFileSync(path.join(root, "package.json"), "utf8"));

function flagsOf(packageJson: string): readonly string[] {
  const { scripts } = z.object({ scripts: z.object({ start: z.string() }) }).parse(JSON.parse(packageJson));
  const words = scripts.start.split(" ");
  if (words[0] !== "node" || words.at(-1) !== "server/main.ts") throw new Error("npm start runs something else.");
  return words.slice(1, -1);
}

export interface ServerProcess {
  readonly pid: number;
  /** Resolves when it listens; rejects with what it printed when it ends before. */
  readonly listening: Promise<string>;
  /** Resolves with the port of its DIMSE door, on 127.0.0.1. */
  readonly dimsePort: Promise<number>;
  /** Resolves when it has ended, with its exit status or signal and what it wrote to stderr. */
  readonly ended: Promise<{ readonly status: number | NodeJS.Signals; readonly stderr: string }>;
  kill(signal: NodeJS.Signals): void;
}

/**
 * Starts `node server/main.ts` on a free port with nothing of this environment but the PATH. `flags` are those of Node,
 * by default the ones of `npm start`; `prefix` is a command that runs another one, such as setpriv.
 */
export function startProcess(
  settings: Readonly<Record<string, string>>,
  flags: readonly string[] = startFlags,
  prefix: readonly string[] = [],
): ServerProcess {
  const [command, ...args] = [...prefix, process.execPath, ...flags, "server/main.ts"];
  const child = spawn(command, args, {
    cwd: root,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], HTTP_PORT: "0", DIMSE_PORT: "0", ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  const { promise: listening, resolve, reject } = Promise.withResolvers<string>();
  const dimse = Promise.withResolvers<number>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    const url = /"msg":"listening on (http[^"]+)"/.exec(stdout)?.[1];
    if (url !== undefined) resolve(url);
    const port = /"msg":"listening for DIMSE on port (\d+)"/.exec(stdout)?.[1];
    if (port !== undefined) dimse.resolve(Number(port));
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = once(child, "close").then(([status, signal]: (number | NodeJS.Signals | null)[]) => {
    const error = new Error(`the server ended: ${stderr}`);
    reject(error);
    dimse.reject(error);
    return { status: status ?? signal ?? 0, stderr };
  });
  listening.catch(() => undefined);
  dimse.promise.catch(() => undefined);
  return { pid: child.pid ?? 0, listening, dimsePort: dimse.promise, ended, kill: (signal) => void child.kill(signal) };
}

/** The largest memory that a process has held, in bytes (Linux). */
export async function peakMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
