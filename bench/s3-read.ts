/**
 * Measures what frames cost on S3, with the cache of objects and without: `node bench/s3-read.ts [DELAY...]`. Needs
 * radosgw, or TEST_S3_ENDPOINT with its keys. DELAY is how far away (milliseconds) the store is made to be; 0 and 10.
 * Requests to the store are counted where they leave the process.
 */
import { subscribe } from "node:diagnostics_channel";
import { connect, createServer } from "node:net";
import { forEachParallel } from "../server/cli/import-parallel.ts";
import { newUid } from "../server/dicom/uid.ts";
import { element } from "../tests/support/dicom-writer.ts";
import { type ImageFile, imageFile, pixelAttributes } from "../tests/support/images.ts";
import { freshBucket, startS3 } from "../tests/support/s3.ts";
import { startTestServer } from "../tests/support/server.ts";

const explicitVrLittleEndian = "1.2.840.10008.1.2.1";
const slices = 200;
const frames = 100;

let requests = 0;
subscribe("http.client.request.start", () => (requests += 1));

/** An image of 8-bit noise. */
function noise(rows: number, columns: number, count: number, uids: { study: string; series: string }): ImageFile {
  const pixels = Buffer.alloc(count * rows * columns);
  for (let at = 0; at < pixels.length; at += 4) pixels.writeUInt32LE((at * 40_503) % 2 ** 32, at);
  const attributes = pixelAttributes(rows, columns, count, "MONOCHROME2");
  return imageFile(explicitVrLittleEndian, attributes, [element(0x7fe00010, "OB", pixels)], uids);
}

/** Where the store seems to be `delay` ms away; gives its address. */
async function startFarAway(endpoint: string, delay: number): Promise<{ url: string; stop: () => void }> {
  const { hostname, port } = new URL(endpoint);
  const server = createServer((client) => {
    const store = connect(Number(port), hostname);
    client.pipe(store);
    store.on("data", (bytes) => setTimeout(() => client.write(bytes), delay));
    for (const socket of [client, store]) socket.on("error", () => undefined);
    store.on("close", () => setTimeout(() => client.destroy(), delay));
    client.on("close", () => store.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  const own = typeof address === "object" ? address?.port : undefined;
  return { url: `http://127.0.0.1:${own}`, stop: () => server.close() };
}

async function measure(endpoint: string, keys: Readonly<Record<string, string>>, megabytes: number, name: string) {
  const server = await startTestServer({
    ...keys,
    S3_ENDPOINT: endpoint,
    S3_BUCKET: freshBucket(),
    OBJECT_CACHE_MB: String(megabytes),
  });
  const uids = { study: newUid(), series: newUid() };
  const ct = Array.from({ length: slices }, () => noise(1024, 512, 1, uids));
  const cine = noise(600, 800, frames, { study: uids.study, series: newUid() });
  await forEachParallel([...ct, cine], 4, async ({ bytes }) => {
    const headers = { "Content-Type": "application/dicom" };
    const response = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body: bytes });
    await response.arrayBuffer();
  });
  const ask = async (path: string) => {
    const response = await fetch(`${server.url}${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    await response.arrayBuffer();
  };
  const row = async (what: string, paths: readonly string[], atOnce: number) => {
    requests = 0;
    const begun = performance.now();
    await forEachParallel(paths, atOnce, ask);
    const milliseconds = performance.now() - begun;
    const each = (milliseconds / paths.length).toFixed(1);
    process.stdout.write(
      `${name.padEnd(24)} ${what.padEnd(40)} ${String(requests).padStart(4)} requests ${each.padStart(6)} ms a frame\n`,
    );
  };
  const slicePaths = ct.map(({ path }) => `${path}/frames/1`);
  const framePaths = Array.from({ length: frames }, (_, index) => `${cine.path}/frames/${index + 1}`);
  await row(`CT, ${slices} slices, 6 at once`, slicePaths, 6);
  await row("the last 50 of them again", slicePaths.slice(-50), 6);
  await row(`cine, ${frames} frames, one by one`, framePaths, 1);
  await row(`the last 50 of them again, 6 at once`, framePaths.slice(-50), 6);
  await server.stop();
}

const s3 = await startS3();
const { accessKey: S3_ACCESS_KEY, secretKey: S3_SECRET_KEY, region: S3_REGION } = s3;
const given = process.argv.slice(2).map(Number);
for (const delay of given.length > 0 ? given : [0, 10]) {
  const { url, stop } = await startFarAway(s3.endpoint, delay);
  for (const megabytes of [0, 64]) {
    const name = `${delay} ms away, cache ${megabytes} MB`;
    await measure(url, { S3_ACCESS_KEY, S3_SECRET_KEY, S3_REGION }, megabytes, name);
  }
  stop();
}
await s3.stop();
