/** Objects that no row needs, since what they were put for failed: removed now, or by the sweep. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Blobs } from "../../storage/blobs.ts";
import type { RemovalCatalog } from "../../storage/catalog-removals.ts";
import { isUndone } from "../../storage/undone.ts";
import type { StoreLog } from "./store.ts";

/** A commit whose answer was lost may still be under way, but not as long as that. */
const hoursUntilSure = 24;

/** While the database is away an object cannot even be listed: tries, and the pause (milliseconds) between two. */
const tries = 120;
const pause = 5000;

/** What becomes of objects that are not wanted. Neither throws: cleanup never fails a store. */
export interface Orphans {
  /** No row names the object: it is removed, or, when that fails, by the sweep. */
  remove(blobKey: string): Promise<void>;
  /**
   * A commit failed with `error`. When it is certain that it has written nothing, the object is removed; otherwise
   * perhaps only the answer was lost, and the sweep removes the object, if no row names it then.
   */
  doubt(blobKey: string, error: unknown): Promise<void>;
}

/** Makes the care for them; what cannot even be listed for minutes stays, and is logged. */
export function createOrphans(
  blobs: Pick<Blobs, "remove">,
  removals: Pick<RemovalCatalog, "sweepLater">,
  log: StoreLog,
): Orphans {
  const later = async (blobKey: string, work: () => Promise<void>) => {
    for (let attempt = 0; attempt < tries; attempt += 1) {
      await sleep(pause, undefined, { ref: false });
      const done = await work().then(
        () => true,
        () => false,
      );
      if (done) return;
    }
    log.warn({ blobKey }, "an orphan object stays");
  };
  const noted = async (blobKey: string, work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      log.warn({ err: error, blobKey }, "an orphan object can be neither removed nor listed now; it is tried again");
      void later(blobKey, work);
    }
  };
  const remove = (blobKey: string) =>
    noted(blobKey, () => blobs.remove([blobKey]).catch(() => removals.sweepLater([blobKey])));
  return {
    remove,
    doubt: (blobKey, error) => {
      if (isUndone(error)) return remove(blobKey);
      return noted(blobKey, () => removals.sweepLater([blobKey], hoursUntilSure));
    },
  };
}
