/** Integrity: verifications, what they found, and how far they have come. */
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { Fault, FaultKind, FaultPage, IntegrityRun } from "../../storage/catalog-integrity.ts";
import type { Uid } from "../dicom/uid.ts";
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
  /** Verifies the instances of one study. @throws ArchiveError `no-such-study` */
  verifyStudy(studyInstanceUid: Uid, request: VerifyStudyRequest): Promise<VerifyReport>;
  status(): Promise<IntegrityStatus>;
  /** Notes that the catalog was put back from a backup, or rebuilt: it may not know of all that was acknowledged. */
  noteRestored(): Promise<void>;
  /** What was found, in the order in which it was first seen. */
  faults(page: FaultPage): Promise<readonly Fault[]>;
}

/** Makes the use cases. */
export function createIntegrity(blobs: Blobs, catalog: Catalog, log: VerifyLog): Integrity {
  const { integrity, withLock } = catalog;
  const { verify, verifyStudy } = createVerify(blobs, catalog, log);
  return {
    verify: async (request) => {
      let report: VerifyReport | undefined;
      await withLock(`verify/${request.kind}`, async () => {
        report = await verify(request);
      });
      return report;
    },
    verifyStudy,
    status: async () => {
      const [background, lastFinished, command, faults] = await Promise.all([
        integrity.latestRun("background"),
        integrity.latestFinishedRun("background"),
        integrity.latestRun("command"),
        integrity.countFaults(),
      ]);
      return { background, lastFinished, command, faults: Object.fromEntries(faults) };
    },
    noteRestored: () => integrity.noteRestored(),
    faults: (page) => integrity.listFaults(page),
  };
}
