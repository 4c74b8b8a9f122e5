/** Storage commitment whose outcome is told to who asked (PS3.4 J.3): owed until it is told, by whichever process. */
import type { Catalog } from "../../storage/catalog.ts";
import type { OwedReport, ReportAddress } from "../../storage/catalog-commitment-reports.ts";
import { type Uid, parseUid } from "../dicom/uid.ts";
import { ArchiveError, type ErrorCode, toArchiveError } from "../errors.ts";
import { type CommitmentRequest, type CommitmentResult, type createCommitment, readResult } from "./commitment.ts";
import { retryDelay } from "./retry-delay.ts";
import { inParallel } from "./in-parallel.ts";
import type { StoreLog } from "./store.ts";

export type { ReportAddress };

/** What is to be told. */
export interface CommitmentReport extends ReportAddress {
  readonly transactionUid: Uid;
  readonly result: CommitmentResult;
}

/** Tells it; resolves when the one who asked has confirmed. @throws ArchiveError when not */
export type SendReport = (report: CommitmentReport, signal?: AbortSignal) => Promise<void>;

/** The use cases of commitments that are reported. */
export interface CommitmentReports {
  /** Keeps a request, so that it is worked out and told whatever happens. @throws ArchiveError `duplicate-transaction` */
  accept(request: CommitmentRequest, address: ReportAddress): Promise<void>;
  /**
   * Works out the outcome of a request that was just accepted, and tells it. What cannot be told is owed still.
   * @throws ArchiveError when the archive cannot find out
   */
  report(request: CommitmentRequest, send: SendReport): Promise<void>;
  /** Tells what is owed and due. Run in the background, by any number of processes; ends soon after `signal` aborts. */
  deliver(send: SendReport, signal: AbortSignal): Promise<void>;
}

/** Seconds in which the process that took a request works out its outcome and tells it, before others do that. */
const ownTime = 150;
/** Seconds after which who claimed a report is taken for dead. */
const claimTime = 300;
/** Seconds after which a report that cannot be made is given up: 7 days. Its outcome can be asked for by HTTP still. */
const patience = 7 * 24 * 3600;
/** AE titles that are told at a time. */
const atOnce = 4;

/** Failures that say of the peer that it is of no use now, rather than of one report. */
const peerIsAway: ReadonlySet<ErrorCode> = new Set([
  "no-such-peer",
  "peer-unreachable",
  "peer-silent",
  "association-rejected",
  "context-not-accepted",
]);

/** Makes them. */
export function createCommitmentReports(
  catalog: Pick<Catalog, "commitmentReports" | "withLock">,
  commitment: Pick<ReturnType<typeof createCommitment>, "finish">,
  log: StoreLog,
): CommitmentReports {
  const { commitmentReports: reports, withLock } = catalog;

  async function accept(request: CommitmentRequest, address: ReportAddress): Promise<void> {
    const { transactionUid, form, references } = request;
    if (await reports.record(transactionUid, { form, references }, address, ownTime)) return;
    throw new ArchiveError("duplicate-transaction", "The Transaction UID is in use already.");
  }

  async function report(request: CommitmentRequest, send: SendReport): Promise<void> {
    await commitment.finish(request.transactionUid, request);
    const owed = await reports.claim(request.transactionUid, claimTime);
    if (owed) await tell(owed, send);
  }

  async function deliver(send: SendReport, signal: AbortSignal): Promise<void> {
    for (const { transactionUid, requestingAeTitle, fault } of await reports.giveUp(patience)) {
      log.warn({ transactionUid, requestingAeTitle, fault }, "the outcome of a storage commitment was never told");
    }
    await inParallel(await reports.dueTo(), atOnce, async (aeTitle) => {
      await withLock(`commitment-reports/${aeTitle}`, () => deliverTo(aeTitle, send, signal));
    });
  }

  async function deliverTo(aeTitle: string, send: SendReport, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const owed = await reports.claimNext(aeTitle, claimTime);
      if (!owed || !(await tell(owed, send, signal))) return;
    }
  }

  /** Whether to go on with the same peer. */
  async function tell(owed: OwedReport, send: SendReport, signal?: AbortSignal): Promise<boolean> {
    const { transactionUid, requestingAeTitle, requestedAeTitle, failures } = owed;
    const result = readResult(owed.result);
    if (!result) {
      await reports.remove(transactionUid);
      return true;
    }
    const address = { requestingAeTitle, requestedAeTitle };
    try {
      await send({ transactionUid: parseUid(transactionUid), ...address, result }, signal);
    } catch (thrown) {
      const error = toArchiveError(thrown);
      const seconds = retryDelay(failures + 1);
      await reports.postpone(transactionUid, error.message, seconds);
      if (failures === 0) {
        const fields = { transactionUid, requestingAeTitle, fault: error.message, err: error.cause };
        log.warn(fields, "the outcome of a storage commitment could not be told; it is tried again");
      }
      if (!peerIsAway.has(error.code)) return true;
      await reports.postponeAll(requestingAeTitle, seconds);
      return false;
    }
    await reports.remove(transactionUid);
    return true;
  }

  return { accept, report, deliver };
}
