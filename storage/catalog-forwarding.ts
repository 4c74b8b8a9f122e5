/** Rules of forwarding as rows, and how far each has come. */
import type { Knex } from "knex";
import { ArchiveError } from "../server/errors.ts";
import { databaseError } from "./database-error.ts";
import { codeOf } from "./error-code.ts";
import { forwardChanges, type ForwardedStep, type ForwardingStep } from "./catalog-forwarding-step.ts";
import { type JobPriority, priorityOf, rankOf } from "./catalog-job-add.ts";

/** What an operator says of a rule. Titles and doors are patterns, with * and ?; null: any. */
export interface ForwardingDefinition {
  readonly name: string;
  /** Of a search for instances, as a URL has it; empty: every instance. */
  readonly match: string;
  /** Doors through which instances come. */
  readonly origins: readonly string[] | null;
  /** AE titles of the applications that send. */
  readonly sendingAeTitles: readonly string[] | null;
  /** Of those whose instances are not forwarded. */
  readonly exceptSendingAeTitles: readonly string[] | null;
  /** By which this application was called. */
  readonly receivingAeTitles: readonly string[] | null;
  /** Name of a peer. */
  readonly destination: string;
  readonly priority: JobPriority;
  readonly quietSeconds: number;
  readonly retrySeconds: number;
  readonly enabled: boolean;
}

/** A rule as it stands. */
export interface ForwardingRule extends ForwardingDefinition {
  readonly id: number;
  /** Sequence of the last change that was looked at. */
  readonly cursor: number;
  /** The last change that was forgotten before it was looked at. */
  readonly missedUpTo: number | null;
  /** Why changes cannot be looked at. */
  readonly fault: string | null;
  readonly createdAt: Date;
  readonly changedAt: Date;
}

/** How a rule goes. */
export interface ForwardingState {
  /** Changes that were not looked at yet; 100,000 at most are counted. */
  readonly behind: number;
  /** Jobs that have not ended, and instances of theirs that are still to be sent. */
  readonly openJobs: number;
  readonly waiting: number;
  /** When the oldest of these jobs was added. */
  readonly oldestAt: Date | null;
  /** Jobs that are kept which failed, and instances that they did not send. */
  readonly failedJobs: number;
  readonly failed: number;
  /** Instances that were sent by jobs that are kept. */
  readonly sent: number;
  /** The last fault of the destination, when it was last tried in vain; null: the last time it was not in vain. */
  readonly lastFault: {
    readonly code: string;
    readonly sentence: string;
    readonly at: Date;
    readonly nextAttemptAt: Date;
  } | null;
}

/** Every method throws ArchiveError `database-unavailable` when PostgreSQL does not answer. */
export interface ForwardingCatalog {
  /** Adds a rule that looks at changes behind `cursor`. @throws ArchiveError `forwarding-rule-exists` */
  add(rule: ForwardingDefinition, cursor: number): Promise<void>;
  /** Changes a rule, and where it goes on when `cursor` is given; false when it is not there. @throws as `add` */
  change(name: string, rule: ForwardingDefinition, cursor?: number): Promise<boolean>;
  /** Removes a rule, and cancels its jobs; false when it is not there. */
  remove(name: string): Promise<boolean>;
  list(): Promise<readonly ForwardingRule[]>;
  find(name: string): Promise<ForwardingRule | undefined>;
  stateOf(rule: ForwardingRule): Promise<ForwardingState>;
  /** Queues the failed jobs of a rule again, and has its destination tried at once; tells how many jobs. */
  retry(rule: ForwardingRule): Promise<number>;
  /** Enabled rules that have not looked at change `last` yet. */
  due(last: number): Promise<readonly ForwardingRule[]>;
  /** Has a rule look at the next changes; undefined when another process is at it, or the rule has changed. */
  step(rule: ForwardingRule, step: ForwardingStep): Promise<ForwardedStep | undefined>;
  /** Notes why a rule cannot look at changes; null: it can. */
  noteFault(id: number, fault: string | null): Promise<void>;
}

const columns = {
  id: "id",
  name: "name",
  match: "match",
  origins: "origins",
  sendingAeTitles: "sending_ae_titles",
  exceptSendingAeTitles: "except_sending_ae_titles",
  receivingAeTitles: "receiving_ae_titles",
  destination: "destination",
  rank: "priority",
  quietSeconds: "quiet_seconds",
  retrySeconds: "retry_seconds",
  enabled: "enabled",
  cursor: "cursor",
  missedUpTo: "missed_up_to",
  fault: "fault",
  createdAt: "created_at",
  changedAt: "changed_at",
};

type RuleRow = Omit<ForwardingRule, "priority"> & { readonly rank: number };

function toRule({ rank, ...rule }: RuleRow): ForwardingRule {
  return { ...rule, priority: priorityOf(rank) };
}

function toRow(rule: ForwardingDefinition) {
  return {
    name: rule.name,
    match: rule.match,
    origins: rule.origins && [...rule.origins],
    sending_ae_titles: rule.sendingAeTitles && [...rule.sendingAeTitles],
    except_sending_ae_titles: rule.exceptSendingAeTitles && [...rule.exceptSendingAeTitles],
    receiving_ae_titles: rule.receivingAeTitles && [...rule.receivingAeTitles],
    destination: rule.destination,
    priority: rankOf(rule.priority),
    quiet_seconds: rule.quietSeconds,
    retry_seconds: rule.retrySeconds,
    enabled: rule.enabled,
  };
}

/** The rules over an open pool. */
export function createForwardingCatalog(knex: Knex): ForwardingCatalog {
  const rules = (): Knex.QueryBuilder<object, RuleRow[]> => knex("forwarding_rule").orderBy("id").select(columns);
  return {
    add: (rule, cursor) =>
      databaseError(() => named(knex("forwarding_rule").insert({ ...toRow(rule), cursor }))).then(() => undefined),
    change: (name, rule, cursor) =>
      databaseError(async () => {
        const changed = { ...toRow(rule), fault: null, changed_at: knex.fn.now() };
        const again = cursor === undefined ? {} : { cursor, missed_up_to: null };
        const count: number = await named(
          knex("forwarding_rule")
            .where({ name })
            .update({ ...changed, ...again }),
        );
        return count > 0;
      }),
    remove: (name) => databaseError(() => removeRule(knex, name)),
    list: () => databaseError(async () => (await rules()).map(toRule)),
    find: (name) =>
      databaseError(async () => {
        const [row] = await rules().where({ name });
        return row && toRule(row);
      }),
    stateOf: (rule) => databaseError(() => stateOf(knex, rule)),
    retry: (rule) => databaseError(() => retryFailed(knex, rule)),
    due: (last) =>
      databaseError(async () => (await rules().where("cursor", "<", last).where({ enabled: true })).map(toRule)),
    step: (rule, step) => databaseError(() => forwardChanges(knex, rule, step)),
    noteFault: (id, fault) =>
      databaseError(async () => void (await knex("forwarding_rule").where({ id }).update({ fault }))),
  };
}

const mostCounted = 100_000;
const uniqueViolation = "23505";

async function named<Result>(query: PromiseLike<Result>): Promise<Result> {
  try {
    return await query;
  } catch (cause) {
    if (codeOf(cause) !== uniqueViolation) throw cause;
    throw new ArchiveError("forwarding-rule-exists", "There is another rule of that name.", { cause });
  }
}

async function removeRule(knex: Knex, name: string): Promise<boolean> {
  return knex.transaction(async (trx) => {
    const [removed]: { id: number }[] = await trx("forwarding_rule").where({ name }).delete(["id"]);
    if (!removed) return false;
    // In one statement: an attempt that ends meanwhile makes a job that runs one that is queued.
    await trx("job")
      .where({ rule_id: removed.id })
      .whereIn("state", ["queued", "running"])
      .update({
        cancel_requested: true,
        rule_id: null,
        state: trx.raw("case when state = 'queued' then 'cancelled' else state end"),
        finished_at: trx.raw("case when state = 'queued' then now() end"),
      });
    return true;
  });
}

async function stateOf(knex: Knex, { id, cursor, destination }: ForwardingRule): Promise<ForwardingState> {
  const { rows }: { rows: Omit<ForwardingState, "lastFault">[] } = await knex.raw(
    `select (select count(*) from (
           select 1 from change where sequence > :cursor or sequence is null limit :most) as next) as behind,
       count(*) filter (where open) as "openJobs",
       coalesce(sum(total - completed - failed - warning) filter (where open), 0)::bigint as waiting,
       min(created_at) filter (where open) as "oldestAt",
       count(*) filter (where state = 'failed') as "failedJobs",
       coalesce(sum(failed), 0)::bigint as failed,
       coalesce(sum(completed + warning), 0)::bigint as sent
     from (select *, state in ('queued', 'running') as open from job where rule_id = :id) as job`,
    { id, cursor, most: mostCounted },
  );
  const [counts] = rows;
  if (!counts) throw new Error("an aggregate returned nothing");
  const fault: { code: string; sentence: string; at: Date; nextAttemptAt: Date } | undefined = await knex("peer_fault")
    .where({ peer: destination })
    .first({ code: "error_code", sentence: "error", at: "last_at", nextAttemptAt: "next_attempt_at" });
  return { ...counts, lastFault: fault ?? null };
}

async function retryFailed(knex: Knex, { id, destination }: ForwardingRule): Promise<number> {
  return knex.transaction(async (trx) => {
    await trx("peer_fault").where({ peer: destination }).delete();
    const jobs: { id: number }[] = await trx("job").where({ rule_id: id, state: "failed" }).forUpdate().select("id");
    // One binding, however many there are after a destination was away for long.
    const ids = [jobs.map((job) => job.id)];
    await trx("job_item")
      .whereRaw("job_id = any (?::bigint[])", ids)
      .where({ state: "failed" })
      .update({ state: "pending", attempts: 0 });
    const again = { attempts: 0, crashes: 0, tried_since: null, next_attempt_at: trx.fn.now() };
    const cleared = { failed: 0, cancel_requested: false, error_code: null, error: null, finished_at: null };
    await trx("job")
      .whereRaw("id = any (?::bigint[])", ids)
      .update({ ...again, ...cleared, state: "queued" });
    await trx("job").where({ rule_id: id, state: "queued" }).update({ next_attempt_at: trx.fn.now() });
    return jobs.length;
  });
}
