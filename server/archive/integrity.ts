/** Integrity: verifications, what they found, and how far they have come. */
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { Fault, FaultKind, FaultPage, IntegrityRun } from "../../storage/catalog-integrity.ts";
import type { Uid } from "../dicom/uid.ts";
import type { Backups } from "./backups.ts";
import { isInstanceKey } from "./reindex.ts";
import { type BackgroundVerifySettings, createBackgroundVerify, type Quiet } from "./verify-background.ts";
import {
  createVerify,
  type VerifyLog,
  type VerifyReport,
  type VerifyRequest,
  type VerifyStudyRequest,
} from "./verify.ts";

export type { Fault, FaultKind, FaultPage, IntegrityRun };

/** How the archive is, as far as verifications have looked. */
export interface IntegrityStatus {
  /** Faults that are open, by kind; a kind without any is absent. */
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
  /** Days within which the server reads every object; 0: it does not. */
  readonly everyDays: number;
  /** The verification that the server itself makes: the latest, finished or not. */
  readonly background: IntegrityRun | undefined;
  /** The last one of those that came to its end. */
  readonly lastFinished: IntegrityRun | undefined;
  /** The latest one that was made by the command. */
  readonly command: IntegrityRun | undefined;
}

export interface Integrity {
  /**
   * Verifies the whole archive, from where the last verification of its kind stopped; undefined when another process is
   * at it. @throws ArchiveError when the store or the database does not work
   */
  verify(request: VerifyRequest): Promise<VerifyReport | undefined>;
  /** Verifies everything within so many days, while nobody asks anything; called again and again. */
  verifyInBackground(signal: AbortSignal, quiet: Quiet): Promise<void>;
  /**
   * Brings the objects of open faults back from the backup of the settings; tells how many came.
   * @throws ArchiveError of both stores; the reason of `signal`
   */
  bringBack(signal: AbortSignal): Promise<number>;
  /** Verifies the instances of one study. @throws ArchiveError `no-such-study` */
  verifyStudy(studyInstanceUid: Uid, request: VerifyStudyRequest): Promise<VerifyReport>;
  /**
   * Whether the object store has instances and the database is new: it was lost, or the settings name another one.
   * @throws ArchiveError when the store or the database does not work
   */
  isCatalogLost(): Promise<boolean>;
  status(): Promise<IntegrityStatus>;
  /** What was found, in the order in which it was first seen. */
  faults(page: FaultPage): Promise<readonly Fault[]>;
}

/** Faults that are brought back in one go. */
const faultsAtOnce = 500;

/** Faults of which a backup may have the right bytes. */
const ofBytes: ReadonlySet<FaultKind> = new Set(["missing", "wrong-size", "wrong-sha256", "unreadable"]);

/** Makes the use cases. */
export function createIntegrity(
  blobs: Blobs,
  catalog: Catalog,
  log: VerifyLog,
  backups: Pick<Backups, "restoreObjects">,
  settings: BackgroundVerifySettings,
): Integrity {
  const { integrity, withLock } = catalog;
  const { verify: verifyAlone, verifyStudy } = createVerify(blobs, catalog, log);
  const verify: Integrity["verify"] = async (request) => {
    let report: VerifyReport | undefined;
    await withLock(`verify/${request.kind}`, async () => {
      report = await verifyAlone(request);
    });
    return report;
  };
  const next = (after: number) => integrity.listFaults({ limit: faultsAtOnce, after, state: "open" });
  return {
    verify,
    verifyInBackground: createBackgroundVerify(verify, catalog, log, settings),
    verifyStudy,
    bringBack: async (signal) => {
      let count = 0;
      for (let page = await next(0); page.length > 0; page = await next(page.at(-1)?.id ?? 0)) {
        const keys = page.flatMap(({ kind, key }) => (ofBytes.has(kind) ? [key] : []));
        const brought = keys.length === 0 ? [] : await backups.restoreObjects(keys, signal);
        const back = brought.flatMap(({ key, outcome }) => (outcome === "copied" || outcome === "right" ? [key] : []));
        await integrity.resolveFaults(back, "The object was brought back from a backup.");
        count += back.length;
      }
      return count;
    },
    isCatalogLost: async () => {
      if (!(await integrity.holdsNothing())) return false;
      for await (const { key } of blobs.list()) if (isInstanceKey(key)) return integrity.holdsNothing();
      return false;
    },
    status: async () => {
      const [background, lastFinished, command, faults] = await Promise.all([
        integrity.latestRun("background"),
        integrity.latestFinishedRun("background"),
        integrity.latestRun("command"),
        integrity.countFaults(),
      ]);
      return { everyDays: settings.everyDays, background, lastFinished, command, faults: Object.fromEntries(faults) };
    },
    faults: (page) => integrity.listFaults(page),
  };
}
