/** Space: the room for objects, as the object store tells it, or by the capacity that the operator has set. */
import type { Blobs, BlobSpace } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";

/** Makes the question; undefined is answered when there is neither. */
export function createSpace(
  blobs: Pick<Blobs, "space">,
  { retention }: Pick<Catalog, "retention">,
  capacityBytes: number | undefined,
): () => Promise<BlobSpace | undefined> {
  return async () => {
    if (capacityBytes === undefined) return blobs.space();
    const freeBytes = Math.max(0, capacityBytes - (await retention.bytesStored()));
    return { totalBytes: capacityBytes, freeBytes };
  };
}
