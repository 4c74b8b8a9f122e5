/** Measures a large object by C-STORE: `node bench/dimse-big.ts [--megabytes N] [--work DIR]`; seconds, CPU and peak memory. */
import { execFile } from "node:child_process";
import { mkdtemp, open, rm } from "node:fs/promises";
import path from "node:path";
import { parseArgs, promisify } from "node:util";
import { element } from "../tests/support/dicom-writer.ts";
import { imageFile } from "../tests/support/images.ts";
import { peakMemory } from "../tests/support/process.ts";
import { startNoctis } from "./dimse-servers.ts";

const { values: given } = parseArgs({
  options: { megabytes: { type: "string", default: "500" }, work: { type: "string", default: "." } },
});

const run = promisify(execFile);
const mebibyte = 2 ** 20;
const work = await mkdtemp(path.join(path.resolve(given.work), "dimse-big-"));
const server = await startNoctis(path.join(work, "noctis"));
try {
  const file = path.join(work, "big.dcm");
  await writeLarge(file, Number(given.megabytes));
  await run("sync");
  const [idle, before] = [await peakMemory(server.pid), await server.cpu()];
  const began = performance.now();
  const target = ["-aec", server.aeTitle, "127.0.0.1", String(server.port), file];
  const { stdout, stderr } = await run("storescu", ["-v", "-xe", ...target], {
    env: { ...process.env, TCP_NODELAY: "1" },
    maxBuffer: 64 * mebibyte,
  });
  const seconds = (performance.now() - began) / 1000;
  if (!/Received Store Response \(Success\)/.test(stdout + stderr)) throw new Error(`it was not stored: ${stderr}`);
  const { server: cpu } = await server.cpu();
  const peak = await peakMemory(server.pid);
  process.stdout.write(
    `${given.megabytes} MB in ${seconds.toFixed(2)} s, CPU of the server ${(cpu - before.server).toFixed(2)} s, ` +
      `peak memory ${(peak / mebibyte).toFixed(0)} MB (${(idle / mebibyte).toFixed(0)} MB before)\n`,
  );
} finally {
  await server.stop();
  await rm(work, { recursive: true, force: true });
}

/** Frames of 1 MB, of 16 bits a sample. */
async function writeLarge(target: string, frames: number): Promise<void> {
  const pixels = Buffer.alloc(mebibyte, "noctis");
  const { bytes } = imageFile(
    "1.2.840.10008.1.2.1",
    {
      "00080016": ["UI", "1.2.840.10008.5.1.4.1.1.7.3"],
      "00280002": ["US", [1]],
      "00280004": ["CS", "MONOCHROME2"],
      "00280008": ["IS", String(frames)],
      "00280010": ["US", [1024]],
      "00280011": ["US", [512]],
      "00280100": ["US", [16]],
      "00280101": ["US", [16]],
      "00280102": ["US", [15]],
      "00280103": ["US", [0]],
    },
    [element(0x7fe00010, "OW", Buffer.alloc(2))],
  );
  // The length is in front of the two bytes of the pixel data, which are replaced.
  bytes.writeUInt32LE(frames * mebibyte, bytes.length - 6);
  const handle = await open(target, "wx");
  await handle.write(bytes.subarray(0, -2));
  for (let frame = 0; frame < frames; frame += 1) await handle.write(pixels);
  await handle.close();
}
