/** Backups of this archive: made, told of, and used to bring objects back. */
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { BackupRun } from "../../storage/catalog-backups.ts";
import { type BackupReport, type BackupRequest, createBackUp } from "./backup.ts";
import type { KeepRule } from "./backup-keep.ts";
import { isCovered, isDue, nextTurn } from "./backup-schedule.ts";
import { onceOpen } from "./backup-target.ts";
import { type BroughtBack, bringObjectsBack } from "./restore-objects.ts";
import type { StoreLog } from "./store.ts";

export type { BackupReport, BackupRequest, BackupRun, BroughtBack };

/** Backups as the settings want them. */
export interface BackupSettings {
  /** Times of day such as `02:30`; none: no backup is made by itself. */
  readonly times: readonly string[];
  readonly keep: KeepRule;
  /** Opens the target of the settings; undefined when they name none. */
  readonly openTarget: (() => Promise<Blobs>) | undefined;
}

/** How the backups go. */
export interface BackupStatus {
  /** When the next one is made by itself; null when none is. */
  readonly nextAt: Date | null;
  /** Whether one should have been made by itself, and there is none yet. */
  readonly overdue: boolean;
  /** The latest that made a snapshot. */
  readonly lastSuccess: BackupRun | null;
  /** The latest, newest first. */
  readonly runs: readonly BackupRun[];
}

/** What may be done about backups. */
export interface Backups {
  /** Makes one now. @throws ArchiveError `backup-under-way`, `backup-of-other`, of both stores; the reason of the signal */
  make(request: Omit<BackupRequest, "keep">): Promise<BackupReport>;
  /** Makes one when the settings want one now; undefined when they do not. @throws as `make` */
  makeIfDue(signal: AbortSignal): Promise<BackupReport | undefined>;
  status(limit: number): Promise<BackupStatus>;
  /**
   * Brings objects back that are missing here or are not what their rows say.
   * @param target default: that of the settings
   * @throws ArchiveError of both stores; the reason of the signal
   */
  restoreObjects(keys: readonly string[], signal: AbortSignal, target?: Blobs): Promise<readonly BroughtBack[]>;
}

/** Runs that are looked at to see how often one has failed. */
const recent = 20;

/** Makes the use cases. */
export function createBackups(
  blobs: Blobs,
  catalog: Pick<Catalog, "backups" | "withLock" | "integrity">,
  log: StoreLog,
  settings: BackupSettings,
): Backups {
  const { times, keep, openTarget } = settings;
  const { backups } = catalog;
  const backUp = createBackUp(blobs, catalog, log);
  const isScheduled = times.length > 0 && openTarget !== undefined;

  async function history() {
    const [lastSuccess, runs] = await Promise.all([backups.latestSuccess(), backups.latest(recent)]);
    const failures = runs.flatMap(({ id, outcome, finishedAt }) =>
      outcome === "failed" && finishedAt !== null && id > (lastSuccess?.id ?? 0) ? [finishedAt] : [],
    );
    return { lastSuccess: lastSuccess?.startedAt, failures };
  }

  return {
    make: (request) => backUp({ ...request, keep }),

    makeIfDue: async (signal) => {
      if (!isScheduled || !isDue(times, await history(), new Date())) return undefined;
      return backUp({ openTarget, keep, cause: "schedule", signal });
    },

    status: async (limit) => {
      const now = new Date();
      const [lastSuccess, runs] = await Promise.all([backups.latestSuccess(), backups.latest(limit)]);
      return {
        nextAt: isScheduled ? nextTurn(times, now) : null,
        overdue: isScheduled && !isCovered(times, lastSuccess?.startedAt, now),
        lastSuccess: lastSuccess ?? null,
        runs,
      };
    },

    restoreObjects: async (keys, signal, target) => {
      if (target !== undefined) return bringObjectsBack(blobs, catalog.integrity, target, keys, signal);
      const opened = await openTarget?.();
      if (opened === undefined) return [];
      return onceOpen(opened, (own) => bringObjectsBack(blobs, catalog.integrity, own, keys, signal));
    },
  };
}
