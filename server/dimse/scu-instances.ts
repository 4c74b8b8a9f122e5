/** Asks a peer which instances a study has, or whatever is to be retrieved: what is to come is known before it comes. */
import type { DicomJson } from "../dicom/json.ts";
import { ArchiveError } from "../errors.ts";
import type { PeerAddress } from "./connect.ts";
import { patientRoot, type QueryRetrieveLevel, uniqueKeys } from "./information-models.ts";
import type { Requestor } from "./scu-association.ts";
import { type FindSession, openFind } from "./scu-find.ts";
import { levelOf, type RetrieveTarget } from "./sub-operations.ts";

/** An instance that a peer says it has. */
export interface PeerInstance {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  /** Undefined when the peer does not tell it. */
  readonly sopClassUid: string | undefined;
  /** Available Transfer Syntax UID (0008,3002); empty when the peer does not tell it. */
  readonly transferSyntaxUids: readonly string[];
  /** Modality (0008,0060) of its series; undefined when the peer does not tell it. */
  readonly modality: string | undefined;
}

const sopClassUid = "00080016";
const availableTransferSyntaxUid = "00083002";
const modality = "00080060";

const { levels } = patientRoot;

/** More than one retrieval brings: a peer that answers more goes wrong. */
const most = 1_000_000;

/**
 * The instances of a target, found level by level, as every peer can (PS3.4 C.4.1.3.1.1).
 * @throws ArchiveError as `openFind` and `FindSession`
 */
export async function listInstances(
  requestor: Requestor,
  peer: PeerAddress,
  target: RetrieveTarget,
  signal?: AbortSignal,
): Promise<readonly PeerInstance[]> {
  const model = target.studyInstanceUid === undefined ? "patient" : "study";
  const session = await openFind(requestor, peer, { model, signal });
  try {
    const all = await below(session, keysOf(target), levelOf(target));
    // Some peers answer a series, and all that is in it, twice.
    return [...new Map(all.map((instance) => [instance.sopInstanceUid, instance])).values()];
  } finally {
    await session.close();
  }
}

/** Unique keys by their tag. */
type Keys = Readonly<Record<string, string>>;

function keysOf({ patientId, studyInstanceUid, seriesInstanceUid, sopInstanceUid }: RetrieveTarget): Keys {
  const all = {
    [uniqueKeys.PATIENT]: patientId,
    [uniqueKeys.STUDY]: studyInstanceUid,
    [uniqueKeys.SERIES]: seriesInstanceUid,
    [uniqueKeys.IMAGE]: sopInstanceUid,
  };
  return Object.fromEntries(Object.entries(all).flatMap(([tag, value]) => (value === undefined ? [] : [[tag, value]])));
}

/** What is below the entity of `keys`, which is at `level`. */
async function below(
  session: FindSession,
  keys: Keys,
  level: QueryRetrieveLevel,
  of?: string,
): Promise<PeerInstance[]> {
  const next = level === "IMAGE" ? "IMAGE" : (levels[levels.indexOf(level) + 1] ?? "IMAGE");
  const found: DicomJson[] = [];
  for await (const match of session.find({ level: next, keys: wanted(keys, next) })) {
    if (found.push(match) > most) throw new ArchiveError("peer-failed", `The peer answered more than ${most} matches.`);
  }
  if (next === "IMAGE") return found.flatMap((match) => instanceOf({ ...keys, ...keysIn(match) }, match, of));
  const instances: PeerInstance[] = [];
  for (const match of found) {
    const { [uniqueKeys[next]]: uid } = keysIn(match);
    if (uid === undefined) continue;
    const [ofSeries] = textsOf(match, modality);
    for (const one of await below(session, { ...keys, [uniqueKeys[next]]: uid }, next, ofSeries)) instances.push(one);
  }
  return instances;
}

function wanted(keys: Keys, level: QueryRetrieveLevel): DicomJson {
  const asked: DicomJson = { [uniqueKeys[level]]: { vr: "UI" } };
  if (level === "SERIES") asked[modality] = { vr: "CS" };
  if (level === "IMAGE") {
    asked[sopClassUid] = { vr: "UI" };
    asked[availableTransferSyntaxUid] = { vr: "UI" };
  }
  for (const [tag, value] of Object.entries(keys)) {
    asked[tag] = { vr: tag === uniqueKeys.PATIENT ? "LO" : "UI", Value: [value] };
  }
  return asked;
}

function keysIn(match: DicomJson): Keys {
  const tags = [uniqueKeys.STUDY, uniqueKeys.SERIES, uniqueKeys.IMAGE];
  return Object.fromEntries(tags.flatMap((tag) => textsOf(match, tag).map((value) => [tag, value])));
}

/** A match without a UID is no instance that could be told from others. */
function instanceOf(keys: Keys, match: DicomJson, ofSeries: string | undefined): PeerInstance[] {
  const { [uniqueKeys.STUDY]: study = "", [uniqueKeys.SERIES]: series = "", [uniqueKeys.IMAGE]: sop } = keys;
  if (sop === undefined) return [];
  return [
    {
      studyInstanceUid: study,
      seriesInstanceUid: series,
      sopInstanceUid: sop,
      sopClassUid: textsOf(match, sopClassUid)[0],
      transferSyntaxUids: textsOf(match, availableTransferSyntaxUid),
      modality: ofSeries,
    },
  ];
}

function textsOf(match: DicomJson, tag: string): string[] {
  return (match[tag]?.Value ?? []).filter((value) => typeof value === "string" && value !== "").map(String);
}
