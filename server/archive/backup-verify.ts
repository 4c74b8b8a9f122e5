/** Verifies a backup: reads everything in it back, and compares it with its SHA-256. */
import type { Blobs } from "../../storage/blobs.ts";
import { toArchiveError } from "../errors.ts";
import { faultsNamed, type Manifest, objectsRoot, verifiedKey } from "./backup-layout.ts";
import { mergeFolders, type NeededObject, readFolders } from "./backup-lists.ts";
import { withTargetLock } from "./backup-lock.ts";
import { listSnapshots, readManifest } from "./backup-snapshots.ts";
import { isDamage, onTarget, putWhole, readCompressed, targetError } from "./backup-target.ts";
import { checkObject, copyObject } from "./copy-object.ts";
import { inParallel } from "./in-parallel.ts";

/** How to verify. */
export interface VerifyBackupRequest {
  readonly signal: AbortSignal;
  /** Objects of the archive: what the backup lacks, or has with other bytes, is copied anew from there. */
  readonly repairFrom?: Blobs | undefined;
  readonly onStart?: (objects: number, bytes: number) => void;
  readonly onObjects?: (objects: number, bytes: number) => void;
}

/** What a verification found. */
export interface VerifyBackupReport {
  readonly snapshots: number;
  readonly objects: number;
  readonly bytes: number;
  /** A line each; the first ones. */
  readonly faults: readonly string[];
  readonly faultCount: number;
  /** Objects that were faulty, and were copied anew. */
  readonly repaired: number;
}

/** Objects under way at once. */
const readsAtOnce = 4;

const words = { missing: "is missing", "wrong-bytes": "has other bytes than were stored" } as const;

/**
 * Reads every snapshot and every object that one of them needs, and notes beside each snapshot what was found.
 * @throws ArchiveError `backup-under-way`, `storage-unavailable`; the reason of the signal
 */
export function verifyBackup(target: Blobs, request: VerifyBackupRequest): Promise<VerifyBackupReport> {
  return withTargetLock(target, () => verify(target, request));
}

async function verify(target: Blobs, request: VerifyBackupRequest): Promise<VerifyBackupReport> {
  const { signal, repairFrom, onStart, onObjects } = request;
  const found = new Faults();
  const manifests = await verifySnapshots(target, found, signal);
  if (onStart) await tellTotals(target, onStart);
  const totals = { objects: 0, bytes: 0, repaired: 0 };
  const check = async ({ key, sha256, byteLength }: NeededObject) => {
    signal.throwIfAborted();
    const place = { blobs: target, key: `${objectsRoot}${key}`, errorOf: targetError };
    const outcome = await onTarget(() => checkObject(place, sha256));
    onObjects?.(1, byteLength);
    totals.objects += 1;
    totals.bytes += byteLength;
    if (outcome === "right") return;
    const repaired =
      repairFrom && (await copyObject({ blobs: repairFrom, key }, place, { sha256 }, signal)) === "copied";
    if (repaired === true) totals.repaired += 1;
    else found.add(`${key} ${words[outcome]}`, key);
  };
  const lists = manifests.map(({ objects }) => readFolders(target, objects));
  for await (const { objects } of mergeFolders(lists)) await inParallel(objects, readsAtOnce, check);
  for (const manifest of manifests) await noteVerified(target, manifest, found);
  return { snapshots: manifests.length, ...totals, faults: found.lines, faultCount: found.count };
}

class Faults {
  readonly lines: string[] = [];
  /** Of faulty objects. */
  readonly keys = new Set<string>();
  /** By snapshot: of its own files. */
  readonly ofSnapshot = new Map<string, number>();
  count = 0;

  add(line: string, key?: string, snapshot?: string): void {
    this.count += 1;
    if (this.lines.length < faultsNamed) this.lines.push(line);
    if (key !== undefined) this.keys.add(key);
    if (snapshot !== undefined) this.ofSnapshot.set(snapshot, (this.ofSnapshot.get(snapshot) ?? 0) + 1);
  }
}

/** The manifests of snapshots whose lists of objects can be read. */
async function verifySnapshots(target: Blobs, found: Faults, signal: AbortSignal): Promise<Manifest[]> {
  const readable: Manifest[] = [];
  for (const snapshot of await listSnapshots(target)) {
    if (snapshot.manifest === undefined) continue;
    const { name } = snapshot;
    try {
      const manifest = await readManifest(target, snapshot);
      for await (const _ of readFolders(target, manifest.objects)) signal.throwIfAborted();
      readable.push(manifest);
      for (const { name: table, ...file } of manifest.tables) {
        signal.throwIfAborted();
        await drain(readCompressed(target, file)).catch((error: unknown) => {
          found.add(`The table ${table} of the snapshot ${name}: ${damage(error)}`, undefined, name);
        });
      }
    } catch (error) {
      signal.throwIfAborted();
      found.add(`The snapshot ${name}: ${damage(error)}`, undefined, name);
    }
  }
  return readable;
}

async function drain(chunks: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of chunks);
}

/** Only what tells of damage is a fault: a target that does not answer ends the verification. */
function damage(error: unknown): string {
  if (!isDamage(error)) throw error;
  return toArchiveError(error).message;
}

async function tellTotals(target: Blobs, onStart: (objects: number, bytes: number) => void): Promise<void> {
  const totals = { objects: 0, bytes: 0 };
  await onTarget(async () => {
    for await (const { byteLength } of target.list(objectsRoot)) {
      totals.objects += 1;
      totals.bytes += byteLength;
    }
  });
  onStart(totals.objects, totals.bytes);
}

async function noteVerified(target: Blobs, { snapshot, objects }: Manifest, found: Faults): Promise<void> {
  let faults = found.ofSnapshot.get(snapshot) ?? 0;
  if (found.keys.size > 0) {
    for await (const folder of readFolders(target, objects)) {
      faults += folder.objects.filter(({ key }) => found.keys.has(key)).length;
    }
  }
  const at = new Date();
  const text = JSON.stringify({ at: at.toISOString(), objects: objects.count, faults });
  await putWhole(target, verifiedKey(snapshot, at), Buffer.from(`${text}\n`));
}
