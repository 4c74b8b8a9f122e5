/** Programs of DCMTK, run against the server under test. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import type { DimseTarget } from "./dimse/association.ts";
import { Skipped } from "./expect.ts";

const run = promisify(execFile);

/** Without it DCMTK waits 40 ms for each acknowledgement. */
export const environment = { ...process.env, TCP_NODELAY: "1" };

/** How a program ended, and what it printed. */
export interface Ended {
  readonly status: number;
  readonly output: string;
}

/** Runs a program on the server, `args` in front of its address and `last` behind it. Throws Skipped when it is not installed. */
export async function dcmtk(
  program: string,
  { aeTitle, host, port }: DimseTarget,
  args: readonly string[],
  last: readonly string[] = [],
): Promise<Ended> {
  const all = [...args, "-aec", aeTitle, host, String(port), ...last];
  try {
    const { stdout, stderr } = await run(pathOf(program), all, {
      env: environment,
      timeout: 50_000,
      maxBuffer: 2 ** 26,
    });
    return { status: 0, output: stdout + stderr };
  } catch (error) {
    if (error instanceof Skipped) throw error;
    const { code, stdout, stderr } = Object.assign({ code: -1, stdout: "", stderr: "" }, error);
    return { status: code, output: `${stdout}${stderr}` };
  }
}

/** Runs `work` with a folder of files, which are written before and removed afterwards. */
export async function withFiles<Result>(
  files: Readonly<Record<string, Buffer>>,
  work: (folder: string) => Promise<Result>,
): Promise<Result> {
  const folder = await mkdtemp(path.join(tmpdir(), "conformance-"));
  try {
    for (const [name, bytes] of Object.entries(files)) await writeFile(path.join(folder, name), bytes);
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Throws Skipped when it is not there. */
export function pathOf(program: string): string {
  const folders = [...(process.env["PATH"] ?? "").split(path.delimiter), "/usr/bin", "/usr/sbin"];
  const found = folders.map((folder) => path.join(folder, program)).find((file) => existsSync(file));
  if (found === undefined) throw new Skipped(`${program} is not installed.`);
  return found;
}
