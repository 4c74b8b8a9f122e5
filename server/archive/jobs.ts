/** Jobs: work with peers that outlives the request that asked for it; any process does it, any process tells how it goes. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Job, JobPage, JobPriority, NewJob, ToldItem, WholeJob } from "../../storage/catalog-jobs.ts";
import { ArchiveError } from "../errors.ts";
import { keysToJson, type QueryAsked, type RetrieveAsked } from "./job-requests.ts";
import type { JobRunners } from "./job-runners.ts";
import { absent, type ResourceUids } from "./retrieve.ts";
import { asDimse } from "./run-job.ts";
import { createJobLoop, type JobLoopDependencies, type JobLoopOptions } from "./run-jobs.ts";

export type { Job, JobPage, JobPriority, ToldItem, WholeJob };

/** What is asked of a peer. */
export type JobRequest =
  | { readonly kind: "echo" }
  | ({ readonly kind: "query" } & QueryAsked)
  | ({ readonly kind: "retrieve" } & RetrieveAsked)
  | { readonly kind: "send"; readonly resources: readonly ResourceUids[] };

/** How it is done. */
export interface JobHow {
  readonly priority: JobPriority;
  /** How long faults are met with another attempt. */
  readonly retrySeconds: number;
}

export interface Jobs {
  /**
   * Adds a job for the peer of that name.
   * @throws ArchiveError `no-such-peer`, `wrong-kind-of-peer`, `invalid-query`, `no-such-study`, `no-such-series`,
   *   `no-such-instance` when a resource to be sent is not there
   */
  add(peer: string, request: JobRequest, how: JobHow): Promise<WholeJob>;
  /** Jobs, newest first. */
  list(page: JobPage): Promise<readonly Job[]>;
  /** A job with what came of it. @throws ArchiveError `no-such-job` */
  find(id: number): Promise<WholeJob>;
  /** The same as soon as it has ended, or after so many seconds as it stands then. @throws ArchiveError `no-such-job` */
  wait(id: number, seconds: number): Promise<WholeJob>;
  /** Instances that were not transferred as they should. @throws ArchiveError `no-such-job` */
  failures(id: number, page: { readonly limit: number; readonly after: number }): Promise<readonly ToldItem[]>;
  /** Cancels a job; one that runs ends soon. @throws ArchiveError `no-such-job`, `job-has-ended` */
  cancel(id: number): Promise<WholeJob>;
  /** Tries a job again that failed or was cancelled: what was not transferred. @throws ArchiveError `no-such-job`, `job-not-ended` */
  retry(id: number): Promise<WholeJob>;
  /** Forgets a job that has ended. @throws ArchiveError `no-such-job`, `job-not-ended` */
  remove(id: number): Promise<void>;
  /** Forgets jobs that ended long ago. */
  forgetOld(signal: AbortSignal): Promise<void>;
  /** Has this process look for jobs that are due at once. */
  wake(): void;
  /** Does jobs until `signal` aborts, and those under way are given back. */
  run(signal: AbortSignal, runners: JobRunners): Promise<void>;
}

/** How often (milliseconds) somebody who waits for a job looks. */
const lookEvery = 100;

/** Makes the use cases of jobs. */
export function createJobs(dependencies: JobLoopDependencies, keepDays: number, options?: JobLoopOptions): Jobs {
  const { jobs, peers } = dependencies;
  const loop = createJobLoop(dependencies, options);
  const find = async (id: number): Promise<WholeJob> => {
    const job = await jobs.find(id);
    if (!job) throw new ArchiveError("no-such-job", "There is no such job, or it is forgotten.");
    return job;
  };

  async function add(name: string, request: JobRequest, { priority, retrySeconds }: JobHow): Promise<WholeJob> {
    const peer = await peers.find(name);
    const { kind } = request;
    if (kind === "query" || kind === "retrieve") asDimse(peer);
    if (request.kind === "query") keysToJson(request.keys);
    const job: NewJob = { kind, peer: peer.name, request, priority, retrySeconds };
    const id = request.kind === "send" ? await addSend(job, request.resources) : await jobs.add(job);
    loop.wake();
    return find(id);
  }

  async function addSend(job: NewJob, resources: readonly ResourceUids[]): Promise<number> {
    const added = await jobs.addSend(job, resources);
    if ("id" in added) return added.id;
    throw absent(added.absent);
  }

  return {
    add,
    list: (page) => jobs.list(page),
    find,
    wait: async (id, seconds) => {
      const until = performance.now() + seconds * 1000;
      while (true) {
        const job = await find(id);
        if (job.finishedAt !== null || performance.now() >= until) return job;
        await sleep(lookEvery);
      }
    },
    failures: async (id, page) => {
      await find(id);
      return jobs.told(id, page);
    },
    cancel: async (id) => {
      const isCancelled = await jobs.cancel(id);
      const job = await find(id);
      if (!isCancelled) throw new ArchiveError("job-has-ended", "The job has ended already.");
      loop.wake();
      return job;
    },
    retry: async (id) => {
      const isQueued = await jobs.retry(id);
      const job = await find(id);
      if (!isQueued) throw new ArchiveError("job-not-ended", "Only a job that failed or was cancelled is tried again.");
      loop.wake();
      return job;
    },
    remove: async (id) => {
      if (await jobs.remove(id)) return;
      await find(id);
      throw new ArchiveError("job-not-ended", "The job has not ended: cancel it first.");
    },
    forgetOld: async (signal) => {
      while (!signal.aborted && (await jobs.forget(keepDays)) > 0);
    },
    wake: () => loop.wake(),
    run: (signal, runners) => loop.run(signal, runners),
  };
}
