/** Servers of DCMTK for tests: the archive dcmqrscp, and storescp, which keeps what it gets in a folder. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Nagle's algorithm costs 40 ms a message. */
const env = { ...process.env, TCP_NODELAY: "1" };

export interface DcmtkServer {
  readonly port: number;
  /** Where it keeps what it gets. */
  readonly folder: string;
  stop(): Promise<void>;
}

/** Where a C-MOVE of dcmqrscp may send to. */
export interface MoveDestination {
  readonly aeTitle: string;
  readonly port: number;
}

/** A port that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("A TCP server has a port.");
  server.close();
  await once(server, "close");
  return address.port;
}

/** Starts storescp with `options`. */
export async function startStorescp(options: readonly string[] = []): Promise<DcmtkServer> {
  const folder = await mkdtemp(path.join(tmpdir(), "noctis-storescp-"));
  return start(folder, (port) => ["storescp", ...options, "--output-directory", folder, String(port)]);
}

/** Starts dcmqrscp with one storage area, of AE title DCMQR. */
export async function startDcmqrscp(
  destinations: readonly MoveDestination[] = [],
  options: readonly string[] = [],
): Promise<DcmtkServer> {
  const folder = await mkdtemp(path.join(tmpdir(), "noctis-dcmqrscp-"));
  const area = path.join(folder, "area");
  await mkdir(area);
  const hosts = destinations.map(({ aeTitle, port }, index) => `host${index} = (${aeTitle}, localhost, ${port})`);
  const config = path.join(folder, "dcmqrscp.cfg");
  const text = [
    "MaxPDUSize = 131072",
    "MaxAssociations = 16",
    "HostTable BEGIN",
    ...hosts,
    "HostTable END",
    "VendorTable BEGIN",
    "VendorTable END",
    "AETable BEGIN",
    `DCMQR ${area} RW (100, 1024mb) ANY`,
    "AETable END",
  ];
  await writeFile(config, `${text.join("\n")}\n`);
  return start(folder, (port) => ["dcmqrscp", "-c", config, ...options, String(port)]);
}

/** Sends files, or those of a folder, by storescu. */
export async function storescu(port: number, aeTitle: string, ...files: readonly string[]): Promise<void> {
  await run("storescu", ["+sd", "-aec", aeTitle, "127.0.0.1", String(port), ...files], { env });
}

async function start(folder: string, commandOf: (port: number) => readonly string[]): Promise<DcmtkServer> {
  for (let attempt = 0; ; attempt += 1) {
    const port = await freePort();
    const [program = "", ...args] = commandOf(port);
    const child = spawn(program, args, { env, stdio: "ignore" });
    if (await answers(child, port)) return { port, folder, stop: () => stop(child, folder) };
    // Somebody else may have taken the port meanwhile.
    if (attempt === 3) throw new Error(`${program} does not start`);
  }
}

async function answers(child: ChildProcess, port: number): Promise<boolean> {
  while (child.exitCode === null) {
    const socket = connect(port, "127.0.0.1");
    const isOpen = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isOpen) return true;
    await sleep(20);
  }
  return false;
}

async function stop(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  await rm(folder, { recursive: true, force: true });
}
