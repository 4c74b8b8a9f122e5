/** Objects that no row names: which of them nobody was ever told of, and what becomes of them. */
import { type BlobEntry, type Blobs, freshKey } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { NewFault } from "../../storage/catalog-integrity.ts";
import { reindexLock } from "./reindex.ts";
import { ArchiveError } from "../errors.ts";
import { createAdopt } from "./verify-adopt.ts";

/**
 * What becomes of an orphan: it is only reported; it becomes a row; it is removed when nobody can have been told that it
 * is stored; it is removed in any case.
 */
export type OrphanRepair = "report" | "index" | "remove" | "remove-any";

export interface OrphanSettings {
  readonly repair: OrphanRepair;
  /** A younger object may belong to a store that is under way. */
  readonly graceHours: number;
  /** For so long an orphan stays that is to be removed. */
  readonly keepHours: number;
  readonly signal: AbortSignal;
}

/** Counts of what became of objects without a row. */
export interface OrphanCounts {
  /** Younger than the grace time: left alone. */
  young: number;
  /** Became rows. */
  indexed: number;
  /** Were put on the list of the sweep. */
  listed: number;
}

/** What there is among objects that no row named when they were listed. */
export interface Strangers {
  /** Those that stay orphans. */
  readonly orphans: readonly NewFault[];
  /** Keys of those that are too young to be any. */
  readonly young: readonly string[];
}

/** Looks at such objects. @throws ArchiveError when the store or the database does not work */
export type LookAtStrangers = (entries: readonly BlobEntry[]) => Promise<Strangers>;

/** Milliseconds by which a moment may be off: stores tell whole seconds. */
const clockTolerance = 2000;

/** When more objects have no row than there are rows, and so many at least, the database is another one. */
const enoughToDoubt = 100;

/** Keys of instances; others begin with the name of their area. */
const isInstanceKey = /^[0-9a-f]{2}\//;

/** Makes the look for one verification: how the clocks of store and database differ is measured once. */
export async function createOrphanLook(
  blobs: Blobs,
  catalog: Catalog,
  { repair, graceHours, keepHours, signal }: OrphanSettings,
  counts: OrphanCounts,
): Promise<LookAtStrangers> {
  const { integrity, removals, withLock } = catalog;
  const adopt = createAdopt(blobs, catalog);
  const { since, now } = await integrity.knowsSince();
  const storeTime = await timeOfStore(blobs, removals).catch((error: unknown) => {
    // A store that can only be read can be verified, too.
    if (repair !== "report") throw error;
    return new Date();
  });
  const storeNow = storeTime.getTime();
  const oldBefore = storeNow - graceHours * 3600_000;
  /** By the clock of the store: of whatever came later this catalog has a row, or nobody was told that it is stored. */
  const knownFrom = since.getTime() + storeNow - now.getTime() + clockTolerance;

  const held = repair === "remove" ? await integrity.countHeld() : Infinity;

  /** Before any of them goes. @throws ArchiveError `storage-unavailable` */
  const refuseOtherDatabase = (strangers: readonly BlobEntry[]) => {
    const going = strangers.filter((entry) => entry.modifiedAt.getTime() <= oldBefore && isUnacknowledged(entry));
    if (counts.listed + going.length <= Math.max(held, enoughToDoubt)) return;
    const sentence = `More objects have no row than the database has rows (${held}): is it that of this store? Nothing further is removed.`;
    throw new ArchiveError("storage-unavailable", sentence);
  };

  const remove = async ({ key }: BlobEntry): Promise<undefined> => {
    await removals.sweepLater([key], keepHours);
    counts.listed += 1;
  };

  /** What is put aside for a request is nobody's when the request has gone. */
  const isUnacknowledged = ({ key, modifiedAt }: BlobEntry) =>
    key.startsWith("spool/") || modifiedAt.getTime() > knownFrom;

  const repaired = async (entry: BlobEntry, orphan: NewFault): Promise<NewFault | undefined> => {
    if (repair === "remove-any" || (repair === "remove" && isUnacknowledged(entry))) return remove(entry);
    if (repair !== "index" || !isInstanceKey.test(entry.key)) return orphan;
    const adopted = await adopt(entry, signal);
    if (adopted.status === "kept") return { ...orphan, detail: `${orphan.detail} ${adopted.why}` };
    if (adopted.status === "redundant") return remove(entry);
    if (adopted.status === "indexed") counts.indexed += 1;
    return undefined;
  };

  const handle = async (entry: BlobEntry): Promise<NewFault | undefined> => {
    const orphan = faultOf(entry, isUnacknowledged(entry));
    if (repair === "report") return orphan;
    let left: NewFault | undefined = orphan;
    // A reindex must not make a row of what is put on the list of the sweep behind its back.
    await withLock(reindexLock, async () => {
      left = await repaired(entry, orphan);
    });
    return left;
  };

  return async (entries) => {
    const unknown = new Set(await integrity.unknownKeys(entries.map(({ key }) => key)));
    const strangers = entries.filter(({ key }) => unknown.has(key));
    if (repair === "remove") refuseOtherDatabase(strangers);
    const [young, orphans]: [string[], NewFault[]] = [[], []];
    for (const entry of strangers) {
      const isOld = entry.modifiedAt.getTime() <= oldBefore;
      const fault = isOld ? await handle(entry) : undefined;
      if (!isOld) young.push(entry.key);
      if (fault) orphans.push(fault);
    }
    counts.young += young.length;
    return { orphans, young };
  };
}

function faultOf({ key, byteLength, modifiedAt }: BlobEntry, unacknowledged: boolean): NewFault {
  const meaning = unacknowledged
    ? "nobody was told that it is stored"
    : "it is older than the catalog, or than its last restore, and may be an instance that was acknowledged";
  const detail = `No row names the object (${byteLength} bytes, ${modifiedAt.toISOString()}): ${meaning}.`;
  return { key, kind: "orphan", detail };
}

/** The time by the clock of the store, as its listings tell it, which `modifiedAt` of objects is compared with. */
async function timeOfStore(blobs: Blobs, removals: Pick<Catalog["removals"], "sweepLater" | "swept">): Promise<Date> {
  const key = freshKey("spool");
  await removals.sweepLater([key], 24);
  let { modifiedAt } = await blobs.put(probe(), { key });
  for await (const entry of blobs.list(key)) ({ modifiedAt } = entry);
  await blobs.remove([key]);
  await removals.swept([key]);
  return modifiedAt;
}

async function* probe(): AsyncGenerator<Uint8Array> {
  yield Buffer.from("what is the time");
}
