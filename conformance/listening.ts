/** Programs that listen: SCPs of DCMTK, and Orthanc, in folders of their own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { environment, pathOf } from "./dcmtk.ts";
import { Failure } from "./expect.ts";

/** Ports of 127.0.0.1 for it: of DIMSE, and another one. */
export interface Ports {
  readonly port: number;
  readonly second: number;
}

/** A program that listens. */
export interface Listening extends Ports {
  /** Where it puts what it gets. */
  readonly folder: string;
  stop(): Promise<void>;
}

/**
 * Starts a program; resolves when it listens. In the text of files FOLDER stands for its folder.
 * Throws Skipped when it is not installed, and Failure when it does not listen.
 */
export async function listen(
  program: string,
  argsOf: (ports: Ports, folder: string) => readonly string[],
  files: Readonly<Record<string, (ports: Ports) => string>> = {},
): Promise<Listening> {
  const executable = pathOf(program);
  const folder = await mkdtemp(path.join(tmpdir(), "conformance-"));
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    const ports = { port: await freePort(), second: await freePort() };
    for (const [name, textOf] of Object.entries(files)) {
      await writeFile(path.join(folder, name), textOf(ports).replaceAll("FOLDER", folder));
    }
    const child = spawn(executable, [...argsOf(ports, folder)], { stdio: "ignore", env: environment, cwd: folder });
    const stop = async () => {
      await ended(child);
      await rm(folder, { recursive: true, force: true });
    };
    // Somebody else may have taken a port meanwhile.
    if (await listens(child, ports.port)) return { ...ports, folder, stop };
  }
  await rm(folder, { recursive: true, force: true });
  throw new Failure(`${program} does not listen.`);
}

/** Whether a program comes to listen on a port, rather than to its end. */
async function listens(child: ChildProcess, port: number): Promise<boolean> {
  while (child.exitCode === null && child.signalCode === null) {
    if (await isListening(port)) return true;
    await sleep(20);
  }
  return false;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => {
    child.once("exit", resolve);
    child.kill();
  });
}

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

async function isListening(port: number): Promise<boolean> {
  const socket = net.connect({ host: "127.0.0.1", port });
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}
