/** Tells of the snapshots of a backup. */
import { z } from "zod";
import type { Blobs } from "../../storage/blobs.ts";
import { toArchiveError } from "../errors.ts";
import { listSnapshots, readManifest, type SnapshotFiles } from "./backup-snapshots.ts";
import { isDamage, readWhole } from "./backup-target.ts";

const verifiedSchema = z.object({ at: z.iso.datetime(), faults: z.int() });

/** A snapshot for people and monitors. */
export interface SnapshotSummary {
  readonly name: string;
  readonly takenAt: string;
  /** Why nothing more is known of it: it is damaged, or of a newer version. */
  readonly fault?: string;
  readonly studies?: number;
  readonly instances?: number;
  readonly objects?: number;
  readonly objectBytes?: number;
  /** Objects that the archive did not have, or not as they were stored. */
  readonly faultCount?: number;
  /** The last verification. */
  readonly verified?: { readonly at: string; readonly faults: number } | undefined;
}

/** Every finished snapshot, the newest first. @throws ArchiveError `storage-unavailable` */
export async function describeSnapshots(target: Blobs): Promise<readonly SnapshotSummary[]> {
  const summaries: SnapshotSummary[] = [];
  for (const snapshot of await listSnapshots(target)) {
    if (snapshot.manifest !== undefined) summaries.push(await describe(target, snapshot));
  }
  return summaries;
}

async function describe(target: Blobs, snapshot: SnapshotFiles): Promise<SnapshotSummary> {
  const known = { name: snapshot.name, takenAt: snapshot.takenAt.toISOString() };
  try {
    const { tables, objects, faultCount } = await readManifest(target, snapshot);
    const rowsOf = (name: string) => tables.find((table) => table.name === name)?.rows ?? 0;
    return {
      ...known,
      studies: rowsOf("study"),
      instances: rowsOf("instance"),
      objects: objects.count,
      objectBytes: objects.totalBytes,
      faultCount,
      verified: await verifiedOf(target, snapshot),
    };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { ...known, fault: toArchiveError(error).message };
  }
}

async function verifiedOf(target: Blobs, { verified }: SnapshotFiles) {
  if (verified === undefined) return undefined;
  const text = (await readWhole(target, verified)).toString("utf8");
  // A note that cannot be read is as good as none.
  return verifiedSchema.safeParse(parsed(text)).data;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
