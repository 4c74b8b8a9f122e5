/** Sweep: what can no longer be restored is forgotten, and the objects that nothing needs are removed. */
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";

/** Objects removed in one go. */
const objectsAtOnce = 200;

/** Name of the lock of whoever removes objects, or must have them stay: a backup that copies them. */
export const sweepLock = "objects";

/**
 * Makes the sweep. Rows go first, and leave the keys of their objects on a list: whenever the process ends, no row is
 * without its object, and no object without a row or a place on the list. While a backup copies, objects stay. It tells
 * whether everything has gone that may.
 */
export function createSweep(
  blobs: Pick<Blobs, "remove">,
  { removals, withLock }: Pick<Catalog, "removals" | "withLock">,
) {
  return async function sweep(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted && (await removals.purgeExpired()));
    while (!signal.aborted) {
      const keys = await removals.keysToSweep(objectsAtOnce);
      if (keys.length === 0) return true;
      // Whoever takes the lock after the list was read sees rows that do not need these objects any more.
      const removed = await withLock(sweepLock, () => blobs.remove(keys));
      if (!removed) return false;
      await removals.swept(keys);
    }
    return false;
  };
}
