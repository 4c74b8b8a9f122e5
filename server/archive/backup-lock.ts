/** The lock in the target of a backup: nobody removes there what another one counts on. */
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { type BlobEntry, type Blobs, freshKey } from "../../storage/blobs.ts";
import { ArchiveError } from "../errors.ts";
import { locksRoot } from "./backup-layout.ts";
import { onTarget, putWhole } from "./backup-target.ts";

/** A lock that was not renewed for so long (milliseconds, by the clock of the target) is that of a process that died. */
const staleAfter = 10 * 60_000;

/** How often (milliseconds) it is renewed. */
const renewEvery = 60_000;

/** A lock that is held. */
export interface TargetLock {
  /** @throws ArchiveError `backup-under-way` when it was lost: what is under way must end */
  assertHeld(): Promise<void>;
}

/**
 * Runs `work` under the lock. Each who wants it puts an object of its own, and withdraws when it sees that of another;
 * so two never have it, on stores that know no conditional writes either.
 * @param every milliseconds from one renewal to the next, for tests
 * @throws ArchiveError `backup-under-way`
 */
export async function withTargetLock<Result>(
  target: Blobs,
  work: (lock: TargetLock) => Promise<Result>,
  every: number = renewEvery,
): Promise<Result> {
  let own = await put(target);
  const stopping = new AbortController();
  try {
    await refuseOthers(target, own);
    let faults = 0;
    let isLost = false;
    const renewing = renew(
      async () => {
        if (isLost) return;
        const next = await put(target);
        isLost = await wasStale(target, own, next);
        await onTarget(() => target.remove([isLost ? next : own]));
        if (isLost) return;
        own = next;
        faults = 0;
      },
      () => void (faults += 1),
      every,
      stopping.signal,
    );
    const lock: TargetLock = {
      assertHeld: async () => {
        if (isLost || faults > 3 || (await onTarget(() => target.stat(own))) === undefined) throw lost();
      },
    };
    try {
      return await work(lock);
    } finally {
      stopping.abort();
      await renewing;
    }
  } finally {
    // What cannot be removed is stale in a while.
    await target.remove([own]).catch(() => undefined);
  }
}

async function put(target: Blobs): Promise<string> {
  const key = `${locksRoot}${freshKey()}`;
  await putWhole(target, key, Buffer.from(JSON.stringify({ host: hostname(), pid: process.pid }), "utf8"));
  return key;
}

async function refuseOthers(target: Blobs, own: string): Promise<void> {
  const entries: BlobEntry[] = [];
  await onTarget(async () => {
    for await (const entry of target.list(locksRoot)) entries.push(entry);
  });
  const now = entries.find(({ key }) => key === own)?.modifiedAt;
  if (now === undefined) throw lost();
  const others = entries.filter(({ key }) => key !== own);
  const [living] = others.filter(({ modifiedAt }) => now.getTime() - modifiedAt.getTime() < staleAfter);
  if (living) {
    const sentence = `Somebody works at this target already, since ${living.modifiedAt.toISOString()} or before. If that one has died, try again in ten minutes.`;
    throw new ArchiveError("backup-under-way", sentence);
  }
  await onTarget(() => target.remove(others.map(({ key }) => key)));
}

/** Whether the lock was so old when `next` was to renew it, as after a suspension, that another one may have taken it. */
async function wasStale(target: Blobs, own: string, next: string): Promise<boolean> {
  const [before, renewed] = await onTarget(() => Promise.all([target.stat(own), target.stat(next)]));
  if (!before || !renewed) return true;
  return renewed.modifiedAt.getTime() - before.modifiedAt.getTime() >= staleAfter;
}

async function renew(step: () => Promise<void>, failed: () => void, every: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(every, undefined, { signal, ref: false }).catch(() => undefined);
    if (!signal.aborted) await step().catch(failed);
  }
}

function lost(): ArchiveError {
  return new ArchiveError("backup-under-way", "The lock of the backup's target was lost: another one may work there.");
}
