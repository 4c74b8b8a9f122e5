/** The verification that the archive makes by itself: all of it within so many days, in idle time, and in no hurry. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Catalog } from "../../storage/catalog.ts";
import type { IntegrityRun } from "../../storage/catalog-integrity.ts";
import type { Integrity } from "./integrity.ts";
import type { VerifyLog } from "./verify-faults.ts";

/** Resolves when nobody asks anything of this process; rejects when the signal aborts. */
export type Quiet = (signal: AbortSignal) => Promise<void>;

export interface BackgroundVerifySettings {
  /** Days within which every object is read once; 0 for never. */
  readonly everyDays: number;
  /** Whether objects without a row are removed of which nobody can have been told that they are stored. */
  readonly removeOrphans: boolean;
  /** Days that such an object stays on the list of the sweep. */
  readonly keepDays: number;
}

const day = 24 * 3600_000;

/** Bytes read in a second while there is time enough. */
const easyRate = 8e6;

/** Makes the task: one step of it goes on until all is verified, or `signal` aborts. It is called again and again. */
export function createBackgroundVerify(
  verify: Integrity["verify"],
  { integrity }: Pick<Catalog, "integrity">,
  log: VerifyLog,
  { everyDays, removeOrphans, keepDays }: BackgroundVerifySettings,
) {
  return async function verifyInBackground(signal: AbortSignal, quiet: Quiet): Promise<void> {
    if (everyDays === 0) return;
    const latest = await integrity.latestRun("background");
    const { since, now } = await integrity.knowsSince();
    if (!isDue(latest, since, now, everyDays)) return;
    const begunAt = latest?.finishedAt === null ? latest.startedAt.getTime() : Date.now();
    let share = latest?.finishedAt === null ? latest.share : 0;
    const ease = createThrottle(easyRate, signal);
    const report = await verify({
      kind: "background",
      sample: 1,
      deep: false,
      restart: false,
      parallel: 1,
      repair: removeOrphans ? "remove" : "report",
      graceHours: 24,
      keepHours: keepDays * 24,
      signal,
      pace: async (byteLength) => {
        await quiet(signal);
        // A fifth of the time is left for days on which there is none.
        const isLate = share + 0.05 < (Date.now() - begunAt) / (0.8 * everyDays * day);
        if (!isLate) await ease(byteLength);
      },
      onProgress: (progress) => {
        share = progress.share;
      },
    });
    if (!report?.finished) return;
    const { objects, bytesRead } = report.progress;
    const faults = Object.fromEntries(report.faults);
    log.info({ objects, bytesRead, faults, orphans: report.orphans }, "every object was verified");
  };
}

/** One that has begun goes on; the first begins when there has been an archive for a day. */
function isDue(latest: IntegrityRun | undefined, since: Date, now: Date, everyDays: number): boolean {
  if (!latest) return now.getTime() - since.getTime() > day;
  return latest.finishedAt === null || now.getTime() - latest.startedAt.getTime() > everyDays * day;
}

/** Waits after each piece as long as it takes at `rate` (bytes a second). */
function createThrottle(rate: number, signal: AbortSignal): (byteLength: number) => Promise<void> {
  let dueAt = 0;
  return async (byteLength) => {
    const now = performance.now();
    dueAt = Math.max(dueAt, now) + (byteLength / rate) * 1000;
    if (dueAt - now > 10) await sleep(dueAt - now, undefined, { signal, ref: false });
  };
}
