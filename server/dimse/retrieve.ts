/** What C-MOVE and C-GET have in common: the instances asked for, pending responses while they are sent, and the last one. */
import type { Archive } from "../archive/archive.ts";
import { IdentifierFault } from "../archive/query-identifier.ts";
import type { SelectedInstances, Selection } from "../archive/selection.ts";
import { ArchiveError, type ErrorCode } from "../errors.ts";
import type { IncomingRequest } from "./association.ts";
import { extendedNegotiationOf } from "./extended-negotiation.ts";
import { decodeIdentifier, encodeIdentifier, gatherIdentifier } from "./identifier.ts";
import type { DimseLog } from "./dimse-log.ts";
import { type getLevels, readSelection } from "./retrieve-identifier.ts";
import type { SendOutcome } from "./send-instances.ts";
import { resultOf, retrieveStatuses, SubOperationCounts } from "./sub-operation-counts.ts";

/** Faults of the receiver as a whole: logged for the first instance, and counted for the rest. */
const faultsOfAll: ReadonlySet<ErrorCode | undefined> = new Set([
  "peer-unreachable",
  "peer-silent",
  "association-rejected",
  "association-aborted",
]);

/** Between two pending responses there are so many milliseconds at least: more often nobody looks. */
const leastPause = 100;

/** While nothing else is to be said, the requestor hears so often that the work goes on (milliseconds). */
const mostPause = 10_000;

/** The instances that a request asks for; undefined when it has been answered, as they cannot be found out. */
export async function selectRequested(
  request: IncomingRequest,
  archive: Pick<Archive, "select">,
  levelsBySopClass: typeof getLevels,
): Promise<SelectedInstances | undefined> {
  try {
    return await archive.select(await requestedBy(request, levelsBySopClass));
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    const { message: errorComment, answer } = error;
    const isMismatch = error.code === "identifier-mismatch";
    const offendingElements = error instanceof IdentifierFault ? error.offendingElements : [];
    const status = isMismatch ? answer.dimseStatus : retrieveStatuses.cannotCount;
    await request.respond({ status, errorComment, offendingElements });
    return undefined;
  }
}

/** @throws ArchiveError `identifier-mismatch` */
async function requestedBy(request: IncomingRequest, levelsBySopClass: typeof getLevels): Promise<Selection> {
  const { context, dataSet, association } = request;
  if (!dataSet) throw new IdentifierFault("The request has no identifier.", []);
  const identifier = decodeIdentifier(await gatherIdentifier(dataSet), context.transferSyntaxUid);
  const agreed = extendedNegotiationOf(association, "retrieve", context.abstractSyntaxUid);
  const levels = levelsBySopClass.get(context.abstractSyntaxUid) ?? [];
  return readSelection(identifier, levels, agreed.has("relationalRetrieval"));
}

/** Answers `request` while `outcomes` come, and at their end; logs what failed. `receiver` is for the log. */
export async function answerRetrieve(
  request: IncomingRequest,
  { kinds }: SelectedInstances,
  outcomes: AsyncIterable<SendOutcome>,
  { log, receiver }: { readonly log: DimseLog; readonly receiver: string },
): Promise<void> {
  const total = kinds.reduce((sum, { count }) => sum + count, 0);
  const operations = new SubOperationCounts(total);
  const fields = { association: request.association.id, messageId: request.command.messageId, receiver };
  const pending = new PendingResponses(request, operations);
  const told = new Set<ErrorCode>();
  try {
    for await (const outcome of outcomes) {
      operations.add(outcome);
      pending.tell();
      if (resultOf(outcome.status) !== "completed") logFailure(log, fields, outcome, told);
    }
  } finally {
    await pending.end();
  }
  const { fields: response, identifier } = operations.final(request.isCancelled());
  const level = operations.counts.failed > 0 ? "warn" : "info";
  log[level]({ ...fields, total, ...operations.counts, status: hex(response.status) }, "a retrieval ended");
  const bytes = identifier && encodeIdentifier(identifier, request.context.transferSyntaxUid);
  await request.respond(response, bytes);
}

function logFailure(log: DimseLog, fields: object, outcome: SendOutcome, told: Set<ErrorCode>): void {
  const { code, status, comment, sopInstanceUid } = outcome;
  if (code && faultsOfAll.has(code)) {
    if (told.has(code)) return;
    told.add(code);
  }
  const result = resultOf(status) === "warning" ? "stored with a warning" : "not sent";
  const all = { ...fields, sopInstanceUid, status: status === undefined ? undefined : hex(status), code, comment };
  log.warn(all, `an instance was ${result}`);
}

function hex(status: number): string {
  return status.toString(16).padStart(4, "0");
}

/** Pending responses: after a sub-operation, but not too often, nor faster than the requestor takes them. */
class PendingResponses {
  readonly #request: IncomingRequest;
  readonly #operations: SubOperationCounts;
  readonly #timer: NodeJS.Timeout;
  #nextAt = 0;
  #sending: Promise<void> | undefined;

  constructor(request: IncomingRequest, operations: SubOperationCounts) {
    this.#request = request;
    this.#operations = operations;
    this.#timer = setInterval(() => this.#send(), mostPause);
  }

  /** A sub-operation has ended. Nothing waits for the response. */
  tell(): void {
    if (performance.now() >= this.#nextAt) this.#send();
  }

  /** Resolves when none is under way any more. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    await this.#sending;
  }

  #send(): void {
    if (this.#sending) return;
    this.#timer.refresh();
    this.#nextAt = performance.now() + leastPause;
    this.#sending = this.#request
      .respond(this.#operations.pending())
      // The association has ended, which the sub-operations see for themselves.
      .catch(() => undefined)
      .finally(() => (this.#sending = undefined));
  }
}
