/** Storage Commitment Push Model as SCP (PS3.4 Annex J): N-ACTION, answered once it is durable; the outcome follows. */
import { setTimeout as sleep } from "node:timers/promises";
import type { CommitmentRequest } from "../archive/commitment.ts";
import type { CommitmentReports, SendReport } from "../archive/commitment-reports.ts";
import { parseCommitmentRequest } from "../archive/commitment-request.ts";
import type { DicomJson } from "../dicom/json.ts";
import { isUid, type Uid } from "../dicom/uid.ts";
import { ArchiveError, toArchiveError } from "../errors.ts";
import type { Association, IncomingRequest, Service } from "./association.ts";
import { reportOn, storageCommitment } from "./commitment-report.ts";
import { decodeIdentifier, gatherIdentifier } from "./identifier.ts";
import { statuses } from "./status.ts";

export interface CommitmentDependencies {
  readonly reports: CommitmentReports;
  /** Tells the outcome on an association of its own. */
  readonly send: SendReport;
  readonly log: { readonly warn: (fields: Readonly<Record<string, unknown>>, message: string) => void };
  /** Milliseconds in which a requestor that waits for no report releases the association; default 500. */
  readonly grace?: number;
}

/** Action Type ID: Request Storage Commitment (PS3.4 Table J.3-1). */
const requestCommitment = 1;

/** Longest Action Information, in bytes: 100,000 references of the longest UIDs. */
const longestInformation = 100_000 * 168;

const transactionUidTag = "00081195";
const referencedSopSequence = "00081199";

/** Makes the service. */
export function createCommitmentService({ reports, send, log, grace = 500 }: CommitmentDependencies): Service {
  /** The report that was begun last on an association: one goes after the other. */
  const last = new WeakMap<Association, Promise<void>>();

  return async (request) => {
    const asked = await readRequest(request);
    const { callingAeTitle: requestingAeTitle, calledAeTitle: requestedAeTitle } = request.association.request;
    await reports.accept(asked, { requestingAeTitle, requestedAeTitle });
    await request.respond({ status: statuses.success });
    void report(asked, request);
  };

  /** Never throws. */
  async function report(asked: CommitmentRequest, { association, context }: IncomingRequest): Promise<void> {
    const onSame: SendReport = async (owed) => {
      const before = last.get(association);
      const told = (async () => {
        // Many requestors release at once, and do not expect a message on top of that.
        const released = sleep(grace, undefined, { signal: association.ended, ref: false });
        await Promise.all([before?.catch(() => undefined), released]);
        await reportOn(association, context, owed);
      })();
      last.set(association, told);
      await told;
    };
    try {
      await reports.report(asked, (owed, signal) => onSame(owed).catch(() => send(owed, signal)));
    } catch (error) {
      const { message } = toArchiveError(error);
      const { transactionUid } = asked;
      log.warn({ transactionUid, err: error }, `a storage commitment could not be worked out: ${message}`);
    }
  }
}

/** @throws ArchiveError with the status of PS3.7 10.1.4.1.10 */
async function readRequest({ command, context, dataSet }: IncomingRequest): Promise<CommitmentRequest> {
  if (command.actionTypeId !== requestCommitment) {
    throw new ArchiveError("no-such-action", `There is no action ${command.actionTypeId} of this SOP class.`);
  }
  if (command.requestedSopInstanceUid !== storageCommitment.sopInstanceUid) {
    throw new ArchiveError("no-such-sop-instance", `The SOP instance is ${storageCommitment.sopInstanceUid}.`);
  }
  if (!dataSet) throw invalid("The request has no Action Information.");
  try {
    const bytes = await gatherIdentifier(dataSet, longestInformation);
    const information = decodeIdentifier(bytes, context.transferSyntaxUid, longestInformation);
    const { [referencedSopSequence]: references } = information;
    if (!references) throw invalid("Referenced SOP Sequence (0008,1199) is missing.");
    return parseCommitmentRequest(transactionUidOf(information), { [referencedSopSequence]: references });
  } catch (error) {
    if (error instanceof ArchiveError) throw invalid(error.message, error);
    throw error;
  }
}

function transactionUidOf(information: DicomJson): Uid {
  const [value] = information[transactionUidTag]?.Value ?? [];
  if (typeof value === "string" && isUid(value)) return value;
  throw invalid("Transaction UID (0008,1195) is missing or no UID.");
}

function invalid(message: string, cause?: unknown): ArchiveError {
  return new ArchiveError("invalid-argument", message, { cause });
}
