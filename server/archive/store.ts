/** Store: bytes to the object store while their header is scanned, then one commit, then the outcome. */
import type { BlobMetadata, Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import { holdSentence } from "../../storage/catalog-held.ts";
import type { CommitOutcome, InstanceRecord } from "../../storage/catalog-records.ts";
import type { QuarantineLimits } from "../../storage/catalog-quarantine.ts";
import { isOtherPatient, sentenceOf } from "../../storage/study-conflicts.ts";
import type { ScannedFile } from "../dicom/part10.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError, toArchiveError } from "../errors.ts";
import { CommitQueue } from "./commit-queue.ts";
import { createOrphans } from "./orphans.ts";
import { describe, describeLevels, type Identifiers } from "./describe.ts";
import { createMendHeld } from "./mend-held.ts";
import { isQuarantined } from "./quarantine-faults.ts";
import { createKeep } from "./quarantine-keep.ts";
import { type Keeps, Reading } from "./reading.ts";
import { isSameDataSet } from "./same-data-set.ts";

export interface StoreOptions {
  /** When given, an instance of another study is refused (PS3.18 10.5.1: POST /studies/{study}). */
  readonly studyInstanceUid?: Uid;
  /** When given, another instance is refused: the one that the sender says that it sends (PS3.7 9.1.1.1). */
  readonly instance?: { readonly sopClassUid: string; readonly sopInstanceUid: string };
  /** The door through which it comes; the feed of changes tells it. */
  readonly origin?: string;
  /** Of the application that sends it, and by which this one was called. */
  readonly aeTitles?: { readonly sending: string; readonly receiving: string };
  /** Its number in the request, from 1 on. */
  readonly part?: number;
  /** As the sender calls it. */
  readonly name?: string | undefined;
  /** Whether it comes out of quarantine, and is not to be put there again. */
  readonly isRetry?: boolean;
}

/** The use case. */
export type Store = (body: AsyncIterable<Buffer>, options?: StoreOptions) => Promise<StoreOutcome>;

/** What happens when the UIDs of a stored instance are stored again. */
export type DuplicatePolicy =
  /** The same data set is a success; others are refused, and what is there stays. */
  | "keep"
  /** The same data set is a success; others take the place of what is there, which can be restored. */
  | "replace"
  /** Refused, identical or not. */
  | "reject";

export interface StoreSettings {
  readonly duplicates: DuplicatePolicy;
  /** Days that an instance can be restored that was replaced. */
  readonly removedKeepDays: number;
  /** What quarantine keeps; absent: nothing. */
  readonly quarantine?: QuarantineLimits | undefined;
}

/** What became of one instance. Only `stored` and `already-stored` mean that it is durable and findable. */
export type StoreOutcome =
  | ({
      readonly status: "stored" | "already-stored";
      readonly warnings: readonly string[];
      /** Whether it has taken the place of another instance with the same UIDs. */
      readonly replaced?: boolean;
    } & Identifiers)
  | {
      readonly status: "failed";
      readonly error: ArchiveError;
      readonly sopClassUid?: string;
      readonly sopInstanceUid?: string;
      /** Under which id it is kept in quarantine. */
      readonly quarantineId?: number;
    };

type Failed = Extract<StoreOutcome, { status: "failed" }>;

/** Where goes what an operator should know of a store. Fields hold UIDs, and nothing else of a patient. */
export interface StoreLog {
  readonly warn: (fields: Readonly<Record<string, unknown>>, message: string) => void;
}

/**
 * Why a duplicate is refused; the policy is named, since the operator may choose another. Each says the most in its first
 * 64 characters: no more of it fits into an Error Comment (0000,0902).
 */
const refusals = {
  different:
    "Other content is stored already under the same UIDs; it was kept, and this was not stored (DUPLICATES=keep).",
  held: "What is stored was kept, and this instance, with the same UIDs and other content, was not stored.",
  rejected: "An instance with the same UIDs is stored already; this one was not stored (DUPLICATES=reject).",
} as const;

const replacedWarning =
  "It has replaced a stored instance with the same UIDs and other content, which can be restored for a while (DUPLICATES=replace).";

/** Makes the store use case. Instances that are stored at the same time are committed together. */
export function createStore(blobs: Blobs, catalog: Catalog, log: StoreLog, settings: StoreSettings) {
  const { duplicates, removedKeepDays } = settings;
  const replaceKeepingDays = duplicates === "replace" ? removedKeepDays : undefined;
  const orphans = createOrphans(blobs, catalog.removals, log);
  const mendHeld = createMendHeld(blobs, catalog.integrity, log);
  const commits = new CommitQueue({ commit: (records) => catalog.commit(records, { describe: describeLevels }) });
  const replacements = new CommitQueue({
    commit: (records) => catalog.commit(records, { replaceKeepingDays, describe: describeLevels }),
  });

  const { quarantine } = settings;
  const keep = quarantine && createKeep(blobs, catalog, log, quarantine);
  const keeps: Keeps = (fault, byteLength) => quarantine !== undefined && isQuarantined(fault, byteLength, quarantine);

  /**
   * Stores one DICOM file. Never throws: what goes wrong with it is its outcome, and leaves neither row nor object.
   * `body` is pulled at the pace of the object store and is never held whole.
   */
  return async function store(body: AsyncIterable<Buffer>, options: StoreOptions = {}): Promise<StoreOutcome> {
    const isKept = options.isRetry !== true;
    const reading = new Reading(body, describeFor(options), isKept ? keeps : undefined);
    try {
      const metadata = () => metadataOf(reading);
      const { key: blobKey, byteLength } = await blobs.put(reading.chunks(), { metadata });
      const fault = reading.fault();
      if (fault) {
        const quarantineId = await keep?.({ ...fault, blobKey, byteLength, sha256: reading.sha256() }, options);
        return failed(fault.error, { ...reading.identifiersSoFar(), ...(quarantineId && { quarantineId }) }, options);
      }
      const { identifiers, warnings, record } = reading.described();
      const described = record({ blobKey, byteLength, sha256: reading.sha256() });
      const instance = { ...described, origin: options.origin, aeTitles: options.aeTitles };
      const outcome = await committed(instance);
      if (outcome.status !== "duplicate") {
        const { differences } = outcome;
        if (isOtherPatient(differences))
          log.warn({ ...identifiers }, "an instance was stored in a study of another patient");
        const mixed = differences.map(sentenceOf);
        const stored = { status: "stored", ...identifiers } as const;
        if (outcome.status === "committed") return { ...stored, warnings: [...warnings, ...mixed] };
        return { ...stored, warnings: [replacedWarning, ...warnings, ...mixed], replaced: true };
      }
      try {
        const sha256 = reading.sha256();
        const isStored = outcome.identical && duplicates !== "reject";
        if (isStored) await mendHeld(identifiers, { blobKey, sha256, metadata: metadataOf(reading) });
      } finally {
        await orphans.remove(blobKey);
      }
      if (duplicates === "reject") throw new ArchiveError("refused-duplicate", refusals.rejected);
      if (outcome.hold) throw new ArchiveError("different-duplicate", `${holdSentence(outcome.hold)} ${refusals.held}`);
      if (!outcome.identical) throw new ArchiveError("different-duplicate", refusals.different);
      // Whoever asks again, since the answer was lost, is told the same.
      return { status: "already-stored", ...identifiers, warnings };
    } catch (cause) {
      return failed(cause, reading.identifiersSoFar(), options);
    } finally {
      reading.end();
    }
  };

  /** Commits one. What has the UIDs and the data set of what is held is identical, and replaces nothing. */
  async function committed(record: InstanceRecord): Promise<CommitOutcome> {
    const { blobKey } = record.instance;
    const doubt = async (error: unknown) => {
      await orphans.doubt(blobKey, error);
      throw error;
    };
    const outcome = await commits.commit(record).catch(doubt);
    if (outcome.status !== "duplicate" || outcome.identical || duplicates === "reject") return outcome;
    try {
      if (await isSameDataSet(blobs, outcome.held, record.instance)) return { ...outcome, identical: true };
    } catch (error) {
      await orphans.remove(blobKey);
      throw error;
    }
    return duplicates === "replace" ? replacements.commit(record).catch(doubt) : outcome;
  }

  function failed(cause: unknown, known: Omit<Failed, "status" | "error">, { origin, aeTitles }: StoreOptions): Failed {
    const error = toArchiveError(cause);
    const why = error.code === "internal" ? { err: cause } : { code: error.code };
    log.warn({ ...why, ...known, origin, sendingAeTitle: aeTitles?.sending }, "an instance was not stored");
    return { status: "failed", error, ...known };
  }
}

/** What the object store keeps beside the bytes; of a file that is no instance, their hash. */
function metadataOf(reading: Reading<{ readonly identifiers: Identifiers }>): BlobMetadata {
  const sha256 = reading.sha256().toString("hex");
  return reading.fault() ? { sha256 } : { sha256, kind: "instance", ...reading.described().identifiers };
}

/** @throws ArchiveError `wrong-study`, `wrong-instance`, and what `describe` throws */
function describeFor({ studyInstanceUid: study, instance }: StoreOptions) {
  return (file: ScannedFile) => {
    const described = describe(file);
    const { studyInstanceUid, sopClassUid, sopInstanceUid } = described.identifiers;
    if (study !== undefined && studyInstanceUid !== study) {
      throw new ArchiveError("wrong-study", "StudyInstanceUID (0020,000D) is not that of the study in the address.");
    }
    if (instance && sopInstanceUid !== instance.sopInstanceUid) throw otherThanSaid("SOPInstanceUID (0008,0018)");
    if (instance && sopClassUid !== instance.sopClassUid) throw otherThanSaid("SOPClassUID (0008,0016)");
    return described;
  };
}

function otherThanSaid(attribute: string): ArchiveError {
  return new ArchiveError("wrong-instance", `${attribute} is not that of the request.`);
}
