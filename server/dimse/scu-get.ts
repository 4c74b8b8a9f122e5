/** Fetches instances from a peer on the same association: C-GET as SCU (PS3.4 C.4.3, PS3.7 9.1.3). */
import { toArchiveError } from "../errors.ts";
import type { Service } from "./association.ts";
import { commandFields } from "./command.ts";
import type { PeerAddress } from "./connect.ts";
import { planGetting, type WantedKind } from "./getting-plan.ts";
import { patientRoot, studyRoot } from "./information-models.ts";
import { contextFor, open, plainSyntaxes, released, type Requestor } from "./scu-association.ts";
import { statusKind } from "./status-words.ts";
import {
  performSubOperations,
  type RetrieveTarget,
  type SubOperationsOptions,
  type SubOperationsResult,
} from "./sub-operations.ts";

export interface GetRequest extends SubOperationsOptions {
  readonly target: RetrieveTarget;
  /** Stores what comes (C-STORE). */
  readonly store: Service;
  /** SOP classes of what is to come, and the transfer syntaxes that it is in, as far as they are known. */
  readonly kinds: readonly WantedKind[];
}

/** What this side answered to a C-STORE that is no success. */
export interface NotStored {
  readonly sopInstanceUid: string;
  readonly status: number;
  readonly comment: string | undefined;
}

export interface GetResult extends SubOperationsResult {
  /** Instances that came and were stored. */
  readonly stored: number;
  /** Instances that came and were not stored. */
  readonly notStored: readonly NotStored[];
}

/** The result says how it went, also when it went wrong on the way. @throws ArchiveError as `Connect`, `context-not-accepted` */
export async function get(
  requestor: Requestor,
  peer: PeerAddress,
  { target, store, kinds, ...options }: GetRequest,
): Promise<GetResult> {
  const { getSopClassUid: sopClassUid, name } = target.studyInstanceUid === undefined ? patientRoot : studyRoot;
  const notStored: NotStored[] = [];
  let stored = 0;
  const note = (sopInstanceUid = "", status: number, comment: string | undefined) => {
    const kind = statusKind(status);
    if (kind === "success" || kind === "warning") stored += 1;
    else notStored.push({ sopInstanceUid, status, comment });
  };
  options.signal?.throwIfAborted();
  const { contexts, roles } = planGetting(kinds);
  const association = await open(requestor, peer, {
    contexts: [{ abstractSyntaxUid: sopClassUid, transferSyntaxUids: plainSyntaxes }, ...contexts],
    roles,
    services: new Map([[commandFields.cStoreRequest, noted(store, note)]]),
  });
  const result = await released(association, () => {
    const context = contextFor(association, sopClassUid, `C-GET (${name})`);
    return performSubOperations(association, context, { commandField: commandFields.cGetRequest }, target, options);
  });
  return { ...result, stored, notStored };
}

/** `store`, whose answers are noted. */
function noted(
  store: Service,
  note: (sopInstanceUid: string | undefined, status: number, comment: string | undefined) => void,
): Service {
  return async (request) => {
    const { affectedSopInstanceUid } = request.command;
    let isNoted = false;
    const noteOnce = (status: number, comment: string | undefined) => {
      if (!isNoted) note(affectedSopInstanceUid, status, comment);
      isNoted = true;
    };
    try {
      await store({
        ...request,
        respond: (fields, dataSet) => {
          noteOnce(fields.status, fields.errorComment);
          return request.respond(fields, dataSet);
        },
      });
    } catch (error) {
      // The dispatch answers it so.
      const { answer, message } = toArchiveError(error);
      noteOnce(answer.dimseStatus, message);
      throw error;
    }
  };
}
