/** The snapshots of a target: which there are, whole or begun. */
import type { Blobs } from "../../storage/blobs.ts";
import { ArchiveError } from "../errors.ts";
import { type Manifest, manifestHash, momentOf, parseManifest, snapshotsRoot } from "./backup-layout.ts";
import { isPast } from "./backup-lines.ts";
import { isDamage, onTarget, readWhole } from "./backup-target.ts";

/** What lies under the name of a snapshot. */
export interface SnapshotFiles {
  readonly name: string;
  readonly takenAt: Date;
  readonly keys: readonly string[];
  /** Key and SHA-256 of its manifest; undefined: the snapshot was never finished. */
  readonly manifest: { readonly key: string; readonly sha256: string } | undefined;
  /** When it was last verified, and under which key it says what was found. */
  readonly verified: string | undefined;
  /** The youngest of its files. */
  readonly modifiedAt: Date;
}

/** Every snapshot, the newest first. */
export async function listSnapshots(target: Blobs): Promise<readonly SnapshotFiles[]> {
  const byName = new Map<string, { keys: string[]; modifiedAt: Date }>();
  await onTarget(async () => {
    for await (const { key, modifiedAt } of target.list(snapshotsRoot)) {
      const [name = ""] = key.slice(snapshotsRoot.length).split("/", 1);
      const found = byName.get(name) ?? { keys: [], modifiedAt };
      found.keys.push(key);
      if (modifiedAt > found.modifiedAt) found.modifiedAt = modifiedAt;
      byName.set(name, found);
    }
  });
  const snapshots = [...byName].flatMap(([name, { keys, modifiedAt }]): SnapshotFiles[] => {
    const takenAt = momentOf(name);
    if (takenAt === undefined) return [];
    const [manifest] = keys.flatMap((key) => {
      const sha256 = manifestHash(name, key);
      return sha256 === undefined ? [] : [{ key, sha256 }];
    });
    const verified = keys
      .filter((key) => key.startsWith(`${snapshotsRoot}${name}/verified-`))
      .sort()
      .at(-1);
    return [{ name, takenAt, keys, manifest, verified, modifiedAt }];
  });
  return snapshots.sort((one, other) => other.takenAt.getTime() - one.takenAt.getTime());
}

/** @throws ArchiveError `no-such-snapshot`, `backup-damaged`, `backup-newer` */
export async function readManifest(target: Blobs, { name, manifest }: SnapshotFiles): Promise<Manifest> {
  if (manifest === undefined) {
    throw new ArchiveError("no-such-snapshot", `The snapshot ${name} was never finished.`);
  }
  return parseManifest(name, await readWhole(target, manifest.key), manifest.sha256);
}

/**
 * The snapshot of this name, or the newest whole one.
 * @throws ArchiveError `no-such-snapshot`, `which-snapshot`, `backup-damaged`, `backup-newer`
 */
export async function findSnapshot(target: Blobs, name: string | undefined): Promise<Manifest> {
  const all = await listSnapshots(target);
  const found = all.find((snapshot) => (name === undefined ? snapshot.manifest !== undefined : snapshot.name === name));
  if (found !== undefined) {
    const manifest = await readManifest(target, found);
    if (name === undefined) await refuseSeveralLines(target, manifest, all);
    return manifest;
  }
  const sentence = name === undefined ? "There is no backup." : `There is no snapshot ${name}.`;
  throw new ArchiveError("no-such-snapshot", sentence);
}

/** The newest snapshot is that of an archive, or of one that was restored from it while it went on. */
async function refuseSeveralLines(target: Blobs, newest: Manifest, all: readonly SnapshotFiles[]): Promise<void> {
  const { line = "", origins = [] } = newest;
  for (const snapshot of all) {
    if (snapshot.manifest === undefined) continue;
    const other = await readManifest(target, snapshot).catch((error: unknown) => {
      if (isDamage(error)) return undefined;
      throw error;
    });
    if (other === undefined || isPast({ line, origins }, other)) continue;
    const sentence = `The backup holds snapshots of an archive and of one that was restored from it, such as ${newest.snapshot} and ${other.snapshot}: say which one.`;
    throw new ArchiveError("which-snapshot", sentence);
  }
}
