/** Objects that no row needs, since what they were put for failed: removed now, or by the sweep. */
import type { Blobs } from "../../storage/blobs.ts";
import type { RemovalCatalog } from "../../storage/catalog-removals.ts";
import type { StoreLog } from "./store.ts";

/** A commit whose answer was lost may still be under way, but not as long as that. */
const hoursUntilSure = 24;

/** What becomes of objects that are not wanted. Neither throws: cleanup never fails a store. */
export interface Orphans {
  /** No row names the object: it is removed, or, when that fails, by the sweep. */
  remove(blobKey: string): Promise<void>;
  /** A commit failed, and perhaps only its answer: the sweep removes the object, if no row names it then. */
  doubt(blobKey: string): Promise<void>;
}

/** Makes the care for them; what cannot even be listed stays, and is logged. */
export function createOrphans(
  blobs: Pick<Blobs, "remove">,
  removals: Pick<RemovalCatalog, "sweepLater">,
  log: StoreLog,
): Orphans {
  const noted = async (blobKey: string, work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      log.warn({ err: error, blobKey }, "an orphan object stays");
    }
  };
  return {
    remove: (blobKey) => noted(blobKey, () => blobs.remove([blobKey]).catch(() => removals.sweepLater([blobKey]))),
    doubt: (blobKey) => noted(blobKey, () => removals.sweepLater([blobKey], hoursUntilSure)),
  };
}
