/** The client of bench/ingest.ts, a process of its own: stores slices by STOW-RS or in S3, and tells time and CPU. */
import { once } from "node:events";
import http from "node:http";
import { text } from "node:stream/consumers";
import { Client } from "minio";
import { type ClientTask, clientTask } from "./ingest-tasks.ts";
import { readSlices, renewUids, type Slice } from "./ingest-slices.ts";

const boundary = "noctis-bench";
let slices: readonly Slice[] = [];

process.on("message", (message) => {
  perform(clientTask.parse(message)).then(
    (answer) => process.send?.(answer),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});

async function perform(wanted: ClientTask) {
  if (wanted.kind === "load") {
    slices = await readSlices(wanted.files);
    return { seconds: 0, cpuSeconds: 0 };
  }
  if (wanted.kind === "stow") slices = renewUids(slices, wanted.seed);
  const work = wanted.kind === "stow" ? stow(wanted) : put(wanted);
  const [began, cpu] = [performance.now(), process.cpuUsage()];
  await work.run();
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  work.close();
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}

/** What is measured, and what ends it. */
interface Work {
  readonly run: () => Promise<void>;
  readonly close: () => void;
}

/** Each client takes the next item when it has its answer. */
async function shared<Item>(queue: Item[], clients: number, send: (item: Item) => Promise<void>): Promise<void> {
  const client = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await send(item);
  };
  await Promise.all(Array.from({ length: clients }, client));
}

function stow({ url, clients, perRequest }: Extract<ClientTask, { kind: "stow" }>): Work {
  const agent = new http.Agent({ keepAlive: true, maxSockets: clients });
  const queue: (readonly Slice[])[] = [];
  for (let at = 0; at < slices.length; at += perRequest) queue.push(slices.slice(at, at + perRequest));
  const head = Buffer.from(`\r\n--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`);
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const send = async (some: readonly Slice[]) => {
    const length = some.reduce((sum, { bytes }) => sum + head.length + bytes.length, tail.length);
    const headers = {
      "Content-Type": `multipart/related; type="application/dicom"; boundary=${boundary}`,
      "Content-Length": length,
      Accept: "application/dicom+json",
    };
    const request = http.request(`${url}/studies`, { method: "POST", agent, headers });
    const answered = new Promise<http.IncomingMessage>((resolve, reject) => {
      request.once("response", resolve);
      request.once("error", reject);
    });
    for (const { bytes } of some) {
      request.write(head);
      if (!request.write(bytes)) await once(request, "drain");
    }
    request.end(tail);
    const response = await answered;
    const body = await text(response);
    if (response.statusCode !== 200) throw new Error(`STOW answered ${response.statusCode}: ${body.slice(0, 500)}`);
  };
  return { run: () => shared(queue, clients, send), close: () => agent.destroy() };
}

function put(wanted: Extract<ClientTask, { kind: "put" }>): Work {
  const { protocol, hostname, port } = new URL(wanted.endpoint);
  const agent = new http.Agent({ keepAlive: true, maxSockets: wanted.clients });
  const { accessKey, secretKey, region, bucket } = wanted;
  const client = new Client({
    endPoint: hostname,
    port: Number(port),
    useSSL: protocol === "https:",
    accessKey,
    secretKey,
    region,
    ...(protocol === "http:" && { transportAgent: agent }),
  });
  const queue = slices.map(({ bytes }, index) => ({ bytes, name: `plain-${index}` }));
  const send = async ({ bytes, name }: { bytes: Buffer; name: string }) => {
    await client.putObject(bucket, name, bytes, bytes.length);
  };
  return { run: () => shared(queue, wanted.clients, send), close: () => agent.destroy() };
}
