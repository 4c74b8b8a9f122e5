/** Finds where an instance lies, and keeps what it found for the hundreds of frame requests that follow. */
import { LRUCache } from "lru-cache";
import type { Catalog } from "../../storage/catalog.ts";
import type { InstanceRow } from "../../storage/catalog-read.ts";
import { decodeFrameTable } from "../dicom/frame-table.ts";
import type { FrameTable } from "../dicom/frames.ts";
import { type TransferSyntax, transferSyntaxOf } from "../dicom/transfer-syntax.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { inOwnMemory } from "../own-memory.ts";
import { createPresence } from "./presence.ts";

/** One instance of a series of a study. */
export interface InstanceUids {
  readonly studyInstanceUid: Uid;
  readonly seriesInstanceUid: Uid;
  readonly sopInstanceUid: Uid;
}

/** An instance that is in the archive. */
export interface Located {
  readonly row: InstanceRow;
  readonly syntax: TransferSyntax;
  readonly table: FrameTable | undefined;
}

/** Finds an instance. @throws ArchiveError `no-such-instance` */
export type Locate = (uids: InstanceUids) => Promise<Located>;

/**
 * Rows never change, so they are kept; whether one is still there is asked of the catalog each time, since an image
 * that was removed, by this process or another, must not be shown again.
 */
export function createLocate(catalog: Pick<Catalog, "findInstances" | "presentInstances">): Locate {
  const isPresent = createPresence(catalog);
  const kept = new LRUCache<string, Located>({
    maxSize: 64 * 2 ** 20,
    // Four bytes of a table become an object of about a hundred.
    sizeCalculation: ({ row }) => 1024 + 25 * (row.frameTable?.length ?? 0),
  });
  /** What is being looked for: the table of a slide is held once, however many ask for it at the same moment. */
  const sought = new Map<string, Promise<Located>>();

  return async (uids) => {
    const key = `${uids.studyInstanceUid}/${uids.seriesInstanceUid}/${uids.sopInstanceUid}`;
    const known = kept.get(key);
    if (known && (await isPresent(known.row.id))) return known;
    kept.delete(key);
    // What another request began to look for earlier may have been stored, or removed, since.
    const earlier = await sought.get(key)?.catch(() => undefined);
    if (earlier && (await isPresent(earlier.row.id))) return earlier;
    const seeking = seek(uids, key).finally(() => sought.delete(key));
    sought.set(key, seeking);
    return seeking;
  };

  async function seek(uids: InstanceUids, key: string): Promise<Located> {
    for await (const row of catalog.findInstances(uids)) {
      const found = locatedOf({
        ...row,
        sha256: inOwnMemory(row.sha256),
        frameTable: row.frameTable && inOwnMemory(row.frameTable),
      });
      kept.set(key, found);
      return found;
    }
    throw new ArchiveError("no-such-instance", "The instance is not in this archive.");
  }
}

/** What a row says of where its frames lie. */
export function locatedOf(row: InstanceRow): Located {
  const syntax = transferSyntaxOf(row.transferSyntaxUid);
  if (!syntax) throw new Error("a row with a transfer syntax that is no UID");
  return { row, syntax, table: row.frameTable ? decodeFrameTable(row.frameTable) : undefined };
}
