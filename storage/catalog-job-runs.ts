/** Jobs as those who do them see them: taking one, keeping it, and noting what became of it. */
import type { Knex } from "knex";
import { instanceColumns, type InstanceRow } from "./catalog-read.ts";
import { databaseError } from "./database-error.ts";

/** What is done with a peer. */
export type JobKind = "echo" | "query" | "retrieve" | "send";

/** A job that this process has taken. */
export interface TakenJob {
  readonly id: number;
  readonly kind: JobKind;
  readonly peer: string;
  readonly request: unknown;
  /** Rank of its priority: 1 high, 0 medium, -1 low. */
  readonly rank: number;
  /** This one included. */
  readonly attempts: number;
  /** Processes that died running it since the last progress. */
  readonly crashes: number;
}

/** Which jobs to take. */
export interface TakeOptions {
  /** Of this process, and unique. */
  readonly holder: string;
  readonly kinds: readonly JobKind[];
  /** Jobs of these kinds that run with one peer at most, by all processes. */
  readonly perPeer: number;
  /** How long a process that does not renew is taken for alive. */
  readonly leaseSeconds: number;
}

/** Where an item stands in the order in which items are sent. */
export interface ItemPosition {
  readonly attempts: number;
  readonly id: number;
}

/** An instance to be sent; `instance` is undefined when it is not there any more. */
export interface PendingItem extends ItemPosition {
  readonly sopInstanceUid: string;
  readonly instance: InstanceRow | undefined;
}

/** How many instances to be sent have the same SOP class and are stored in the same transfer syntax. */
export interface PendingKind {
  readonly sopClassUid: string;
  readonly transferSyntaxUid: string;
  readonly count: number;
}

/** What became of an item in one attempt. */
export interface ItemOutcome {
  readonly id: number;
  /** `sent` ones are forgotten; `pending`: it is to be tried again. */
  readonly state: "sent" | "warning" | "failed" | "pending";
  readonly status: number | null;
  readonly error: string | null;
}

/** An instance that was not transferred as it should, of a job without items. */
export interface ToldOutcome extends Omit<ItemOutcome, "id"> {
  readonly sopInstanceUid: string;
  readonly state: "failed" | "warning";
}

/** Counts of a job. */
export interface JobCounts {
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  readonly warning: number;
}

/** Why an attempt did not succeed. */
export interface JobFault {
  readonly code: string;
  readonly sentence: string;
}

/** Every method throws ArchiveError `database-unavailable`. False: the job is this process's no more. */
export interface JobRunCatalog {
  /** Takes the job that is due next; undefined when there is none. */
  take(options: TakeOptions): Promise<TakenJob | undefined>;
  /** Renews the leases of `holder`; the jobs that it has still, and whether they are to be cancelled. */
  renew(holder: string, leaseSeconds: number): Promise<ReadonlyMap<number, { readonly isCancelled: boolean }>>;
  /** The next items to be sent behind `last`, those with fewer attempts first, with where their instances lie. */
  pending(jobId: number, last: ItemPosition | undefined, limit: number): Promise<readonly PendingItem[]>;
  /** What the instances are that are to be sent and are there: how many of each SOP class and transfer syntax. */
  pendingKinds(jobId: number): Promise<readonly PendingKind[]>;
  /** Notes what became of items. */
  noteItems(jobId: number, outcomes: readonly ItemOutcome[]): Promise<void>;
  /** Notes how far a job without items is, and instances that were not transferred as they should. */
  noteCounts(jobId: number, counts: JobCounts, told?: readonly ToldOutcome[]): Promise<void>;
  /** Ends a job by what became of its instances; a send that has some to be sent still is queued again instead. */
  finish(jobId: number, holder: string, result?: object): Promise<boolean>;
  /** Ends a job as failed, and what was not sent with it. */
  fail(jobId: number, holder: string, fault: JobFault, result?: object): Promise<boolean>;
  /** Queues a job again after `seconds`, or fails it when its time for that is over. */
  postpone(jobId: number, holder: string, fault: JobFault, seconds: number): Promise<"queued" | "failed" | "lost">;
  /** Ends a job that was cancelled. */
  finishCancelled(jobId: number, holder: string): Promise<boolean>;
  /** Gives a job back that was not ended, as when the server stops: the attempt counts for nothing. */
  giveBack(jobId: number, holder: string): Promise<void>;
  /** Notes that a peer could not be worked with; `delay` gives the seconds to wait after so many failures in a row. */
  peerFailed(peer: string, fault: JobFault, delay: (failures: number) => number): Promise<void>;
  /** Notes that a peer could be worked with. */
  peerWorks(peer: string): Promise<void>;
}

/** Rows that are inserted in one statement. */
const rowsAtOnce = 1000;

/** The jobs that are to be done, over an open pool. */
export function createJobRunCatalog(knex: Knex): JobRunCatalog {
  return {
    take: (options) => databaseError(() => takeJob(knex, options)),
    renew: (holder, leaseSeconds) => databaseError(() => renewLeases(knex, holder, leaseSeconds)),
    pending: (jobId, last, limit) => databaseError(() => pendingItems(knex, jobId, last, limit)),
    pendingKinds: (jobId) => databaseError(() => pendingKinds(knex, jobId)),
    noteItems: (jobId, outcomes) => databaseError(() => noteItems(knex, jobId, outcomes)),
    noteCounts: (jobId, counts, told) => databaseError(() => noteCounts(knex, jobId, counts, told)),
    finish: (jobId, holder, result) => databaseError(() => finishJob(knex, jobId, holder, result)),
    fail: (jobId, holder, fault, result) => databaseError(() => failJob(knex, jobId, holder, fault, result)),
    postpone: (jobId, holder, fault, seconds) => databaseError(() => postponeJob(knex, jobId, holder, fault, seconds)),
    finishCancelled: (jobId, holder) =>
      databaseError(async () => {
        const ended: number = await held(knex, jobId, holder).update({
          ...unheld,
          state: "cancelled",
          finished_at: knex.fn.now(),
        });
        return ended > 0;
      }),
    giveBack: (jobId, holder) =>
      databaseError(async () => {
        const attempts = knex.raw("greatest(0, attempts - 1)");
        await held(knex, jobId, holder).update({ ...queued(knex), attempts });
      }),
    peerFailed: (peer, fault, delay) => databaseError(() => peerFailed(knex, peer, fault, delay)),
    peerWorks: (peer) => databaseError(async () => void (await knex("peer_fault").where({ peer }).delete())),
  };
}

const unheld = { lease_holder: null, lease_until: null };

/** Queued again, unless it was cancelled just when its attempt ended. */
function queued(knex: Knex) {
  const state = knex.raw("case when cancel_requested then 'cancelled' else 'queued' end");
  return { ...unheld, state, finished_at: knex.raw("case when cancel_requested then now() end") };
}

/** The job, as long as `holder` has it. */
function held(knex: Knex, id: number, holder: string): Knex.QueryBuilder {
  return knex("job").where({ id, lease_holder: holder, state: "running" });
}

/** Jobs that may be taken. One that somebody has just asked for is tried even if its peer was away a moment ago. */
const dueSql = `
  with busy as (
    select peer from job where state = 'running' and lease_until >= now() and kind = any (:kinds::text[])
    group by peer having count(*) >= :perPeer
  ), away as (
    select peer from peer_fault where next_attempt_at > now()
  )
  select id from job
  where kind = any (:kinds::text[])
    and (state = 'queued' and next_attempt_at <= now() or state = 'running' and lease_until < now())
    and peer not in (select peer from busy)
    and (tried_since is null and rule_id is null or peer not in (select peer from away))
    and (rule_id is null or rule_id in (select id from forwarding_rule where enabled))
  order by priority desc, next_attempt_at, id limit 1`;

/** Who takes holds it, so that no peer gets more than its jobs. */
const takeLock = "select pg_advisory_xact_lock(hashtextextended('noctis/jobs/take', 0))";

async function takeJob(
  knex: Knex,
  { holder, kinds, perPeer, leaseSeconds }: TakeOptions,
): Promise<TakenJob | undefined> {
  const limits = { kinds: [...kinds], perPeer };
  const due: { rows: unknown[] } = await knex.raw(dueSql, limits);
  if (due.rows.length === 0) return undefined;
  return knex.transaction(async (trx) => {
    await trx.raw(takeLock);
    const taken: { rows: TakenJob[] } = await trx.raw(
      `update job set state = 'running', lease_holder = :holder, lease_until = now() + make_interval(secs => :leaseSeconds),
         attempts = attempts + 1, crashes = crashes + (state = 'running')::int,
         started_at = coalesce(started_at, now()), tried_since = coalesce(tried_since, now())
       where id = (${dueSql} for update skip locked)
       returning id, kind, peer, request, priority as rank, attempts, crashes`,
      { ...limits, holder, leaseSeconds },
    );
    return taken.rows[0];
  });
}

async function renewLeases(
  knex: Knex,
  holder: string,
  leaseSeconds: number,
): Promise<ReadonlyMap<number, { readonly isCancelled: boolean }>> {
  const rows: { id: number; isCancelled: boolean }[] = await knex("job")
    .where({ lease_holder: holder, state: "running" })
    .update({ lease_until: knex.raw("now() + make_interval(secs => ?)", [leaseSeconds]) })
    .returning(["id", knex.raw('cancel_requested as "isCancelled"')]);
  return new Map(rows.map(({ id, isCancelled }) => [id, { isCancelled }]));
}

/** Instances that are not there any more have no row in `instance`. One by one: so each is found by its indexes. */
const itemsWithInstances = `left join study on study.study_instance_uid = item.study_instance_uid
  left join series on series.study_id = study.id and series.series_instance_uid = item.series_instance_uid
  left join instance on instance.series_id = series.id and instance.sop_instance_uid = item.sop_instance_uid`;

async function pendingKinds(knex: Knex, jobId: number): Promise<PendingKind[]> {
  return knex("job_item as item")
    .joinRaw(itemsWithInstances)
    .where({ "item.job_id": jobId, "item.state": "pending" })
    .whereNotNull("instance.id")
    .groupBy("sop_class_uid", "transfer_syntax_uid")
    .orderBy(["sop_class_uid", "transfer_syntax_uid"])
    .select({
      sopClassUid: "sop_class_uid",
      transferSyntaxUid: "transfer_syntax_uid",
      count: knex.raw("count(*)::integer"),
    });
}

async function pendingItems(
  knex: Knex,
  jobId: number,
  last: ItemPosition | undefined,
  limit: number,
): Promise<PendingItem[]> {
  const rows: (InstanceRow & { readonly itemId: number; readonly itemUid: string; readonly itemAttempts: number })[] =
    await knex("job_item as item")
      .joinRaw(itemsWithInstances)
      .where({ "item.job_id": jobId, "item.state": "pending" })
      .whereRaw("(item.attempts, item.id) > (?, ?)", [last?.attempts ?? -1, last?.id ?? 0])
      .orderBy(["item.attempts", "item.id"])
      .limit(limit)
      .select({
        itemId: "item.id",
        itemUid: "item.sop_instance_uid",
        itemAttempts: "item.attempts",
        ...instanceColumns,
        studyInstanceUid: "study.study_instance_uid",
        seriesInstanceUid: "series.series_instance_uid",
        seriesId: "series.id",
      });
  return rows.map(({ itemId, itemUid, itemAttempts, ...instance }) => ({
    id: itemId,
    sopInstanceUid: itemUid,
    attempts: itemAttempts,
    // Of an outer join that found nothing every column is null.
    instance: Number.isInteger(instance.id) ? instance : undefined,
  }));
}

async function noteItems(knex: Knex, jobId: number, outcomes: readonly ItemOutcome[]): Promise<void> {
  await knex.raw(
    `with outcome as (
       select * from jsonb_to_recordset(:outcomes::jsonb) as outcome (id bigint, state text, status integer, error text)
     ), sent as (
       delete from job_item using outcome
       where job_item.id = outcome.id and outcome.state = 'sent' and job_item.state = 'pending' returning 1
     ), kept as (
       update job_item set state = outcome.state, status = outcome.status, error = outcome.error, attempts = attempts + 1
       from outcome where job_item.id = outcome.id and outcome.state <> 'sent' and job_item.state = 'pending'
       returning job_item.state
     ), counted as (
       select (select count(*) from sent) as sent,
         count(*) filter (where state = 'warning') as warning, count(*) filter (where state = 'failed') as failed from kept
     )
     update job set completed = completed + sent, warning = job.warning + counted.warning,
       failed = job.failed + counted.failed,
       tried_since = case when sent + counted.warning > 0 then now() else tried_since end,
       crashes = case when sent + counted.warning + counted.failed > 0 then 0 else crashes end
     from counted where id = :jobId`,
    { jobId, outcomes: JSON.stringify(outcomes) },
  );
}

async function noteCounts(knex: Knex, id: number, counts: JobCounts, told: readonly ToldOutcome[] = []): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx("job").where({ id }).update(counts);
    const rows = told.map(({ sopInstanceUid, state, status, error }) => ({
      job_id: id,
      sop_instance_uid: sopInstanceUid,
      state,
      attempts: 1,
      status,
      error,
    }));
    for (let from = 0; from < rows.length; from += rowsAtOnce) {
      await trx("job_item").insert(rows.slice(from, from + rowsAtOnce));
    }
  });
}

async function finishJob(knex: Knex, id: number, holder: string, result?: object): Promise<boolean> {
  return knex.transaction(async (trx) => {
    const job: { failed: number; total: number } | undefined = await held(trx, id, holder)
      .forUpdate()
      .first("failed", "total");
    if (!job) return false;
    const left: unknown = await trx("job_item").where({ job_id: id, state: "pending" }).first("id");
    if (left !== undefined) {
      await trx("job")
        .where({ id })
        .update({ ...queued(trx), attempts: 0, next_attempt_at: trx.fn.now() });
      return true;
    }
    const { failed, total } = job;
    const fault = failed > 0 ? toFault(`${failed} of ${total} instances were not transferred.`) : noFault;
    await trx("job")
      .where({ id })
      .update({
        ...unheld,
        ...fault,
        state: failed > 0 ? "failed" : "succeeded",
        ...(result && { result: JSON.stringify(result) }),
        finished_at: trx.fn.now(),
      });
    return true;
  });
}

const noFault = { error_code: null, error: null };
const toFault = (error: string, error_code = "instances-failed") => ({ error_code, error });

async function failJob(knex: Knex, id: number, holder: string, fault: JobFault, result?: object): Promise<boolean> {
  return knex.transaction(async (trx) => {
    const job: unknown = await held(trx, id, holder).forUpdate().first("id");
    if (job === undefined) return false;
    await endFailed(trx, id, fault);
    if (result)
      await trx("job")
        .where({ id })
        .update({ result: JSON.stringify(result) });
    return true;
  });
}

async function endFailed(trx: Knex.Transaction, id: number, { code, sentence }: JobFault): Promise<void> {
  const failed: number = await trx("job_item")
    .where({ job_id: id, state: "pending" })
    .update({ state: "failed", error: trx.raw("coalesce(error, ?)", [sentence]) });
  await trx("job")
    .where({ id })
    .update({
      ...unheld,
      ...toFault(sentence, code),
      state: "failed",
      failed: trx.raw("failed + ?", [failed]),
      finished_at: trx.fn.now(),
    });
}

async function postponeJob(
  knex: Knex,
  id: number,
  holder: string,
  fault: JobFault,
  seconds: number,
): Promise<"queued" | "failed" | "lost"> {
  return knex.transaction(async (trx) => {
    const job: { over: boolean } | undefined = await held(trx, id, holder)
      .forUpdate()
      .first(trx.raw("now() >= tried_since + make_interval(secs => retry_seconds) as over"));
    if (!job) return "lost";
    if (job.over) {
      await endFailed(trx, id, fault);
      return "failed";
    }
    await trx("job")
      .where({ id })
      .update({
        ...queued(trx),
        ...toFault(fault.sentence, fault.code),
        next_attempt_at: trx.raw("now() + make_interval(secs => ?)", [seconds]),
      });
    return "queued";
  });
}

async function peerFailed(
  knex: Knex,
  peer: string,
  { code, sentence }: JobFault,
  delay: (failures: number) => number,
): Promise<void> {
  await knex.transaction(async (trx) => {
    const { rows }: { rows: { failures: number }[] } = await trx.raw(
      `insert into peer_fault as known (peer, failures, next_attempt_at, error_code, error)
       values (:peer, 1, now(), :code, :sentence)
       on conflict (peer) do update set failures = known.failures + 1, error_code = :code, error = :sentence, last_at = now()
       returning failures`,
      { peer, code, sentence },
    );
    const seconds = delay(rows[0]?.failures ?? 1);
    await trx("peer_fault")
      .where({ peer })
      .update({ next_attempt_at: trx.raw("now() + make_interval(secs => ?)", [seconds]) });
  });
}
