/** One attempt of a job that sends: its instances to the peer, and what becomes of each into its row. */
import type { Blobs } from "../../storage/blobs.ts";
import type { JobFault } from "../../storage/catalog-job-ends.ts";
import type { ItemOutcome, ItemPosition, PendingItem } from "../../storage/catalog-job-items.ts";
import type { TakenJob } from "../../storage/catalog-job-runs.ts";
import { priorityOf } from "../../storage/catalog-job-add.ts";
import type { JobCatalog } from "../../storage/catalog-jobs.ts";
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

/**
 * Attempts at an instance that a peer does not understand, or that ends the association, while it takes others. As long
 * as it takes none, the fault may be the peer's: no instance is given up for that.
 */
const mostAttempts = 3;

/** Instances in a row that a peer refuses, after which the rest is not tried. */
const mostRefusals = 3;

/** Times that instances are sent in one attempt: one that ends the association holds up none of the others. */
const mostPasses = 10;

const gone = "The instance is not in this archive any more.";

/** What sending is done with. */
export interface SendDependencies {
  readonly jobs: JobCatalog;
  readonly blobs: Blobs;
  readonly runners: Pick<JobRunners, "send">;
}

/** Sends what is pending of `job`. Ends early, with what is done noted, when `signal` aborts. */
export async function runSend(
  dependencies: SendDependencies,
  job: TakenJob,
  peer: Peer,
  signal: AbortSignal,
): Promise<AttemptEnd> {
  const { jobs } = dependencies;
  let hasSent = false;
  let end: PassEnd | undefined;
  for (let pass = 1; pass <= mostPasses && !signal.aborted; pass += 1) {
    end = await new Pass(dependencies, job, hasSent).run(peer, signal);
    hasSent ||= end.hasSent;
    const isCutShort = end.fault?.code === "association-aborted" || end.fault?.code === "peer-silent";
    // The second time what has ended the association is sent last.
    if (!isCutShort || (pass > 1 && !end.hasProgress)) break;
  }
  const { fault, isRefused = false } = end ?? {};
  const isOfPeer = isRefused || (!hasSent && fault !== undefined && whoseFault(fault.code) === "peer");
  if (hasSent && !isOfPeer) await jobs.peerWorks(job.peer);
  return fault ? { kind: "fault", fault, isOfPeer } : { kind: "done" };
}

/** How a pass ended. */
interface PassEnd {
  /** Why not everything that is left was sent, or is not to be tried again. */
  readonly fault: JobFault | undefined;
  /** Whether the peer has taken anything. */
  readonly hasSent: boolean;
  /** Whether anything is over, sent or given up. */
  readonly hasProgress: boolean;
  /** Whether it refuses one after the other. */
  readonly isRefused: boolean;
}

/** Everything that is pending, given to the sender once. */
class Pass {
  readonly #dependencies: SendDependencies;
  readonly #job: TakenJob;
  readonly #notes: Notes;
  /** Items that were given to the sender and have no outcome yet, by SOP Instance UID. */
  readonly #given = new Map<string, PendingItem[]>();
  /** Whether the peer has taken anything in this attempt. */
  #hasSent: boolean;
  #isSent = false;
  #hasProgress = false;
  /** In a row. */
  #refusals = 0;
  #fault: JobFault | undefined;

  constructor(dependencies: SendDependencies, job: TakenJob, hasSent: boolean) {
    this.#dependencies = dependencies;
    this.#job = job;
    this.#hasSent = hasSent;
    this.#notes = new Notes(dependencies.jobs, job.id);
  }

  async run(peer: Peer, signal: AbortSignal): Promise<PassEnd> {
    const { jobs, runners } = this.#dependencies;
    const kinds = await jobs.pendingKinds(this.#job.id);
    const instances: SendableInstances = { kinds, [Symbol.asyncIterator]: () => this.#instances(signal) };
    try {
      // Of what is gone altogether there is nothing to be sent, but something to be told.
      if (kinds.length === 0) for await (const { sopInstanceUid } of instances) this.#given.delete(sopInstanceUid);
      const sent = runners.send(peer, instances, { signal, priority: priorityOf(this.#job.rank) });
      for await (const outcome of kinds.length === 0 ? [] : sent) {
        const items = this.#given.get(outcome.sopInstanceUid);
        const item = items?.shift();
        if (items?.length === 0) this.#given.delete(outcome.sopInstanceUid);
        const noted = item && this.#outcomeOf(item, outcome);
        if (noted) {
          this.#hasProgress ||= noted.state !== "pending";
          await this.#notes.add(noted);
        }
      }
    } finally {
      await this.#notes.flush();
    }
    return {
      fault: this.#fault,
      hasSent: this.#isSent,
      hasProgress: this.#hasProgress,
      isRefused: this.#refusals >= mostRefusals,
    };
  }

  async *#instances(signal: AbortSignal): AsyncGenerator<SendableInstance> {
    const { jobs, blobs } = this.#dependencies;
    let last: ItemPosition | undefined;
    while (true) {
      const items = await jobs.pending(this.#job.id, last, pageSize);
      for (const item of items) {
        last = item;
        if (signal.aborted || this.#isOver()) return;
        if (this.#notes.isTried(item.id)) continue;
        if (item.instance) {
          // A sender that needs several associations goes through them several times.
          const others = (this.#given.get(item.sopInstanceUid) ?? []).filter(({ id }) => id !== item.id);
          this.#given.set(item.sopInstanceUid, [...others, item]);
          const { blobKey, byteLength } = item.instance;
          const file = () => objectBytes(blobs, blobKey, { offset: 0, length: byteLength });
          yield { ...toSelected(blobs, item.instance), file };
        } else {
          await this.#notes.add({ id: item.id, state: "failed", status: null, error: gone });
        }
      }
      if (items.length < pageSize) return;
    }
  }

  #isOver(): boolean {
    return this.#refusals >= mostRefusals || (this.#fault !== undefined && whoseFault(this.#fault.code) !== "request");
  }

  /** Undefined when the item is to stay as it is. */
  #outcomeOf(item: PendingItem, { status, comment, code }: SentInstance): ItemOutcome | undefined {
    const error = comment === undefined ? null : plain(comment);
    if (status !== undefined) return this.#answered(item, status, error);
    const { id } = item;
    if (whoseFault(code ?? "internal") === "request") {
      return { id, state: "failed", status: null, error: error ?? "It was not sent." };
    }
    const isFirst = this.#fault === undefined || whoseFault(this.#fault.code) === "request";
    if (isFirst) this.#fault = { code: code ?? "internal", sentence: error ?? "The peer ended the association." };
    // The first that an association ends with may be what ends it; the others wait as they are.
    if (!isFirst || (code !== "association-aborted" && code !== "peer-silent")) return undefined;
    return { id, state: this.#isGivenUp(item) ? "failed" : "pending", status: null, error };
  }

  #answered(item: PendingItem, status: number, error: string | null): ItemOutcome {
    const { id } = item;
    const meaning = meaningOf(status);
    this.#refusals = meaning === "transient" || meaning === "doubtful" ? this.#refusals + 1 : 0;
    if (meaning === "sent" || meaning === "warning") {
      this.#isSent = true;
      this.#hasSent = true;
    }
    if (meaning !== "transient" && meaning !== "doubtful") return { id, state: meaning, status, error };
    if (meaning === "doubtful" && this.#isGivenUp(item)) return { id, state: "failed", status, error };
    this.#fault ??= { code: "instances-refused", sentence: "The peer did not take every instance." };
    return { id, state: "pending", status, error };
  }

  #isGivenUp({ attempts }: PendingItem): boolean {
    return this.#hasSent && attempts + 1 >= mostAttempts;
  }
}

/** Outcomes on their way into the catalog, many in one statement. */
class Notes {
  readonly #jobs: JobCatalog;
  readonly #jobId: number;
  readonly #tried = new Set<number>();
  #waiting: ItemOutcome[] = [];
  #since = 0;

  constructor(jobs: JobCatalog, jobId: number) {
    this.#jobs = jobs;
    this.#jobId = jobId;
  }

  async add(outcome: ItemOutcome): Promise<void> {
    if (this.#waiting.length === 0) this.#since = performance.now();
    this.#waiting.push(outcome);
    if (outcome.state === "pending") this.#tried.add(outcome.id);
    if (this.#waiting.length >= outcomesAtOnce || performance.now() - this.#since >= noteEvery) await this.flush();
  }

  /** Whether an item was noted that is tried again, and so comes again behind the others. */
  isTried(id: number): boolean {
    return this.#tried.has(id);
  }

  async flush(): Promise<void> {
    const outcomes = this.#waiting;
    this.#waiting = [];
    if (outcomes.length > 0) await this.#jobs.noteItems(this.#jobId, outcomes);
  }
}

/** Words of a peer as they are kept: without control characters and halves of characters, and not too many. */
export function plain(text: string): string {
  return text
    .replaceAll(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, 1000)
    .toWellFormed();
}
