/** One step of a rule of forwarding: what came since the last one becomes items of sends, in the transaction that moves on. */
import type { Knex } from "knex";
import type { Condition } from "./catalog-match.ts";
import { all, any, type Sql } from "./catalog-sql.ts";
import { conditionSql, restricted } from "./catalog-where.ts";

/** What a rule means now. */
export interface ForwardingStep {
  /** On studies, series and instances. */
  readonly conditions: readonly Condition[];
  /** AE title of the destination, to which nothing goes back that came from it. */
  readonly destinationAeTitle?: string | undefined;
  /** Changes that are looked at. */
  readonly limit: number;
}

export interface ForwardedStep {
  readonly changes: number;
  /** Instances that are to be sent. */
  readonly instances: number;
  /** The last change that was forgotten before it was looked at. */
  readonly missedUpTo?: number;
}

interface Matched {
  readonly study: string;
  readonly series: string;
  readonly instance: string;
}

/** A study that goes on to get instances is sent all the same after so many times the quiet that its rule waits for. */
const longestQuiet = 10;

/** The rule that a step was worked out from: `step` has what its match and its destination mean. */
export interface SteppedRule {
  readonly id: number;
  readonly match: string;
  readonly destination: string;
}

/** See `ForwardingCatalog.step`. The changes have their numbers already. */
export async function forwardChanges(
  knex: Knex,
  { id, match, destination }: SteppedRule,
  step: ForwardingStep,
): Promise<ForwardedStep | undefined> {
  return knex.transaction(async (trx) => {
    // One that was changed meanwhile would send what its former match means to its new destination.
    const rule: RuleRow | undefined = await trx("forwarding_rule")
      .where({ id, match, destination, enabled: true })
      .forUpdate()
      .skipLocked()
      .first();
    if (!rule) return undefined;
    const { rows }: { rows: { count: number; last: number | null }[] } = await trx.raw(
      `select count(*) as count, max(sequence) as last
       from (select sequence from change where sequence > ? order by sequence limit ?) as next`,
      [rule.cursor, step.limit],
    );
    const missedUpTo = await lastForgotten(trx, rule.cursor);
    const missed = missedUpTo === undefined ? {} : { missedUpTo };
    const [{ count, last } = { count: 0, last: null }] = rows;
    const upTo = last ?? missedUpTo;
    if (upTo === undefined) return { changes: 0, instances: 0 };
    const matched = last === null ? [] : await matchedInstances(trx, rule, step, last);
    if (matched.length > 0) await addToJobs(trx, rule, matched);
    await trx("forwarding_rule")
      .where({ id })
      .update({ cursor: upTo, fault: null, ...(missedUpTo !== undefined && { missed_up_to: missedUpTo }) });
    return { changes: count, instances: matched.length, ...missed };
  });
}

/** The columns of `forwarding_rule` that a step looks at. */
interface RuleRow {
  readonly id: number;
  readonly name: string;
  readonly origins: readonly string[] | null;
  readonly sending_ae_titles: readonly string[] | null;
  readonly except_sending_ae_titles: readonly string[] | null;
  readonly receiving_ae_titles: readonly string[] | null;
  readonly destination: string;
  readonly priority: number;
  readonly quiet_seconds: number;
  readonly retry_seconds: number;
  readonly cursor: number;
}

/** The last change behind `cursor` that is no longer kept; undefined when every one is. Numbers that a restore skipped are of none. */
async function lastForgotten(trx: Knex.Transaction, cursor: number): Promise<number | undefined> {
  const counter: { last_forgotten: number } | undefined = await trx("change_counter").first("last_forgotten");
  return counter && cursor < counter.last_forgotten ? counter.last_forgotten : undefined;
}

/** What came anew: a reindex brings back what was there, and so does the restoring of what was removed. */
const newcomer: Sql = {
  text: "change.action in ('create', 'update') and change.origin is distinct from 'reindex'",
  bindings: [],
};

async function matchedInstances(
  trx: Knex.Transaction,
  rule: RuleRow,
  { conditions, destinationAeTitle }: ForwardingStep,
  last: number,
): Promise<readonly Matched[]> {
  const sql = all([
    newcomer,
    ...patterns("change.origin", rule.origins),
    ...patterns("change.sending_ae_title", rule.sending_ae_titles),
    ...patterns("change.receiving_ae_title", rule.receiving_ae_titles),
    ...patterns("change.sending_ae_title", rule.except_sending_ae_titles).map(negated),
    ...(destinationAeTitle === undefined
      ? []
      : [{ text: "change.sending_ae_title is distinct from ?", bindings: [destinationAeTitle] }]),
    ...conditions.map(conditionSql),
  ]);
  const query = trx("change")
    .join("study", "study.study_instance_uid", "change.study_instance_uid")
    .joinRaw("join series on series.study_id = study.id and series.series_instance_uid = change.series_instance_uid")
    .joinRaw("join instance on instance.series_id = series.id and instance.sop_instance_uid = change.sop_instance_uid")
    .where("change.sequence", ">", rule.cursor)
    .where("change.sequence", "<=", last)
    .groupBy("change.study_instance_uid", "change.series_instance_uid", "change.sop_instance_uid")
    .orderByRaw("min(change.sequence)")
    .select({
      study: "change.study_instance_uid",
      series: "change.series_instance_uid",
      instance: "change.sop_instance_uid",
    });
  return restricted(query, sql);
}

function patterns(column: string, given: readonly string[] | null): readonly Sql[] {
  if (!given) return [];
  return [any(given.map((pattern) => ({ text: `${column} like ?`, bindings: [likeOf(pattern)] })))];
}

/** Also of what has no value, which fits no pattern. */
function negated({ text, bindings }: Sql): Sql {
  return { text: `(${text}) is not true`, bindings };
}

/** A pattern with * and ? as one of LIKE. */
function likeOf(pattern: string): string {
  return pattern
    .replaceAll(/[\\%_]/g, String.raw`\$&`)
    .replaceAll("*", "%")
    .replaceAll("?", "_");
}

/** Each study has one send that is open, which goes on to take instances while it runs. */
async function addToJobs(trx: Knex.Transaction, rule: RuleRow, matched: readonly Matched[]): Promise<void> {
  const byStudy = Map.groupBy(matched, ({ study }) => study);
  // Whoever ends a job holds its row: behind it the job is either open still, or another one is made.
  const open: { id: number; study: string }[] = await trx("job")
    .where({ rule_id: rule.id, peer: rule.destination, cancel_requested: false })
    .whereIn("state", ["queued", "running"])
    .whereIn("study_instance_uid", [...byStudy.keys()])
    .orderBy("id")
    .forUpdate()
    .select({ id: "id", study: "study_instance_uid" });
  const jobs = new Map(open.map(({ id, study }) => [study, id]));
  const missing = [...byStudy.keys()].filter((study) => !jobs.has(study));
  if (missing.length > 0) {
    const added: { id: number; study: string }[] = await trx("job").insert(
      missing.map((study) => ({
        kind: "send",
        peer: rule.destination,
        request: JSON.stringify({ kind: "send", studyInstanceUid: study }),
        priority: rule.priority,
        retry_seconds: rule.retry_seconds,
        rule_id: rule.id,
        rule: rule.name,
        study_instance_uid: study,
      })),
      ["id", "study_instance_uid as study"],
    );
    for (const { id, study } of added) jobs.set(study, id);
  }
  const items = matched.map(({ study, series, instance }) => ({ job: jobs.get(study), study, series, instance }));
  await trx.raw(
    `with added as (
       insert into job_item (job_id, study_instance_uid, series_instance_uid, sop_instance_uid, state)
       select job, study, series, instance, 'pending'
       from rows from (jsonb_to_recordset(:items::jsonb) as (job bigint, study text, series text, instance text))
         with ordinality
       order by ordinality
       returning job_id
     ), counted as (select job_id as id, count(*) as count from added group by job_id)
     update job set total = total + counted.count, next_attempt_at = case
         when state = 'queued' and attempts = 0
           then least(now() + make_interval(secs => :quiet), created_at + make_interval(secs => :longest))
         else next_attempt_at end
     from counted where job.id = counted.id`,
    { items: JSON.stringify(items), quiet: rule.quiet_seconds, longest: rule.quiet_seconds * longestQuiet },
  );
}
