/** Measures the memory of the server while it answers large searches. `node bench/search-memory.ts [studies]` */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { testDatabase } from "../tests/support/postgres.ts";
import { startProcess } from "../tests/support/process.ts";

const studies = Number(process.argv[2] ?? 100_000);

const database = await testDatabase();
await database.knex.raw(
  `insert into study (study_instance_uid, study_date, study_time, patient_id, attributes)
   select '1.2.' || n, date '2010-01-01' + n % 5000, time '00:00' + (n % 86400) * interval '1 second', 'P' || n % 30000,
     jsonb_build_object('00100020', jsonb_build_object('vr', 'LO', 'Value', jsonb_build_array('P' || n % 30000)),
       '00081030', jsonb_build_object('vr', 'LO', 'Value', jsonb_build_array(repeat('Description ', 10))))
   from generate_series(1, ?) as n`,
  [studies],
);
await database.knex.raw("vacuum analyze study");
const dataFolder = await mkdtemp(path.join(tmpdir(), "noctis-bench-"));
const server = startProcess({ DATABASE_URL: database.url, DATA_DIR: dataFolder });
try {
  const url = await server.listening;
  for (const limit of [1000, 10_000, studies, studies]) {
    await report(`${url}/dicom-web/studies?includefield=all&limit=${limit}`, `limit=${limit}`);
  }
  await report(`${url}/dicom-web/studies?includefield=all&limit=${studies}`, "the same as XML", {
    Accept: 'multipart/related; type="application/dicom+xml"',
  });
} finally {
  server.kill("SIGTERM");
  await server.ended;
  await database.drop();
  await rm(dataFolder, { recursive: true, force: true });
}

async function report(url: string, what: string, headers: Readonly<Record<string, string>> = {}): Promise<void> {
  const began = performance.now();
  let peak = 0;
  const timer = setInterval(() => void memory().then((now) => (peak = Math.max(peak, now))), 20);
  const response = await fetch(url, { headers });
  let bytes = 0;
  for await (const chunk of response.body ?? []) bytes += chunk.length;
  clearInterval(timer);
  const seconds = ((performance.now() - began) / 1000).toFixed(2);
  process.stdout.write(
    `${what}: ${response.status}, ${mega(bytes)} MB in ${seconds} s, memory at most ${mega(peak)} MB\n`,
  );
}

/** Resident memory of the server, in bytes (Linux). */
async function memory(): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

function mega(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
