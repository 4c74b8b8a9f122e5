/** The DIMSE door: takes connections, answers associations, and hands requests to the services. */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { Archive } from "../archive/archive.ts";
import { type ArchiveError, toArchiveError } from "../errors.ts";
import type { Association, Service } from "./association.ts";
import type { Command } from "./command.ts";
import { mostAtOnce } from "./dispatch.ts";
import { type AssociationTimeouts, connect } from "./connect.ts";
import { negotiate, negotiationPolicy } from "./negotiate.ts";
import type { AssociateReject, AssociateRequest } from "./pdu.ts";
import { RunningAssociation } from "./running-association.ts";
import { listServices, servicesByCommandField } from "./services.ts";
import { type EndKind, UpperLayer } from "./upper-layer.ts";

/** Where goes what an operator should know. Fields hold addresses, AE titles and UIDs, and nothing else of a patient. */
export interface DimseLog {
  readonly info: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  readonly warn: (fields: Readonly<Record<string, unknown>>, message: string) => void;
}

export interface DimseDoorOptions {
  readonly archive: Archive;
  readonly log: DimseLog;
  readonly aeTitle: string;
  /** Longest P-DATA-TF PDU that is asked of peers, in bytes. */
  readonly maximumLength: number;
  readonly maximumAssociations: number;
  readonly timeouts: AssociationTimeouts;
  /** A request begins; the answer is called when it has ended. */
  readonly beginActivity: () => () => void;
}

export interface DimseDoor {
  /** Takes connections on this address. @throws what the system says */
  listen(host: string, port: number): Promise<number>;
  /** Takes no more, lets requests under way end, for `seconds` at most, and ends every association. */
  stop(seconds: number): Promise<void>;
}

/** A-ASSOCIATE-RJ of an application that has reached its bound, or stops (PS3.8 Table 9-21). */
const localLimitExceeded: AssociateReject = { type: "A-ASSOCIATE-RJ", result: 2, source: 3, reason: 2 };
const temporaryCongestion: AssociateReject = { type: "A-ASSOCIATE-RJ", result: 2, source: 3, reason: 1 };

/** Connections without an association: when there are more, the one that has said nothing for longest is closed. */
const mostWaiting = 1024;

/** Makes the door; it listens nowhere yet. */
export function createDimseDoor(options: DimseDoorOptions): DimseDoor {
  const { archive, log, aeTitle, maximumAssociations, timeouts } = options;
  const entries = listServices({ archive, aeTitle, connect, log });
  const services = withActivity(servicesByCommandField(entries), options.beginActivity);
  const policy = negotiationPolicy(entries, {
    maximumLength: options.maximumLength,
    operationsWindow: { maximumInvoked: mostAtOnce, maximumPerformed: mostAtOnce },
    storesUnknown: true,
  });
  const servers: Server[] = [];
  const connections = new Set<UpperLayer>();
  const waiting = new Set<UpperLayer>();
  const associations = new Set<RunningAssociation>();
  let isStopping = false;

  function onFault(error: unknown, { commandField, messageId }: Command, association: Association): void {
    const { code, message } = toArchiveError(error);
    const fields = { association: association.id, command: commandField.toString(16), messageId, code };
    log.warn({ ...fields, ...(code === "internal" && { err: error }) }, `a request failed: ${message}`);
  }

  function onConnection(socket: Socket): void {
    const state: { association?: RunningAssociation } = {};
    const remoteAddress = socket.remoteAddress ?? "";
    const onEnd = (error: ArchiveError, how: EndKind) => {
      const { association } = state;
      association?.onEnd(error, how);
      if (association) associations.delete(association);
      const level = how === "released" ? "info" : "warn";
      const fields = { association: association?.id, remoteAddress, how, ...association?.counts };
      log[level](fields, association ? "an association ended" : `no association: ${error.message}`);
    };
    const upperLayer = new UpperLayer(
      socket,
      {
        onRequest: (request) => answer(request),
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

    function answer(request: AssociateRequest): void {
      const rejection = refusal();
      if (rejection) {
        upperLayer.reject(rejection);
        return;
      }
      const accept = negotiate(request, policy);
      const all = { socket, upperLayer, request, accept, side: "acceptor", services, timeouts, onFault } as const;
      const association = new RunningAssociation(all);
      state.association = association;
      associations.add(association);
      waiting.delete(upperLayer);
      const { callingAeTitle, calledAeTitle } = request;
      const contexts = association.contexts.size;
      log.info(
        { association: association.id, remoteAddress, callingAeTitle, calledAeTitle, contexts },
        "an association begins",
      );
      upperLayer.accept(accept);
    }
  }

  function refusal(): AssociateReject | undefined {
    if (isStopping) return temporaryCongestion;
    return associations.size >= maximumAssociations ? localLimitExceeded : undefined;
  }

  async function listen(host: string, port: number): Promise<number> {
    const server = createServer(onConnection);
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
