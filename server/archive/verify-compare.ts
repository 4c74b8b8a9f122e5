/** One stretch of keys: what the store lists beside what the rows name. */
import type { BlobEntry, Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { FaultKind } from "../../storage/catalog-integrity.ts";
import type { HeldObject } from "../../storage/catalog-objects.ts";
import { ArchiveError } from "../errors.ts";
import type { FaultBook } from "./verify-faults.ts";
import { lookAt, type ReadOptions } from "./verify-object.ts";
import type { LookAtStrangers } from "./verify-orphans.ts";
import type { Stretch } from "./verify-stretches.ts";

/** What became of a stretch. */
export interface Compared {
  /** Rows whose objects are there and of the right size, in the order of their keys. */
  readonly right: readonly HeldObject[];
  /** Faults of earlier looks that are open, by key, of rows that are right as far as this tells. */
  readonly open: ReadonlyMap<string, FaultKind>;
}

/** When none of so many objects is there, the store is another one: a disk that is not mounted, another bucket. */
const enoughToDoubt = 100;

/** Entries of a listing behind which others may come first. */
const entriesBetweenPauses = 500;

/** Entries of a listing that are asked of the catalog in one statement. */
const strangersAtOnce = 1000;

/** Makes the comparison of one verification. */
export function createComparison(
  blobs: Blobs,
  { integrity }: Pick<Catalog, "integrity">,
  book: FaultBook,
  lookAtStrangers: LookAtStrangers,
  options: ReadOptions,
) {
  const { signal, pace } = options;
  let listed = 0;
  return async function compare(stretch: Stretch): Promise<Compared> {
    const open = new Map((await integrity.openFaults(stretch)).map(({ key, kind }) => [key, kind]));
    // Rows first: whatever is removed from here on is looked for again before it counts as missing.
    const rows = new Map((await integrity.heldInRange(stretch)).map((row) => [row.key, row]));
    const right: HeldObject[] = [];
    const found = new Set<string>();
    let strangers: BlobEntry[] = [];
    let entries = 0;
    const lookAtThem = async () => {
      const { orphans, young } = await lookAtStrangers(strangers);
      strangers = [];
      await book.note(orphans);
      for (const key of [...orphans.map((orphan) => orphan.key), ...young]) found.add(key);
    };
    for await (const entry of blobs.list(stretch.prefix)) {
      signal.throwIfAborted();
      entries += 1;
      if (entries % entriesBetweenPauses === 0) await pace?.(0);
      if (entry.key < stretch.from || entry.key >= stretch.to) continue;
      const row = rows.get(entry.key);
      if (row?.byteLength === entry.byteLength) {
        right.push(row);
        rows.delete(entry.key);
      } else if (!row) strangers.push(entry);
      if (strangers.length === strangersAtOnce) await lookAtThem();
    }
    if (strangers.length > 0) await lookAtThem();
    listed += right.length;
    const suspicious = [...rows.values()];
    if (listed === 0) await refuseOtherStore(suspicious);
    const faults = await book.examine(suspicious, (row) => lookAt(blobs, row, options));
    for (const row of suspicious) if (!faults.has(row.key)) right.push(row);
    for (const key of faults.keys()) found.add(key);
    await endFaults(open, right, found);
    right.sort((one, other) => (one.key < other.key ? -1 : 1));
    return { right, open };
  };

  /** @throws ArchiveError `storage-unavailable` when the store holds nothing of all that the rows name */
  async function refuseOtherStore(rows: readonly HeldObject[]): Promise<void> {
    const some = rows.slice(0, enoughToDoubt);
    if (some.length < enoughToDoubt) return;
    for (const { key } of some) if (await blobs.stat(key)) return;
    throw new ArchiveError(
      "storage-unavailable",
      `None of the first ${some.length} objects that the catalog names is in the store: is it the right one?`,
    );
  }

  /** Takes out of `open` what this comparison ends, and what it found again. */
  async function endFaults(open: Map<string, FaultKind>, right: readonly HeldObject[], found: ReadonlySet<string>) {
    const there = new Set(right.map(({ key }) => key));
    const [mended, gone]: [string[], string[]] = [[], []];
    for (const [key, kind] of open) {
      if (found.has(key)) open.delete(key);
      else if (!there.has(key)) gone.push(key);
      else if (kind === "missing" || kind === "wrong-size" || kind === "orphan") mended.push(key);
    }
    for (const key of [...gone, ...mended]) open.delete(key);
    await integrity.resolveFaults(mended, "The object is as its row says again.");
    await integrity.resolveFaults(gone, "No row and no object of this key is left.");
  }
}
