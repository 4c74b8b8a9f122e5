/**
 * Measures C-GET and C-MOVE side by side with Orthanc: `node bench/dimse-retrieve.ts [--help]`. The same slices are in
 * both; each round fetches the study by getscu, and has it moved to a storescp, from each in turn, in an order that
 * alternates; figures are medians. On a machine that is busy with other things only the ratios of one run mean anything.
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { parseArgs, promisify } from "node:util";
import { startStorescp } from "../tests/support/dcmtk.ts";
import { startOrthanc } from "../tests/support/orthanc.ts";
import { startFlags } from "../tests/support/process.ts";
import { type BenchServer, startNoctis } from "./dimse-servers.ts";
import { cpuSeconds } from "./ingest-processes.ts";
import { makeSlices, readSlices, sliceFiles } from "./ingest-slices.ts";

const help = `node bench/dimse-retrieve.ts
  --folder DIR     the slices (*.dcm, with a study, a series and an instance UID); without: CT slices are made
  --count N        slices of each measurement; 300
  --rounds N       3
  --servers LIST   noctis,orthanc
  --ways LIST      get,move
  --work DIR       where everything is written; a new folder below the current one
  --flag FLAG      of Node, for Noctis, instead of those of npm start; may be given several times
`;

const { values: given } = parseArgs({
  options: {
    help: { type: "boolean" },
    folder: { type: "string" },
    count: { type: "string", default: "300" },
    rounds: { type: "string", default: "3" },
    servers: { type: "string", default: "noctis,orthanc" },
    ways: { type: "string", default: "get,move" },
    work: { type: "string", default: "." },
    flag: { type: "string", multiple: true, default: [...startFlags] },
  },
});

const run = promisify(execFile);

/** What the sender waits 40 ms for each acknowledgement without. */
const env = { ...process.env, TCP_NODELAY: "1" };

/** Seconds of a whole measurement, and of CPU. */
interface Measured {
  readonly seconds: number;
  readonly server: number;
  readonly database: number;
}

const starts: Readonly<Record<string, (work: string, sink: number) => Promise<BenchServer>>> = {
  noctis: (work, sink) => startNoctis(path.join(work, "noctis"), { DIMSE_PEERS: `SINK@127.0.0.1:${sink}` }, given.flag),
  orthanc: async (_work, sink) => {
    const modalities = { SINK: ["SINK", "127.0.0.1", sink] };
    const orthanc = await startOrthanc({ DicomAlwaysAllowGet: true, DicomModalities: modalities });
    const { pid, dicomPort: port } = orthanc;
    const cpu = async () => {
      const { own, below } = await cpuSeconds(pid);
      return { server: own + below, database: 0 };
    };
    return { name: "Orthanc -nd", pid, aeTitle: "ORTHANC", port, cpu, stop: () => orthanc.stop() };
  },
};

if (given.help === true) process.stdout.write(help);
else await main();

async function main(): Promise<void> {
  const [count, rounds] = [Number(given.count), Number(given.rounds)];
  const work = await mkdtemp(path.join(path.resolve(given.work), "dimse-bench-"));
  const sink = await startStorescp(["+B", "-aet", "SINK"]);
  const servers: BenchServer[] = [];
  try {
    const folder = given.folder ?? path.join(work, "slices");
    if (given.folder === undefined) await makeSlices(folder, count);
    const files = await sliceFiles(folder, count);
    const studies = new Set((await readSlices(files)).flatMap(({ uids }) => uids.slice(-1)));
    for (const name of given.servers.split(",")) {
      const start = starts[name];
      if (!start) throw new Error(`there is no server ${name}: ${Object.keys(starts).join(", ")}`);
      const server = await start(work, sink.port);
      servers.push(server);
      await run("storescu", ["-xe", "-aec", server.aeTitle, "127.0.0.1", String(server.port), ...files], { env });
    }
    const results = new Map<string, Measured[]>();
    for (let round = 0; round < rounds; round += 1) {
      for (const way of given.ways.split(",")) {
        for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
          const received = way === "get" ? path.join(work, "got") : sink.folder;
          await rm(received, { recursive: true, force: true });
          await mkdir(received);
          const key = `${way === "get" ? "C-GET" : "C-MOVE"} ${server.name}`;
          results.set(key, [...(results.get(key) ?? []), await measure(server, way, received, [...studies])]);
          const found = (await readdir(received)).length;
          if (found !== files.length) throw new Error(`${key}: ${found} of ${files.length} instances came`);
        }
      }
    }
    report(results, files.length);
  } finally {
    for (const server of servers) await server.stop();
    await sink.stop();
    await rm(work, { recursive: true, force: true });
  }
}

async function measure(
  server: BenchServer,
  way: string,
  folder: string,
  studies: readonly string[],
): Promise<Measured> {
  const keys = ["-S", "-k", "0008,0052=STUDY", "-k", `0020,000d=${studies.join("\\")}`];
  const target = ["-aec", server.aeTitle, "127.0.0.1", String(server.port)];
  const before = await server.cpu();
  const began = performance.now();
  if (way === "get") await run("getscu", ["+B", "-od", folder, ...keys, ...target], { env });
  else await run("movescu", ["-aem", "SINK", ...keys, ...target], { env });
  const seconds = (performance.now() - began) / 1000;
  const after = await server.cpu();
  return { seconds, server: after.server - before.server, database: after.database - before.database };
}

function report(results: ReadonlyMap<string, readonly Measured[]>, count: number): void {
  const lines = [["", "instances/s", "(each round)", "CPU ms an instance: server", "database"]];
  for (const [name, measured] of results) {
    lines.push([
      name,
      (count / median(measured.map(({ seconds }) => seconds))).toFixed(0),
      measured.map(({ seconds }) => (count / seconds).toFixed(0)).join(" "),
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
