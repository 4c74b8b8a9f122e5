/** Remove: instances leave searches and retrievals at once, and can be restored for a while. */
import type { Catalog } from "../../storage/catalog.ts";
import type { Removal } from "../../storage/catalog-remove.ts";
import type { Restored } from "../../storage/catalog-restore.ts";
import { ArchiveError } from "../errors.ts";
import { describeLevels } from "./describe.ts";
import { tagValuesOfMetadata } from "./query-tag-values.ts";
import { absent, type ResourceUids } from "./retrieve.ts";

export type { Removal, Restored };

/** How long (milliseconds) a purge waits for the objects to be removed. */
const patience = 10_000;

/** Which removals to list. */
export interface RemovalPage {
  /** At most so many. */
  readonly limit: number;
  /** Only removals whose id is lower. */
  readonly before: number;
}

/** How to restore. */
export interface RestoreRequest {
  /** The door through which it was asked for. */
  readonly origin?: string;
  /** Whether instances may come back into a study that is another patient's now. */
  readonly otherPatient?: boolean;
}

export interface RemoveSettings {
  /** How long what is removed can be restored. */
  readonly keepDays: number;
  readonly sweep: (signal: AbortSignal) => Promise<unknown>;
}

/** Makes the use cases of removal. */
export function createRemove({ removals }: Pick<Catalog, "removals">, settings: RemoveSettings) {
  const { keepDays, sweep } = settings;
  return {
    /** Removes a study, a series or an instance. @throws ArchiveError `held`, `no-such-study`, `no-such-series`, `no-such-instance` */
    remove: async (uids: ResourceUids, origin?: string): Promise<Removal> => {
      const removal = await removals.remove(uids, { keepDays, origin, describe: describeLevels });
      if (!removal) throw absent(uids);
      return removal;
    },

    /** What can be restored, newest removal first. */
    removals: ({ limit, before }: RemovalPage): Promise<readonly Removal[]> => removals.list(limit, before),

    /** Brings back what a removal took. @throws ArchiveError `held`, `no-such-removal`, `other-patient` */
    restore: async (removalId: number, { origin, otherPatient = false }: RestoreRequest = {}): Promise<Restored> => {
      const options = {
        keepDays,
        origin,
        otherPatient,
        readTags: tagValuesOfMetadata,
        describe: describeLevels,
      };
      const restored = await removals.restore(removalId, options);
      if (!restored) throw noSuchRemoval();
      return restored;
    },

    /** Forgets what a removal took, and its objects, for good. @throws ArchiveError `held`, `no-such-removal` */
    purge: async (removalId: number): Promise<void> => {
      if (!(await removals.purge(removalId))) throw noSuchRemoval();
      // Objects that cannot be removed now are on the list of the next sweep.
      await sweep(AbortSignal.timeout(patience)).catch(() => undefined);
    },
  };
}

function noSuchRemoval(): ArchiveError {
  return new ArchiveError("no-such-removal", "There is no such removal, or it cannot be restored any more.");
}
