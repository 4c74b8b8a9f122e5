/** Connects to a peer: what a requestor of an association says and gets (PS3.8 7.1). */
import { once } from "node:events";
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectSecure, type ConnectionOptions } from "node:tls";
import { ArchiveError } from "../errors.ts";
import type { Association, Service } from "./association.ts";
import { unreachableSentence } from "./connect-faults.ts";
import { implementation } from "./implementation.ts";
import {
  type AssociateRequest,
  dicomApplicationContext,
  type ExtendedNegotiation,
  type OperationsWindow,
  type ProposedContext,
  type RoleSelection,
  type UserIdentity,
} from "./pdu.ts";
import { RunningAssociation } from "./running-association.ts";
import { UpperLayer } from "./upper-layer.ts";

/** Where a peer is, and how it is talked to. */
export interface PeerAddress {
  readonly aeTitle: string;
  readonly host: string;
  readonly port: number;
  /** Present: over TLS. */
  readonly tls?: ConnectionOptions | undefined;
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

/** Time limits unless others are given: 30 s to connect, 60 s for a response, 10 min of nothing at all. */
export const defaultTimeouts: AssociationTimeouts = { acse: 30_000, dimse: 60_000, idle: 600_000 };

/** Longest P-DATA-TF PDU that is asked of a peer, unless another length is given. */
export const defaultMaximumLength = 128 * 1024;

/** See `Connect`. */
export const connect: Connect = async (peer, options) => {
  const { signal } = options;
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  signal?.throwIfAborted();
  const socket = await openSocket(peer, timeouts.acse, signal);
  const request = requestOf(peer, options);
  const { promise, resolve, reject } = Promise.withResolvers<Association>();
  const state: { association?: RunningAssociation } = {};
  const upperLayer = new UpperLayer(
    socket,
    {
      onAccept: (accept) => {
        const { services = new Map<number, Service>() } = options;
        const side = "requestor";
        const all = { socket, upperLayer, request, accept, side, services, timeouts, onFault: tellNobody } as const;
        state.association = new RunningAssociation(all);
        resolve(state.association);
      },
      onFragment: (fragment) => state.association?.onFragment(fragment),
      onRelease: () => state.association?.onRelease(),
      onProgress: () => state.association?.onProgress(),
      isFull: () => state.association?.isFull() ?? false,
      onEnd: (error, how) => {
        reject(error);
        state.association?.onEnd(error, how);
      },
    },
    { artim: timeouts.acse, maximumLength: defaultMaximumLength, isRequestor: true },
  );
  const onAbort = () => upperLayer.abort("The work was given up.");
  signal?.addEventListener("abort", onAbort, { once: true });
  void upperLayer.closed.then(() => signal?.removeEventListener("abort", onAbort));
  upperLayer.associate(request);
  return promise;
};

/** What goes wrong with a peer's request is told the peer; whoever has connected sees the outcome. */
function tellNobody(): void {}

function requestOf(peer: PeerAddress, options: ConnectOptions): AssociateRequest {
  const { callingAeTitle, contexts, roles = [], extendedNegotiations = [], operationsWindow, userIdentity } = options;
  return {
    type: "A-ASSOCIATE-RQ",
    protocolVersion: 1,
    calledAeTitle: peer.aeTitle,
    callingAeTitle,
    applicationContextName: dicomApplicationContext,
    presentationContexts: contexts.map((context, index) => ({ id: index * 2 + 1, ...context })),
    userInformation: {
      ...implementation,
      maximumLength: defaultMaximumLength,
      roles,
      extendedNegotiations,
      commonExtendedNegotiations: [],
      operationsWindow,
      userIdentity,
    },
  };
}

async function openSocket(
  { host, port, tls }: PeerAddress,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<Socket> {
  const socket = tls ? connectSecure({ ...tls, host, port }) : connectPlain({ host, port });
  const late = AbortSignal.timeout(timeout);
  try {
    await once(socket, tls ? "secureConnect" : "connect", { signal: signal ? AbortSignal.any([signal, late]) : late });
    return socket;
  } catch (cause) {
    socket.on("error", () => undefined);
    socket.destroy();
    signal?.throwIfAborted();
    if (late.aborted) throw new ArchiveError("peer-silent", "The peer did not answer in time.", { cause });
    throw new ArchiveError("peer-unreachable", unreachableSentence(cause), { cause });
  }
}
