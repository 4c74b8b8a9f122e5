/** What a disk can do: copies files and syncs each one, with a number of threads. The yardstick of bench/ingest.ts. */
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import path from "node:path";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { z } from "zod";

const share = z.object({ files: z.array(z.string()), folder: z.string() });

/**
 * Copies `files` into `folder`, which exists: each is read, written and synced (fsync) by one of `writers` threads, and the
 * folder is synced at the end of each thread. Gives the seconds from the first read to the last sync.
 */
export async function copyPlainly(files: readonly string[], folder: string, writers: number): Promise<number> {
  const workers = Array.from({ length: writers }, (_, index) => {
    const own = files.filter((_file, at) => at % writers === index);
    return new Worker(import.meta.filename, { workerData: { files: own, folder } });
  });
  await Promise.all(workers.map((worker) => said(worker)));
  const began = performance.now();
  await Promise.all(
    workers.map((worker) => {
      const done = said(worker);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage("go");
      return done;
    }),
  );
  return (performance.now() - began) / 1000;
}

function said(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once("message", () => resolve());
    worker.once("error", reject);
  });
}

function copyAll({ files, folder }: z.infer<typeof share>): void {
  for (const file of files) {
    const bytes = readFileSync(file);
    const target = openSync(path.join(folder, path.basename(file)), "wx");
    for (let written = 0; written < bytes.length;) written += writeSync(target, bytes, written);
    fsyncSync(target);
    closeSync(target);
  }
  const opened = openSync(folder, "r");
  fsyncSync(opened);
  closeSync(opened);
}

if (!isMainThread && parentPort) {
  const port = parentPort;
  const own = share.parse(workerData);
  port.once("message", () => {
    copyAll(own);
    port.postMessage("done");
  });
  port.postMessage("ready");
}
