/** THE list of services: which requests are performed, of which SOP classes, and by what. */
import type { Archive } from "../archive/archive.ts";
import { ArchiveError } from "../errors.ts";
import type { Service } from "./association.ts";
import { commandFields } from "./command.ts";
import { createCommitmentService } from "./commitment.ts";
import { createReportSender, storageCommitment } from "./commitment-report.ts";
import type { Connect } from "./connect.ts";
import type { DimseLog } from "./dimse-log.ts";
import { echo } from "./echo.ts";
import { createFind } from "./find.ts";
import { informationModels } from "./information-models.ts";
import { createGet } from "./get.ts";
import { createMove } from "./move.ts";
import { getLevels, moveLevels } from "./retrieve-identifier.ts";
import type { SendToPeer } from "./send-to-peer.ts";
import { serviceSopClasses } from "./sop-class-policy.ts";
import { createStoreService } from "./store.ts";

/** What services need. */
export interface ServiceDependencies {
  readonly archive: Archive;
  /** AE title of this application. */
  readonly aeTitle: string;
  readonly connect: Connect;
  readonly log: DimseLog;
  readonly sendToPeer: SendToPeer;
}

/** A service of this application as SCP. */
export interface ServiceEntry {
  /** Of its requests. */
  readonly commandField: number;
  /** Abstract syntaxes under which it is asked for; `storage` for all that can be stored. */
  readonly sopClassUids: readonly string[] | "storage";
  /** Section of the standard. */
  readonly section: string;
  readonly perform: Service;
}

/** Verification SOP Class (PS3.4 A.4). */
const verification = "1.2.840.10008.1.1";

/** Makes the list. */
export function listServices(dependencies: ServiceDependencies): readonly ServiceEntry[] {
  const { archive, aeTitle, connect, log } = dependencies;
  return [
    { commandField: commandFields.cEchoRequest, sopClassUids: [verification], section: "PS3.4 A", perform: echo },
    {
      commandField: commandFields.cStoreRequest,
      sopClassUids: "storage",
      section: "PS3.4 B",
      perform: createStoreService({ archive }),
    },
    {
      commandField: commandFields.cFindRequest,
      sopClassUids: informationModels.map(({ findSopClassUid }) => findSopClassUid),
      section: "PS3.4 C.4.1",
      perform: createFind({ archive, aeTitle }),
    },
    {
      commandField: commandFields.cGetRequest,
      sopClassUids: [...getLevels.keys()],
      section: "PS3.4 C.4.3",
      perform: createGet(dependencies),
    },
    {
      commandField: commandFields.cMoveRequest,
      sopClassUids: [...moveLevels.keys()],
      section: "PS3.4 C.4.2",
      perform: createMove(dependencies),
    },
    {
      commandField: commandFields.nActionRequest,
      sopClassUids: [storageCommitment.sopClassUid],
      section: "PS3.4 J",
      perform: createCommitmentService({
        reports: archive.commitmentReports,
        send: createReportSender(archive.peers, connect),
        log,
      }),
    },
  ];
}

/**
 * The services by Command Field, for the dispatch. Each performs what comes in a context of its own SOP classes and
 * nothing else, since rights are those of contexts: who may only C-ECHO has none in which C-STORE is performed.
 */
export function servicesByCommandField(entries: readonly ServiceEntry[]): ReadonlyMap<number, Service> {
  const services = new Map<number, Service>();
  for (const [commandField, some] of Map.groupBy(entries, (entry) => entry.commandField)) {
    services.set(commandField, async (request) => {
      const entry = some.find((one) => isOf(one, request.context.abstractSyntaxUid));
      if (!entry) throw new ArchiveError("sop-class-not-supported", "The operation is not one of the SOP class.");
      await entry.perform(request);
    });
  }
  return services;
}

function isOf({ sopClassUids }: ServiceEntry, abstractSyntaxUid: string): boolean {
  return sopClassUids === "storage"
    ? !serviceSopClasses.has(abstractSyntaxUid)
    : sopClassUids.includes(abstractSyntaxUid);
}
