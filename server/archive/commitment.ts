/** Storage commitment (PS3.4 Annex J, PS3.18 13): says of instances whether the archive keeps them, and remembers it. */
import { z } from "zod";
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { CommitmentReference, HeldInstance } from "../../storage/catalog-commitment.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";

export type { CommitmentReference };

/** Failure Reason (0008,1197) of an instance that is not committed (PS3.3 C.14.1.1). */
const failureReasons = {
  processingFailure: 0x0110,
  noSuchObjectInstance: 0x0112,
  classInstanceConflict: 0x0119,
} as const;

/** What a client asks. */
export interface CommitmentRequest {
  readonly transactionUid: Uid;
  /** How the references were grouped; the answer is grouped likewise (PS3.18 J.2). */
  readonly form: "instances" | "studies";
  readonly references: readonly CommitmentReference[];
}

/** What the archive answers: it keeps `committed`, whose rows and bytes are there, and not `failed`. */
export interface CommitmentResult {
  readonly form: CommitmentRequest["form"];
  readonly committed: readonly CommitmentReference[];
  readonly failed: readonly (CommitmentReference & { readonly failureReason: number })[];
}

/** Most instances in one request. */
export const mostReferences = 100_000;

/** Instances that are looked up in one statement, and objects looked at in one go. */
const rowsAtOnce = 1000;
const objectsAtOnce = 16;

/** How long (milliseconds) a client waits for its answer before it is told to ask again. */
const patience = 3000;
/** Seconds after which a request without an outcome is taken for one whose process has ended. */
const abandoned = 120;
/** Seconds that an outcome is remembered: 30 days. */
const remembered = 30 * 24 * 3600;

const reference = z.object({
  sopClassUid: z.string(),
  sopInstanceUid: z.string(),
  studyInstanceUid: z.string().optional(),
  seriesInstanceUid: z.string().optional(),
});
const storedRequest = z.object({ form: z.enum(["instances", "studies"]), references: z.array(reference) });
const storedResult = z.object({
  form: z.enum(["instances", "studies"]),
  committed: z.array(reference),
  failed: z.array(reference.extend({ failureReason: z.int() })),
});

/** Makes the use cases of storage commitment. */
export function createCommitment(blobs: Pick<Blobs, "stat">, { commitments }: Pick<Catalog, "commitments">) {
  /**
   * The outcome, or undefined when it takes longer than a client should wait: it is then worked out all the same, by
   * this process or, when that ends, by `finishAbandonedCommitments`.
   * @throws ArchiveError `duplicate-transaction`
   */
  async function requestCommitment(request: CommitmentRequest): Promise<CommitmentResult | undefined> {
    const { transactionUid, form, references } = request;
    if (!(await commitments.record(transactionUid, { form, references }))) {
      throw new ArchiveError("duplicate-transaction", "The Transaction UID is in use already.");
    }
    const { promise: tooLate, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), patience);
    // A store that is away for a moment is tried again later.
    const finished = finish(transactionUid, { form, references }).catch(() => undefined);
    const result = await Promise.race([finished, tooLate]);
    clearTimeout(timer);
    return result;
  }

  /**
   * The outcome of an earlier request; undefined while it is being worked on.
   * @throws ArchiveError `no-such-transaction`, `forgotten-transaction`
   */
  async function checkCommitment(transactionUid: Uid): Promise<CommitmentResult | undefined> {
    const row = await commitments.find(transactionUid);
    if (!row) throw new ArchiveError("no-such-transaction", "There was no request with this Transaction UID.");
    if (!row.finished) return undefined;
    const result = readResult(row.result);
    if (result) return result;
    throw new ArchiveError("forgotten-transaction", "The outcome of this request is no longer kept.");
  }

  /** Works out what processes left that have ended, and forgets what is old. Run in the background, by one process. */
  async function finishAbandonedCommitments(): Promise<void> {
    for (const { transactionUid, request } of await commitments.unfinished(abandoned, 10)) {
      const { form, references } = storedRequest.parse(request);
      await finish(transactionUid, { form, references: references.map(toReference) });
    }
    await commitments.forget(remembered);
  }

  /** Works out the outcome of a request that was recorded, and keeps it. */
  async function finish(
    transactionUid: string,
    { form, references }: Pick<CommitmentRequest, "form" | "references">,
  ): Promise<CommitmentResult> {
    const committed: CommitmentReference[] = [];
    const failed: (CommitmentReference & { failureReason: number })[] = [];
    for (let from = 0; from < references.length; from += rowsAtOnce) {
      const batch = references.slice(from, from + rowsAtOnce);
      const reasons = await reasonsOf(batch);
      batch.forEach((one, index) => {
        const failureReason = reasons[index];
        if (failureReason === undefined) committed.push(one);
        else failed.push({ ...one, failureReason });
      });
    }
    const result = { form, committed, failed };
    await commitments.finish(transactionUid, result);
    return result;
  }

  /** Why each reference cannot be committed to; undefined where it can. */
  async function reasonsOf(references: readonly CommitmentReference[]): Promise<(number | undefined)[]> {
    const rows = await commitments.held(references.map(({ sopInstanceUid }) => sopInstanceUid));
    const held = Map.groupBy(rows, ({ sopInstanceUid }) => sopInstanceUid);
    const reasons: (number | undefined)[] = [];
    for (let from = 0; from < references.length; from += objectsAtOnce) {
      const some = references.slice(from, from + objectsAtOnce);
      reasons.push(...(await Promise.all(some.map((one) => reasonOf(one, held.get(one.sopInstanceUid) ?? [])))));
    }
    return reasons;
  }

  async function reasonOf(asked: CommitmentReference, rows: readonly HeldInstance[]): Promise<number | undefined> {
    const placed = rows.filter((row) => isPlaced(asked, row));
    if (placed.length === 0) return failureReasons.noSuchObjectInstance;
    const same = placed.filter(({ sopClassUid }) => sopClassUid === asked.sopClassUid);
    if (same.length === 0) return failureReasons.classInstanceConflict;
    for (const { blobKey, byteLength } of same) {
      const entry = await blobs.stat(blobKey);
      if (entry?.byteLength !== byteLength) return failureReasons.processingFailure;
    }
    return undefined;
  }

  return { requestCommitment, checkCommitment, finishAbandonedCommitments, finish };
}

function isPlaced(asked: CommitmentReference, row: HeldInstance): boolean {
  return (
    (asked.studyInstanceUid ?? row.studyInstanceUid) === row.studyInstanceUid &&
    (asked.seriesInstanceUid ?? row.seriesInstanceUid) === row.seriesInstanceUid
  );
}

/** An outcome as the catalog has it; undefined when it is not there yet, or is forgotten. */
export function readResult(stored: unknown): CommitmentResult | undefined {
  return stored === null ? undefined : toResult(storedResult.parse(stored));
}

function toResult({ form, committed, failed }: z.infer<typeof storedResult>): CommitmentResult {
  return {
    form,
    committed: committed.map(toReference),
    failed: failed.map((one) => ({ ...toReference(one), failureReason: one.failureReason })),
  };
}

function toReference({ sopClassUid, sopInstanceUid, ...place }: z.infer<typeof reference>): CommitmentReference {
  const { studyInstanceUid, seriesInstanceUid } = place;
  return {
    sopClassUid,
    sopInstanceUid,
    ...(studyInstanceUid !== undefined && { studyInstanceUid }),
    ...(seriesInstanceUid !== undefined && { seriesInstanceUid }),
  };
}
