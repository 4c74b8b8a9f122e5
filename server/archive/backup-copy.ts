/** Copies into a backup the objects that it lacks. */
import type { Blobs } from "../../storage/blobs.ts";
import { faultsNamed, type Manifest, objectsRoot } from "./backup-layout.ts";
import type { NeededFolder, NeededObject } from "./backup-lists.ts";
import { onTarget, targetError } from "./backup-target.ts";
import { copyObject } from "./copy-object.ts";
import { inParallel } from "./in-parallel.ts";

/** What was copied. */
export interface Copied {
  readonly copiedObjects: number;
  readonly copiedBytes: number;
  readonly faults: Manifest["faults"];
  readonly faultCount: number;
}

/** Hears of objects that are in the backup, copied or there already. */
export type OnObjects = (objects: number, bytes: number) => void;

/** Objects under way at once. */
const copiesAtOnce = 8;

/**
 * Folder by folder: what the target lists with the right size is there. An object that the archive lacks, or has with
 * other bytes, is a fault that is told, and takes no place in the backup.
 * @throws ArchiveError of the target, `storage-unavailable` of the archive, the reason of `signal`
 */
export async function copyMissing(
  blobs: Blobs,
  target: Blobs,
  folders: AsyncIterable<NeededFolder>,
  { onObjects, signal }: { readonly onObjects: OnObjects; readonly signal: AbortSignal },
): Promise<Copied> {
  const faults: Manifest["faults"] = [];
  const counts = { copiedObjects: 0, copiedBytes: 0, faultCount: 0 };
  const copy = async ({ key, sha256, byteLength }: NeededObject) => {
    signal.throwIfAborted();
    const to = { blobs: target, key: `${objectsRoot}${key}`, errorOf: targetError };
    const outcome = await copyObject({ blobs, key }, to, { sha256 }, signal);
    onObjects(1, byteLength);
    if (outcome === "copied") {
      counts.copiedObjects += 1;
      counts.copiedBytes += byteLength;
      return;
    }
    counts.faultCount += 1;
    if (faults.length < faultsNamed) faults.push({ key, fault: outcome });
  };
  for await (const { folder, objects } of folders) {
    const there = await sizesOf(target, `${objectsRoot}${folder}`);
    const missing = objects.filter(({ key, byteLength }) => there.get(`${objectsRoot}${key}`) !== byteLength);
    onObjects(objects.length - missing.length, bytesOf(objects) - bytesOf(missing));
    await inParallel(missing, copiesAtOnce, copy);
  }
  return { ...counts, faults };
}

async function sizesOf(target: Blobs, prefix: string): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  await onTarget(async () => {
    for await (const { key, byteLength } of target.list(prefix)) sizes.set(key, byteLength);
  });
  return sizes;
}

function bytesOf(objects: readonly NeededObject[]): number {
  return objects.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
