/** Has a peer send instances to an application that it knows: C-MOVE as SCU (PS3.4 C.4.2, PS3.7 9.1.4). */
import { commandFields } from "./command.ts";
import type { PeerAddress } from "./connect.ts";
import { patientRoot, studyRoot } from "./information-models.ts";
import { contextFor, open, plainSyntaxes, released, type Requestor } from "./scu-association.ts";
import {
  performSubOperations,
  type RetrieveTarget,
  type SubOperationsOptions,
  type SubOperationsResult,
} from "./sub-operations.ts";

export interface MoveRequest extends SubOperationsOptions {
  readonly target: RetrieveTarget;
  /** AE title of the application that is to get them, as the peer knows it. */
  readonly destination: string;
}

/** The result says how it went, also when it went wrong on the way. @throws ArchiveError as `Connect`, `context-not-accepted` */
export async function move(
  requestor: Requestor,
  peer: PeerAddress,
  { target, destination, ...options }: MoveRequest,
): Promise<SubOperationsResult> {
  const { moveSopClassUid: sopClassUid, name } = target.studyInstanceUid === undefined ? patientRoot : studyRoot;
  options.signal?.throwIfAborted();
  const association = await open(requestor, peer, {
    contexts: [{ abstractSyntaxUid: sopClassUid, transferSyntaxUids: plainSyntaxes }],
  });
  return released(association, () => {
    const context = contextFor(association, sopClassUid, `C-MOVE (${name})`);
    const command = { commandField: commandFields.cMoveRequest, moveDestination: destination };
    return performSubOperations(association, context, command, target, options);
  });
}
