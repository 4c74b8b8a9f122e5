/** Asks a peer whether it is there: C-ECHO as SCU (PS3.7 9.1.5, PS3.4 Annex A). */
import { ArchiveError } from "../errors.ts";
import { commandFields } from "./command.ts";
import type { PeerAddress } from "./connect.ts";
import { contextFor, open, peerFault, plainSyntaxes, released, type Requestor } from "./scu-association.ts";
import { statuses } from "./status.ts";

/** Verification SOP Class (PS3.4 A.4). */
const verification = "1.2.840.10008.1.1";

/** A peer that answered, and how it calls itself. Times in milliseconds. */
export interface EchoResult {
  /** From the connection to the acceptance of the association. */
  readonly associationTime: number;
  /** From the request to the response. */
  readonly echoTime: number;
  readonly implementationClassUid: string;
  readonly implementationVersionName: string | undefined;
  /** Longest P-DATA-TF PDU that it takes; 0 for any. */
  readonly maximumLength: number;
}

/** Success is what the peer said. @throws ArchiveError as `Connect`, `context-not-accepted`, `peer-failed` */
export async function echo(requestor: Requestor, peer: PeerAddress, signal?: AbortSignal): Promise<EchoResult> {
  const begun = performance.now();
  const contexts = [{ abstractSyntaxUid: verification, transferSyntaxUids: plainSyntaxes.slice(1) }];
  const association = await open(requestor, peer, { contexts, ...(signal && { signal }) });
  const opened = performance.now();
  return released(association, async () => {
    const context = contextFor(association, verification, "C-ECHO");
    const command = { commandField: commandFields.cEchoRequest, affectedSopClassUid: verification };
    for await (const { command: response } of association.invoke({ context, command })) {
      if (response.status !== statuses.success) throw peerFault("C-ECHO", response.status, response.errorComment);
      const { maximumLength, implementationClassUid, implementationVersionName } = association.accept.userInformation;
      return {
        associationTime: opened - begun,
        echoTime: performance.now() - opened,
        implementationClassUid,
        implementationVersionName,
        maximumLength,
      };
    }
    throw new ArchiveError("association-aborted", "The peer did not answer the C-ECHO.");
  });
}
