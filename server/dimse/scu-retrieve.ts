/** Brings instances of a peer into this archive: by C-GET, or by C-MOVE to this application, and says what did not come. */
import type { Archive } from "../archive/archive.ts";
import { isUid } from "../dicom/uid.ts";
import { ArchiveError, type ErrorCode } from "../errors.ts";
import type { Service } from "./association.ts";
import type { PeerAddress } from "./connect.ts";
import type { WantedKind } from "./getting-plan.ts";
import { get } from "./scu-get.ts";
import { listInstances, type PeerInstance } from "./scu-instances.ts";
import { likelySopClasses } from "./modality-sop-classes.ts";
import { move } from "./scu-move.ts";
import type { Requestor } from "./scu-association.ts";
import { statusWords } from "./status-words.ts";
import {
  isComplete,
  type RetrieveTarget,
  type SubOperationsOptions,
  type SubOperationsResult,
} from "./sub-operations.ts";

export interface RetrieveRequest extends SubOperationsOptions {
  readonly target: RetrieveTarget;
  /** How; default: C-GET, and C-MOVE when the peer does not support that. */
  readonly by?: "get" | "move" | undefined;
  /** Stores what a C-GET brings. */
  readonly store: Service;
  /** AE title of this application, as the peer knows it, for C-MOVE. */
  readonly ownAeTitle: string;
  /** Which of the instances of a study are in this archive. */
  readonly present: (studyInstanceUid: string) => Promise<ReadonlySet<string>>;
}

/** An instance that did not come, or was not stored, and why. */
export interface RetrieveFailure {
  readonly sopInstanceUid: string;
  /** Of the C-STORE; undefined when it is not known. */
  readonly status: number | undefined;
  readonly reason: string;
}

export interface RetrieveResult {
  readonly by: "get" | "move";
  /** Whether every instance that the peer has is here, as far as can be known. */
  readonly isComplete: boolean;
  /** Instances that the peer has said it has; undefined when it could not be asked. */
  readonly expected: number | undefined;
  /** Instances that came, as this side (C-GET) or the peer (C-MOVE) counts them; undefined when it is not known. */
  readonly received: number | undefined;
  readonly failures: readonly RetrieveFailure[];
  /** What the peer said at the end, or how it ended without that. */
  readonly outcome: string;
  /** Of the final response; undefined when there was none. */
  readonly status: number | undefined;
}

/**
 * What the peer has is asked first (C-FIND), and looked for in the archive afterwards: what did not come is named, whatever
 * the peer says of it.
 * @throws ArchiveError as `Connect`, `context-not-accepted`; `no-such-resource` when the peer says that it has nothing
 */
export async function retrieve(
  requestor: Requestor,
  peer: PeerAddress,
  request: RetrieveRequest,
): Promise<RetrieveResult> {
  const expected = await expectedOf(requestor, peer, request);
  if (expected?.length === 0) throw new ArchiveError("no-such-resource", "The peer has nothing of that kind.");
  const fetched = await fetch(requestor, peer, request, expected ?? []);
  const { result, by, received, failures } = fetched;
  const named = new Set(failures.map(({ sopInstanceUid }) => sopInstanceUid));
  const missing = await missingOf(expected ?? [], named, request);
  const all = [...failures, ...missing];
  return {
    by,
    isComplete: isComplete(result) && all.length === 0 && (expected !== undefined || (received ?? 0) > 0),
    expected: expected?.length,
    received,
    failures: all,
    outcome: outcomeOf(by, result),
    status: result.status,
  };
}

/** Faults of a peer that does not answer queries: some reject the context, others abort. */
const unanswered: ReadonlySet<ErrorCode> = new Set(["context-not-accepted", "peer-failed", "association-aborted"]);

/** Undefined when the peer does not answer queries: it may still send what it has. */
async function expectedOf(
  requestor: Requestor,
  peer: PeerAddress,
  { target, signal }: RetrieveRequest,
): Promise<readonly PeerInstance[] | undefined> {
  try {
    return await listInstances(requestor, peer, target, signal);
  } catch (error) {
    if (error instanceof ArchiveError && unanswered.has(error.code) && signal?.aborted !== true) return undefined;
    throw error;
  }
}

/** The `present` of a request: which instances of a study are in `archive`. */
export function presentIn(archive: Pick<Archive, "select">): RetrieveRequest["present"] {
  return async (studyInstanceUid) => {
    const present = new Set<string>();
    if (!isUid(studyInstanceUid)) return present;
    const selected = await archive.select({ studyInstanceUids: [studyInstanceUid] });
    for await (const { sopInstanceUid } of selected) present.add(sopInstanceUid);
    return present;
  };
}

interface Fetched {
  readonly by: "get" | "move";
  readonly result: SubOperationsResult;
  readonly received: number | undefined;
  readonly failures: readonly RetrieveFailure[];
}

async function fetch(
  requestor: Requestor,
  peer: PeerAddress,
  request: RetrieveRequest,
  expected: readonly PeerInstance[],
): Promise<Fetched> {
  if (request.by === "move") return byMove(requestor, peer, request);
  try {
    return await byGet(requestor, peer, request, kindsOf(expected));
  } catch (error) {
    const isRefused = error instanceof ArchiveError && error.code === "context-not-accepted";
    if (!isRefused || request.by === "get") throw error;
    return byMove(requestor, peer, request);
  }
}

async function byGet(
  requestor: Requestor,
  peer: PeerAddress,
  { target, store, onProgress, signal }: RetrieveRequest,
  kinds: readonly WantedKind[],
): Promise<Fetched> {
  const result = await get(requestor, peer, { target, store, kinds, onProgress, signal });
  const own = result.notStored.map(({ sopInstanceUid, status, comment }) => ({
    sopInstanceUid,
    status,
    reason: `this archive did not store it: ${statusWords("C-STORE", status, comment)}`,
  }));
  const refused = new Set(own.map(({ sopInstanceUid }) => sopInstanceUid));
  return {
    by: "get",
    result,
    received: result.stored,
    failures: [...own, ...saidToFail(result).filter(({ sopInstanceUid }) => !refused.has(sopInstanceUid))],
  };
}

async function byMove(
  requestor: Requestor,
  peer: PeerAddress,
  { target, ownAeTitle, onProgress, signal }: RetrieveRequest,
): Promise<Fetched> {
  const result = await move(requestor, peer, { target, destination: ownAeTitle, onProgress, signal });
  const { completed, warning } = result;
  const received = completed === undefined && warning === undefined ? undefined : (completed ?? 0) + (warning ?? 0);
  return { by: "move", result, received, failures: saidToFail(result) };
}

function saidToFail({ failedSopInstanceUids }: SubOperationsResult): readonly RetrieveFailure[] {
  return failedSopInstanceUids.map((sopInstanceUid) => ({
    sopInstanceUid,
    status: undefined,
    reason: "the peer says that it could not send it",
  }));
}

/** Where the peer does not tell all SOP classes, those that the modalities are likely to have; else none: whatever may come. */
function kindsOf(expected: readonly PeerInstance[]): readonly WantedKind[] {
  const kinds = new Map<string, Set<string>>();
  for (const { sopClassUid, transferSyntaxUids } of expected) {
    if (sopClassUid === undefined) return likelyKinds(expected);
    const syntaxes = kinds.get(sopClassUid) ?? new Set();
    kinds.set(sopClassUid, syntaxes);
    for (const uid of transferSyntaxUids) syntaxes.add(uid);
  }
  return [...kinds].map(([sopClassUid, syntaxes]) => ({ sopClassUid, transferSyntaxUids: [...syntaxes] }));
}

function likelyKinds(expected: readonly PeerInstance[]): readonly WantedKind[] {
  const modalities = new Set(expected.map(({ modality }) => modality ?? ""));
  const likely = likelySopClasses(modalities) ?? [];
  return likely.map((sopClassUid) => ({ sopClassUid, transferSyntaxUids: [] }));
}

/** Instances that are not in the archive and of which nothing was said. */
async function missingOf(
  expected: readonly PeerInstance[],
  named: ReadonlySet<string>,
  { present }: RetrieveRequest,
): Promise<RetrieveFailure[]> {
  const missing: RetrieveFailure[] = [];
  for (const [study, instances] of Map.groupBy(expected, ({ studyInstanceUid }) => studyInstanceUid)) {
    const here = await present(study);
    for (const { sopInstanceUid } of instances) {
      if (here.has(sopInstanceUid) || named.has(sopInstanceUid)) continue;
      missing.push({ sopInstanceUid, status: undefined, reason: "it did not come, and the peer says nothing of it" });
    }
  }
  return missing;
}

function outcomeOf(
  by: "get" | "move",
  { status, comment, fault, completed, failed, warning }: SubOperationsResult,
): string {
  const service = by === "get" ? "C-GET" : "C-MOVE";
  if (fault) return fault.message;
  if (status === undefined) return `The peer did not end the ${service}.`;
  const counts = Object.entries({ completed, failed, warning }).flatMap(([name, count]) =>
    count === undefined ? [] : [`${count} ${name}`],
  );
  const counted = counts.length === 0 ? "" : `, ${counts.join(", ")}`;
  return `The peer answered the ${service} with ${statusWords(service, status, comment)}${counted}.`;
}
