/** Some objects on their way to their rows: read, checked, described as at their store, and committed together. */
import { createHash } from "node:crypto";
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { NonPatientRecord } from "../../storage/catalog-non-patient.ts";
import type { InstanceRecord } from "../../storage/catalog-records.ts";
import type { ListedObject } from "../../storage/catalog-reindex.ts";
import { textOf } from "../dicom/data-set.ts";
import type { ScannedFile } from "../dicom/part10.ts";
import { type ArchiveError, type ErrorCode, toArchiveError } from "../errors.ts";
import { describe, describeLevels, type StoredBytes } from "./describe.ts";
import { nonPatientCategoryOf } from "./non-patient-categories.ts";
import { describeNonPatient, nonPatientRecord } from "./non-patient-store.ts";
import { Reading } from "./reading.ts";
import { isSameDataSet } from "./same-data-set.ts";
import { objectBytes } from "./stored-bytes.ts";

/** Why an object has no row. */
export interface ReindexProblem {
  readonly key: string;
  readonly kind:
    /** Its bytes are not those that were stored. */
    | "damaged"
    /** It is nothing that can be stored. */
    | "refused"
    /** Another object has the same UIDs and the row: the one that was stored first, or last where stores replace. */
    | "duplicate"
    /** The instance was deleted on purpose, and the feed of changes still knows it. */
    | "deleted";
  /** One sentence. */
  readonly reason: string;
  /** False when nothing is lost: the same data set has a row, or shall have none. */
  readonly isFailure: boolean;
}

/** What became of a batch; an object that was removed meanwhile is in neither. */
interface BatchOutcome {
  readonly indexed: number;
  readonly problems: readonly ReindexProblem[];
}

/** What an object turned out to be. */
type Found =
  | { readonly kind: "instance"; readonly object: ListedObject; readonly record: InstanceRecord }
  | { readonly kind: "non-patient-instance"; readonly object: ListedObject; readonly record: NonPatientRecord }
  | { readonly kind: "gone" }
  | { readonly kind: "problem"; readonly problem: ReindexProblem };

/** Objects that are read at the same time. */
const readAtOnce = 8;

/** Errors that are nobody's fault but the store's or the database's: the run ends, and goes on another time. */
const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["storage-unavailable", "database-unavailable", "stopping"]);

const sopClassUid = 0x00080016;

/**
 * Makes the work on a batch. It throws ArchiveError when the object store or the database is away.
 * @param replaceKeepingDays when given, later objects replace earlier ones with the same UIDs
 */
export function createReindexBatch(blobs: Blobs, catalog: Catalog, replaceKeepingDays?: number) {
  async function read(object: ListedObject): Promise<Found> {
    const { key } = object;
    const sha256 = object.sha256 ?? (await blobs.stat(key))?.metadata?.sha256;
    const reading = new Reading(objectBytes(blobs, key), describeAny);
    try {
      const byteLength = await lengthOf(reading.chunks());
      const hash = reading.sha256();
      if (sha256 !== undefined && hash.toString("hex") !== sha256) return damaged(key);
      const found = reading.described()({ blobKey: key, byteLength, sha256: hash });
      const { sopInstanceUid } = found;
      const storedAt = object.modifiedAt;
      const deleted = await catalog.integrity.wasDeleted({ sopInstanceUid, sha256: hash, storedAt });
      return deleted ? problem(key, "deleted", "The instance was deleted on purpose.") : { ...found, object };
    } catch (cause) {
      const error = toArchiveError(cause);
      if (passing.has(error.code)) throw error;
      if (error.code === "no-such-blob" && (await blobs.stat(key)) === undefined) return { kind: "gone" };
      const isDamaged = sha256 !== undefined && (await hashOf(objectBytes(blobs, key))) !== sha256;
      return isDamaged ? damaged(key) : problem(key, "refused", error.message);
    }
  }

  /** Commits in order, so that of two with the same UIDs the first stays. */
  async function commit(found: readonly Extract<Found, { kind: "instance" }>[]): Promise<BatchOutcome> {
    if (found.length === 0) return { indexed: 0, problems: [] };
    const records = found.map(({ record }) => ({ ...record, origin: "reindex" }));
    try {
      const outcomes = await catalog.commit(records, { describe: describeLevels });
      const problems: ReindexProblem[] = [];
      for (const [index, outcome] of outcomes.entries()) {
        const one = found[index];
        if (!one || outcome.status !== "duplicate") continue;
        const identical = outcome.identical || (await isSameDataSet(blobs, outcome.held, one.record.instance));
        if (!identical && (await hasReplaced(one))) continue;
        problems.push(duplicate(one.object.key, identical));
      }
      return { indexed: found.length - problems.length, problems };
    } catch (cause) {
      const error = toArchiveError(cause);
      if (passing.has(error.code)) throw error;
      const [only, ...others] = found;
      if (only && others.length === 0) return { indexed: 0, problems: [refused(only.object.key, error)] };
      // One that PostgreSQL refuses must not keep its neighbours out.
      return added(await inTurn(found, (one) => commit([one])));
    }
  }

  /** Where stores replace, an object takes the row of an older one, which can be restored, as it did when it was stored. */
  async function hasReplaced({ object, record }: Extract<Found, { kind: "instance" }>): Promise<boolean> {
    if (replaceKeepingDays === undefined) return false;
    const named = await catalog.integrity.heldBySopInstance([record.instance.uid]);
    const held = named.find(
      ({ holder, studyInstanceUid, seriesInstanceUid }) =>
        holder === "instance" && studyInstanceUid === record.study.uid && seriesInstanceUid === record.series.uid,
    );
    const entry = held && (await blobs.stat(held.key));
    if (!entry || entry.modifiedAt >= object.modifiedAt) return false;
    const settings = { describe: describeLevels, replaceKeepingDays };
    const [outcome] = await catalog.commit([{ ...record, origin: "reindex" }], settings);
    return outcome !== undefined && outcome.status !== "duplicate";
  }

  async function insert({ object, record }: Extract<Found, { kind: "non-patient-instance" }>): Promise<BatchOutcome> {
    const held = await catalog.nonPatient.insert(record);
    if (!held) return { indexed: 1, problems: [] };
    return { indexed: 0, problems: [duplicate(object.key, held.held.equals(record.sha256))] };
  }

  return async function indexBatch(objects: readonly ListedObject[]): Promise<BatchOutcome> {
    const found = await inParallel(objects, readAtOnce, read);
    const committed = await commit(found.filter((one) => one.kind === "instance"));
    const inserted = await inTurn(
      found.filter((one) => one.kind === "non-patient-instance"),
      insert,
    );
    const problems = found.flatMap((one) => (one.kind === "problem" ? [one.problem] : []));
    return added([committed, ...inserted, { indexed: 0, problems }]);
  };
}

/** What a file is, and its record once its bytes are known. @throws ArchiveError when it is nothing that can be stored */
function describeAny(file: ScannedFile) {
  if (nonPatientCategoryOf(textOf(file.dataSet, sopClassUid) ?? "") !== undefined) {
    const described = describeNonPatient(file);
    const { sopInstanceUid } = described;
    return (bytes: StoredBytes) =>
      ({ kind: "non-patient-instance", sopInstanceUid, record: nonPatientRecord(described, bytes) }) as const;
  }
  const { identifiers, record } = describe(file);
  const { sopInstanceUid } = identifiers;
  return (bytes: StoredBytes) => ({ kind: "instance", sopInstanceUid, record: record(bytes) }) as const;
}

function problem(key: string, kind: ReindexProblem["kind"], reason: string): Extract<Found, { kind: "problem" }> {
  return { kind: "problem", problem: { key, kind, reason, isFailure: kind !== "deleted" } };
}

function damaged(key: string): Found {
  return problem(key, "damaged", "The bytes are not those that were stored: their SHA-256 differs.");
}

function refused(key: string, { message }: ArchiveError): ReindexProblem {
  return { key, kind: "refused", reason: message, isFailure: true };
}

function duplicate(key: string, identical: boolean): ReindexProblem {
  const which = identical ? "with the same data set" : "with the same UIDs and another data set";
  return { key, kind: "duplicate", reason: `Another object ${which} has the row.`, isFailure: !identical };
}

function added(outcomes: readonly BatchOutcome[]): BatchOutcome {
  return {
    indexed: outcomes.reduce((sum, { indexed }) => sum + indexed, 0),
    problems: outcomes.flatMap(({ problems }) => problems),
  };
}

async function lengthOf(chunks: AsyncIterable<Buffer>): Promise<number> {
  let byteLength = 0;
  for await (const chunk of chunks) byteLength += chunk.byteLength;
  return byteLength;
}

async function hashOf(chunks: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest("hex");
}

async function inTurn<Item, Result>(items: readonly Item[], work: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}

/** The results in the order of `items`; at most `width` under way. The first failure ends it when the others have ended. */
async function inParallel<Item, Result>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const queue = items.entries();
  const worker = async () => {
    for (const [index, item] of queue) results[index] = await work(item);
  };
  const ended = await Promise.allSettled(Array.from({ length: width }, worker));
  for (const each of ended) if (each.status === "rejected") throw each.reason;
  return results;
}
