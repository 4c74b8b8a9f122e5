/** The catalog of removals: what the archive may ask of instances that were removed. */
import type { Knex } from "knex";
import {
  keysToSweep,
  listRemovals,
  purgeExpired,
  purgeRemoval,
  type Removal,
  removeInstances,
  type RemoveOptions,
  sweepLater,
  swept,
} from "./catalog-remove.ts";
import type { ReadStudyMatch } from "./catalog-held.ts";
import type { KnownTags } from "./catalog-query-tag-values.ts";
import type { Selector } from "./catalog-read.ts";
import { restoreRemoval, type RestoreOptions, type Restored } from "./catalog-restore.ts";
import { databaseError } from "./database-error.ts";

/** How a caller removes; the queries of holds are read by what the catalog was made with. */
type Remove = Omit<RemoveOptions, "readMatch">;

/** Every method throws ArchiveError `database-unavailable` when PostgreSQL does not answer. */
export interface RemovalCatalog {
  /** Removes the instances that `selector` names, with what becomes empty; undefined when there are none. @throws ArchiveError `held` */
  remove(selector: Selector, options: Remove): Promise<Removal | undefined>;
  /** Removals that can be restored, newest first: at most `limit`, of those with an id below `before`. */
  list(limit: number, before: number): Promise<readonly Removal[]>;
  /** Brings back what a removal took; undefined when there is no such removal. @throws ArchiveError `held`, `other-patient` */
  restore(id: number, options: Omit<RestoreOptions, "readMatch">): Promise<Restored | undefined>;
  /** Forgets a removal and lists its objects for the sweep; false when there is no such removal. @throws ArchiveError `held` */
  purge(id: number): Promise<boolean>;
  /** The same with one removal whose time is over, unless a hold protects it; false when there is none. */
  purgeExpired(): Promise<boolean>;
  /** Keys on the list of the sweep that no row needs, at most `limit`. */
  keysToSweep(limit: number): Promise<readonly string[]>;
  /** Takes keys off the list, whose objects are gone. */
  swept(keys: readonly string[]): Promise<void>;
  /** Puts keys on the list, whose objects are removed in `hours` at the earliest; at once when absent. */
  sweepLater(keys: readonly string[], hours?: number): Promise<void>;
}

/** The removals over an open pool. */
export function createRemovalCatalog(knex: Knex, knownTags: KnownTags, readMatch?: ReadStudyMatch): RemovalCatalog {
  const reading = readMatch && { readMatch };
  return {
    remove: (selector, options) => databaseError(() => removeInstances(knex, selector, { ...options, ...reading })),
    list: (limit, before) => databaseError(() => listRemovals(knex, limit, before)),
    restore: (id, options) => databaseError(() => restoreRemoval(knex, id, knownTags, { ...options, ...reading })),
    purge: (id) => databaseError(() => purgeRemoval(knex, id, readMatch)),
    purgeExpired: () => databaseError(() => purgeExpired(knex, readMatch)),
    keysToSweep: (limit) => databaseError(() => keysToSweep(knex, limit)),
    swept: (keys) => databaseError(() => swept(knex, keys)),
    sweepLater: (keys, hours) => databaseError(() => sweepLater(knex, keys, hours)),
  };
}
