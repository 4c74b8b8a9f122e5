/** A peer that takes associations on a port of its own, accepts every context and role, and performs some requests. */
import { once } from "node:events";
import { createServer } from "node:net";
import type { Association, Service } from "../../server/dimse/association.ts";
import { defaultTimeouts } from "../../server/dimse/connect.ts";
import type { AssociateAccept, AssociateRequest } from "../../server/dimse/pdu.ts";
import { RunningAssociation } from "../../server/dimse/running-association.ts";
import { UpperLayer } from "../../server/dimse/upper-layer.ts";

export interface AcceptingPeer {
  readonly port: number;
  /** Every association that it took. */
  readonly associations: readonly Association[];
  /** Ends them, and takes no more. */
  stop(): Promise<void>;
}

/** Starts it. `port` is 0 for a free one. */
export async function startAcceptingPeer(services: ReadonlyMap<number, Service>, port = 0): Promise<AcceptingPeer> {
  const associations: RunningAssociation[] = [];
  const layers: UpperLayer[] = [];
  const server = createServer((socket) => {
    const current: { association?: RunningAssociation } = {};
    const upperLayer = new UpperLayer(
      socket,
      {
        onRequest: (request) => {
          const accept = acceptanceOf(request);
          const side = "acceptor";
          const timeouts = defaultTimeouts;
          const onFault = () => undefined;
          const all = { socket, upperLayer, request, accept, side, services, timeouts, onFault } as const;
          current.association = new RunningAssociation(all);
          associations.push(current.association);
          upperLayer.accept(accept);
        },
        onFragment: (fragment) => current.association?.onFragment(fragment),
        onRelease: () => current.association?.onRelease(),
        onProgress: () => current.association?.onProgress(),
        isFull: () => current.association?.isFull() ?? false,
        onEnd: (error, how) => current.association?.onEnd(error, how),
      },
      { artim: defaultTimeouts.acse, maximumLength: 16_384, isRequestor: false },
    );
    layers.push(upperLayer);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
    associations,
    stop: async () => {
      for (const layer of layers) layer.abort("The test has ended.");
      server.close();
      await once(server, "close");
    },
  };
}

function acceptanceOf(request: AssociateRequest): AssociateAccept {
  const { callingAeTitle, calledAeTitle, applicationContextName, presentationContexts, userInformation } = request;
  return {
    type: "A-ASSOCIATE-AC",
    protocolVersion: 1,
    callingAeTitle,
    calledAeTitle,
    applicationContextName,
    presentationContexts: presentationContexts.map(({ id, transferSyntaxUids: [first = ""] }) => ({
      id,
      result: 0,
      transferSyntaxUid: first,
    })),
    userInformation: {
      maximumLength: 16_384,
      implementationClassUid: "1.2.3.4",
      roles: userInformation.roles,
      extendedNegotiations: [],
      commonExtendedNegotiations: [],
    },
  };
}
