/** Single objects out of a backup, for an archive that lost them or has them with other bytes. */
import type { BlobMetadata, Blobs } from "../../storage/blobs.ts";
import type { NamedObject } from "../../storage/catalog-objects.ts";
import type { IntegrityCatalog } from "../../storage/catalog-integrity.ts";
import { objectsRoot } from "./backup-layout.ts";
import type { NeededObject } from "./backup-lists.ts";
import { targetError } from "./backup-target.ts";
import { checkObject, copyObject } from "./copy-object.ts";
import { inParallel } from "./in-parallel.ts";

/** Objects under way at once. */
export const copiesAtOnce = 8;

/** Objects whose rows are asked for at once. */
export const rowsAtOnce = 1000;

/** What objects say of themselves, as far as their rows know it. */
export function metadataOf(sha256: string, row: NamedObject | undefined): BlobMetadata {
  if (!row || row.holder === "quarantine") return { sha256 };
  return {
    sha256,
    kind: row.holder === "non_patient_instance" ? "non-patient-instance" : "instance",
    studyInstanceUid: row.studyInstanceUid ?? undefined,
    seriesInstanceUid: row.seriesInstanceUid ?? undefined,
    sopInstanceUid: row.sopInstanceUid ?? undefined,
  };
}

/** The archive's objects, and those of the backup. */
export interface BothStores {
  readonly blobs: Blobs;
  readonly target: Blobs;
}

/** Brings one object back, unless the archive has it with the right bytes. */
export async function bringBack(
  { blobs, target }: BothStores,
  { key, sha256, byteLength }: NeededObject,
  metadata: BlobMetadata,
  signal: AbortSignal,
): Promise<"copied" | "right" | "missing" | "wrong-bytes"> {
  const there = await blobs.stat(key);
  if (there?.byteLength === byteLength && (await checkObject({ blobs, key }, sha256)) === "right") return "right";
  const from = { blobs: target, key: `${objectsRoot}${key}`, errorOf: targetError };
  return copyObject(from, { blobs, key }, metadata, signal);
}

function bringHeld(stores: BothStores, row: NamedObject, signal: AbortSignal) {
  const { key, byteLength } = row;
  const sha256 = row.sha256.toString("hex");
  return bringBack(stores, { key, sha256, byteLength }, metadataOf(sha256, row), signal);
}

/** What became of an object that was to be brought back. */
export interface BroughtBack {
  readonly key: string;
  /** `unknown`: no row names it. `missing` and `wrong-bytes` are of the backup, and leave the archive as it was. */
  readonly outcome: "copied" | "right" | "missing" | "wrong-bytes" | "unknown";
}

/**
 * Brings single objects of a running archive back from a backup, when they are missing or not what their rows say.
 * @throws ArchiveError of both stores, `database-unavailable`; the reason of `signal`
 */
export async function bringObjectsBack(
  blobs: Blobs,
  catalog: Pick<IntegrityCatalog, "heldAt">,
  target: Blobs,
  keys: readonly string[],
  signal: AbortSignal,
): Promise<readonly BroughtBack[]> {
  const results: BroughtBack[] = [];
  for (let start = 0; start < keys.length; start += rowsAtOnce) {
    const some = keys.slice(start, start + rowsAtOnce);
    signal.throwIfAborted();
    const rows = await catalog.heldAt(some);
    await inParallel(some, copiesAtOnce, async (key) => {
      const row = rows.find((held) => held.key === key);
      results.push({ key, outcome: row ? await bringHeld({ blobs, target }, row, signal) : "unknown" });
    });
  }
  return results;
}
