/** Measures the memory of the server under heavy traffic. `node bench/memory.ts [files|s3] [scenario...]` */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { testDatabase } from "../tests/support/postgres.ts";
import { peakMemory, startProcess } from "../tests/support/process.ts";
import { freshBucket, startS3, type TestS3 } from "../tests/support/s3.ts";
import {
  deflatedInstance,
  download,
  encapsulatedInstance,
  type MadeBody,
  manyInstances,
  metadataAndBulkData,
  nativeInstance,
  post,
} from "../tests/support/traffic.ts";
import { element, sequence } from "../tests/support/dicom-writer.ts";

const limit = 512;
const clients = 64;
const anyDicom = "application/dicom; transfer-syntax=*";
const anyParts = 'multipart/related; type="application/octet-stream"; transfer-syntax=*';

/** What is done to a server; sentences on what came of it. */
type Scenario = (url: string) => Promise<string>;

const scenarios: Readonly<Record<string, Scenario>> = {
  "native-2gb": (url) => large(url, nativeInstance(2000)),
  "encapsulated-2gb": (url) => large(url, encapsulatedInstance(2000)),
  "deflated-2gb": (url) => large(url, deflatedInstance(2000)),
  "bulk-data-2gb": (url) => large(url, metadataAndBulkData(2000)),
  "64-small": (url) => together(url, () => manyInstances(50, 100)),
  "64-of-50mb": (url) => together(url, () => nativeInstance(50)),
  "64-of-50mb-bulk": (url) => together(url, () => metadataAndBulkData(50)),
  "64-slow": (url) => together(url, () => nativeInstance(2), { pause: 100, pieceLength: 16 * 1024 }),
  "64-dying": async (url) => {
    const rounds: string[] = [];
    for (let round = 0; round < 4; round += 1)
      rounds.push(await together(url, () => nativeInstance(50), { dieAfter: 20e6 }));
    return rounds.join("; ");
  },
  "64-downloads": async (url) => {
    const sent = nativeInstance(50);
    await post(url, sent);
    const readers = Array.from({ length: clients }, () => download(of(url, sent), anyDicom, { rate: 4e6 }));
    return `${new Set((await Promise.all(readers)).map(({ byteLength }) => byteLength)).size} length`;
  },
  "64-frame-downloads": async (url) => {
    const sent = encapsulatedInstance(50);
    await post(url, sent);
    const frames = Array.from({ length: 5000 }, (_, index) => index + 1).join(",");
    const readers = Array.from({ length: clients }, () =>
      download(`${of(url, sent)}/frames/${frames}`, "multipart/related; type=image/jpeg", { rate: 2e6 }),
    );
    return JSON.stringify((await Promise.all(readers))[0]);
  },
  "64-headers": (url) => {
    const item = [
      element(0x00200032, "DS", "-123.25\\\\-45.125\\\\77.5"),
      element(0x00200037, "DS", "1\\\\0\\\\0\\\\0\\\\1\\\\0"),
    ];
    const functionalGroups = sequence(
      0x52009230,
      Array.from({ length: 10_000 }, () => item),
    );
    return together(url, () => manyInstances(1, 100, {}, [functionalGroups]));
  },
};

const [store = "files", ...wanted] = process.argv.slice(2);
let failed = false;
for (const name of wanted.length > 0 ? wanted : Object.keys(scenarios)) {
  const scenario = scenarios[name];
  if (!scenario) throw new Error(`There is no scenario ${name}: ${Object.keys(scenarios).join(", ")}.`);
  // Each with a store of its own: they keep their objects in memory.
  const s3 = store === "s3" ? await startS3() : undefined;
  await measured(name, scenario, s3);
  await s3?.stop();
}
process.exitCode = failed ? 1 : 0;

async function measured(name: string, scenario: Scenario, objects: TestS3 | undefined): Promise<void> {
  const database = await testDatabase();
  const dataFolder = await mkdtemp(path.join(tmpdir(), "noctis-memory-"));
  const settings = {
    DATABASE_URL: database.url,
    DATA_DIR: dataFolder,
    ...(objects && {
      S3_ENDPOINT: objects.endpoint,
      S3_BUCKET: freshBucket(),
      S3_ACCESS_KEY: objects.accessKey,
      S3_SECRET_KEY: objects.secretKey,
    }),
  };
  const server = startProcess(settings);
  try {
    const url = await server.listening;
    const begun = performance.now();
    const outcome = await scenario(url).catch(String);
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    const megabytes = Math.round((await peakMemory(server.pid)) / 2 ** 20);
    failed ||= !(megabytes < limit);
    process.stdout.write(`${name} on ${store}: at most ${megabytes} MB, ${seconds} s: ${outcome}\n`);
  } finally {
    server.kill("SIGTERM");
    await server.ended;
    await database.drop();
    await rm(dataFolder, { recursive: true, force: true });
  }
}

/** Stores one large instance, and retrieves it whole, by frame, and as bulk data by a slow reader that goes away. */
async function large(url: string, sent: MadeBody): Promise<string> {
  const stored = await post(url, sent);
  const instance = of(url, sent);
  const whole = await download(instance, anyDicom);
  const frame = await download(`${instance}/frames/100`, "multipart/related; type=*/*; transfer-syntax=*");
  const slow = await download(`${instance}/bulkdata/7FE00010`, anyParts, { rate: 10e6, until: 50e6 });
  return `stored ${stored}, whole ${told(whole)}, a frame ${told(frame)}, bulk data slowly ${told(slow)}`;
}

/** Sends what `make` makes from every client at once. */
async function together(url: string, make: () => MadeBody, pace: Parameters<typeof post>[2] = {}): Promise<string> {
  const begun = performance.now();
  const statuses = await Promise.all(Array.from({ length: clients }, () => post(url, make(), pace)));
  const counts = Map.groupBy(statuses, (status) => status);
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  return `${[...counts].map(([status, { length }]) => `${length} times ${status}`).join(", ")} in ${seconds} s`;
}

function of(url: string, { studyInstanceUid, seriesInstanceUid, sopInstanceUid }: MadeBody): string {
  return `${url}/dicom-web/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`;
}

function told({ status, byteLength }: { status: number; byteLength: number }): string {
  return `${status} (${byteLength} bytes)`;
}
