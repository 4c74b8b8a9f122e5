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
import type { AssociateRequest } from "./pdu.ts";
import { RunningAssociation } from "./running-association.ts";
import type { SendToPeer } from "./send-to-peer.ts";
import { listServices, servicesByCommandField } from "./services.ts";
import type { CurrentTls } from "./tls.ts";
import { certificateName, type ClientCertificates, createTlsServer } from "./tls-server.ts";
import { type EndKind, UpperLayer } from "./upper-layer.ts";

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
    const fields = { association: association.id, command: commandField.toString(16), messageId, code };
    log.warn({ ...fields, ...(code === "internal" && { err: error }) }, `a request failed: ${message}`);
  }

  function onConnection(socket: Socket): void {
    const state: { association?: RunningAssociation; request?: AssociateRequest; why?: string; hasEnded: boolean } = {
      hasEnded: false,
    };
    const remoteAddress = socket.remoteAddress ?? "";
    const onEnd = (error: ArchiveError, how: EndKind) => {
      const { association, why = error.message } = state;
      state.hasEnded = true;
      association?.onEnd(error, how);
      if (association) associations.delete(association);
      const level = how === "released" ? "info" : "warn";
      const fields = { association: association?.id, remoteAddress, how, ...association?.counts };
      if (association) log[level](fields, "an association ended");
      else log[level]({ ...fields, ...titlesOf(state.request) }, `no association: ${why}`);
    };
    const upperLayer = new UpperLayer(
      socket,
      {
        onRequest: (request) => void answer(request),
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
      const { id, contexts } = association;
      const certificate = socket instanceof TLSSocket ? certificateName(socket) : undefined;
      const fields = { association: id, remoteAddress, ...titlesOf(request), user: admitted.user, certificate };
      log.info({ ...fields, contexts: contexts.size }, "an association begins");
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

  return { listen, stop };
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
