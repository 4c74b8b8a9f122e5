/** One attempt of a job that asks something of a peer: verification, query, retrieve. */
import type { ToldOutcome } from "../../storage/catalog-job-items.ts";
import type { TakenJob } from "../../storage/catalog-job-runs.ts";
import type { JobCatalog } from "../../storage/catalog-jobs.ts";
import type { DicomJson } from "../dicom/json.ts";
import { keysToJson, queryAsked, retrieveAsked } from "./job-requests.ts";
import { type JobRunners, type RetrieveCounts, type RetrieveFailure, whoseFault } from "./job-runners.ts";
import type { DimsePeer, Peer } from "./peers.ts";
import type { ResourceUids } from "./retrieve.ts";
import { type AttemptEnd, plain } from "./run-send.ts";
import { ArchiveError, toArchiveError } from "../errors.ts";

/** Characters of answers that are kept of a query; it ends there. */
const longestAnswers = 8 * 2 ** 20;

/** How often (milliseconds) the counts of a retrieve are noted. */
const noteEvery = 500;

/** The peer as one of DIMSE. @throws ArchiveError `wrong-kind-of-peer` */
export function asDimse(peer: Peer): DimsePeer {
  if (peer.kind === "dimse") return peer;
  throw new ArchiveError("wrong-kind-of-peer", "The peer is a DICOMweb server, which can be sent to, but not asked.");
}

/** Verification. */
export async function runEcho(runners: JobRunners, peer: Peer, signal: AbortSignal): Promise<AttemptEnd> {
  return { kind: "done", result: await runners.echo(peer, { signal }) };
}

/** A query: the answers are the result, as many as were asked for. */
export async function runQuery(
  runners: JobRunners,
  job: TakenJob,
  peer: Peer,
  signal: AbortSignal,
): Promise<AttemptEnd> {
  const { level, keys, limit } = queryAsked.parse(job.request);
  const answers: DicomJson[] = [];
  let length = 0;
  let isCut = false;
  for await (const answer of runners.query(asDimse(peer), level, keysToJson(keys), { signal })) {
    length += JSON.stringify(answer).length;
    if (answers.length === limit || length > longestAnswers) {
      isCut = true;
      break;
    }
    answers.push(answer);
  }
  return { kind: "done", result: { answers, isCut } };
}

/** A retrieve, one resource after the other; what fails of one holds up no other. */
export async function runRetrieve(
  runners: JobRunners,
  jobs: JobCatalog,
  job: TakenJob,
  peer: Peer,
  signal: AbortSignal,
): Promise<AttemptEnd> {
  const { resources, method } = retrieveAsked.parse(job.request);
  const dimsePeer = asDimse(peer);
  const done = { completed: 0, failed: 0, warning: 0 };
  const told: ToldOutcome[] = [];
  let notedAt = 0;
  let noting = Promise.resolve();
  const note = ({ completed = 0, failed = 0, warning = 0, remaining = 0 }: RetrieveCounts) => {
    if (performance.now() - notedAt < noteEvery) return;
    notedAt = performance.now();
    const counts = {
      completed: done.completed + completed,
      failed: done.failed + failed,
      warning: done.warning + warning,
    };
    const total = counts.completed + counts.failed + counts.warning + remaining;
    noting = noting.then(() => jobs.noteCounts(job.id, { ...counts, total })).catch(() => undefined);
  };
  const outcomes: RetrieveOutcome[] = [];
  for (const uids of resources) {
    if (signal.aborted) break;
    try {
      const end = await runners.retrieve(dimsePeer, uids, method, { signal, onCounts: note });
      done.completed += end.received ?? 0;
      done.failed += end.failures.length;
      told.push(...end.failures.map(toldOf));
      outcomes.push({ ...uids, isComplete: end.isComplete, outcome: plain(end.outcome) });
    } catch (error) {
      const { code, message } = toArchiveError(error);
      if (whoseFault(code) !== "request" || signal.aborted) throw error;
      outcomes.push({ ...uids, isComplete: false, code, outcome: plain(message) });
    }
  }
  await noting;
  await jobs.noteCounts(job.id, { ...done, total: done.completed + done.failed }, told);
  const result = { resources: outcomes };
  const [first, ...others] = outcomes.filter(({ isComplete }) => !isComplete);
  if (!first) return { kind: "done", result };
  const more = others.length === 0 ? "" : ` ${others.length} more of ${resources.length} resources are not complete.`;
  return { kind: "failed", fault: { code: first.code ?? "not-complete", sentence: first.outcome + more }, result };
}

/** How the retrieve of one resource ended. */
interface RetrieveOutcome extends ResourceUids {
  readonly isComplete: boolean;
  readonly outcome: string;
  /** Why nothing was retrieved. */
  readonly code?: string;
}

function toldOf({ sopInstanceUid, status, reason }: RetrieveFailure): ToldOutcome {
  return { sopInstanceUid: plain(sopInstanceUid), state: "failed", status: status ?? null, error: plain(reason) };
}
