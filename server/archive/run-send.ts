/** One attempt of a job that sends: its instances to the peer, and what becomes of each into its row. */
import type { Blobs } from "../../storage/blobs.ts";
import type { ItemOutcome, JobFault, PendingItem, TakenJob } from "../../storage/catalog-job-runs.ts";
import { type JobCatalog, priorityOf } from "../../storage/catalog-jobs.ts";
import type { Peer } from "./peers.ts";
import {
  type JobRunners,
  meaningOf,
  type SendableInstance,
  type SendableInstances,
  type SentInstance,
  whoseFault,
} from "./job-runners.ts";
import { toSelected } from "./selection.ts";
import { objectBytes } from "./stored-bytes.ts";

/** How an attempt ended. */
export type AttemptEnd =
  | { readonly kind: "done"; readonly result?: object }
  /** To be tried again; `isOfPeer`: nothing else that is meant for the peer would fare better. */
  | { readonly kind: "fault"; readonly fault: JobFault; readonly isOfPeer: boolean }
  /** Another attempt would meet the same. */
  | { readonly kind: "failed"; readonly fault: JobFault; readonly result?: object };

/** Rows that are read at a time. */
const pageSize = 200;

/** Outcomes that are noted in one statement, and how long (milliseconds) they wait for that at most. */
const outcomesAtOnce = 100;
const noteEvery = 500;

/** Attempts at an instance that a peer does not understand, or that ends the association. */
const mostAttempts = 3;

/** Instances in a row that a peer has no room for, after which the rest is not tried. */
const mostRefusals = 3;

const gone = "The instance is not in this archive any more.";

/** Sends what is pending of `job`. Ends early, with what is done noted, when `signal` aborts. */
export async function runSend(
  { jobs, blobs, runners }: { readonly jobs: JobCatalog; readonly blobs: Blobs; readonly runners: JobRunners },
  job: TakenJob,
  peer: Peer,
  signal: AbortSignal,
): Promise<AttemptEnd> {
  const notes = new Notes(jobs, job.id);
  /** Items that were given to the sender and have no outcome yet, by SOP Instance UID. */
  const given = new Map<string, PendingItem[]>();
  let fault: { readonly code: string; readonly sentence: string } | undefined;
  let answered = false;
  let refusals = 0;
  const isOver = () =>
    signal.aborted || refusals >= mostRefusals || (fault !== undefined && whoseFault(fault.code) !== "request");

  async function* instances(): AsyncGenerator<SendableInstance> {
    let after = 0;
    while (true) {
      const items = await jobs.pending(job.id, after, pageSize);
      for (const item of items) {
        after = item.id;
        if (isOver()) return;
        if (item.instance) {
          // A sender that needs several associations goes through them several times.
          const others = (given.get(item.sopInstanceUid) ?? []).filter(({ id }) => id !== item.id);
          given.set(item.sopInstanceUid, [...others, item]);
          const { blobKey, byteLength } = item.instance;
          const file = () => objectBytes(blobs, blobKey, { offset: 0, length: byteLength });
          yield { ...toSelected(blobs, item.instance), file };
        } else {
          await notes.add({ id: item.id, state: "failed", status: null, error: gone });
        }
      }
      if (items.length < pageSize) return;
    }
  }

  function outcomeOf(item: PendingItem, { status, comment, code }: SentInstance): ItemOutcome | undefined {
    const { id } = item;
    const error = comment === undefined ? null : plain(comment);
    if (status !== undefined) {
      answered = true;
      const meaning = meaningOf(status);
      refusals = meaning === "transient" ? refusals + 1 : 0;
      if (meaning === "sent" || meaning === "warning" || meaning === "failed")
        return { id, state: meaning, status, error };
      if (meaning === "doubtful" && item.attempts + 1 >= mostAttempts) return { id, state: "failed", status, error };
      fault ??= { code: "instances-refused", sentence: "The peer did not take every instance." };
      return { id, state: "pending", status, error };
    }
    const whose = whoseFault(code ?? "internal");
    if (whose === "request") return { id, state: "failed", status: null, error: error ?? "It was not sent." };
    const isFirst = !fault || whoseFault(fault.code) === "request";
    if (isFirst) fault = { code: code ?? "internal", sentence: error ?? "The peer ended the association." };
    // The first that an association ends with may be what ends it; the others wait for the next attempt as they are.
    if (!isFirst || (code !== "association-aborted" && code !== "peer-silent")) return undefined;
    return { id, state: item.attempts + 1 >= mostAttempts ? "failed" : "pending", status: null, error };
  }

  const kinds = await jobs.pendingKinds(job.id);
  const sendable: SendableInstances = { kinds, [Symbol.asyncIterator]: instances };
  try {
    if (kinds.length === 0) for await (const one of sendable) given.delete(one.sopInstanceUid);
    const sent = runners.send(peer, sendable, { signal, priority: priorityOf(job.rank) });
    for await (const outcome of kinds.length === 0 ? [] : sent) {
      const items = given.get(outcome.sopInstanceUid);
      const item = items?.shift();
      if (items?.length === 0) given.delete(outcome.sopInstanceUid);
      const noted = item && outcomeOf(item, outcome);
      if (noted) await notes.add(noted);
    }
  } finally {
    await notes.flush();
  }
  const isOfPeer = refusals >= mostRefusals || (!answered && fault !== undefined && whoseFault(fault.code) === "peer");
  if (answered && !isOfPeer) await jobs.peerWorks(job.peer);
  return fault ? { kind: "fault", fault, isOfPeer } : { kind: "done" };
}

/** Outcomes on their way into the catalog, many in one statement. */
class Notes {
  readonly #jobs: JobCatalog;
  readonly #jobId: number;
  #waiting: ItemOutcome[] = [];
  #since = 0;

  constructor(jobs: JobCatalog, jobId: number) {
    this.#jobs = jobs;
    this.#jobId = jobId;
  }

  async add(outcome: ItemOutcome): Promise<void> {
    if (this.#waiting.length === 0) this.#since = performance.now();
    this.#waiting.push(outcome);
    if (this.#waiting.length >= outcomesAtOnce || performance.now() - this.#since >= noteEvery) await this.flush();
  }

  async flush(): Promise<void> {
    const outcomes = this.#waiting;
    this.#waiting = [];
    if (outcomes.length > 0) await this.#jobs.noteItems(this.#jobId, outcomes);
  }
}

/** Words of a peer as they are kept: without control characters, and not too many. */
export function plain(text: string): string {
  return text
    .replaceAll(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, 1000);
}
