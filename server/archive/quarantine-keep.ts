/** Puts a file into quarantine that an ingest has read to its end and cannot store. */
import { type Blobs, freshKey } from "../../storage/blobs.ts";
import type { RemovalCatalog } from "../../storage/catalog-removals.ts";
import type { QuarantineCatalog, QuarantineLimits } from "../../storage/catalog-quarantine.ts";
import { textOf } from "../dicom/data-set.ts";
import type { ScannedFile } from "../dicom/part10.ts";
import type { ArchiveError } from "../errors.ts";
import type { StoreLog, StoreOptions } from "./store.ts";
import { objectBytes } from "./stored-bytes.ts";

/** A file whose bytes are durable. */
export interface FaultyFile {
  readonly error: ArchiveError;
  /** Where ingest has put it; the object is gone afterwards. */
  readonly blobKey: string;
  readonly byteLength: number;
  readonly sha256: Buffer;
  /** What could be read of it. */
  readonly read: Pick<ScannedFile, "meta" | "dataSet">;
}

/** No copy takes as long as that: what is still there then was left by a process that died. */
const hoursKept = 24;

/** Longest name and UIDs that are kept. */
const longestName = 256;
const longestUid = 128;

/** What it needs of the catalog. */
export interface KeepCatalog {
  readonly quarantine: Pick<QuarantineCatalog, "again" | "add" | "evict">;
  readonly removals: Pick<RemovalCatalog, "sweepLater" | "swept">;
}

/** The id under which it is kept; undefined when it could not be, which fails no store and is logged. */
export type Keep = (file: FaultyFile, options: StoreOptions) => Promise<number | undefined>;

/**
 * Makes it. The object is copied to a key of the quarantine: a store chooses the key of a long object when it begins,
 * and then nobody knows that the file has a fault. Both keys are on the list of the sweep meanwhile.
 */
export function createKeep(
  blobs: Pick<Blobs, "put" | "get" | "remove">,
  { quarantine, removals }: KeepCatalog,
  log: StoreLog,
  limits: QuarantineLimits,
): Keep {
  async function drop(keys: readonly string[]): Promise<void> {
    await blobs.remove(keys);
    await removals.swept(keys);
  }

  async function keep(file: FaultyFile, { origin, part, name }: StoreOptions): Promise<number> {
    const { error, blobKey: held, byteLength, sha256, read } = file;
    const fault = { reason: error.code, detail: error.message.replaceAll("\0", "") };
    const key = freshKey("quarantine");
    await removals.sweepLater([held, key], hoursKept);
    const known = await quarantine.again(sha256, fault);
    if (known !== undefined) {
      await drop([held, key]);
      return known;
    }
    await blobs.put(objectBytes(blobs, held), { key, metadata: () => ({ sha256: sha256.toString("hex") }) });
    const { id, blobKey } = await quarantine.add({
      ...fault,
      blobKey: key,
      byteLength,
      sha256,
      ...uidsOf(read),
      origin: origin ?? null,
      part: part ?? null,
      name: name?.replaceAll(/\p{Cc}/gu, "").slice(0, longestName) ?? null,
    });
    // Another process may have kept the same bytes meanwhile.
    await drop(blobKey === key ? [held] : [held, key]);
    await removals.swept([key]);
    await quarantine.evict(limits);
    return id;
  }

  return async (file, options) => {
    try {
      return await keep(file, options);
    } catch (err) {
      log.warn({ err, code: file.error.code }, "a file could not be kept in quarantine");
      // Listed for the sweep, unless the list could not be reached either.
      await blobs.remove([file.blobKey]).catch(() => undefined);
      return undefined;
    }
  };
}

function uidsOf({ meta, dataSet }: FaultyFile["read"]) {
  return {
    sopClassUid: uidOrNull(textOf(dataSet, 0x00080016) ?? textOf(meta, 0x00020002)),
    sopInstanceUid: uidOrNull(textOf(dataSet, 0x00080018) ?? textOf(meta, 0x00020003)),
    studyInstanceUid: uidOrNull(textOf(dataSet, 0x0020000d)),
    seriesInstanceUid: uidOrNull(textOf(dataSet, 0x0020000e)),
  };
}

/** A UID that may be anything but one. */
function uidOrNull(text: string | undefined): string | null {
  return text === undefined || text === "" ? null : text.replaceAll("\0", "").slice(0, longestUid);
}
