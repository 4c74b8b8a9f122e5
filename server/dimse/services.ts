/** THE list of services: which requests are performed, of which SOP classes, and by what. */
import type { Archive } from "../archive/archive.ts";
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

/** The services by Command Field, for the dispatch. Several of one field are told apart by the abstract syntax. */
export function servicesByCommandField(entries: readonly ServiceEntry[]): ReadonlyMap<number, Service> {
  const services = new Map<number, Service>();
  for (const [commandField, some] of Map.groupBy(entries, (entry) => entry.commandField)) {
    const [only] = some;
    if (only && some.length === 1) services.set(commandField, only.perform);
    else services.set(commandField, (request) => chosen(some, request.context.abstractSyntaxUid)(request));
  }
  return services;
}

function chosen(entries: readonly ServiceEntry[], abstractSyntaxUid: string): Service {
  const entry =
    entries.find(({ sopClassUids }) => sopClassUids !== "storage" && sopClassUids.includes(abstractSyntaxUid)) ??
    entries.find(({ sopClassUids }) => sopClassUids === "storage") ??
    entries[0];
  if (!entry) throw new TypeError("a service was asked for that is not in the list");
  return entry.perform;
}
