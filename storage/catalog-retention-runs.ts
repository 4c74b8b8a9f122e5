/** Runs of retention: what was removed by which rule, written down by the transaction that removed it. */
import type { Knex } from "knex";
import type { RetentionRule } from "./catalog-retention-rules.ts";

/** A run of one rule that removed something, or met a fault. */
export interface RetentionRun {
  readonly id: number;
  readonly ruleId: number;
  readonly ruleName: string;
  readonly ruleRevision: number;
  readonly beganAt: Date;
  /** Null while it is under way, and when its process died. */
  readonly endedAt: Date | null;
  /** What it removed. */
  readonly studies: number;
  readonly instances: number;
  readonly bytes: number;
  /** Studies that it left, since a hold protects them. */
  readonly held: number;
  /** Studies that it left, since they changed before their turn. */
  readonly changed: number;
  /** What went wrong, in a sentence. */
  readonly fault: string | null;
}

/** A study that a run removed. */
export interface RetentionRemoval {
  readonly id: number;
  /** Of the removal, by which it can be restored for a while. */
  readonly removalId: number;
  readonly studyInstanceUid: string;
  readonly instances: number;
  readonly bytes: number;
  readonly at: Date;
}

/** How a run ended. */
export interface RunEnd {
  readonly held: number;
  readonly changed: number;
  readonly fault: string | null;
}

/** Begins a run. */
export async function beginRun(knex: Knex, rule: RetentionRule): Promise<number> {
  const [run]: { id: number }[] = await knex("retention_run").insert(
    { rule_id: rule.id, rule_name: rule.name, rule_revision: rule.revision },
    ["id"],
  );
  if (!run) throw new Error("an insert returned nothing");
  return run.id;
}

/** Ends a run; what it removed is taken off what a dry run has confirmed. */
export async function endRun(knex: Knex, id: number, { held, changed, fault }: RunEnd): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx("retention_run").where({ id }).update({ ended_at: trx.fn.now(), held, changed, fault });
    await trx.raw(
      `update retention_rule set confirmed_studies = greatest(0, confirmed_studies -
         (select count(*) from retention_removal where run_id = retention_run.id))
       from retention_run where retention_run.id = ? and retention_rule.id = retention_run.rule_id
         and retention_rule.revision = retention_run.rule_revision`,
      [id],
    );
  });
}

/** Takes the turn of a rule: false when it was run in the last `minutes`, or is not enabled as it was read. */
export async function takeTurn(knex: Knex, { id, revision }: RetentionRule, minutes: number): Promise<boolean> {
  const taken: number = await knex("retention_rule")
    .where({ id, revision, enabled: true })
    .whereRaw("(last_run_at is null or last_run_at <= now() - make_interval(mins => ?))", [minutes])
    .update({ last_run_at: knex.fn.now() });
  return taken > 0;
}

/**
 * Whether the rule of a run is enabled still, and as it was when the run began. In a transaction this stays so to its
 * end: who disables or changes the rule waits for it.
 */
export async function isUnderWay(knex: Knex, runId: number): Promise<boolean> {
  const found: unknown = await knex("retention_rule")
    .join("retention_run", "retention_run.rule_id", "retention_rule.id")
    .where("retention_run.id", runId)
    .where("enabled", true)
    .whereRaw("revision = rule_revision")
    .forShare("retention_rule")
    .first("retention_rule.id");
  return found !== undefined;
}

/** Writes down a study that is being removed, while its instances are there still. */
export async function noteRemoval(
  trx: Knex.Transaction,
  { runId, removalId, bytes }: { readonly runId: number; readonly removalId: number; readonly bytes: number },
): Promise<void> {
  await trx.raw(
    `insert into retention_removal (run_id, removal_id, study_instance_uid, instance_count, byte_length)
     select ?, id, study_instance_uid, instance_count, ? from removal where id = ?`,
    [runId, bytes, removalId],
  );
}

/** The bytes of the instances of series. */
export async function bytesOfSeries(trx: Knex.Transaction, seriesIds: readonly number[]): Promise<number> {
  const row: { bytes: number } | undefined = await trx("instance")
    .whereIn("series_id", [...seriesIds])
    .first(trx.raw("coalesce(sum(byte_length), 0)::bigint as bytes"));
  return row?.bytes ?? 0;
}

/** Which runs or removals to list. */
export interface RunPage {
  readonly limit: number;
  /** Only those whose id is lower. */
  readonly before: number;
}

/** Runs, newest first. */
export async function listRuns(knex: Knex, { limit, before }: RunPage): Promise<RetentionRun[]> {
  return runs(knex).where("retention_run.id", "<", before).orderBy("retention_run.id", "desc").limit(limit);
}

/** A run; undefined when it is not there. */
export async function findRun(knex: Knex, id: number): Promise<RetentionRun | undefined> {
  const [run]: RetentionRun[] = await runs(knex).where("retention_run.id", id);
  return run;
}

function runs(knex: Knex): Knex.QueryBuilder {
  return knex("retention_run")
    .joinRaw(
      `join lateral (
         select count(*) as studies, coalesce(sum(instance_count), 0)::bigint as instances,
           coalesce(sum(byte_length), 0)::bigint as bytes
         from retention_removal where run_id = retention_run.id) as removed on true`,
    )
    .select({
      id: "retention_run.id",
      ruleId: "rule_id",
      ruleName: "rule_name",
      ruleRevision: "rule_revision",
      beganAt: "began_at",
      endedAt: "ended_at",
      studies: "removed.studies",
      instances: "removed.instances",
      bytes: "removed.bytes",
      held: "held",
      changed: "changed",
      fault: "fault",
    });
}

/** What a run removed, the last first. */
export async function listRunRemovals(
  knex: Knex,
  runId: number,
  { limit, before }: RunPage,
): Promise<RetentionRemoval[]> {
  return knex("retention_removal")
    .where("run_id", runId)
    .where("id", "<", before)
    .orderBy("id", "desc")
    .limit(limit)
    .select({
      id: "id",
      removalId: "removal_id",
      studyInstanceUid: "study_instance_uid",
      instances: "instance_count",
      bytes: "byte_length",
      at: "at",
    });
}
