/** Storage (PS3.4 Annex B, and GG of what belongs to no patient): C-STORE, whose data set is stored as it comes, with file meta information in front of it. */
import type { Archive } from "../archive/archive.ts";
import { nonPatientCategoryOf } from "../archive/non-patient-categories.ts";
import type { NonPatientOutcome } from "../archive/non-patient-store.ts";
import type { StoreOutcome } from "../archive/store.ts";
import { warningReason } from "../archive/warning-reason.ts";
import { part10Header } from "../dicom/part10-writer.ts";
import { parseUid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import type { IncomingRequest, ResponseFields, Service } from "./association.ts";
import { statuses } from "./status.ts";

/** What it needs. */
export interface StoreServiceDependencies {
  readonly archive: Pick<Archive, "store" | "nonPatient">;
  /** Whether this side has requested the associations, as for C-GET: then it is the called application that sends. */
  readonly isRequestor?: boolean;
}

/**
 * Makes the service. It answers when the instance is durable and findable, or nothing is left of it. A data set that
 * ends with the association is stored nowhere, quarantine included.
 */
export function createStoreService({ archive, isRequestor = false }: StoreServiceDependencies): Service {
  return async (request) => {
    const { context, command, dataSet } = request;
    const { callingAeTitle, calledAeTitle } = request.association.request;
    const instance = {
      sopClassUid: parseUid(command.affectedSopClassUid ?? "", "Affected SOP Class UID (0000,0002)"),
      sopInstanceUid: parseUid(command.affectedSopInstanceUid ?? "", "Affected SOP Instance UID (0000,1000)"),
    };
    if (!dataSet) throw new ArchiveError("not-dicom", "The request has no data set.");
    const { transferSyntaxUid } = context;
    const meta = { ...instance, transferSyntaxUid: parseUid(transferSyntaxUid, "Transfer Syntax UID") };
    const category = nonPatientCategoryOf(instance.sopClassUid);
    if (category !== undefined) {
      // Without AE titles: who stores the same again is to be told that it is the same.
      const body = withHeader(part10Header(meta), dataSet);
      const target = { category, sopInstanceUid: instance.sopInstanceUid };
      return request.respond(responseTo(await archive.nonPatient.store(body, target)));
    }
    const aeTitles = isRequestor
      ? { sending: calledAeTitle, receiving: callingAeTitle }
      : { sending: callingAeTitle, receiving: calledAeTitle };
    const header = part10Header({ ...meta, aeTitles });
    const outcome = await archive.store(withHeader(header, dataSet), { origin: "dimse", instance, aeTitles });
    await request.respond(responseTo(outcome));
  };
}

/** The file: the header, and the data set behind it. No generator: every piece of every image passes here. */
function withHeader(header: Buffer, dataSet: NonNullable<IncomingRequest["dataSet"]>): AsyncIterable<Buffer> {
  return {
    [Symbol.asyncIterator]: () => {
      const pieces = dataSet[Symbol.asyncIterator]();
      let left: Buffer | undefined = header;
      return {
        next: () => {
          if (left === undefined) return pieces.next();
          const value = left;
          left = undefined;
          return Promise.resolve({ done: false, value });
        },
        return: async (value: unknown) => (await pieces.return?.(value)) ?? { done: true, value },
      };
    },
  };
}

function responseTo(outcome: StoreOutcome | NonPatientOutcome): ResponseFields {
  if (outcome.status === "failed") {
    const { answer, message } = outcome.error;
    return { status: answer.dimseStatus, errorComment: message };
  }
  const [warning] = outcome.warnings;
  return warning === undefined
    ? { status: statuses.success }
    : { status: warningReason("replaced" in outcome ? outcome : {}), errorComment: warning };
}
