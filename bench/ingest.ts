/**
 * Measures ingest side by side with plain writing: `node bench/ingest.ts [--help]`. Rounds are interleaved, figures are
 * medians. On a machine that is busy with other things only the ratios of one run mean anything.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { Client } from "minio";
import manifest from "../package.json" with { type: "json" };
import { startProcess, type ServerProcess } from "../tests/support/process.ts";
import { freshBucket, startS3, type TestS3 } from "../tests/support/s3.ts";
import { copyPlainly } from "./ingest-plain.ts";
import { cpuSeconds } from "./ingest-processes.ts";
import { makeSlices, sliceFiles } from "./ingest-slices.ts";
import { clientAnswer, type ClientTask } from "./ingest-tasks.ts";

const help = `node bench/ingest.ts
  --folder DIR      the slices (*.dcm, with a study, a series and an instance UID); without: 500 CT slices are made
  --count N         slices of each measurement; 500
  --rounds N        3
  --stores LIST     files,s3 (s3 needs radosgw, or TEST_S3_ENDPOINT with its keys); files,s3
  --clients LIST    1,4,8
  --work DIR        where everything is written; a new folder below the current one
  --flag FLAG       of Node, for the server, instead of those of npm start; may be given several times
  --orthanc URL     also measures a running Orthanc, e.g. http://127.0.0.1:8042/dicom-web
`;

/** Those of `npm start`. */
const startFlags = manifest.scripts.start.split(" ").filter((word) => word.startsWith("--"));

const { values: given } = parseArgs({
  options: {
    help: { type: "boolean" },
    folder: { type: "string" },
    count: { type: "string", default: "500" },
    rounds: { type: "string", default: "3" },
    stores: { type: "string", default: "files,s3" },
    clients: { type: "string", default: "1,4,8" },
    work: { type: "string", default: "." },
    flag: { type: "string", multiple: true, default: [...startFlags] },
    orthanc: { type: "string" },
  },
});

const clientCounts = given.clients.split(",").map(Number);

/** One line of the table. */
interface Variant {
  readonly name: string;
  readonly run: (round: number) => Promise<Measured>;
  /** The line that it is measured against. */
  readonly against?: string;
}

/** Seconds of the whole, and of CPU: of the client, the server, and PostgreSQL. */
interface Measured {
  readonly seconds: number;
  readonly client?: number;
  readonly server?: number;
  readonly database?: number;
}

if (given.help === true) process.stdout.write(help);
else await main();

async function main(): Promise<void> {
  const [count, rounds] = [Number(given.count), Number(given.rounds)];
  const work = await mkdtemp(path.join(path.resolve(given.work), "ingest-bench-"));
  const closing: (() => Promise<unknown>)[] = [() => rm(work, { recursive: true, force: true })];
  try {
    const folder = given.folder ?? path.join(work, "slices");
    if (given.folder === undefined) await makeSlices(folder, count);
    const files = await sliceFiles(folder, count);
    const megabytes =
      (await Promise.all(files.map((file) => stat(file)))).reduce((sum, { size }) => sum + size, 0) / 1e6;
    const client = startClient();
    closing.push(client.end);
    await client.ask({ kind: "load", files: [...files] });
    const variants: Variant[] = [];
    const stores = given.stores.split(",");
    if (stores.includes("files")) variants.push(...(await onFiles(files, work, client.ask, closing)));
    if (stores.includes("s3")) variants.push(...(await onS3(files.length, work, client.ask, closing)));
    const results = new Map(variants.map(({ name }) => [name, [] as Measured[]]));
    for (let round = 0; round < rounds; round += 1) {
      for (const { name, run } of variants) results.get(name)?.push(await run(round));
    }
    report(variants, results, files.length, megabytes);
  } finally {
    for (const close of closing.toReversed()) await close();
  }
}

type Ask = (task: ClientTask) => Promise<{ readonly seconds: number; readonly cpuSeconds: number }>;

function startClient(): { readonly ask: Ask; readonly end: () => Promise<unknown> } {
  const child = fork(path.join(import.meta.dirname, "ingest-client.ts"), { serialization: "advanced" });
  const ended = new AbortController();
  child.once("exit", () => ended.abort(new Error("the client of the measurement ended")));
  return {
    ask: async (task) => {
      child.send(task);
      const [answer] = await once(child, "message", { signal: ended.signal });
      return clientAnswer.parse(answer);
    },
    end: async () => {
      if (child.exitCode !== null) return;
      child.disconnect();
      await once(child, "exit");
    },
  };
}

async function onFiles(
  files: readonly string[],
  work: string,
  ask: Ask,
  closing: (() => Promise<unknown>)[],
): Promise<Variant[]> {
  const server = await start({ DATA_DIR: path.join(work, "files") }, closing);
  const plain = clientCounts.map((writers): Variant => {
    const run = async (round: number) => {
      const target = path.join(work, `plain-${writers}-${round}`);
      await mkdir(target);
      const cpu = process.cpuUsage();
      const seconds = await copyPlainly(files, target, writers);
      const { user, system } = process.cpuUsage(cpu);
      // Not removed before the end: ext4 looks for inodes that were not freed in the last seconds, at length.
      return { seconds, client: (user + system) / 1e6 };
    };
    return { name: `write + fsync, ${many(writers, "thread")}`, run };
  });
  const orthanc =
    given.orthanc === undefined ? [] : stowVariants("Orthanc", given.orthanc, undefined, files.length, ask, "thread");
  return [...plain, ...stowVariants("files", server.url, server.process, files.length, ask, "thread"), ...orthanc];
}

async function onS3(count: number, work: string, ask: Ask, closing: (() => Promise<unknown>)[]): Promise<Variant[]> {
  const s3 = await startS3();
  closing.push(() => s3.stop());
  const { endpoint, accessKey, secretKey, region } = s3;
  const bucket = freshBucket();
  const settings = {
    S3_ENDPOINT: endpoint,
    S3_BUCKET: bucket,
    S3_ACCESS_KEY: accessKey,
    S3_SECRET_KEY: secretKey,
    S3_REGION: region,
  };
  const server = await start({ DATA_DIR: path.join(work, "s3"), ...settings }, closing);
  const emptied = (run: Variant["run"]) => async (round: number) => {
    const measured = await run(round);
    await empty(s3, bucket);
    return measured;
  };
  const plain = clientCounts.map((clients): Variant => {
    const run = emptied(async () => {
      const { seconds, cpuSeconds: used } = await ask({
        kind: "put",
        endpoint,
        accessKey,
        secretKey,
        region,
        bucket,
        clients,
      });
      return { seconds, client: used };
    });
    return { name: `PUT, ${many(clients, "connection")}`, run };
  });
  const stow = stowVariants("S3", server.url, server.process, count, ask, "connection");
  return [...plain, ...stow.map((variant) => ({ ...variant, run: emptied(variant.run) }))];
}

/** One request of many parts a client, and one instance a request. */
function stowVariants(
  store: string,
  url: string,
  server: ServerProcess | undefined,
  count: number,
  ask: Ask,
  yardstick: "thread" | "connection",
): Variant[] {
  return [Infinity, 1].flatMap((most) =>
    clientCounts.map((clients): Variant => {
      const perRequest = Math.min(most, Math.ceil(count / clients));
      const run = async (round: number) => {
        const before = server && (await cpuSeconds(server.pid));
        const seed = `${store} ${clients} ${most} ${round} ${process.pid}`;
        const { seconds, cpuSeconds: client } = await ask({ kind: "stow", url, clients, perRequest, seed });
        if (!server || !before) return { seconds, client };
        const after = await cpuSeconds(server.pid);
        return { seconds, client, server: after.own - before.own, database: after.below - before.below };
      };
      const plain = yardstick === "thread" ? "write + fsync" : "PUT";
      return {
        name: `${store}, ${many(clients, "client")}, ${many(perRequest, "instance")} a request`,
        run,
        against: `${plain}, ${many(clients, yardstick)}`,
      };
    }),
  );
}

async function start(settings: Readonly<Record<string, string>>, closing: (() => Promise<unknown>)[]) {
  const server = startProcess({ LOG_LEVEL: "info", ...settings }, given.flag);
  closing.push(async () => {
    server.kill("SIGTERM");
    await server.ended;
  });
  return { url: `${await server.listening}/dicom-web`, process: server };
}

/** The objects of a store that keeps them in memory must not add up. */
async function empty({ endpoint, accessKey, secretKey, region }: TestS3, bucket: string): Promise<void> {
  const { protocol, hostname, port } = new URL(endpoint);
  const useSSL = protocol === "https:";
  const client = new Client({ endPoint: hostname, port: Number(port), useSSL, accessKey, secretKey, region });
  const keys: string[] = [];
  for await (const { name } of client.listObjectsV2(bucket, "", true)) if (name !== undefined) keys.push(name);
  await client.removeObjects(bucket, keys);
}

function many(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function report(
  variants: readonly Variant[],
  results: ReadonlyMap<string, readonly Measured[]>,
  count: number,
  megabytes: number,
): void {
  const rateOf = (name: string) => count / median((results.get(name) ?? []).map(({ seconds }) => seconds));
  const lines = [
    ["", "instances/s", "(each round)", "MB/s", "of plain", "CPU ms an instance: client", "server", "database"],
  ];
  for (const { name, against } of variants) {
    const measured = results.get(name) ?? [];
    const cpu = (["client", "server", "database"] as const).map((part) => {
      const used = measured.flatMap((one) => one[part] ?? []);
      return used.length === 0 ? "" : ((median(used) / count) * 1000).toFixed(2);
    });
    const rate = rateOf(name);
    lines.push([
      name,
      rate.toFixed(0),
      measured.map(({ seconds }) => (count / seconds).toFixed(0)).join(" "),
      ((rate * megabytes) / count).toFixed(0),
      against === undefined ? "" : `${((100 * rate) / rateOf(against)).toFixed(0)} %`,
      ...cpu,
    ]);
  }
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  for (const line of lines) {
    const cells = line.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)));
    process.stdout.write(`${cells.join("  ")}\n`);
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
