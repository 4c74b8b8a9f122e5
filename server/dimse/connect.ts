/** Connects to a peer: what a requestor of an association says and gets (PS3.8 7.1). */
import type { SecureContextOptions } from "node:tls";
import type { Association, Service } from "./association.ts";
import type { ExtendedNegotiation, OperationsWindow, ProposedContext, RoleSelection, UserIdentity } from "./pdu.ts";

/** Where a peer is, and how it is talked to. */
export interface PeerAddress {
  readonly aeTitle: string;
  readonly host: string;
  readonly port: number;
  /** Present: over TLS. */
  readonly tls?: SecureContextOptions | undefined;
}

/** Time limits, in milliseconds. */
export interface AssociationTimeouts {
  /** For the connection, and for A-ASSOCIATE and A-RELEASE to be answered (ARTIM, PS3.8 9.1.5). */
  readonly acse: number;
  /** For a response to a request, and for more of a message that has begun. */
  readonly dimse: number;
  /** Without any message, and none being worked on. */
  readonly idle: number;
}

export interface ConnectOptions {
  readonly callingAeTitle: string;
  /** Ids are 1, 3, 5, ... in this order. */
  readonly contexts: readonly Omit<ProposedContext, "id">[];
  readonly roles?: readonly RoleSelection[];
  readonly extendedNegotiations?: readonly ExtendedNegotiation[];
  readonly operationsWindow?: OperationsWindow;
  readonly userIdentity?: UserIdentity;
  /** What is done with requests of the peer, by Command Field; others are answered 0211. */
  readonly services?: ReadonlyMap<number, Service>;
  readonly timeouts?: Partial<AssociationTimeouts>;
  /** Aborts the connecting, and the association. */
  readonly signal?: AbortSignal;
}

/**
 * Opens an association. Contexts that the peer did not accept are not among its `contexts`.
 * @throws ArchiveError `peer-unreachable`, `peer-silent`, `association-rejected`, `association-aborted`
 */
export type Connect = (peer: PeerAddress, options: ConnectOptions) => Promise<Association>;
