/** The DIMSE door: takes connections, answers associations, and hands requests to the services. */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Archive } from "../archive/archive.ts";
import { type ArchiveError, toArchiveError } from "../errors.ts";
import { type Admission, rejections, type Verdict } from "./admission.ts";
import type { Association, Service } from "./association.ts";
import type { Command } from "./command.ts";
import type { DimseLog } from "./dimse-log.ts";
import { mostAtOnce } from "./dispatch.ts";
import type { AssociationTimeouts, Connect } from "./connect.ts";
import { type Admitted, negotiate, negotiationPolicy } from "./negotiate.ts";
import { operationName } from "./operation-counts.ts";
import type { AssociateRequest } from "./pdu.ts";
import { RunningAssociation } from "./running-association.ts";
import type { SendToPeer } from "./send-to-peer.ts";
import { listServices, servicesByCommandField } from "./services.ts";
import type { CurrentTls } from "./tls.ts";
import { certificateName, type ClientCertificates, createTlsServer } from "./tls-server.ts";
import { UpperLayer } from "./upper-layer.ts";
import type { EndKind } from "./upper-layer-user.ts";

export interface DimseDoorOptions {
  readonly archive: Archive;
  readonly log: DimseLog;
  readonly aeTitle: string;
  /** Who may open an association. */
  readonly admission: Admission;
  /** Whether instances of SOP classes that are in no table are stored. */
  readonly storesUnknown: boolean;
  /** Sends what a C-MOVE asks for. */
  readonly sendToPeer: SendToPeer;
  /** Longest P-DATA-TF PDU that is asked of peers, in bytes. */
  readonly maximumLength: number;
  readonly maximumAssociations: number;
  readonly timeouts: AssociationTimeouts;
  /** How services reach peers. */
  readonly connect: Connect;
  /** A request begins; the answer is called when it has ended. */
  readonly beginActivity: () => () => void;
}

export interface DimseDoor {
  /** Takes connections on this address, over TLS when it is told how. @throws what the system says */
  listen(host: string, port: number, tls?: TlsListening): Promise<number>;
  /** Connections that are open, with an association or without. */
  readonly connections: number;
  /** Takes no more, lets requests under way end, for `seconds` at most, and ends every association. */
  stop(seconds: number): Promise<void>;
}

/** How connections over TLS are taken. */
export interface TlsListening {
  readonly current: CurrentTls;
  readonly clientCertificates: ClientCertificates;
}

/** Connections without an association: when there are more, the one that has said nothing for longest is closed. */
const mostWaiting = 1024;

/** An A-ASSOCIATE-RQ of which so much has come is not a usual one; all of them together may hold so many bytes. */
const unusualRequest = 128 * 1024;
const mostHeld = 64 * 1024 * 1024;

/** Makes the door; it listens nowhere yet. */
export function createDimseDoor(options: DimseDoorOptions): DimseDoor {
  const { log, maximumAssociations, timeouts } = options;
  const entries = listServices(options);
  const services = withActivity(servicesByCommandField(entries), options.beginActivity);
  const policy = negotiationPolicy(entries, {
    maximumLength: options.maximumLength,
    operationsWindow: { maximumInvoked: mostAtOnce, maximumPerformed: mostAtOnce },
    storesUnknown: options.storesUnknown,
  });
  const servers: Server[] = [];
  const connections = new Set<UpperLayer>();
  const waiting = new Set<UpperLayer>();
  const associations = new Set<RunningAssociation>();
  /** Requests that are being decided of: each counts as an association. */
  let deciding = 0;
  let isStopping = false;

  function onFault(error: unknown, { commandField, messageId }: Command, association: Association): void {
    const { code, message } = toArchiveError(error);
    const fields = { association: association.id, operation: operationName(commandField), messageId, code };
    log.warn({ ...fields, ...(code === "internal" && { err: error }) }, `a request failed: ${message}`);
  }

  function onConnection(socket: Socket): void {
    const state: ConnectionState = { hasEnded: false };
    const remoteAddress = socket.remoteAddress ?? "";
    const onEnd = (error: ArchiveError, how: EndKind) => {
      const { association, why = error.message } = state;
      state.hasEnded = true;
      association?.onEnd(error, how);
      if (association) associations.delete(association);
      if (association) log.info(endOf(association, state, how, error), "an association ended");
      else {
        // A connection that said nothing is how load balancers look whether a port is open.
        const level = how === "connection lost" && !state.request && state.why === undefined ? "debug" : "warn";
        log[level]({ remoteAddress, ...titlesOf(state.request), how }, `no association: ${why}`);
      }
    };
    const upperLayer = new UpperLayer(
      socket,
      {
        onRequest: (request) => {
          void answer(request).catch((error: unknown) => {
            log.warn({ remoteAddress, err: error }, "an association could not be answered");
            upperLayer.abort("This server met an error that it did not expect.");
          });
        },
        onRequestInPart: () => {
          if (upperLayer.heldBytes <= unusualRequest) return;
          let held = 0;
          for (const { heldBytes } of waiting) held += heldBytes;
          if (held <= mostHeld) return;
          state.why = "there are too many long requests for associations that are not whole";
          waiting.delete(upperLayer);
          upperLayer.destroy();
        },
        onFragment: (fragment) => state.association?.onFragment(fragment),
        onRelease: () => state.association?.onRelease(),
        onProgress: () => state.association?.onProgress(),
        isFull: () => state.association?.isFull() ?? false,
        onEnd,
      },
      { artim: timeouts.acse, maximumLength: options.maximumLength, isRequestor: false },
    );
    connections.add(upperLayer);
    waiting.add(upperLayer);
    void upperLayer.closed.then(() => {
      connections.delete(upperLayer);
      waiting.delete(upperLayer);
    });
    const [oldest] = waiting;
    if (waiting.size > mostWaiting) oldest?.destroy();

    async function answer(request: AssociateRequest): Promise<void> {
      state.request = request;
      deciding += 1;
      try {
        const verdict = await decide(request, remoteAddress);
        if (state.hasEnded) return;
        if (!verdict.rejection) return begin(request, verdict);
        state.why = verdict.why;
        upperLayer.reject(verdict.rejection);
      } finally {
        deciding -= 1;
      }
    }

    function begin(request: AssociateRequest, admitted: Admitted): void {
      const accept = negotiate(request, policy, admitted);
      const all = { socket, upperLayer, request, accept, side: "acceptor", services, timeouts, onFault } as const;
      const association = new RunningAssociation(all);
      state.association = association;
      associations.add(association);
      waiting.delete(upperLayer);
      state.admitted = admitted;
      const { id } = association;
      if (socket instanceof TLSSocket) state.certificate = certificateName(socket);
      log.debug({ association: id, remoteAddress, ...titlesOf(request), user: admitted.user }, "an association begins");
      upperLayer.accept(accept);
    }
  }

  async function decide(request: AssociateRequest, remoteAddress: string): Promise<Verdict> {
    if (isStopping) return { rejection: rejections.temporaryCongestion, why: "the server is stopping" };
    if (associations.size + deciding > maximumAssociations) {
      return { rejection: rejections.localLimitExceeded, why: "there are MAX_ASSOCIATIONS already" };
    }
    try {
      return await options.admission(request, remoteAddress);
    } catch (error) {
      const why = "it could not be found out whether it may begin";
      log.warn({ err: error }, `an association was put off: ${why}`);
      return { rejection: rejections.temporaryCongestion, why };
    }
  }

  function secureServer(tls: TlsListening): Server {
    return createTlsServer({
      ...tls,
      handshakeTimeout: timeouts.acse,
      mostHandshakes: mostWaiting,
      onConnection,
      onRefused: (remoteAddress, reason) =>
        log.warn({ remoteAddress, reason }, "a connection over TLS did not come about"),
    });
  }

  async function listen(host: string, port: number, tls?: TlsListening): Promise<number> {
    const server = tls ? secureServer(tls) : createServer(onConnection);
    server.listen(port, host);
    await once(server, "listening");
    // Such as no file descriptors for another connection: those that are there go on.
    server.on("error", (error) => log.warn({ err: error }, "a connection could not be taken"));
    servers.push(server);
    const bound = server.address();
    if (bound === null || typeof bound === "string") throw new TypeError("a TCP server has an address and a port");
    return bound.port;
  }

  async function stop(seconds: number): Promise<void> {
    isStopping = true;
    for (const server of servers) server.close();
    const timer = setTimeout(() => connections.forEach((connection) => connection.destroy()), seconds * 1000);
    await Promise.all(
      [...associations].map(async (association) => {
        await association.idle();
        await association.abort();
      }),
    );
    for (const connection of connections) connection.destroy();
    await Promise.all([...connections].map(({ closed }) => closed));
    clearTimeout(timer);
  }

  return {
    listen,
    stop,
    get connections() {
      return connections.size;
    },
  };
}

/** What is known of a connection so far. */
interface ConnectionState {
  association?: RunningAssociation;
  request?: AssociateRequest;
  admitted?: Admitted;
  /** Of the peer, over TLS. */
  certificate?: string | undefined;
  /** Why no association came about, for the log. */
  why?: string;
  hasEnded: boolean;
}

/** The line that the log has of an association. */
function endOf(
  { id, remoteAddress, request, contexts, counts, traffic }: RunningAssociation,
  { admitted, certificate }: ConnectionState,
  how: EndKind,
  error: ArchiveError,
) {
  return {
    association: id,
    remoteAddress,
    ...titlesOf(request),
    user: admitted?.user,
    certificate,
    contexts: contexts.size,
    ...counts,
    ...traffic,
    how,
    ...(how !== "released" && { why: error.message }),
    ...(error.code === "internal" && { err: error }),
  };
}

function titlesOf(request: AssociateRequest | undefined) {
  return request && { callingAeTitle: request.callingAeTitle, calledAeTitle: request.calledAeTitle };
}

/** What is done in the background gives way while requests are performed. */
function withActivity(services: ReadonlyMap<number, Service>, begin: () => () => void): ReadonlyMap<number, Service> {
  const counted = [...services].map(([commandField, perform]): [number, Service] => [
    commandField,
    async (request) => {
      const end = begin();
      try {
        await perform(request);
      } finally {
        end();
      }
    },
  ]);
  return new Map(counted);
}
