/** Orthanc of Debian as a process on free ports, over folders of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./dcmtk.ts";
import { pathOf } from "./require.ts";

export interface Orthanc {
  readonly pid: number;
  /** Of its REST interface, without a final slash. */
  readonly url: string;
  /** Port of DIMSE on 127.0.0.1; its AE title is ORTHANC. */
  readonly dicomPort: number;
  /** What it printed. */
  readonly output: () => string;
  stop(): Promise<void>;
}

/** Without it DCMTK, also within Orthanc, waits 40 ms for each acknowledgement. */
const withoutNagle = { TCP_NODELAY: "1" };

/**
 * Starts it. `settings` add to its configuration, `environment` to that of this process. Guard the test by
 * `requirement("orthanc")`.
 */
export async function startOrthanc(
  settings: Readonly<Record<string, unknown>> = {},
  environment: Readonly<Record<string, string>> = withoutNagle,
): Promise<Orthanc> {
  const folder = await mkdtemp(path.join(tmpdir(), "noctis-orthanc-"));
  const [httpPort, dicomPort] = [await freePort(), await freePort()];
  const configuration = {
    StorageDirectory: folder,
    IndexDirectory: folder,
    HttpPort: httpPort,
    RemoteAccessAllowed: false,
    AuthenticationEnabled: false,
    DicomPort: dicomPort,
    DicomAet: "ORTHANC",
    DicomAlwaysAllowMove: true,
    UnknownSopClassAccepted: true,
    Plugins: [],
    ...settings,
  };
  const file = path.join(folder, "orthanc.json");
  await writeFile(file, JSON.stringify(configuration));
  const env = { ...process.env, ...environment };
  const child: ChildProcess = spawn(pathOf("orthanc"), [file], { stdio: ["ignore", "ignore", "pipe"], env });
  let printed = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (printed += text));
  const url = `http://127.0.0.1:${httpPort}`;
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill();
      await once(child, "exit");
    }
    await rm(folder, { recursive: true, force: true });
  };
  for (let left = 300; (await fetch(`${url}/system`).catch(() => undefined))?.ok !== true; left -= 1) {
    if (left === 0 || child.exitCode !== null) {
      await stop();
      throw new Error(`Orthanc does not answer: ${printed}`);
    }
    await sleep(100);
  }
  return { pid: child.pid ?? 0, url, dicomPort, output: () => printed, stop };
}
