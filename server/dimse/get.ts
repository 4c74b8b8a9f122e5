/** C-GET as SCP: sends what is asked for on the association of the request (PS3.4 C.4.3, PS3.7 9.1.3). */
import type { Archive } from "../archive/archive.ts";
import type { Service } from "./association.ts";
import type { DimseLog } from "./dimse-log.ts";
import { answerRetrieve, selectRequested } from "./retrieve.ts";
import { getLevels } from "./retrieve-identifier.ts";
import { sendInstances } from "./send-instances.ts";

/** What a C-GET needs. */
export interface GetDependencies {
  readonly archive: Pick<Archive, "select">;
  readonly log: DimseLog;
}

/** Makes the service. Instances go in the contexts for which the requestor took the role of an SCP (PS3.7 D.3.3.4). */
export function createGet({ archive, log }: GetDependencies): Service {
  return async (request) => {
    const { association, signal, command } = request;
    const selected = await selectRequested(request, archive, getLevels);
    if (!selected) return;
    const outcomes = sendInstances(association, selected, { signal, priority: command.priority });
    await answerRetrieve(request, selected, outcomes, { log, receiver: association.request.callingAeTitle });
  };
}
