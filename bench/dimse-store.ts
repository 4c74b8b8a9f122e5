/**
 * Measures C-STORE side by side with others: `node bench/dimse-store.ts [--help]`. Every round sends the same slices, with
 * fresh UIDs, by storescu of DCMTK to each server in turn, in an order that alternates; figures are medians. On a machine
 * that is busy with other things only the ratios of one run mean anything.
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs, promisify } from "node:util";
import { startFlags } from "../tests/support/process.ts";
import { type BenchServer, startNoctis, startOrthancServer, startStorescp } from "./dimse-servers.ts";
import { makeSlices, readSlices, renewUids, type Slice, sliceFiles } from "./ingest-slices.ts";

const help = `node bench/dimse-store.ts
  --folder DIR         the slices (*.dcm, with a study, a series and an instance UID); without: CT slices are made
  --count N            slices of each measurement; 300
  --rounds N           3
  --associations LIST  1,4
  --servers LIST       noctis,storescp,orthanc,orthanc-as-shipped
  --work DIR           where everything is written; a new folder below the current one
  --flag FLAG          of Node, for Noctis, instead of those of npm start; may be given several times
`;

const { values: given } = parseArgs({
  options: {
    help: { type: "boolean" },
    folder: { type: "string" },
    count: { type: "string", default: "300" },
    rounds: { type: "string", default: "3" },
    associations: { type: "string", default: "1,4" },
    servers: { type: "string", default: "noctis,storescp,orthanc,orthanc-as-shipped" },
    work: { type: "string", default: "." },
    flag: { type: "string", multiple: true, default: [...startFlags] },
  },
});

const run = promisify(execFile);

/** Seconds of a whole measurement, and of CPU. */
interface Measured {
  readonly seconds: number;
  readonly server: number;
  readonly database: number;
}

const starts: Readonly<Record<string, (work: string) => Promise<BenchServer>>> = {
  noctis: (work) => startNoctis(path.join(work, "noctis"), {}, given.flag),
  storescp: (work) => startStorescp(path.join(work, "storescp")),
  orthanc: () => startOrthancServer(true),
  "orthanc-as-shipped": () => startOrthancServer(false),
};

if (given.help === true) process.stdout.write(help);
else await main();

async function main(): Promise<void> {
  const [count, rounds] = [Number(given.count), Number(given.rounds)];
  const work = await mkdtemp(path.join(path.resolve(given.work), "dimse-bench-"));
  const servers: BenchServer[] = [];
  try {
    const folder = given.folder ?? path.join(work, "slices");
    if (given.folder === undefined) await makeSlices(folder, count);
    let slices = await readSlices(await sliceFiles(folder, count));
    const megabytes = slices.reduce((sum, { bytes }) => sum + bytes.length, 0) / 1e6;
    for (const name of given.servers.split(",")) {
      const start = starts[name];
      if (!start) throw new Error(`there is no server ${name}: ${Object.keys(starts).join(", ")}`);
      servers.push(await start(work));
    }
    const results = new Map<string, Measured[]>();
    for (let round = 0; round < rounds; round += 1) {
      for (const associations of given.associations.split(",").map(Number)) {
        slices = renewUids(slices, `${process.pid} ${round} ${associations}`);
        const folders = await writeShares(slices, path.join(work, `sent-${associations}`), associations);
        for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
          const key = `${server.name}, ${associations} association${associations === 1 ? "" : "s"}`;
          results.set(key, [...(results.get(key) ?? []), await measure(server, folders)]);
        }
      }
    }
    report(results, slices.length, megabytes);
  } finally {
    for (const server of servers) await server.stop();
    await rm(work, { recursive: true, force: true });
  }
}

/**
 * Writes the slices into one folder an association, over those of the round before, and waits until the disk has them.
 * Nothing is removed: ext4 looks for inodes that were not freed in the last seconds, at length.
 */
async function writeShares(slices: readonly Slice[], folder: string, associations: number): Promise<string[]> {
  const folders = Array.from({ length: associations }, (_, index) => path.join(folder, String(index)));
  for (const each of folders) await mkdir(each, { recursive: true });
  for (const [index, { bytes }] of slices.entries()) {
    const name = `IM${String(index).padStart(6, "0")}.dcm`;
    await writeFile(path.join(folder, String(index % associations), name), bytes);
  }
  await run("sync");
  return folders;
}

async function measure(server: BenchServer, folders: readonly string[]): Promise<Measured> {
  const env = { ...process.env, TCP_NODELAY: "1" };
  const target = ["-aec", server.aeTitle, "127.0.0.1", String(server.port)];
  const before = await server.cpu();
  const began = performance.now();
  await Promise.all(folders.map((folder) => run("storescu", ["-xe", "+sd", ...target, folder], { env })));
  const seconds = (performance.now() - began) / 1000;
  const after = await server.cpu();
  return { seconds, server: after.server - before.server, database: after.database - before.database };
}

function report(results: ReadonlyMap<string, readonly Measured[]>, count: number, megabytes: number): void {
  const lines = [["", "instances/s", "(each round)", "MB/s", "CPU ms an instance: server", "database"]];
  const sorted = [...results].toSorted(([one], [other]) =>
    (one.split(", ")[1] ?? "").localeCompare(other.split(", ")[1] ?? ""),
  );
  for (const [name, measured] of sorted) {
    const rate = count / median(measured.map(({ seconds }) => seconds));
    lines.push([
      name,
      rate.toFixed(0),
      measured.map(({ seconds }) => (count / seconds).toFixed(0)).join(" "),
      ((rate * megabytes) / count).toFixed(0),
      ((median(measured.map(({ server }) => server)) / count) * 1000).toFixed(2),
      ((median(measured.map(({ database }) => database)) / count) * 1000).toFixed(2),
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
