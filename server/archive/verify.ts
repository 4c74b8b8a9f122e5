/** Verify: every row has its object, every object its row, and every byte is what was stored. */
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { FaultKind, IntegrityRun, RunKind, RunProgress } from "../../storage/catalog-integrity.ts";
import type { HeldObject } from "../../storage/catalog-objects.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { createComparison } from "./verify-compare.ts";
import { createFaultBook, type FaultBook, type Look, type VerifyLog } from "./verify-faults.ts";
import { differsFromRow } from "./verify-metadata.ts";
import { lookAt, read, type ReadOptions, usualPatience } from "./verify-object.ts";
import { createOrphanLook, type OrphanCounts, type OrphanRepair } from "./verify-orphans.ts";
import { digitsFor, shareOf, stretches } from "./verify-stretches.ts";

export type { FaultKind, OrphanRepair, RunProgress, VerifyLog };

/** How thoroughly to look. */
export interface VerifyDepth {
  /** Share of the objects whose bytes are read, from 0 to 1; presence and size are compared of all. */
  readonly sample: number;
  /** Whether the bytes that are read must also describe what the row says. */
  readonly deep: boolean;
}

/** A verification of one study. */
export interface VerifyStudyRequest extends VerifyDepth, ReadOptions {
  /** Objects read at a time. */
  readonly parallel: number;
  readonly onProgress?: (progress: RunProgress) => void;
}

/** A verification of the whole archive. */
export interface VerifyRequest extends VerifyStudyRequest {
  readonly kind: RunKind;
  /** Whether to begin anew where an earlier one did not come to its end. */
  readonly restart: boolean;
  readonly repair: OrphanRepair;
  /** An object without a row that is younger may belong to a store that is under way. */
  readonly graceHours: number;
  /** For so long an orphan stays that is to be removed. */
  readonly keepHours: number;
  /** Objects looked at in one go, about; for tests. */
  readonly objectsAtOnce?: number;
}

/** What a verification found. */
export interface VerifyReport {
  /** False when `signal` ended it: the next one goes on there. */
  readonly finished: boolean;
  /** Whether it went on with an earlier one. */
  readonly resumed: boolean;
  readonly progress: RunProgress;
  /** Faults that are open: of the whole archive, or of the study. */
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly orphans: Readonly<OrphanCounts>;
}

/** Milliseconds between two notes of how far it has come. */
const saveEvery = 2000;

/** Rows that are passed over in one step, when none of them is read. */
const rowsAtOnce = 1000;

const silence: VerifyLog = { info: () => undefined, warn: () => undefined, error: () => undefined };

type Counts = { -readonly [Name in keyof RunProgress]: RunProgress[Name] };

/** Makes the use cases. */
export function createVerify(blobs: Blobs, catalog: Catalog, log: VerifyLog) {
  const { integrity } = catalog;

  const readerOf = ({ deep, ...options }: VerifyDepth & ReadOptions, counts: Counts): Look => {
    return async (row) => {
      const finding = await read(blobs, row, options);
      counts.objectsRead += 1;
      counts.bytesRead += row.byteLength;
      return finding ?? (deep ? differsFromRow(blobs, catalog, row, options) : undefined);
    };
  };

  /** Whoever asks is told what was found; what is found when nobody does comes into the log. */
  const bookOf = (
    { parallel, signal, patience = usualPatience, kind }: VerifyStudyRequest & { readonly kind: RunKind },
    runId: number | null,
  ) => createFaultBook(integrity, kind === "background" ? log : silence, { runId, parallel, patience, signal });

  /**
   * Verifies the whole archive, from where the last verification of this kind stopped. Faults are in the catalog, and new
   * ones in the log. @throws ArchiveError when the store or the database does not work
   */
  async function verify(request: VerifyRequest): Promise<VerifyReport> {
    const { signal, onProgress } = request;
    const { run, resumed } = await takeUp(request);
    const orphans: OrphanCounts = { young: 0, indexed: 0, listed: 0 };
    const { position, share, objects, objectsRead, bytesRead } = run;
    const counts: Counts = { position, share, objects, objectsRead, bytesRead };
    let savedAt = Date.now();
    const reach = async (key: string) => {
      counts.position = key;
      counts.share = shareOf(key);
      onProgress?.(counts);
      if (Date.now() - savedAt < saveEvery) return;
      savedAt = Date.now();
      await integrity.saveRun(run.id, counts);
    };
    const report = async (finished: boolean): Promise<VerifyReport> => {
      await integrity.saveRun(run.id, counts, finished);
      return { finished, resumed, progress: counts, faults: await integrity.countFaults(), orphans };
    };
    const depth = { ...request, ...run.options };
    try {
      const book = bookOf(request, run.id);
      const lookAtStrangers = await createOrphanLook(blobs, catalog, request, orphans);
      const compare = createComparison(blobs, catalog, book, lookAtStrangers, request);
      const readAll = createReadAll(depth, book, readerOf(depth, counts));
      for (const stretch of stretches(run.options.digits, position)) {
        const { right, open } = await compare(stretch);
        const left = right.filter(({ key }) => key > position);
        for await (const step of readAll(left, open)) {
          counts.objects += step.length;
          const last = step.at(-1);
          if (last) await reach(last.key);
        }
        await reach(stretch.to);
      }
      return await report(true);
    } catch (error) {
      if (!signal.aborted) {
        await integrity.saveRun(run.id, counts).catch(() => undefined);
        throw error;
      }
      return report(false);
    }
  }

  /** The run to go on with, or a new one. */
  async function takeUp(request: VerifyRequest): Promise<{ run: IntegrityRun; resumed: boolean }> {
    const { kind, sample, deep, restart, objectsAtOnce } = request;
    const latest = await integrity.latestRun(kind);
    const isSame = latest?.options.sample === sample && latest.options.deep === deep;
    if (latest && !restart && isSame && latest.finishedAt === null) return { run: latest, resumed: true };
    const digits = digitsFor(await integrity.countHeld(), objectsAtOnce);
    return { run: await integrity.beginRun(kind, { sample, deep, digits }), resumed: false };
  }

  /** Reads the objects of rows, or of a sample and of those with open faults; gives the rows in steps. */
  function createReadAll(
    { sample, deep, parallel, signal }: VerifyDepth & VerifyStudyRequest,
    book: FaultBook,
    look: Look,
  ) {
    return async function* readAll(
      rows: readonly HeldObject[],
      open: ReadonlyMap<string, FaultKind>,
    ): AsyncGenerator<readonly HeldObject[]> {
      const size = sample === 0 ? rowsAtOnce : Math.ceil((parallel * 8) / sample);
      for (let start = 0; start < rows.length; start += size) {
        signal.throwIfAborted();
        const step = rows.slice(start, start + size);
        const chosen = step.filter(({ key }) => sample > 0 && (open.has(key) || Math.random() < sample));
        const faulty = await book.examine(chosen, look);
        await resolveRight(chosen, faulty, open, deep);
        yield step;
      }
    };
  }

  /** Ends the faults of objects that were read, and were right; only a deep look tells of the metadata. */
  async function resolveRight(
    rows: readonly HeldObject[],
    faulty: ReadonlyMap<string, FaultKind>,
    open: ReadonlyMap<string, FaultKind>,
    deep: boolean,
  ): Promise<void> {
    const right = rows.flatMap(({ key }) => {
      const kind = faulty.has(key) ? undefined : open.get(key);
      return kind === undefined || (kind === "different-metadata" && !deep) ? [] : [key];
    });
    await integrity.resolveFaults(right, "The object is as its row says again.");
  }

  /**
   * Verifies the instances of one study; there is nothing to take up again.
   * @throws ArchiveError `no-such-study`, and when the store or the database does not work
   */
  async function verifyStudy(studyInstanceUid: Uid, request: VerifyStudyRequest): Promise<VerifyReport> {
    const { sample, deep, signal, parallel, onProgress } = request;
    const counts: Counts = { position: "", share: 0, objects: 0, objectsRead: 0, bytesRead: 0 };
    const faults = new Map<FaultKind, number>();
    const book = bookOf({ ...request, kind: "command" }, null);
    const reader = readerOf(request, counts);
    const look: Look = async (row) => (await lookAt(blobs, row, request)) ?? (sample > 0 ? reader(row) : undefined);
    const atOnce = parallel * 8;
    const next = () => integrity.heldOfStudy(studyInstanceUid, counts.position, atOnce);
    for (let rows = await next(); rows.length > 0 && !signal.aborted; rows = await next()) {
      const faulty = await book.examine(rows, look);
      for (const kind of faulty.values()) faults.set(kind, (faults.get(kind) ?? 0) + 1);
      const range = { from: rows[0]?.key ?? "", to: `${rows.at(-1)?.key ?? ""}~` };
      const open = new Map((await integrity.openFaults(range)).map(({ key, kind }) => [key, kind]));
      if (sample > 0) await resolveRight(rows, faulty, open, deep);
      counts.objects += rows.length;
      counts.position = rows.at(-1)?.key ?? "";
      onProgress?.(counts);
    }
    if (counts.objects === 0 && !signal.aborted) throw new ArchiveError("no-such-study", "There is no such study.");
    const orphans = { young: 0, indexed: 0, listed: 0 };
    return { finished: !signal.aborted, resumed: false, progress: counts, faults, orphans };
  }

  return { verify, verifyStudy };
}
