/** An application of DIMSE that does what a test says: associations by the server's own upper layer, services by the test. */
import { once } from "node:events";
import { createServer } from "node:net";
import type { Service } from "../../server/dimse/association.ts";
import { defaultTimeouts } from "../../server/dimse/connect.ts";
import { negotiate, negotiationPolicy } from "../../server/dimse/negotiate.ts";
import type { AssociateReject } from "../../server/dimse/pdu.ts";
import { RunningAssociation } from "../../server/dimse/running-association.ts";
import { UpperLayer } from "../../server/dimse/upper-layer.ts";

export interface ScriptedService {
  readonly commandField: number;
  readonly sopClassUids: readonly string[] | "storage";
  readonly perform: Service;
}

export interface ScriptedScp {
  readonly port: number;
  /** Connections that were made. */
  readonly connections: () => number;
  close(): Promise<void>;
}

/** Starts it on a free port of 127.0.0.1; with `reject` it takes no association, and with `silent` it answers nothing. */
export async function startScp(
  services: readonly ScriptedService[],
  { reject, silent = false }: { readonly reject?: AssociateReject; readonly silent?: boolean } = {},
): Promise<ScriptedScp> {
  const policy = negotiationPolicy(services, {
    maximumLength: 128 * 1024,
    operationsWindow: { maximumInvoked: 1, maximumPerformed: 1 },
    storesUnknown: true,
  });
  const upperLayers = new Set<UpperLayer>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    const state: { association?: RunningAssociation } = {};
    const upperLayer = new UpperLayer(
      socket,
      {
        onRequest: (request) => {
          if (silent) return;
          if (reject) return upperLayer.reject(reject);
          const accept = negotiate(request, policy);
          state.association = new RunningAssociation({
            socket,
            upperLayer,
            request,
            accept,
            side: "acceptor",
            services: new Map(services.map(({ commandField, perform }) => [commandField, perform])),
            timeouts: defaultTimeouts,
            onFault: () => undefined,
          });
          upperLayer.accept(accept);
        },
        onFragment: (fragment) => state.association?.onFragment(fragment),
        onRelease: () => state.association?.onRelease(),
        onProgress: () => state.association?.onProgress(),
        isFull: () => state.association?.isFull() ?? false,
        onEnd: (error, how) => state.association?.onEnd(error, how),
      },
      { artim: defaultTimeouts.acse, maximumLength: 128 * 1024, isRequestor: false },
    );
    upperLayers.add(upperLayer);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("A TCP server has a port.");
  return {
    port: address.port,
    connections: () => connections,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      for (const upperLayer of upperLayers) upperLayer.destroy();
      await closed;
    },
  };
}
