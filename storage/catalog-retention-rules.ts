/** The rules of retention as rows. A change raises the revision and disables the rule until it has been run dry. */
import type { Knex } from "knex";
import { ArchiveError } from "../server/errors.ts";
import type { AgeBy } from "./catalog-retention-due.ts";

/** While less than `below` is free, studies are removed until `until` is. */
export interface SpaceCondition {
  /** `gigabytes`: of 1,000,000,000 bytes. */
  readonly unit: "percent" | "gigabytes";
  readonly below: number;
  readonly until: number;
}

/** What an operator says of a rule. */
export interface RuleDefinition {
  readonly name: string;
  /** Of a search, as a URL has it; empty: every study. */
  readonly match: string;
  readonly ageBy: AgeBy;
  readonly olderThanDays: number;
  readonly settledDays: number;
  /** Null: studies are removed as soon as they are old enough. */
  readonly space: SpaceCondition | null;
}

/** A rule as it stands. */
export interface RetentionRule extends RuleDefinition {
  readonly id: number;
  readonly enabled: boolean;
  readonly revision: number;
  /** When this revision was last run dry; null: never. */
  readonly dryRunAt: Date | null;
  /** Studies that may be removed without regard to the largest share of a run. */
  readonly confirmedStudies: number;
  /** Why the server has disabled it; null: it has not. */
  readonly stopped: string | null;
  readonly createdAt: Date;
  readonly changedAt: Date;
  readonly lastRunAt: Date | null;
}

/** Each is run every hour. */
const mostRules = 100;

const columns = {
  id: "id",
  name: "name",
  match: "match",
  ageBy: "age_by",
  olderThanDays: "older_than_days",
  settledDays: "settled_days",
  unit: "space_unit",
  below: "space_below",
  until: "space_until",
  enabled: "enabled",
  revision: "revision",
  dryRunAt: "dry_run_at",
  confirmedStudies: "confirmed_studies",
  stopped: "stopped",
  createdAt: "created_at",
  changedAt: "changed_at",
  lastRunAt: "last_run_at",
};

interface RuleRow extends Omit<RetentionRule, "space"> {
  readonly unit: SpaceCondition["unit"] | null;
  readonly below: number | null;
  readonly until: number | null;
}

function toRule({ unit, below, until, ...rule }: RuleRow): RetentionRule {
  return { ...rule, space: unit === null || below === null || until === null ? null : { unit, below, until } };
}

function toRow({ name, match, ageBy, olderThanDays, settledDays, space }: RuleDefinition) {
  return {
    name,
    match,
    age_by: ageBy,
    older_than_days: olderThanDays,
    settled_days: settledDays,
    space_unit: space?.unit ?? null,
    space_below: space?.below ?? null,
    space_until: space?.until ?? null,
  };
}

/** Adds a rule, disabled. @throws ArchiveError `retention-rule-exists`, `too-many-retention-rules` */
export async function addRule(knex: Knex, definition: RuleDefinition): Promise<RetentionRule> {
  return knex.transaction(async (trx) => {
    const [added]: { id: number }[] = await named(trx("retention_rule").insert(toRow(definition), ["id"]));
    const rules = await listRules(trx);
    if (rules.length > mostRules) {
      throw new ArchiveError("too-many-retention-rules", `There are ${mostRules} rules already: remove one first.`);
    }
    const rule = rules.find(({ id }) => id === added?.id);
    if (!rule) throw new Error("an insert returned nothing");
    return rule;
  });
}

/** Every rule, the oldest first. */
export async function listRules(knex: Knex): Promise<RetentionRule[]> {
  const rows: RuleRow[] = await knex("retention_rule").orderBy("id").select(columns);
  return rows.map(toRule);
}

/** A rule; undefined when it is not there. */
export async function findRule(knex: Knex, id: number): Promise<RetentionRule | undefined> {
  const row: RuleRow | undefined = await knex("retention_rule").where({ id }).first(columns);
  return row && toRule(row);
}

/** Changes a rule, which is disabled by that; false when it is not there. @throws ArchiveError `retention-rule-exists` */
export async function changeRule(knex: Knex, id: number, definition: RuleDefinition): Promise<boolean> {
  const changed: number = await named(
    knex("retention_rule")
      .where({ id })
      .update({
        ...toRow(definition),
        revision: knex.raw("revision + 1"),
        enabled: false,
        dry_run: null,
        dry_run_at: null,
        dry_run_studies: null,
        confirmed_studies: 0,
        stopped: null,
        changed_at: knex.fn.now(),
      }),
  );
  return changed > 0;
}

/** Removes a rule; false when it is not there. What it did is remembered. */
export async function removeRule(knex: Knex, id: number): Promise<boolean> {
  const removed: number = await knex("retention_rule").where({ id }).delete();
  return removed > 0;
}

/** Notes that a revision was run dry; the token that enables it, undefined when the rule has changed since. */
export async function noteDryRun(
  knex: Knex,
  { id, revision }: Pick<RetentionRule, "id" | "revision">,
  studies: number,
): Promise<string | undefined> {
  const [noted]: { dry_run: string }[] = await knex("retention_rule")
    .where({ id, revision })
    .update({ dry_run: knex.raw("gen_random_uuid()"), dry_run_at: knex.fn.now(), dry_run_studies: studies }, [
      "dry_run",
    ]);
  return noted?.dry_run;
}

/** Enables a rule by the token of a dry run of the last `hours`; false when it is none of this revision. */
export async function enableRule(knex: Knex, id: number, token: string, hours: number): Promise<boolean> {
  const enabled: number = await knex("retention_rule")
    .where({ id, dry_run: token })
    .whereRaw("dry_run_at > now() - make_interval(hours => ?)", [hours])
    .update({ enabled: true, stopped: null, confirmed_studies: knex.raw("dry_run_studies") });
  return enabled > 0;
}

/** Disables a rule, for the reason given when the server does it; false when it is not there. */
export async function disableRule(knex: Knex, id: number, stopped: string | null = null): Promise<boolean> {
  const disabled: number = await knex("retention_rule")
    .where({ id })
    .update({ enabled: false, dry_run: null, confirmed_studies: 0, stopped });
  return disabled > 0;
}

/** PostgreSQL (Appendix A). */
const uniqueViolation = "23505";

async function named<Result>(query: PromiseLike<Result>): Promise<Result> {
  try {
    return await query;
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === uniqueViolation)) throw cause;
    throw new ArchiveError("retention-rule-exists", "There is another rule of that name.", { cause });
  }
}
