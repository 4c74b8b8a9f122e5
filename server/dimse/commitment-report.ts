/** Tells the outcome of storage commitment: N-EVENT-REPORT (PS3.4 J.3.3), on whichever association there is. */
import type { CommitmentReference } from "../archive/commitment.ts";
import type { CommitmentReport, SendReport } from "../archive/commitment-reports.ts";
import type { Peers } from "../archive/peers.ts";
import type { DicomJson } from "../dicom/json.ts";
import { ArchiveError } from "../errors.ts";
import type { AcceptedContext, Association } from "./association.ts";
import { commandFields } from "./command.ts";
import type { Connect } from "./connect.ts";
import { encodeIdentifier } from "./identifier.ts";
import { peerFault, plainSyntaxes } from "./scu-association.ts";
import { statusKind } from "./status-words.ts";

/** Storage Commitment Push Model SOP Class, and its Well-known SOP Instance (PS3.4 J.3.5). */
export const storageCommitment = {
  sopClassUid: "1.2.840.10008.1.20.1",
  sopInstanceUid: "1.2.840.10008.1.20.1.1",
} as const;

/** Event Type ID (PS3.4 Table J.3-2). */
const eventTypes = { success: 1, failuresExist: 2 } as const;

/** Statuses by which a report is taken (PS3.7 10.1.1.1.8). */
function isTaken(status: number | undefined): boolean {
  return status !== undefined && ["success", "warning"].includes(statusKind(status));
}

/** The Event Information of a report (PS3.4 Table J.3-2). */
export function eventInformation({ transactionUid, requestedAeTitle, result }: CommitmentReport): DicomJson {
  const { committed, failed } = result;
  return {
    "00080054": { vr: "AE", Value: [requestedAeTitle] },
    "00081195": uid(transactionUid),
    ...(failed.length > 0 && { "00081198": { vr: "SQ", Value: failed.map(failedItem) } }),
    ...(committed.length > 0 && { "00081199": { vr: "SQ", Value: committed.map(item) } }),
  };
}

/**
 * Tells a report on an association that stands.
 * @throws ArchiveError `peer-failed` when the peer answers a failure; and whatever ends the association
 */
export async function reportOn(
  association: Association,
  context: AcceptedContext,
  report: CommitmentReport,
): Promise<void> {
  const command = {
    commandField: commandFields.nEventReportRequest,
    affectedSopClassUid: storageCommitment.sopClassUid,
    affectedSopInstanceUid: storageCommitment.sopInstanceUid,
    eventTypeId: report.result.failed.length > 0 ? eventTypes.failuresExist : eventTypes.success,
  };
  const dataSet = encodeIdentifier(eventInformation(report), context.transferSyntaxUid);
  for await (const { command: response } of association.invoke({ context, command, dataSet })) {
    const { status, errorComment } = response;
    if (isTaken(status)) return;
    throw peerFault("N-EVENT-REPORT", status, errorComment);
  }
}

/**
 * Makes what tells a report on an association of its own, to the peer with the AE title that asked.
 * @param connect opens associations
 */
export function createReportSender(peers: Pick<Peers, "findByAeTitle">, connect: Connect): SendReport {
  return async (report, signal) => {
    const { requestingAeTitle, requestedAeTitle } = report;
    const peer = await peers.findByAeTitle(requestingAeTitle);
    if (!peer) {
      throw new ArchiveError("no-such-peer", `No peer has the AE title ${requestingAeTitle}, which is to be told.`);
    }
    const { sopClassUid } = storageCommitment;
    const { aeTitle, host, port, tls, callingAeTitle = requestedAeTitle } = peer;
    const association = await connect(
      { aeTitle, host, port, ...(tls && { tls: {} }) },
      {
        callingAeTitle,
        contexts: [{ abstractSyntaxUid: sopClassUid, transferSyntaxUids: plainSyntaxes }],
        // The one who reports is the SCP, although it opens the association (PS3.7 D.3.3.4).
        roles: [{ sopClassUid, scuRole: false, scpRole: true }],
        ...(signal && { signal }),
      },
    );
    const [context] = association.contexts.values();
    if (!context) {
      await association.release();
      throw new ArchiveError("context-not-accepted", "The peer does not take reports of storage commitment.");
    }
    try {
      await reportOn(association, context, report);
    } catch (error) {
      if (error instanceof ArchiveError && error.code === "peer-failed") await association.release();
      else await association.abort();
      throw error;
    }
    // It is told; how the association ends does not matter any more.
    await association.release().catch(() => undefined);
  };
}

function item({ sopClassUid, sopInstanceUid }: CommitmentReference): DicomJson {
  return { "00081150": uid(sopClassUid), "00081155": uid(sopInstanceUid) };
}

function failedItem({ failureReason, ...reference }: CommitmentReport["result"]["failed"][number]): DicomJson {
  return { ...item(reference), "00081197": { vr: "US", Value: [failureReason] } };
}

function uid(value: string) {
  return { vr: "UI", Value: [value] };
}
