/** The servers that the measurements of DIMSE send to or fetch from: Noctis, Orthanc and storescp, each a process. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../tests/support/dcmtk.ts";
import { startOrthanc } from "../tests/support/orthanc.ts";
import { startFlags, startProcess } from "../tests/support/process.ts";
import { cpuSeconds } from "./ingest-processes.ts";

/** A server under measurement, on 127.0.0.1. */
export interface BenchServer {
  readonly name: string;
  readonly pid: number;
  readonly aeTitle: string;
  readonly port: number;
  /** Seconds of CPU so far: of the server itself, and of its database. */
  cpu(): Promise<{ readonly server: number; readonly database: number }>;
  stop(): Promise<unknown>;
}

/** Noctis over files and its own PostgreSQL below `folder`. `flags` are those of Node. */
export async function startNoctis(
  folder: string,
  settings: Readonly<Record<string, string>> = {},
  flags: readonly string[] = startFlags,
): Promise<BenchServer> {
  const server = startProcess({ DATA_DIR: folder, ...settings }, flags);
  await server.listening;
  return {
    name: "Noctis",
    pid: server.pid,
    aeTitle: "NOCTIS",
    port: await server.dimsePort,
    cpu: async () => {
      const { own, below } = await cpuSeconds(server.pid);
      return { server: own, database: below };
    },
    stop: () => {
      server.kill("SIGTERM");
      return server.ended;
    },
  };
}

/** Orthanc with its SQLite, as Debian ships it or with TCP_NODELAY. */
export async function startOrthancServer(noDelay: boolean): Promise<BenchServer> {
  const orthanc = await startOrthanc({}, noDelay ? { TCP_NODELAY: "1" } : {});
  const { pid, dicomPort: port } = orthanc;
  return {
    name: noDelay ? "Orthanc -nd" : "Orthanc as shipped",
    pid,
    aeTitle: "ORTHANC",
    port,
    cpu: () => wholeProcess(pid),
    stop: () => orthanc.stop(),
  };
}

/** DCMTK's storescp with TCP_NODELAY, a process for each association; it writes files below `folder` and syncs none. */
export async function startStorescp(folder: string): Promise<BenchServer> {
  const output = path.join(folder, "received");
  await mkdir(output, { recursive: true });
  const port = await freePort();
  const env = { ...process.env, TCP_NODELAY: "1" };
  const child = spawn("storescp", ["--fork", "-od", output, String(port)], { stdio: "ignore", env });
  const ended = once(child, "exit");
  while (!(await isListening(port))) await sleep(20);
  const pid = child.pid ?? 0;
  return {
    name: "storescp -nd",
    pid,
    aeTitle: "STORESCP",
    port,
    cpu: () => wholeProcess(pid),
    stop: () => {
      child.kill();
      return ended;
    },
  };
}

async function wholeProcess(pid: number): Promise<{ readonly server: number; readonly database: number }> {
  const { own, below } = await cpuSeconds(pid);
  return { server: own + below, database: 0 };
}

async function isListening(port: number): Promise<boolean> {
  const socket = net.connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
