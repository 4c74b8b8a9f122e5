/** Does jobs: takes those that are due, keeps them while they run, and notes how each attempt ended. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Blobs } from "../../storage/blobs.ts";
import type { JobFault } from "../../storage/catalog-job-ends.ts";
import type { JobKind, TakenJob } from "../../storage/catalog-job-runs.ts";
import type { JobCatalog } from "../../storage/catalog-jobs.ts";
import { ArchiveError, toArchiveError } from "../errors.ts";
import { type JobRunners, whoseFault } from "./job-runners.ts";
import type { Peers } from "./peers.ts";
import { retryDelay } from "./retry-delay.ts";
import { runEcho, runQuery, runRetrieve } from "./run-job.ts";
import { type AttemptEnd, runSend } from "./run-send.ts";
import type { StoreLog } from "./store.ts";

export interface JobLoopOptions {
  /** How often (milliseconds) to look for jobs that are due, and for those to be cancelled; default 1 s. */
  readonly lookEvery?: number;
  /** Seconds after which a process that says nothing is taken for dead; default 15. */
  readonly leaseSeconds?: number;
  /** Seconds to wait after so many failures in a row. */
  readonly delay?: (failures: number) => number;
}

/** What jobs are done with. */
export interface JobLoopDependencies {
  readonly jobs: JobCatalog;
  readonly blobs: Blobs;
  readonly peers: Pick<Peers, "find">;
  readonly log: StoreLog;
}

/** Jobs of some kinds that run side by side in a process, and with one peer in all processes. */
interface Lane {
  readonly kinds: readonly JobKind[];
  readonly atOnce: number;
  readonly perPeer: number;
}

/** What somebody waits for goes beside the rest. */
const lanes: readonly Lane[] = [
  { kinds: ["echo", "query"], atOnce: 8, perPeer: 4 },
  { kinds: ["send", "retrieve"], atOnce: 4, perPeer: 2 },
];

/** Longest wait (seconds) between two attempts: a peer that was away for a night is sent all of it in the morning. */
const longestDelay = 300;

/** Processes that may die running a job, one after the other, before it is given up: it may be what kills them. */
const mostCrashes = 5;

/** Why a job that runs is ended. */
type Ending = "cancelled" | "lost" | "stop";

/** Makes the loop of a process. `wake` has it look for jobs at once. */
export function createJobLoop(
  { jobs, blobs, peers, log }: JobLoopDependencies,
  {
    lookEvery = 1000,
    leaseSeconds = 15,
    delay = (failures) => retryDelay(failures, longestDelay),
  }: JobLoopOptions = {},
) {
  let wakeUp = new AbortController();

  /** Does jobs until `signal` aborts, and then resolves when those under way have been given back. */
  async function run(signal: AbortSignal, runners: JobRunners): Promise<void> {
    const holder = randomUUID();
    const running = new Map<number, AbortController>();
    const works = new Set<Promise<void>>();
    const open = lanes.map((lane) => ({ ...lane, running: 0 }));
    let renewedAt = performance.now();

    const takeDue = async (): Promise<void> => {
      for (const lane of open) {
        while (lane.running < lane.atOnce && !signal.aborted) {
          const job = await jobs.take({ holder, kinds: lane.kinds, perPeer: lane.perPeer, leaseSeconds });
          if (!job) break;
          const controller = new AbortController();
          running.set(job.id, controller);
          lane.running += 1;
          const work = runOne(job, holder, runners, controller.signal).finally(() => {
            running.delete(job.id);
            lane.running -= 1;
            works.delete(work);
            wake();
          });
          works.add(work);
        }
      }
    };
    const renew = async (): Promise<void> => {
      if (running.size === 0) {
        renewedAt = performance.now();
        return;
      }
      const before = [...running.keys()];
      const kept = await jobs.renew(holder, before, leaseSeconds);
      renewedAt = performance.now();
      for (const id of before) {
        const state = kept.get(id);
        if (!state) endRun(running.get(id), "lost");
        else if (state.isCancelled) endRun(running.get(id), "cancelled");
        // It is given back, and taken again when the rule is enabled.
        else if (state.isPaused) endRun(running.get(id), "stop");
      }
    };
    const onStop = () => {
      for (const controller of running.values()) endRun(controller, "stop");
      wake();
    };
    signal.addEventListener("abort", onStop, { once: true });
    let failing = false;
    while (!signal.aborted || works.size > 0) {
      const woken = wakeUp.signal;
      try {
        await renew();
        if (!signal.aborted) await takeDue();
        failing = false;
      } catch (error) {
        if (!failing) log.warn({ err: error }, "jobs with peers cannot be looked for; it is tried again");
        failing = true;
        // Another process may have taken them by now.
        const isLate = performance.now() - renewedAt > leaseSeconds * 800;
        for (const controller of isLate ? running.values() : []) endRun(controller, "lost");
      }
      if (signal.aborted && works.size === 0) break;
      await sleep(lookEvery, undefined, { signal: woken }).catch(() => undefined);
    }
    signal.removeEventListener("abort", onStop);
  }

  function wake(): void {
    wakeUp.abort();
    wakeUp = new AbortController();
  }

  /** Never throws: what cannot be noted is found by whoever takes the job when its lease is over. */
  async function runOne(job: TakenJob, holder: string, runners: JobRunners, signal: AbortSignal): Promise<void> {
    try {
      const end = await attempt(job, runners, signal);
      const ending: Ending | undefined = signal.reason;
      if (ending === "lost") return;
      if (ending === "cancelled") await jobs.finishCancelled(job.id, holder);
      else if (ending === "stop" && end.kind !== "done") await jobs.giveBack(job.id, holder);
      else await note(job, holder, end, ending === "stop");
    } catch (error) {
      log.warn({ job: job.id, err: error }, "how a job ended could not be noted; it is done again");
    }
  }

  async function note(job: TakenJob, holder: string, end: AttemptEnd, isStopping: boolean): Promise<void> {
    const isTransfer = job.kind === "send" || job.kind === "retrieve";
    if (end.kind === "done") {
      if (job.kind !== "send") await jobs.peerWorks(job.peer);
      // A send that was stopped has items left, and is queued again by that.
      await (isStopping && job.kind !== "send"
        ? jobs.giveBack(job.id, holder)
        : jobs.finish(job.id, holder, end.result));
      return;
    }
    const { fault } = end;
    // Somebody who asks again and again whether the peer is there does not make the others wait longer.
    if (end.kind === "fault" && end.isOfPeer && isTransfer) await jobs.peerFailed(job.peer, fault, delay);
    const next = end.kind === "fault" ? await jobs.postpone(job.id, holder, fault, delay(job.attempts)) : "failed";
    if (end.kind === "failed") await jobs.fail(job.id, holder, fault, end.result);
    const fields = { job: job.id, kind: job.kind, peer: job.peer, ...fault };
    if (next === "failed") log.warn(fields, "a job with a peer failed");
    // Told once: somebody who watches learns of a peer that is away while there is time to mend it.
    else if (job.attempts === 1) log.warn(fields, "a job with a peer did not succeed; it is tried again");
  }

  /** One attempt; what it throws is its end. */
  async function attempt(job: TakenJob, runners: JobRunners, signal: AbortSignal): Promise<AttemptEnd> {
    try {
      if (job.crashes >= mostCrashes) {
        throw new ArchiveError("internal", `The process that ran it ended ${mostCrashes} times.`);
      }
      const peer = await peers.find(job.peer);
      if (job.kind === "echo") return await runEcho(runners, peer, signal);
      if (job.kind === "query") return await runQuery(runners, job, peer, signal);
      if (job.kind === "retrieve") return await runRetrieve(runners, jobs, job, peer, signal);
      return await runSend({ jobs, blobs, runners }, job, peer, signal);
    } catch (error) {
      const { code, message } = toArchiveError(error);
      if (code === "internal") log.warn({ job: job.id, err: error }, "a job with a peer met an error");
      const fault: JobFault = { code, sentence: message };
      const whose = whoseFault(code);
      return whose === "request" ? { kind: "failed", fault } : { kind: "fault", fault, isOfPeer: whose === "peer" };
    }
  }

  return { run, wake };
}

function endRun(controller: AbortController | undefined, ending: Ending): void {
  controller?.abort(ending);
}
