/** Jobs as those who do them see them: taking one, keeping it, and noting what became of it. */
import type { Knex } from "knex";
import { failJob, finishJob, held, type JobFault, postponeJob, queued, unheld } from "./catalog-job-ends.ts";
import {
  type ItemOutcome,
  type ItemPosition,
  type JobCounts,
  noteCounts,
  noteItems,
  type PendingItem,
  pendingItems,
  type PendingKind,
  pendingKinds,
  type ToldOutcome,
} from "./catalog-job-items.ts";
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

/** What is asked of a job that runs. */
export interface HeldJob {
  readonly isCancelled: boolean;
  readonly isPaused: boolean;
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

/** Every method throws ArchiveError `database-unavailable`. False: the job is this process's no more. */
export interface JobRunCatalog {
  /** Takes the job that is due next; undefined when there is none. */
  take(options: TakeOptions): Promise<TakenJob | undefined>;
  /**
   * Renews the leases of `holder` on the jobs that it runs; those of them that it has still, and whether they are to be
   * cancelled, or to wait since their rule of forwarding was disabled. One whose end could not be noted is not renewed: it is done again.
   */
  renew(holder: string, ids: readonly number[], leaseSeconds: number): Promise<ReadonlyMap<number, HeldJob>>;
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

/** The jobs that are to be done, over an open pool. */
export function createJobRunCatalog(knex: Knex): JobRunCatalog {
  return {
    take: (options) => databaseError(() => takeJob(knex, options)),
    renew: (holder, ids, leaseSeconds) => databaseError(() => renewLeases(knex, holder, ids, leaseSeconds)),
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
    and (rule_id is null or rule_id not in (select id from forwarding_rule where not enabled))
  order by priority desc, next_attempt_at, id limit 1`;

/** Who takes holds it, so that no peer gets more than its jobs. */
const takeLock = "select pg_advisory_xact_lock(hashtextextended('noctis/jobs/take', 0))";

async function takeJob(
  knex: Knex,
  { holder, kinds, perPeer, leaseSeconds }: TakeOptions,
): Promise<TakenJob | undefined> {
  await endAbandoned(knex);
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

/** Ends jobs that were to be cancelled when the process that ran them died: whoever took one would send some more. */
async function endAbandoned(knex: Knex): Promise<void> {
  await knex("job")
    .where({ state: "running", cancel_requested: true })
    .whereRaw("lease_until < now()")
    .update({ ...unheld, state: "cancelled", finished_at: knex.fn.now() });
}

async function renewLeases(
  knex: Knex,
  holder: string,
  ids: readonly number[],
  leaseSeconds: number,
): Promise<ReadonlyMap<number, HeldJob>> {
  const rows: (HeldJob & { id: number })[] = await knex("job")
    .where({ lease_holder: holder, state: "running" })
    .whereIn("id", [...ids])
    .update({ lease_until: knex.raw("now() + make_interval(secs => ?)", [leaseSeconds]) })
    .returning([
      "id",
      knex.raw('cancel_requested as "isCancelled"'),
      knex.raw('coalesce(rule_id in (select id from forwarding_rule where not enabled), false) as "isPaused"'),
    ]);
  return new Map(rows.map(({ id, ...state }) => [id, state]));
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
