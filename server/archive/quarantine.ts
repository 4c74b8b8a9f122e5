/** Quarantine: files that cannot be stored for what is in them are kept whole, and may be looked at and tried again. */
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { QuarantineFilter, QuarantineLimits, QuarantineRow } from "../../storage/catalog-quarantine.ts";
import { ArchiveError } from "../errors.ts";
import { isOfContent } from "./quarantine-faults.ts";
import type { Store, StoreOutcome } from "./store.ts";
import { objectBytes, type ReadableBytes } from "./stored-bytes.ts";

export { quarantineReasons } from "./quarantine-faults.ts";
export type { QuarantineFilter };

/** One file in quarantine. */
export interface Quarantined extends Omit<QuarantineRow, "blobKey" | "sha256"> {
  /** In hexadecimal. */
  readonly sha256: string;
}

/** Which files to list, the newest first. */
export interface QuarantineRequest extends QuarantineFilter {
  readonly limit: number;
  /** Only those whose id is lower. */
  readonly before?: number | undefined;
}

/** The use cases. Those of one file throw ArchiveError `no-such-quarantined`. */
export interface Quarantine {
  list(request: QuarantineRequest): Promise<readonly Quarantined[]>;
  find(id: number): Promise<Quarantined>;
  /** Its bytes as they came. */
  content(id: number): Promise<ReadableBytes & { readonly sha256: string }>;
  /** Stores it as if it came again. Stored, it leaves quarantine; otherwise it stays, and what is wrong now is thrown. */
  retry(id: number): Promise<Stored>;
  /** Removes it for good. */
  purge(id: number): Promise<void>;
  /** Removes every one that the filter names, for good; how many these were. */
  purgeAll(filter: QuarantineFilter): Promise<number>;
  /** Removes what is kept no longer. */
  evict(): Promise<void>;
}

type Stored = Exclude<StoreOutcome, { status: "failed" }>;

/** How long (milliseconds) a purge waits for the objects to be removed. */
const patience = 10_000;

/** Makes the use cases. `store` is that of ingest. */
export function createQuarantine(
  blobs: Blobs,
  { quarantine }: Pick<Catalog, "quarantine">,
  store: Store,
  sweep: (signal: AbortSignal) => Promise<unknown>,
  limits: QuarantineLimits,
): Quarantine {
  const found = async (id: number): Promise<QuarantineRow> => {
    const row = await quarantine.find(id);
    if (!row) throw new ArchiveError("no-such-quarantined", "There is no such file in quarantine.");
    return row;
  };
  // Objects that cannot be removed now are on the list of the next sweep.
  const clear = () => sweep(AbortSignal.timeout(patience)).catch(() => undefined);
  return {
    list: async ({ limit, before = Number.MAX_SAFE_INTEGER, ...filter }) =>
      (await quarantine.list(filter, limit, before)).map(shown),
    find: async (id) => shown(await found(id)),
    content: async (id) => {
      const { blobKey, byteLength, sha256 } = await found(id);
      return { byteLength, sha256: sha256.toString("hex"), read: (range) => objectBytes(blobs, blobKey, range) };
    },
    retry: async (id) => {
      const { blobKey, origin } = await found(id);
      const outcome = await store(objectBytes(blobs, blobKey), { origin: origin ?? "quarantine", isRetry: true });
      if (outcome.status === "failed") {
        const { code: reason, message: detail } = outcome.error;
        await quarantine.retried(id, isOfContent(outcome.error) ? { reason, detail } : undefined);
        throw outcome.error;
      }
      await quarantine.remove(id);
      await clear();
      return outcome;
    },
    purge: async (id) => {
      await found(id);
      await quarantine.remove(id);
      await clear();
    },
    purgeAll: async (filter) => {
      const count = await quarantine.removeAll(filter);
      if (count > 0) await clear();
      return count;
    },
    evict: async () => void (await quarantine.evict(limits)),
  };
}

function shown({ blobKey, sha256, ...row }: QuarantineRow): Quarantined {
  void blobKey;
  return { ...row, sha256: sha256.toString("hex") };
}
