/** Restore: a snapshot of a backup becomes the archive again, rows and objects. */
import type { Knex } from "knex";
import type { BlobMetadata, Blobs } from "../../storage/blobs.ts";
import { becomeCopy, type BackupLine, beginLine } from "../../storage/catalog-backups.ts";
import { createIntegrityCatalog } from "../../storage/catalog-integrity.ts";
import { heldAt } from "../../storage/catalog-objects.ts";
import { restoreRows } from "../../storage/database-restore.ts";
import { keepRemovals, skipNumbers } from "../../storage/restore-numbers.ts";
import { finishRestore, noteObjects, readRestoreState } from "../../storage/restore-state.ts";
import { ArchiveError } from "../errors.ts";
import { faultsNamed, type Manifest } from "./backup-layout.ts";
import { type NeededFolder, type NeededObject, readFolders } from "./backup-lists.ts";
import { findSnapshot } from "./backup-snapshots.ts";
import { readCompressed } from "./backup-target.ts";
import { inParallel } from "./in-parallel.ts";
import { bringBack, copiesAtOnce, metadataOf, rowsAtOnce } from "./restore-objects.ts";

/** What to restore. */
export interface RestoreRequestOfBackup {
  /** Where the backup is. */
  readonly target: Blobs;
  /** Name of the snapshot; the newest when absent. */
  readonly snapshot: string | undefined;
  /** Whether it becomes an archive of its own, beside the one that was backed up; otherwise it takes its place. */
  readonly isCopy?: boolean;
  /** Ends it early: the next one goes on. */
  readonly signal: AbortSignal;
  /** Hears how many objects there are, and their bytes, when the rows are there. */
  readonly onStart?: (objects: number, bytes: number) => void;
  readonly onObjects?: (objects: number, bytes: number) => void;
}

/** What was restored. */
export interface RestoreReport {
  readonly snapshot: string;
  readonly takenAt: Date;
  readonly studies: number;
  readonly instances: number;
  readonly objects: number;
  /** Objects that were copied; the others were there, with the right bytes. */
  readonly copied: number;
  /** Objects that the backup lacks, or has with other bytes: their rows are there all the same. */
  readonly faults: Manifest["faults"];
  readonly faultCount: number;
}

/** An archive to restore into, whose schema is not there yet. */
export interface RestoreInto {
  readonly knex: Knex;
  readonly blobs: Blobs;
}

/**
 * Restores a snapshot into an empty archive: schema and rows, then the objects, each checked by its SHA-256, also one
 * that is there already. When it is interrupted, the same call goes on; until it has ended no server starts on it.
 * @throws ArchiveError `no-such-snapshot`, `which-snapshot`, `archive-not-empty`, `backup-damaged`, `backup-newer`, of both stores
 */
export async function restoreBackup(into: RestoreInto, request: RestoreRequestOfBackup): Promise<RestoreReport> {
  const { knex } = into;
  const { target, onStart } = request;
  const manifest = await findSnapshot(target, request.snapshot);
  const { snapshot, migrations, sequences, objects } = manifest;
  const tables = manifest.tables.map(({ name, columns, rows, ...file }) => ({
    name,
    columns,
    rows,
    read: () => untilAborted(readCompressed(target, file), request.signal),
  }));
  if (request.isCopy === true) await refuseObjects(into);
  const state = await restoreRows(knex, { snapshot, migrations, sequences, tables });
  onStart?.(objects.count, objects.totalBytes);
  const copied = await copyBack(into, manifest, state.objectsUntil, request);
  await knex.transaction(async (trx) => {
    await createIntegrityCatalog(trx).noteRestored();
    await skipNumbers(trx);
    await keepRemovals(trx, new Date(manifest.takenAt));
    if (request.isCopy === true) await becomeCopy(trx);
    else await beginLine(trx, originsOf(manifest));
    await finishRestore(trx);
  });
  const rowsOf = (name: string) => tables.find((table) => table.name === name)?.rows ?? 0;
  return {
    snapshot,
    takenAt: new Date(manifest.takenAt),
    studies: rowsOf("study"),
    instances: rowsOf("instance"),
    objects: objects.count,
    ...copied,
  };
}

/** An archive and its copy over the same objects would remove what the other one needs. @throws ArchiveError `archive-not-empty` */
async function refuseObjects({ knex, blobs }: RestoreInto): Promise<void> {
  if ((await readRestoreState(knex)) !== undefined) return;
  for await (const _ of blobs.list()) {
    const sentence = "The object store is not empty: a copy needs one of its own (DATA_DIR, S3_BUCKET).";
    throw new ArchiveError("archive-not-empty", sentence);
  }
}

function originsOf({ line, origins = [], takenAt }: Manifest): BackupLine["origins"] {
  return line === undefined ? origins : [...origins, { line, until: takenAt }];
}

async function* untilAborted(chunks: AsyncIterable<Buffer>, signal: AbortSignal) {
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    yield chunk;
  }
}

/** Folder by folder, so that an interruption costs one folder at most. */
async function copyBack(
  { knex, blobs }: RestoreInto,
  { objects: list }: Manifest,
  until: string,
  { target, signal, onObjects }: RestoreRequestOfBackup,
): Promise<Pick<RestoreReport, "copied" | "faults" | "faultCount">> {
  const counts = { copied: 0, faultCount: 0 };
  const faults: Manifest["faults"] = [];
  const bring = async ({ key, sha256, byteLength }: NeededObject, metadata: BlobMetadata) => {
    signal.throwIfAborted();
    const outcome = await bringBack({ blobs, target }, { key, sha256, byteLength }, metadata, signal);
    onObjects?.(1, byteLength);
    if (outcome === "copied") counts.copied += 1;
    if (outcome === "copied" || outcome === "right") return;
    counts.faultCount += 1;
    if (faults.length < faultsNamed) faults.push({ key, fault: outcome });
  };
  const folder = async ({ folder: name, objects }: NeededFolder) => {
    for (let start = 0; start < objects.length; start += rowsAtOnce) {
      const some = objects.slice(start, start + rowsAtOnce);
      const rows = await heldAt(
        knex,
        some.map(({ key }) => key),
      );
      const byKey = new Map(rows.map((row) => [row.key, row]));
      await inParallel(some, copiesAtOnce, (object) => bring(object, metadataOf(object.sha256, byKey.get(object.key))));
    }
    await noteObjects(knex, name);
  };
  for await (const next of readFolders(target, list)) {
    if (next.folder > until) await folder(next);
    else for (const { byteLength } of next.objects) onObjects?.(1, byteLength);
  }
  return { ...counts, faults };
}
