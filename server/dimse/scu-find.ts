/** Queries a peer: C-FIND as SCU (PS3.4 C.4.1, PS3.7 9.1.2). */
import { setTimeout as sleep } from "node:timers/promises";
import type { DicomJson } from "../dicom/json.ts";
import { ArchiveError } from "../errors.ts";
import type { AcceptedContext, Association, IncomingMessage } from "./association.ts";
import { commandFields, priorities } from "./command.ts";
import type { PeerAddress } from "./connect.ts";
import { decodeIdentifier, encodeIdentifier, gatherIdentifier } from "./identifier.ts";
import { patientRoot, queryRetrieveLevel, type QueryRetrieveLevel, studyRoot } from "./information-models.ts";
import { contextFor, open, peerFault, plainSyntaxes, type Requestor } from "./scu-association.ts";
import { isPending, statuses } from "./status.ts";

/** The models by the words of the command line. */
export const models = { patient: patientRoot, study: studyRoot } as const;

export type ModelName = keyof typeof models;

/** What to look for. */
export interface FindRequest {
  readonly level: QueryRetrieveLevel;
  /** Attributes to match, and, empty, to return. Query/Retrieve Level (0008,0052) is put in. */
  readonly keys: DicomJson;
  /** Values of Specific Character Set (0008,0005) in which the keys are written; by default as few as they need. */
  readonly characterSet?: readonly string[] | undefined;
}

/** Where to look. */
export interface FindOptions {
  readonly model: ModelName;
  /** Whether unique keys of the levels above may be missing (PS3.4 C.4.1.2.2); the peer has to agree. */
  readonly isRelational?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** An association on which one query after the other can be made. */
export interface FindSession {
  /**
   * The matches as they come. Whoever stops before the last cancels the query (C-CANCEL).
   * @throws ArchiveError `peer-failed` for a final status other than Success; `association-aborted` and others when the
   *   association ends; `identifier-mismatch` for a match that cannot be read
   */
  find(request: FindRequest): AsyncGenerator<DicomJson, void, void>;
  /** Releases the association. */
  close(): Promise<void>;
}

/** Milliseconds that a peer has to end a query that was cancelled. */
const cancelTime = 5000;

/** Relational queries (PS3.4 C.5.1.1), and neither combined date-time matching nor fuzzy matching of names. */
const relational = Buffer.of(1, 0, 0);

/** The matches of one query, on an association of its own; see `FindSession`. @throws also as `openFind` */
export async function* find(
  requestor: Requestor,
  peer: PeerAddress,
  request: FindRequest & FindOptions,
): AsyncGenerator<DicomJson, void, void> {
  const session = await openFind(requestor, peer, request);
  try {
    yield* session.find(request);
  } finally {
    await session.close();
  }
}

/** @throws ArchiveError as `Connect`, and `context-not-accepted` */
export async function openFind(
  requestor: Requestor,
  peer: PeerAddress,
  { model, isRelational = false, signal }: FindOptions,
): Promise<FindSession> {
  const { findSopClassUid: sopClassUid, name } = models[model];
  const association = await open(requestor, peer, {
    contexts: [{ abstractSyntaxUid: sopClassUid, transferSyntaxUids: plainSyntaxes }],
    ...(isRelational && {
      extendedNegotiations: [{ sopClassUid, serviceClassApplicationInformation: relational }],
    }),
    ...(signal && { signal }),
  });
  try {
    const context = contextFor(association, sopClassUid, `C-FIND (${name})`);
    return { find: (request) => findOn(association, context, request), close: () => association.release() };
  } catch (error) {
    await association.abort();
    throw error;
  }
}

async function* findOn(
  association: Association,
  context: AcceptedContext,
  { level, keys, characterSet }: FindRequest,
): AsyncGenerator<DicomJson, void, void> {
  const messageId = association.nextMessageId();
  const identifier = { ...keys, [queryRetrieveLevel]: { vr: "CS", Value: [level] } };
  const command = {
    commandField: commandFields.cFindRequest,
    messageId,
    affectedSopClassUid: context.abstractSyntaxUid,
    priority: priorities.medium,
  };
  const dataSet = encodeIdentifier(identifier, context.transferSyntaxUid, characterSet);
  const invoked = association.invoke({ context, command, dataSet });
  const responses = invoked[Symbol.asyncIterator]();
  let isOver = false;
  try {
    for (;;) {
      const next = await responses.next();
      if (next.done === true) throw new ArchiveError("association-aborted", "The peer did not end the C-FIND.");
      const { command: response, dataSet: match } = next.value;
      const { status, errorComment } = response;
      if (status === undefined || !isPending(status)) {
        isOver = true;
        if (status !== statuses.success) throw peerFault("C-FIND", status, errorComment);
        return;
      }
      if (!match) throw new ArchiveError("peer-failed", "The peer sent a match of the C-FIND without an identifier.");
      yield decodeIdentifier(await gatherIdentifier(match), context.transferSyntaxUid);
    }
  } finally {
    if (!isOver && !association.ended.aborted) await cancel(association, context, messageId, responses);
  }
}

/** Cancels a query, and passes over what is on its way still; a peer that goes on regardless is hung up on. */
async function cancel(
  association: Association,
  context: AcceptedContext,
  messageId: number,
  responses: AsyncIterator<IncomingMessage>,
): Promise<void> {
  const tooLate = new AbortController();
  const passOver = async () => {
    await association.cancel(context, messageId);
    for (let next = await responses.next(); next.done !== true; next = await responses.next());
  };
  const late = sleep(cancelTime, undefined, { signal: tooLate.signal }).then(
    () => association.abort(),
    () => undefined,
  );
  // The association may end meanwhile: nobody wants the rest.
  await Promise.race([passOver().catch(() => undefined), late]);
  tooLate.abort();
}
