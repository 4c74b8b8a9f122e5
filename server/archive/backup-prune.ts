/** Removes old snapshots from a target, and then the objects that no other one needs. */
import type { Blobs } from "../../storage/blobs.ts";
import { type Manifest, objectsRoot } from "./backup-layout.ts";
import { type KeepRule, kept } from "./backup-keep.ts";
import { isPast } from "./backup-lines.ts";
import { folderOf, mergeFolders, readFolders } from "./backup-lists.ts";
import type { TargetLock } from "./backup-lock.ts";
import { listSnapshots, readManifest, type SnapshotFiles } from "./backup-snapshots.ts";
import { onTarget } from "./backup-target.ts";

/** What was removed. */
export interface Pruned {
  readonly snapshots: readonly string[];
  readonly objects: number;
  readonly bytes: number;
}

/** A snapshot that was never finished is left alone for so long (milliseconds). */
const unfinishedAfter = 24 * 3600_000;

/** Milliseconds. */
const monthAfterRestore = 31 * 24 * 3600_000;

/**
 * Removes what `rule` does not keep, after the snapshot of `made`. Whether every manifest that stays can be read is known before anything is removed,
 * and every list of objects that stays is read to its end before an object of its folders goes.
 * @throws ArchiveError `backup-damaged`, `backup-newer`, `backup-under-way`: then no object has been removed that is needed
 */
export async function prune(target: Blobs, rule: KeepRule, made: Manifest, lock: TargetLock): Promise<Pruned> {
  const all = await listSnapshots(target);
  const whole = all.filter(({ manifest }) => manifest !== undefined);
  const manifests = await Promise.all(whole.map((snapshot) => readManifest(target, snapshot)));
  const names = stayingNames(manifests, rule, made);
  const staying = whole.filter(({ name }) => names.has(name));
  const newest = whole[0]?.modifiedAt.getTime() ?? 0;
  const isAbandoned = ({ modifiedAt }: SnapshotFiles) => newest - modifiedAt.getTime() > unfinishedAfter;
  const going = all.filter((snapshot) =>
    snapshot.manifest === undefined ? isAbandoned(snapshot) : !staying.includes(snapshot),
  );
  if (going.length === 0) return { snapshots: [], objects: 0, bytes: 0 };
  const lists = manifests.filter(({ snapshot }) => names.has(snapshot)).map(({ objects }) => objects);
  for (const list of lists) for await (const _ of readFolders(target, list));
  await lock.assertHeld();
  for (const snapshot of going) await removeSnapshot(target, snapshot);
  const objects = await removeUnneeded(target, mergeFolders(lists.map((list) => readFolders(target, list))), lock);
  return { snapshots: going.map(({ name }) => name), ...objects };
}

/**
 * What stays: of the past of the archive what the rule keeps; the snapshot that was just made, also when the clock was
 * ahead once and an older one has a later name; and whatever an archive has made of which this one is not the future. What
 * the rule keeps of the line that was restored stays for a month beside that: somebody may have restored the wrong one.
 */
function stayingNames(manifests: readonly Manifest[], rule: KeepRule, made: Manifest): ReadonlySet<string> {
  const { line = "", origins = [] } = made;
  const past = manifests.filter((manifest) => isPast({ line, origins }, manifest));
  const recent = origins.filter(({ until }) => Date.parse(made.takenAt) - Date.parse(until) < monthAfterRestore);
  const groups = [past, ...recent.map((origin) => past.filter((manifest) => manifest.line === origin.line))];
  const staying = groups.flatMap((group) => {
    const keep = kept(
      group.map(({ takenAt }) => new Date(takenAt)),
      rule,
    );
    const moments = new Set(Array.from(keep, (moment) => moment.toISOString()));
    return group.filter(({ takenAt }) => moments.has(takenAt));
  });
  const others = manifests.filter((manifest) => !past.includes(manifest));
  return new Set([made, ...staying, ...others].map(({ snapshot }) => snapshot));
}

/** The manifest goes first: what is left then is no snapshot. */
async function removeSnapshot(target: Blobs, { manifest, keys }: SnapshotFiles): Promise<void> {
  await onTarget(async () => {
    if (manifest !== undefined) await target.remove([manifest.key]);
    await target.remove(keys);
  });
}

/** Objects of the target that `needed` does not name; both go by folder, in the same order. */
async function removeUnneeded(
  target: Blobs,
  needed: ReturnType<typeof mergeFolders>,
  lock: TargetLock,
): Promise<Pick<Pruned, "objects" | "bytes">> {
  const removed = { objects: 0, bytes: 0 };
  let next = await needed.next();
  try {
    for (const folder of await objectFolders(target)) {
      while (next.done !== true && next.value.folder < folder) next = await needed.next();
      const keys = next.done !== true && next.value.folder === folder ? next.value.objects.map(({ key }) => key) : [];
      const needs = new Set(keys);
      const going: string[] = [];
      await onTarget(async () => {
        for await (const { key, byteLength } of target.list(`${objectsRoot}${folder}`)) {
          const own = key.slice(objectsRoot.length);
          if (folderOf(own) !== folder || needs.has(own)) continue;
          going.push(key);
          removed.bytes += byteLength;
        }
      });
      if (going.length === 0) continue;
      await lock.assertHeld();
      await onTarget(() => target.remove(going));
      removed.objects += going.length;
    }
    return removed;
  } finally {
    await needed.return();
  }
}

/** The folders that have objects, in ascending order. */
async function objectFolders(target: Blobs): Promise<readonly string[]> {
  const folders = new Set<string>();
  await onTarget(async () => {
    for await (const { key } of target.list(objectsRoot)) folders.add(folderOf(key.slice(objectsRoot.length)));
  });
  return [...folders].sort();
}
