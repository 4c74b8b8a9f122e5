/** Reindex: makes rows of the objects that have none, in the order in which they were stored, as a store would. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { ListedObject } from "../../storage/catalog-reindex.ts";
import type { StoreSettings } from "./store.ts";
import { createReindexBatch, type ReindexProblem } from "./reindex-batch.ts";

export type { ReindexProblem };

/** How to reindex. */
export interface ReindexOptions {
  /** Ends the run soon; what is left is done by the next one. */
  readonly signal: AbortSignal;
  /** Only objects that were stored at this moment or later. */
  readonly since?: Date | undefined;
  /** Only says what there is to do. */
  readonly dryRun?: boolean;
  /** An object younger than this (milliseconds) may belong to a store under way, and is waited for; default one minute. */
  readonly settle?: number;
  /** Objects looked at so far, while they are listed. */
  readonly onListed?: (objects: number) => void;
  /** What there is to do, when all are listed. */
  readonly onStart?: (objects: number, bytes: number) => void;
  /** What has been done since it was called last. */
  readonly onProgress?: (objects: number, bytes: number) => void;
  readonly onProblem?: (problem: ReindexProblem) => void;
}

/** What became of the objects. */
export interface ReindexResult {
  /** Objects of instances in the object store. */
  readonly listed: number;
  /** Those that had no row, and their bytes. */
  readonly toDo: number;
  readonly bytes: number;
  /** Those that have one now. */
  readonly indexed: number;
  readonly problems: Readonly<Record<ReindexProblem["kind"], number>>;
  /** False when the run was ended before its end. */
  readonly complete: boolean;
}

/** Name of the lock of whoever makes rows of objects, or lists objects without a row for the sweep. */
export const reindexLock = "reindex";

/** Objects that are compared with the rows in one statement. */
const listedAtOnce = 1000;

/** Objects that are committed in one transaction. */
const batchSize = 64;

/** Whether a key is that of an instance: the objects of other areas (`spool/`, `quarantine/`) are none of the archive. */
export function isInstanceKey(key: string): boolean {
  return /^[0-9a-f]{2}\//.test(key);
}

/** Makes the use case; it gives nothing when another reindex is under way, here or in another process. */
export function createReindex(blobs: Blobs, catalog: Catalog, { duplicates, removedKeepDays }: StoreSettings) {
  const replaceKeepingDays = duplicates === "replace" ? removedKeepDays : undefined;
  const indexBatch = createReindexBatch(blobs, catalog, replaceKeepingDays);

  /** Lists every object, and notes those without a row; tells how many there are. */
  async function list({ signal, since, onListed }: ReindexOptions): Promise<number> {
    let listed = 0;
    await catalog.reindex.clear();
    for await (const entries of inBatches(instancesOf(blobs), listedAtOnce)) {
      if (signal.aborted) break;
      listed += entries.length;
      await catalog.reindex.note(entries.filter(({ modifiedAt }) => !since || modifiedAt >= since));
      onListed?.(listed);
    }
    return listed;
  }

  /** @throws ArchiveError of a database or an object store that is away: what is done stays done */
  async function run(options: ReindexOptions): Promise<ReindexResult> {
    const { signal, dryRun = false, settle = 60_000, onStart, onProgress, onProblem } = options;
    const problems: Record<ReindexProblem["kind"], number> = { damaged: 0, refused: 0, duplicate: 0, deleted: 0 };
    const listed = await list(options);
    const { objects, bytes } = await catalog.reindex.total();
    let indexed = 0;
    let done = 0;
    if (dryRun) return { listed, toDo: objects, bytes, indexed, problems, complete: !signal.aborted };
    onStart?.(objects, bytes);
    let batch = await catalog.reindex.next(undefined, batchSize);
    for (; batch.length > 0 && !signal.aborted; batch = await catalog.reindex.next(batch.at(-1), batchSize)) {
      await untilSettled(batch, settle, signal);
      // Stores, and another run that was ended, may have made rows since they were listed.
      const unheld = await catalog.reindex.unheld(batch.map(({ key }) => key));
      const outcome = await indexBatch(batch.filter(({ key }) => unheld.has(key)));
      indexed += outcome.indexed;
      for (const problem of outcome.problems) {
        problems[problem.kind] += 1;
        onProblem?.(problem);
      }
      done += batch.length;
      onProgress?.(
        batch.length,
        batch.reduce((sum, { byteLength }) => sum + byteLength, 0),
      );
    }
    // Older objects without a row may be instances that the lost catalog had acknowledged.
    if (indexed > 0) await catalog.integrity.noteRestored();
    const complete = !signal.aborted && done >= objects;
    if (complete) await catalog.reindex.clear();
    return { listed, toDo: objects, bytes, indexed, problems, complete };
  }

  return async function reindex(options: ReindexOptions): Promise<ReindexResult | undefined> {
    let result: ReindexResult | undefined;
    await catalog.withLock(reindexLock, async () => {
      result = await run(options);
    });
    return result;
  };
}

/** Waits until the youngest of `batch` is old enough. A clock that is ahead of this one makes nobody wait longer. */
async function untilSettled(batch: readonly ListedObject[], settle: number, signal: AbortSignal): Promise<void> {
  const youngest = Math.max(...batch.map(({ modifiedAt }) => modifiedAt.getTime()));
  const wait = Math.min(settle, youngest + settle - Date.now());
  if (wait > 0) await sleep(wait, undefined, { signal }).catch(() => undefined);
}

async function* instancesOf(blobs: Pick<Blobs, "list">): AsyncGenerator<ListedObject> {
  for await (const { key, byteLength, modifiedAt, metadata } of blobs.list()) {
    if (isInstanceKey(key)) yield { key, byteLength, modifiedAt, sha256: metadata?.sha256 ?? null };
  }
}

async function* inBatches<Item>(items: AsyncIterable<Item>, size: number): AsyncGenerator<Item[]> {
  let batch: Item[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
