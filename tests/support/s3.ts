/** A real S3 server for the tests: Ceph's monitor, one object store in memory, and its S3 gateway, on loopback. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { requirement, type SkipOption } from "./require.ts";

/** An S3 server, and credentials that may do everything with it. */
export interface TestS3 {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly region: string;
  /** Kills the gateway, so that connections are refused. */
  readonly killGateway?: () => Promise<void>;
  /** Starts it again on the same port, with the objects it had. */
  readonly startGateway?: () => Promise<void>;
  /** Stops it for a while: connections stay, and nothing is answered. */
  readonly pauseGateway?: () => void;
  /** Lets it go on. */
  readonly resumeGateway?: () => void;
  /** Runs radosgw-admin; the user is `test`. */
  readonly administer?: (...args: readonly string[]) => Promise<void>;
  /** Ends the server and removes what it kept. */
  readonly stop: () => Promise<void>;
}

/** The `skip` option of a test that needs an S3 server: none when TEST_S3_ENDPOINT names one. */
export function s3Requirement(): SkipOption {
  return process.env["TEST_S3_ENDPOINT"] === undefined ? requirement("radosgw") : { skip: false };
}

/**
 * The server of TEST_S3_ENDPOINT (with TEST_S3_ACCESS_KEY, TEST_S3_SECRET_KEY, TEST_S3_REGION), else one of its own,
 * which takes about a second. Guard by `s3Requirement`.
 */
export async function startS3(): Promise<TestS3> {
  const { TEST_S3_ENDPOINT: endpoint, TEST_S3_ACCESS_KEY, TEST_S3_SECRET_KEY, TEST_S3_REGION } = process.env;
  const region = TEST_S3_REGION ?? "us-east-1";
  if (endpoint === undefined) return startCeph(region);
  const keys = { accessKey: TEST_S3_ACCESS_KEY ?? "", secretKey: TEST_S3_SECRET_KEY ?? "" };
  return { endpoint, ...keys, region, stop: async () => undefined };
}

/** A bucket name that no other run uses. */
export function freshBucket(): string {
  return `noctis-test-${randomBytes(6).toString("hex")}`;
}

async function startCeph(region: string): Promise<TestS3> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "noctis-s3-"));
  const [port, monitor, legacy] = await freePorts(3);
  const credentials = { accessKey: `key${randomUUID()}`, secretKey: randomBytes(20).toString("hex") };
  const ceph = cephIn(folder);
  const gateway = () => ceph.daemon("radosgw", ["-f", "-n", "client.rgw"]);
  const endpoint = `http://127.0.0.1:${port}`;
  try {
    for (const name of ["mon", "osd", "rgw", "log"]) await mkdir(path.join(folder, name));
    const clusterId = randomUUID();
    const addresses = `[v2:127.0.0.1:${monitor},v1:127.0.0.1:${legacy}]`;
    await writeFile(ceph.configurationFile, configuration({ folder, clusterId, addresses, port: Number(port) }));
    const map = path.join(folder, "monmap");
    await ceph.run("monmaptool", ["--create", "--fsid", clusterId, "--addv", "a", addresses, map]);
    await ceph.run("ceph-mon", ["--mkfs", "-i", "a", "--monmap", map, "--fsid", clusterId]);
    ceph.daemon("ceph-mon", ["-f", "-i", "a"]);
    const storeId = randomUUID();
    await ceph.run("ceph", ["osd", "new", storeId, "0"]);
    await ceph.run("ceph-osd", ["-i", "0", "--mkfs", "--osd-uuid", storeId]);
    ceph.daemon("ceph-osd", ["-f", "-i", "0"]);
    const { accessKey, secretKey } = credentials;
    const keys = [`--access-key=${accessKey}`, `--secret-key=${secretKey}`];
    await ceph.run("radosgw-admin", ["user", "create", "--uid=test", "--display-name=test", ...keys]);
    let running = gateway();
    await awaitAnswer(endpoint, running);
    return {
      endpoint,
      ...credentials,
      region,
      killGateway: () => ceph.kill(running),
      startGateway: async () => {
        running = gateway();
        await awaitAnswer(endpoint, running);
      },
      pauseGateway: () => void running.kill("SIGSTOP"),
      resumeGateway: () => void running.kill("SIGCONT"),
      administer: (...args) => ceph.run("radosgw-admin", args),
      stop: () => ceph.end(),
    };
  } catch (error) {
    await ceph.end();
    throw error;
  }
}

/** The programs of Ceph with one configuration; daemons are ended by their process, never by name. */
function cephIn(folder: string) {
  const configurationFile = path.join(folder, "ceph.conf");
  const daemons = new Set<ChildProcess>();
  const start = (program: string, args: readonly string[]) => {
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/usr/bin`, CEPH_CONF: configurationFile },
    });
    const output = createWriteStream(path.join(folder, "log", `${program}.out`), { flags: "a" });
    output.on("error", () => undefined);
    child.stdout.pipe(output, { end: false });
    child.stderr.pipe(output, { end: false });
    return child;
  };
  const kill = async (child: ChildProcess) => {
    daemons.delete(child);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await exited;
  };
  const killAll = () => daemons.forEach((child) => child.kill("SIGKILL"));
  process.once("exit", killAll);
  return {
    configurationFile,
    kill,
    run: async (program: string, args: readonly string[]) => {
      const child = start(program, args);
      const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
      const code = await new Promise((resolve, reject) => {
        child.once("error", reject);
        child.once("exit", resolve);
      });
      clearTimeout(timer);
      if (code !== 0) throw new Error(`${program} ended with ${String(code)}.`);
    },
    daemon: (program: string, args: readonly string[]) => {
      const child = start(program, args);
      child.once("error", () => undefined);
      daemons.add(child);
      return child;
    },
    end: async () => {
      process.off("exit", killAll);
      for (const child of [...daemons].toReversed()) await kill(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function awaitAnswer(endpoint: string, gateway: ChildProcess): Promise<void> {
  const until = Date.now() + 60_000;
  while (Date.now() < until && gateway.exitCode === null) {
    const answer = await fetch(endpoint, { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.status === 200) return;
    await sleep(50);
  }
  throw new Error("The S3 gateway of the tests does not answer.");
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    const address = server.address();
    if (address !== null && typeof address === "object") ports.push(address.port);
  }
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  return ports;
}

interface Shape {
  readonly folder: string;
  readonly clusterId: string;
  readonly addresses: string;
  readonly port: number;
}

/** One monitor, one object store in memory, no authentication between them, short waits: it lives for one test run. */
function configuration({ folder, clusterId, addresses, port }: Shape): string {
  const sections: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
    global: {
      fsid: clusterId,
      mon_host: addresses,
      public_addr: "127.0.0.1",
      cluster_addr: "127.0.0.1",
      public_network: "127.0.0.0/8",
      cluster_network: "127.0.0.0/8",
      ms_bind_ipv6: "false",
      auth_cluster_required: "none",
      auth_service_required: "none",
      auth_client_required: "none",
      ms_initial_backoff: 0.05,
      ms_max_backoff: 1,
      run_dir: folder,
      admin_socket: "",
      log_file: path.join(folder, "log", "$name.log"),
      log_to_stderr: "false",
      crash_dir: path.join(folder, "log"),
      osd_pool_default_size: 1,
      osd_pool_default_min_size: 1,
      osd_pool_default_pg_num: 4,
      osd_pool_default_pg_autoscale_mode: "off",
      osd_crush_chooseleaf_type: 0,
      mon_allow_pool_size_one: "true",
      mon_max_pg_per_osd: 1000,
      mon_client_hunt_interval: 0.5,
      mon_client_hunt_interval_min_multiple: 1,
    },
    mon: {
      mon_data: path.join(folder, "mon"),
      mon_data_avail_crit: 1,
      mon_data_avail_warn: 1,
      // The default of one second makes the start ten times as long.
      paxos_propose_interval: 0.05,
      paxos_min_wait: 0.01,
      mon_tick_interval: 1,
    },
    osd: {
      osd_data: path.join(folder, "osd"),
      osd_objectstore: "memstore",
      memstore_device_bytes: 8 * 1024 ** 3,
      osd_class_load_list: "*",
      osd_class_default_list: "*",
      // A gateway that was killed holds up the removal of its buckets for this long (seconds).
      osd_client_watch_timeout: 3,
    },
    client: {
      // The gateway asks for `secure` by itself, and hangs when there is no authentication.
      ms_mon_client_mode: "crc",
      // Without tcp_nodelay each small answer waits 40 ms.
      rgw_frontends: `beast endpoint=127.0.0.1:${port} tcp_nodelay=1`,
      rgw_data: path.join(folder, "rgw"),
      rgw_thread_pool_size: 64,
      rgw_num_rados_handles: 1,
      rgw_enable_usage_log: "false",
      rgw_enable_ops_log: "false",
    },
  };
  const lines = Object.entries(sections).flatMap(([name, settings]) => [
    `[${name}]`,
    ...Object.entries(settings).map(([key, value]) => `${key} = ${value}`),
  ]);
  return `${lines.join("\n")}\n`;
}
