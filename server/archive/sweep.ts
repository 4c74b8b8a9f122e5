/** Sweep: what can no longer be restored is forgotten, and the objects that nothing needs are removed. */
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";

/** Objects removed in one go. */
const objectsAtOnce = 200;

/**
 * Makes the sweep. Rows go first, and leave the keys of their objects on a list: whenever the process ends, no row is
 * without its object, and no object without a row or a place on the list.
 */
export function createSweep(blobs: Pick<Blobs, "remove">, { removals }: Pick<Catalog, "removals">) {
  return async function sweep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (await removals.purgeExpired()));
    while (!signal.aborted) {
      const keys = await removals.keysToSweep(objectsAtOnce);
      if (keys.length === 0) return;
      await blobs.remove(keys);
      await removals.swept(keys);
    }
  };
}
