/** What the functions of this side as SCU have in common: they open an association, use it, and end it in good order. */
import { explicitVrLittleEndian, implicitVrLittleEndian } from "../dicom/transfer-syntax.ts";
import { ArchiveError } from "../errors.ts";
import type { AcceptedContext, Association } from "./association.ts";
import type { AssociationTimeouts, Connect, ConnectOptions, PeerAddress } from "./connect.ts";
import { type DimseService, statusWords } from "./status-words.ts";

/** Who asks. */
export interface Requestor {
  readonly connect: Connect;
  /** AE title of this side. */
  readonly callingAeTitle: string;
  readonly timeouts?: Partial<AssociationTimeouts>;
}

/** What is asked for when an association is opened. */
export type Proposal = Pick<ConnectOptions, "contexts" | "roles" | "extendedNegotiations" | "services" | "signal">;

/** Data sets that are no instances: every peer takes the second (PS3.5 10.1). */
export const plainSyntaxes: readonly string[] = [explicitVrLittleEndian.uid, implicitVrLittleEndian.uid];

/** @throws as `Connect` */
export function open({ connect, callingAeTitle, timeouts }: Requestor, peer: PeerAddress, proposal: Proposal) {
  return connect(peer, { callingAeTitle, ...(timeouts && { timeouts }), ...proposal });
}

/**
 * The context that the peer accepted for `sopClassUid`.
 * @throws ArchiveError `context-not-accepted`
 */
export function contextFor({ contexts }: Association, sopClassUid: string, name: string): AcceptedContext {
  const context = [...contexts.values()].find((one) => one.abstractSyntaxUid === sopClassUid && one.mayInvoke);
  if (!context) throw new ArchiveError("context-not-accepted", `The peer does not support ${name}.`);
  return context;
}

/** The result of `use`, after the release of the association; it is aborted when `use` throws. */
export async function released<Result>(association: Association, use: () => Promise<Result>): Promise<Result> {
  let result: Result;
  try {
    result = await use();
  } catch (error) {
    await association.abort();
    throw error;
  }
  await association.release();
  return result;
}

/** What a peer answered that is no success, as an error. */
export function peerFault(service: DimseService, status: number | undefined, comment?: string): ArchiveError {
  const said = status === undefined ? "a response without a status" : statusWords(service, status, comment);
  return new ArchiveError("peer-failed", `The peer answered the ${service} with ${said}.`);
}
