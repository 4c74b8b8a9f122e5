/** A C-MOVE or C-GET as its requestor sees it: sub-operations counted, cancelled, and every failure told (PS3.4 C.4.2, C.4.3). */
import { setTimeout as sleep } from "node:timers/promises";
import { type ArchiveError, toArchiveError } from "../errors.ts";
import type { AcceptedContext, Association, IncomingMessage } from "./association.ts";
import { type Command, priorities } from "./command.ts";
import { decodeIdentifier, encodeIdentifier, gatherIdentifier } from "./identifier.ts";
import { type QueryRetrieveLevel, queryRetrieveLevel, uniqueKeys } from "./information-models.ts";
import { statusKind } from "./status-words.ts";

/** Sub-operations of a request, as the peer counts them; undefined what it has not said. */
export interface SubOperations {
  readonly remaining: number | undefined;
  readonly completed: number | undefined;
  readonly failed: number | undefined;
  readonly warning: number | undefined;
}

/** How a C-MOVE or a C-GET ended. */
export interface SubOperationsResult extends SubOperations {
  /** Of the final response; undefined when there was none. */
  readonly status: number | undefined;
  /** What the peer said of it. */
  readonly comment: string | undefined;
  /** Failed SOP Instance UID List (0008,0058) of the final response. */
  readonly failedSopInstanceUids: readonly string[];
  /** Why there was no final response, or why it could not be read; undefined when nothing of that happened. */
  readonly fault: ArchiveError | undefined;
}

/** What to retrieve: a patient, a study, a series or an instance, by its unique key and those above it. */
export interface RetrieveTarget {
  /** Needed for a patient, and otherwise where the peer knows the Patient Root alone. */
  readonly patientId?: string | undefined;
  readonly studyInstanceUid?: string | undefined;
  readonly seriesInstanceUid?: string | undefined;
  readonly sopInstanceUid?: string | undefined;
}

export interface SubOperationsOptions {
  /** Called with the counts of each pending response. */
  readonly onProgress?: ((counts: SubOperations) => void) | undefined;
  /** Cancels the request (C-CANCEL); a peer that goes on regardless is hung up on. */
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds that a peer has to end what was cancelled: an instance may be on its way. */
const cancelTime = 15_000;

/** The level of a target (PS3.4 C.4.2.2.1): that of its lowest unique key. */
export function levelOf({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: RetrieveTarget): QueryRetrieveLevel {
  if (sopInstanceUid !== undefined) return "IMAGE";
  if (seriesInstanceUid !== undefined) return "SERIES";
  return studyInstanceUid === undefined ? "PATIENT" : "STUDY";
}

/** Whether everything that the peer had to send was sent, as far as the peer says. A warning is no failure. */
export function isComplete(result: SubOperationsResult): boolean {
  const { status, failed = 0, remaining = 0, failedSopInstanceUids, fault, completed } = result;
  if (fault || status === undefined || failed > 0 || remaining > 0 || failedSopInstanceUids.length > 0) return false;
  // B000 without counts may mean failures.
  return statusKind(status) === "success" || (statusKind(status) === "warning" && completed !== undefined);
}

/** Makes the request, and waits for its end; what goes wrong on the way is in the result. */
export async function performSubOperations(
  association: Association,
  context: AcceptedContext,
  command: Pick<Command, "commandField" | "moveDestination">,
  target: RetrieveTarget,
  { onProgress, signal }: SubOperationsOptions,
): Promise<SubOperationsResult> {
  const messageId = association.nextMessageId();
  const ended = new AbortController();
  const onAbort = () => void cancel(association, context, messageId, ended.signal);
  let counts: SubOperations = { remaining: undefined, completed: undefined, failed: undefined, warning: undefined };
  let status: number | undefined;
  let comment: string | undefined;
  let failedSopInstanceUids: readonly string[] = [];
  let fault: ArchiveError | undefined;
  try {
    signal?.throwIfAborted();
    signal?.addEventListener("abort", onAbort, { once: true });
    const { abstractSyntaxUid: affectedSopClassUid, transferSyntaxUid } = context;
    const dataSet = encodeIdentifier(identifierOf(target), transferSyntaxUid);
    const request = { ...command, messageId, affectedSopClassUid, priority: priorities.medium };
    for await (const response of association.invoke({ context, command: request, dataSet })) {
      counts = countsOf(response.command, counts);
      if (statusKind(response.command.status ?? 0) === "pending") onProgress?.(counts);
      else {
        ({ status, errorComment: comment } = response.command);
        failedSopInstanceUids = await failedOf(response);
      }
    }
  } catch (error) {
    fault = toArchiveError(error);
  } finally {
    ended.abort();
    signal?.removeEventListener("abort", onAbort);
  }
  return { ...counts, status, comment, failedSopInstanceUids, fault };
}

function identifierOf(target: RetrieveTarget) {
  const { patientId, studyInstanceUid, seriesInstanceUid, sopInstanceUid } = target;
  return {
    [queryRetrieveLevel]: { vr: "CS", Value: [levelOf(target)] },
    ...(sopInstanceUid !== undefined && { [uniqueKeys.IMAGE]: { vr: "UI", Value: [sopInstanceUid] } }),
    ...(patientId !== undefined && { [uniqueKeys.PATIENT]: { vr: "LO", Value: [patientId] } }),
    ...(studyInstanceUid !== undefined && { [uniqueKeys.STUDY]: { vr: "UI", Value: [studyInstanceUid] } }),
    ...(seriesInstanceUid !== undefined && { [uniqueKeys.SERIES]: { vr: "UI", Value: [seriesInstanceUid] } }),
  };
}

/** A final response has no number of what remains, unless it was cancelled (PS3.7 9.1.4.1.7). */
function countsOf(command: Command, before: SubOperations): SubOperations {
  const isFinal = statusKind(command.status ?? 0) !== "pending";
  return {
    remaining: command.numberOfRemainingSuboperations ?? (isFinal ? undefined : before.remaining),
    completed: command.numberOfCompletedSuboperations ?? before.completed,
    failed: command.numberOfFailedSuboperations ?? before.failed,
    warning: command.numberOfWarningSuboperations ?? before.warning,
  };
}

async function failedOf({ dataSet, context }: IncomingMessage): Promise<readonly string[]> {
  if (!dataSet) return [];
  const bytes = await gatherIdentifier(dataSet);
  const { "00080058": list } = decodeIdentifier(bytes, context.transferSyntaxUid);
  return (list?.Value ?? []).filter((uid) => typeof uid === "string" && uid !== "").map(String);
}

async function cancel(
  association: Association,
  context: AcceptedContext,
  messageId: number,
  ended: AbortSignal,
): Promise<void> {
  try {
    await association.cancel(context, messageId);
    await sleep(cancelTime, undefined, { signal: ended });
    await association.abort();
  } catch {
    // It has ended, in whatever way: the result says how.
  }
}
