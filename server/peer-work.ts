/** What jobs do with peers, made of the doors to them: DIMSE, and STOW-RS. */
import type { Archive } from "./archive/archive.ts";
import type { JobRunners } from "./archive/job-runners.ts";
import type { DimsePeer } from "./archive/peers.ts";
import { greetDicomWeb, sendByStow } from "./archive/send-stow.ts";
import type { SearchLevel } from "./archive/attributes.ts";
import { priorities } from "./dimse/command.ts";
import type { Connect, PeerAddress } from "./dimse/connect.ts";
import type { QueryRetrieveLevel } from "./dimse/information-models.ts";
import type { Requestor } from "./dimse/scu-association.ts";
import { echo } from "./dimse/scu-echo.ts";
import { find } from "./dimse/scu-find.ts";
import { presentIn, retrieve } from "./dimse/scu-retrieve.ts";
import type { SendToPeer } from "./dimse/send-to-peer.ts";
import { createStoreService } from "./dimse/store.ts";

/** What is needed for it. */
export interface PeerWorkDependencies {
  readonly archive: Pick<Archive, "store" | "nonPatient" | "select">;
  readonly connect: Connect;
  readonly sendToPeer: SendToPeer;
  /** AE title of this application. */
  readonly aeTitle: string;
}

/** Query/Retrieve Level (0008,0052) of the levels of a search. */
const levels: Readonly<Record<SearchLevel, QueryRetrieveLevel>> = {
  patient: "PATIENT",
  study: "STUDY",
  series: "SERIES",
  instance: "IMAGE",
};

/** Makes the runners of jobs. */
export function createPeerWork({ archive, connect, sendToPeer, aeTitle }: PeerWorkDependencies): JobRunners {
  const store = createStoreService({ archive, isRequestor: true });
  const requestor = ({ callingAeTitle = aeTitle }: DimsePeer): Requestor => ({ connect, callingAeTitle });
  return {
    echo: (peer, { signal }) =>
      peer.kind === "dimse" ? echo(requestor(peer), addressOf(peer), signal) : greetDicomWeb(peer, signal),
    query: (peer, level, keys, { signal }) => {
      const model = level === "patient" ? "patient" : "study";
      return find(requestor(peer), addressOf(peer), { level: levels[level], keys, model, signal });
    },
    retrieve: (peer, target, method, { signal, onCounts }) =>
      retrieve(requestor(peer), addressOf(peer), {
        target,
        by: method === "auto" ? undefined : method,
        store,
        ownAeTitle: peer.callingAeTitle ?? aeTitle,
        present: presentIn(archive),
        onProgress: onCounts,
        signal,
      }),
    send: (peer, instances, { signal, priority }) =>
      peer.kind === "dimse"
        ? sendToPeer(peer, instances, { signal, priority: priorities[priority] })
        : sendByStow(peer, instances, { signal }),
  };
}

function addressOf({ aeTitle, host, port, tls }: DimsePeer): PeerAddress {
  return { aeTitle, host, port, ...(tls && { tls: {} }) };
}
