/** Backup: a consistent copy of the archive in another place, which the next one adds to. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Blobs, freshKey } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { BackupCause, BackupResult, BackupSource } from "../../storage/catalog-backups.ts";
import type { DatabaseSnapshot } from "../../storage/database-dump.ts";
import { ArchiveError, toArchiveError } from "../errors.ts";
import { version } from "../version.ts";
import { type Copied, copyMissing, type OnObjects } from "./backup-copy.ts";
import { type Dumped, dumpDatabase } from "./backup-dump.ts";
import type { KeepRule } from "./backup-keep.ts";
import { type Manifest, manifestFile, objectsRoot, snapshotName } from "./backup-layout.ts";
import { isOfLivingOriginal } from "./backup-lines.ts";
import { readFolders } from "./backup-lists.ts";
import { type TargetLock, withTargetLock } from "./backup-lock.ts";
import { prune, type Pruned } from "./backup-prune.ts";
import { listSnapshots, readManifest } from "./backup-snapshots.ts";
import { isDamage, onceOpen, onTarget, putWhole } from "./backup-target.ts";
import type { StoreLog } from "./store.ts";
import { sweepLock } from "./sweep.ts";

/** How to make a backup. */
export interface BackupRequest {
  /** Opens the place where it goes; closed when it is done. */
  readonly openTarget: () => Promise<Blobs>;
  /** Which snapshots stay. */
  readonly keep: KeepRule;
  readonly cause: BackupCause;
  /** Ends it early: what was copied is there for the next one. */
  readonly signal: AbortSignal;
  /** Hears how many objects the snapshot needs, and their bytes. */
  readonly onStart?: (objects: number, bytes: number) => void;
  readonly onObjects?: OnObjects;
}

/** What a backup came to. */
export interface BackupReport {
  readonly snapshot: string;
  readonly studies: number;
  readonly instances: number;
  readonly objects: number;
  readonly objectBytes: number;
  readonly copied: Copied;
  readonly pruned: Pruned;
  /** Why old snapshots could not be removed; undefined when nothing went wrong. */
  readonly pruneFault: string | undefined;
}

/** Name of the lock of whoever makes a backup of this archive. */
const backupLock = "backup";

/** How long (milliseconds) to wait for a sweep that removes a batch of objects. */
const sweepPatience = 60_000;

/** Makes the use case. */
export function createBackUp(
  blobs: Blobs,
  { backups, withLock }: Pick<Catalog, "backups" | "withLock">,
  log: StoreLog,
) {
  /**
   * The sweep removes objects of what was purged; until the copy is done it must not, since the snapshot may need them.
   */
  async function withoutSweep(work: () => Promise<void>): Promise<void> {
    const end = Date.now() + sweepPatience;
    while (!(await withLock(sweepLock, work))) {
      if (Date.now() > end) throw new ArchiveError("backup-under-way", "The sweep of removed objects does not end.");
      await sleep(20 + Math.random() * 20);
    }
  }

  async function copyAll(
    request: BackupRequest,
    target: Blobs,
    lock: TargetLock,
  ): Promise<{ manifest: Manifest; copied: Copied }> {
    const { signal, onStart, onObjects = () => undefined } = request;
    const source = await backups.source();
    await refuseForeign(target, source);
    if (request.cause === "schedule" && (await backups.hasScheduled())) await refuseEmpty(target);
    const done: { manifest?: Manifest; copied?: Copied } = {};
    await withoutSweep(async () => {
      const { name, takenAt, dumped } = await dumpAll(await backups.openSnapshot(), target, signal);
      onStart?.(dumped.objects.count, dumped.objects.totalBytes);
      const copied = await copyMissing(blobs, target, readFolders(target, dumped.objects), { onObjects, signal });
      const { faults, faultCount } = copied;
      const finishedAt = new Date().toISOString();
      const made = { format: 1, snapshot: name, ...source, takenAt, finishedAt, version } as const;
      const manifest = { ...made, ...dumped, faults, faultCount };
      const file = manifestFile(manifest);
      await lock.assertHeld();
      await putWhole(target, file.key, file.bytes);
      Object.assign(done, { manifest, copied });
    });
    if (!done.manifest || !done.copied) throw new Error("a backup without a manifest");
    return { manifest: done.manifest, copied: done.copied };
  }

  async function makeAt(request: BackupRequest, target: Blobs): Promise<BackupReport> {
    return withTargetLock(target, async (lock) => {
      const { manifest, copied } = await copyAll(request, target, lock);
      const faulty = copied.faults.map(({ key, fault }) => `${key} (${fault})`).slice(0, 10);
      if (copied.faultCount > 0) {
        log.warn({ count: copied.faultCount, faulty }, "a backup lacks objects that are faulty in the archive");
      }
      const nothing: Pruned = { snapshots: [], objects: 0, bytes: 0 };
      let pruneFault: string | undefined;
      const pruned = await prune(target, request.keep, manifest, lock).catch((error: unknown) => {
        pruneFault = toArchiveError(error).message;
        log.warn({ err: error }, "old snapshots could not be removed");
        return nothing;
      });
      return { ...totalsOf(manifest), copied, pruned, pruneFault };
    });
  }

  async function make(request: BackupRequest): Promise<BackupReport> {
    return onceOpen(await request.openTarget(), async (target) => {
      await refuseItself(blobs, target);
      return makeAt(request, target);
    });
  }

  /**
   * Makes a backup, and notes how it went.
   * @throws ArchiveError `backup-under-way`, `backup-of-other`, of the target and of the archive; the reason of `signal`
   */
  return async function backUp(request: BackupRequest): Promise<BackupReport> {
    let report: BackupReport | undefined;
    const ran = await withLock(backupLock, async () => {
      const run = await backups.begin(request.cause);
      try {
        report = await make(request);
        await backups.end(run, resultOf(report));
      } catch (error) {
        const fault = request.signal.aborted ? "It was stopped before it was done." : toArchiveError(error).message;
        await backups.end(run, { outcome: "failed", fault }).catch(() => undefined);
        throw error;
      }
    });
    if (!ran || !report) throw new ArchiveError("backup-under-way", "A backup of this archive is under way already.");
    return report;
  };
}

async function dumpAll(
  database: DatabaseSnapshot,
  target: Blobs,
  signal: AbortSignal,
): Promise<{ name: string; takenAt: string; dumped: Dumped }> {
  try {
    const name = snapshotName(database.takenAt);
    return {
      name,
      takenAt: database.takenAt.toISOString(),
      dumped: await dumpDatabase(database, target, name, signal),
    };
  } finally {
    await database.close();
  }
}

/**
 * What the target removes must not be what the archive has, however they are reached: by a link, another mount, another
 * address of the same bucket. A new object of the archive must not be seen in the target.
 */
async function refuseItself(blobs: Blobs, target: Blobs): Promise<void> {
  const { key } = await blobs.put(singleByte(), { key: freshKey("spool") });
  try {
    const found = await onTarget(() => Promise.all([target.stat(key), target.stat(`${objectsRoot}${key}`)]));
    if (found.every((entry) => entry === undefined)) return;
    throw new ArchiveError(
      "storage-unavailable",
      "The target of the backup is the archive itself: name another place.",
    );
  } finally {
    await blobs.remove([key]);
  }
}

async function* singleByte(): AsyncGenerator<Uint8Array> {
  yield Buffer.of(0);
}

/**
 * Retention of one archive must not remove the snapshots of another, nor a restored one put what it is over what its
 * original has become since. A manifest that cannot be read tells nothing.
 */
async function refuseForeign(target: Blobs, source: BackupSource): Promise<void> {
  for (const snapshot of await listSnapshots(target)) {
    if (snapshot.manifest === undefined) continue;
    const manifest = await readManifest(target, snapshot).catch((error: unknown) => {
      if (isDamage(error)) return undefined;
      throw error;
    });
    if (manifest === undefined) continue;
    const isOther = manifest.archiveId !== source.archiveId;
    if (!isOther && !isOfLivingOriginal(source, manifest)) continue;
    const whose = isOther
      ? "backups of another archive"
      : "later backups of the archive that this one was restored from";
    throw new ArchiveError("backup-of-other", `The target holds ${whose}: name a folder or a bucket of its own.`);
  }
}

/** A disk that is not mounted leaves its folder, and what fills it then is on another disk. */
async function refuseEmpty(target: Blobs): Promise<void> {
  const snapshots = await listSnapshots(target);
  if (snapshots.some(({ manifest }) => manifest !== undefined)) return;
  const sentence =
    "The target has no backup, though some were made: is its disk mounted? The first one in a new target is made by noctis backup.";
  throw new ArchiveError("storage-unavailable", sentence);
}

function totalsOf({ snapshot, tables, objects }: Manifest) {
  const rowsOf = (name: string) => tables.find((table) => table.name === name)?.rows ?? 0;
  return {
    snapshot,
    studies: rowsOf("study"),
    instances: rowsOf("instance"),
    objects: objects.count,
    objectBytes: objects.totalBytes,
  };
}

function resultOf({ snapshot, instances, objects, objectBytes, copied, pruneFault }: BackupReport): BackupResult {
  return {
    outcome: copied.faultCount > 0 ? "with-faults" : "complete",
    snapshot,
    fault: pruneFault,
    instances,
    objects,
    objectBytes,
    copiedObjects: copied.copiedObjects,
    copiedBytes: copied.copiedBytes,
    faultyObjects: copied.faultCount,
  };
}
