/** Jobs: work with peers as rows, which any process may do; what clients see of them, and what they may do with them. */
import type { Knex } from "knex";
import {
  type AddedSend,
  addSend,
  insertJob,
  type JobPriority,
  type JobResource,
  type NewJob,
  priorityOf,
} from "./catalog-job-add.ts";
import { createJobRunCatalog, type JobKind, type JobRunCatalog } from "./catalog-job-runs.ts";
import { databaseError } from "./database-error.ts";

export type { JobKind, JobPriority, NewJob };

export type JobState = "queued" | "running" | "succeeded" | "failed" | "cancelled";

/** A job as clients see it. Counts are of instances. */
export interface Job {
  readonly id: number;
  readonly kind: JobKind;
  readonly peer: string;
  /** Name of the rule of forwarding that has added it. */
  readonly rule: string | null;
  readonly state: JobState;
  readonly priority: JobPriority;
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  /** Transferred, but not as they were sent. */
  readonly warning: number;
  readonly attempts: number;
  readonly nextAttemptAt: Date;
  readonly retrySeconds: number;
  readonly cancelRequested: boolean;
  /** The last fault. */
  readonly errorCode: string | null;
  readonly error: string | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

/** A job with what was asked and what came of it. */
export interface WholeJob extends Job {
  readonly request: unknown;
  readonly result: unknown;
}

/** An instance that was not transferred as it should. */
export interface ToldItem {
  readonly id: number;
  readonly studyInstanceUid: string | null;
  readonly seriesInstanceUid: string | null;
  readonly sopInstanceUid: string;
  /** `pending`: it is tried again. */
  readonly state: "pending" | "failed" | "warning";
  readonly attempts: number;
  readonly status: number | null;
  readonly error: string | null;
}

/** Which jobs; newest first. */
export interface JobPage {
  readonly limit: number;
  /** Only jobs with a lower id. */
  readonly before: number;
  readonly states?: readonly JobState[] | undefined;
  readonly kind?: JobKind | undefined;
  readonly peer?: string | undefined;
  readonly rule?: string | undefined;
}

/** Every method throws ArchiveError `database-unavailable` when PostgreSQL does not answer. */
export interface JobCatalog extends JobRunCatalog {
  add(job: NewJob): Promise<number>;
  /** Adds a send of what is stored of `resources`; gives the first of which nothing is, and then adds none. */
  addSend<Resource extends JobResource>(job: NewJob, resources: readonly Resource[]): Promise<AddedSend<Resource>>;
  list(page: JobPage): Promise<readonly Job[]>;
  find(id: number): Promise<WholeJob | undefined>;
  /** Instances that were not transferred as they should, in the order in which they were added. */
  told(id: number, page: { readonly limit: number; readonly after: number }): Promise<readonly ToldItem[]>;
  /** Cancels a job, or asks the process that runs it to; false when it is not there or has ended. */
  cancel(id: number): Promise<boolean>;
  /** Queues a job that has failed or was cancelled, with the instances that were not transferred; false when it is no such. */
  retry(id: number): Promise<boolean>;
  /** Forgets a job that has ended; false when it is no such. */
  remove(id: number): Promise<boolean>;
  /** Forgets a batch of jobs that ended more than `days` ago; tells how many. */
  forget(days: number): Promise<number>;
}

const columns = {
  id: "job.id",
  kind: "kind",
  peer: "job.peer",
  rule: "rule",
  state: "state",
  rank: "priority",
  total: "total",
  completed: "completed",
  failed: "failed",
  warning: "warning",
  attempts: "attempts",
  nextAttemptAt: "job.next_attempt_at",
  retrySeconds: "retry_seconds",
  cancelRequested: "cancel_requested",
  errorCode: "job.error_code",
  error: "job.error",
  createdAt: "job.created_at",
  startedAt: "started_at",
  finishedAt: "finished_at",
};

/** Jobs that are forgotten in one transaction. */
const batchSize = 1000;

/** The jobs over an open pool. */
export function createJobCatalog(knex: Knex): JobCatalog {
  return {
    ...createJobRunCatalog(knex),
    add: (job) => databaseError(() => insertJob(knex, job)),
    addSend: (job, resources) => databaseError(() => addSend(knex, job, resources)),
    list: (page) => databaseError(() => listJobs(knex, page)),
    find: (id) => databaseError(() => findJob(knex, id)),
    told: (id, page) => databaseError(() => listTold(knex, id, page)),
    cancel: (id) => databaseError(() => cancelJob(knex, id)),
    retry: (id) => databaseError(() => retryJob(knex, id)),
    remove: (id) =>
      databaseError(async () => (await knex("job").where({ id }).whereNotNull("finished_at").delete()) > 0),
    forget: (days) => databaseError(() => forgetJobs(knex, days)),
  };
}

type JobRow = Omit<Job, "priority"> & { readonly rank: number };

function toJob<Row extends JobRow>({ rank, ...job }: Row): Omit<Row, "rank"> & { readonly priority: JobPriority } {
  return { ...job, priority: priorityOf(rank) };
}

async function listJobs(knex: Knex, { limit, before, states, kind, peer, rule }: JobPage): Promise<Job[]> {
  const query: Knex.QueryBuilder<object, JobRow[]> = knex("job")
    .where("job.id", "<", before)
    .where({
      ...(kind !== undefined && { kind }),
      ...(peer !== undefined && { peer }),
      ...(rule !== undefined && { rule }),
    })
    .orderBy("job.id", "desc")
    .limit(limit)
    .select(columns);
  if (states) void query.whereIn("state", [...states]);
  return (await query).map(toJob);
}

async function findJob(knex: Knex, id: number): Promise<WholeJob | undefined> {
  const row: (JobRow & Pick<WholeJob, "request" | "result">) | undefined = await knex("job")
    .where({ id })
    .first({ ...columns, request: "request", result: "result" });
  return row && toJob(row);
}

async function listTold(
  knex: Knex,
  id: number,
  { limit, after }: { readonly limit: number; readonly after: number },
): Promise<ToldItem[]> {
  return knex("job_item")
    .where("job_id", id)
    .where("id", ">", after)
    .whereRaw("(error is not null or status is not null)")
    .orderBy("id")
    .limit(limit)
    .select({
      id: "id",
      studyInstanceUid: "study_instance_uid",
      seriesInstanceUid: "series_instance_uid",
      sopInstanceUid: "sop_instance_uid",
      state: "state",
      attempts: "attempts",
      status: "status",
      error: "error",
    });
}

async function cancelJob(knex: Knex, id: number): Promise<boolean> {
  const { rowCount }: { rowCount: number } = await knex.raw(
    `update job set cancel_requested = true,
       state = case when state = 'queued' then 'cancelled' else state end,
       finished_at = case when state = 'queued' then now() end
     where id = ? and state in ('queued', 'running')`,
    [id],
  );
  return rowCount > 0;
}

async function retryJob(knex: Knex, id: number): Promise<boolean> {
  return knex.transaction(async (trx) => {
    const job: { kind: JobKind } | undefined = await trx("job")
      .where({ id })
      .whereIn("state", ["failed", "cancelled"])
      .forUpdate()
      .first("kind");
    if (!job) return false;
    const isSend = job.kind === "send";
    // What a send is asked for are its items; of the others they are what went wrong the last time.
    if (isSend) await trx("job_item").where({ job_id: id, state: "failed" }).update({ state: "pending", attempts: 0 });
    else await trx("job_item").where({ job_id: id }).delete();
    await trx("job")
      .where({ id })
      .update({
        state: "queued",
        failed: 0,
        ...(!isSend && { total: 0, completed: 0, warning: 0, result: null }),
        attempts: 0,
        crashes: 0,
        next_attempt_at: trx.fn.now(),
        tried_since: null,
        cancel_requested: false,
        error_code: null,
        error: null,
        finished_at: null,
      });
    return true;
  });
}

async function forgetJobs(knex: Knex, days: number): Promise<number> {
  const old = knex("job")
    .select("id")
    .whereRaw("finished_at < now() - make_interval(days => ?)", [days])
    .orderBy("finished_at")
    .limit(batchSize);
  return knex("job").whereIn("id", old).delete();
}
