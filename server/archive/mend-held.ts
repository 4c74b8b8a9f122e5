/** Mends the object of an instance with the same bytes that were just stored again, when it is missing or damaged. */
import type { BlobMetadata, Blobs } from "../../storage/blobs.ts";
import type { FaultKind, IntegrityCatalog } from "../../storage/catalog-integrity.ts";
import { ArchiveError } from "../errors.ts";
import { copyObject } from "./copy-object.ts";
import type { Identifiers } from "./describe.ts";
import type { StoreLog } from "./store.ts";

/** An object that is there beside the one that its instance has. */
export interface SameBytes {
  readonly blobKey: string;
  readonly sha256: Buffer;
  readonly metadata: BlobMetadata;
}

/** Faults that a verification has found and that the same bytes end. */
const ofBytes: ReadonlySet<FaultKind> = new Set(["missing", "wrong-size", "wrong-sha256", "unreadable"]);

/**
 * Makes it. Presence, size and what verifications have found are looked at, and no bytes are read. It throws ArchiveError
 * when the store or the database does not work: then it must not be said that the instance is stored.
 */
export function createMendHeld(
  blobs: Blobs,
  integrity: Pick<IntegrityCatalog, "heldBySopInstance" | "openFaults" | "resolveFaults">,
  log: StoreLog,
) {
  return async function mendHeld(identifiers: Identifiers, { blobKey, sha256, metadata }: SameBytes): Promise<void> {
    const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = identifiers;
    const rows = await integrity.heldBySopInstance([sopInstanceUid]);
    const row = rows.find(
      (held) =>
        held.holder === "instance" &&
        held.studyInstanceUid === studyInstanceUid &&
        held.seriesInstanceUid === seriesInstanceUid &&
        held.sha256.equals(sha256),
    );
    // Without one it was deleted a moment ago.
    if (!row) return;
    const { key, byteLength } = row;
    const [entry, faults] = await Promise.all([blobs.stat(key), integrity.openFaults({ from: key, to: `${key}~` })]);
    if (entry?.byteLength === byteLength && !faults.some(({ kind }) => ofBytes.has(kind))) return;
    const outcome = await copyObject({ blobs, key: blobKey }, { blobs, key }, metadata);
    if (outcome !== "copied") {
      throw new ArchiveError("storage-unavailable", "The object store does not give what was just put into it.");
    }
    await integrity.resolveFaults([key], "The same bytes were stored again.");
    log.warn({ ...identifiers, blobKey: key }, "the damaged or missing object of an instance was mended by a store");
  };
}
