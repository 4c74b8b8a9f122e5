/** C-MOVE as SCP: sends what is asked for to a peer, on associations of its own (PS3.4 C.4.2, PS3.7 9.1.4). */
import type { Archive } from "../archive/archive.ts";
import { ArchiveError } from "../errors.ts";
import type { Service } from "./association.ts";
import type { DimseLog } from "./dimse-log.ts";
import { answerRetrieve, selectRequested } from "./retrieve.ts";
import { moveLevels } from "./retrieve-identifier.ts";
import type { SendToPeer } from "./send-to-peer.ts";

/** What a C-MOVE needs. */
export interface MoveDependencies {
  readonly archive: Pick<Archive, "select" | "peers">;
  readonly log: DimseLog;
  readonly sendToPeer: SendToPeer;
}

/** Makes the service. Destinations are the peers of DIMSE, by AE title. */
export function createMove({ archive, log, sendToPeer }: MoveDependencies): Service {
  return async (request) => {
    const { association, signal, command } = request;
    const { messageId = 0, priority, moveDestination = "" } = command;
    const selected = await selectRequested(request, archive, moveLevels);
    if (!selected) return;
    const peer = await archive.peers.findByAeTitle(moveDestination);
    if (!peer) {
      throw new ArchiveError("move-destination-unknown", `The move destination ${moveDestination} is not a peer.`);
    }
    const moveOriginator = { aeTitle: association.request.callingAeTitle, messageId };
    const outcomes = sendToPeer(peer, selected, { signal, priority, moveOriginator });
    await answerRetrieve(request, selected, outcomes, { log, receiver: peer.name });
  };
}
