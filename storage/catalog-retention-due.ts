/** Which studies a rule of retention would remove: due by their age, found by its query, and held by nobody. */
import type { Knex } from "knex";
import { heldSql, type ReadStudyMatch, type StudyMatch, studyMatchSql } from "./catalog-held.ts";
import { all, boundValues, type Sql } from "./catalog-sql.ts";
import { restricted } from "./catalog-where.ts";

/** By what the age of a study is told. */
export type AgeBy = "StudyDate" | "stored";

/** When a study is due. */
export interface DueRule {
  readonly match: StudyMatch;
  /** A study without Study Date is as old as it is stored. */
  readonly ageBy: AgeBy;
  readonly olderThanDays: number;
  /** Days since it last got or lost an instance, at least. */
  readonly settledDays: number;
}

/** A study that is due. */
export interface DueStudy {
  readonly studyInstanceUid: string;
  readonly studyDate: string | null;
  /** When it last got or lost an instance. */
  readonly storedAt: string;
  readonly instances: number;
  readonly bytes: number;
}

/** How many studies, and how large they are. */
export interface Sum {
  readonly studies: number;
  readonly instances: number;
  readonly bytes: number;
}

/** What a rule would do now. */
export interface DuePlan {
  /** Every study that is found and due, whether a hold protects it or not. */
  readonly due: Sum;
  /** Those that would be removed. */
  readonly removed: Sum;
  /** Those that a hold protects. */
  readonly held: Sum;
  /** The first of those that would be removed, the oldest first. */
  readonly studies: readonly DueStudy[];
  /** The first of those that a hold protects. */
  readonly heldStudies: readonly (DueStudy & { readonly id: number })[];
}

/** How long (milliseconds) a plan may take: it looks at every study. */
const planTime = 15 * 60_000;

/** When the study last got or lost an instance: `stored.at`. */
const storedAt = `join lateral (
  select max(series.updated_at) as at, sum(series.instance_count)::bigint as instances
  from series where series.study_id = study.id) as stored on stored.at is not null`;

/** The day that the age of `study` is counted from; of a study with a date that is later than its days. */
const ageKey: Readonly<Record<AgeBy, string>> = {
  StudyDate: "coalesce(study.study_date::timestamp, stored.at at time zone 'utc')",
  stored: "(stored.at at time zone 'utc')",
};

/** `study` is found by the rule and due; beside `storedAt`. */
function dueSql({ match, ageBy, olderThanDays, settledDays }: DueRule): Sql {
  const today = "(now() at time zone 'utc')::date";
  const byDate = `(study.study_date < ${today} - ?::int or (study.study_date is null and stored.at < now() - make_interval(days => ?)))`;
  const byStored = "stored.at < now() - make_interval(days => ?)";
  return all([
    studyMatchSql(match, "every"),
    ageBy === "stored"
      ? { text: byStored, bindings: [olderThanDays] }
      : { text: byDate, bindings: [olderThanDays, olderThanDays] },
    { text: byStored, bindings: [settledDays] },
  ]);
}

/** Whether a study whose row and series the transaction has locked is found and due still. */
export async function isDue(trx: Knex.Transaction, rule: DueRule, studyId: number): Promise<boolean> {
  const found: unknown = await restricted(
    trx("study").joinRaw(storedAt).where("study.id", studyId),
    dueSql(rule),
  ).first(trx.raw("1"));
  return found !== undefined;
}

/** What to plan. */
export interface PlanRequest {
  readonly rule: DueRule;
  /** Bytes to be had back: the oldest studies until they are enough; absent: every study that is due. */
  readonly needBytes?: number | undefined;
  /** Studies that are told one by one, at most. */
  readonly limit: number;
}

/** What a rule would do now. */
export async function planDue(knex: Knex, request: PlanRequest, read?: ReadStudyMatch): Promise<DuePlan> {
  const { rule, needBytes = null, limit } = request;
  return knex.transaction(async (trx) => {
    await trx.raw(`set local statement_timeout = ${planTime}`);
    const held = await heldSql(trx, read);
    const found = restricted(trx("study").joinRaw(storedAt), dueSql(rule)).select(
      "study.id",
      "study.study_instance_uid",
      "study.study_date",
      trx.raw("stored.at as stored_at"),
      "stored.instances",
      trx.raw(`${ageKey[rule.ageBy]} as age_key`),
      trx.raw(`${held.text} as held`, boundValues(held)),
      trx.raw(`(select coalesce(sum(byte_length), 0)::bigint from instance join series on series.id = series_id
        where series.study_id = study.id) as bytes`),
    );
    const row: { plan: DuePlan } | undefined = await trx
      .with("due", found)
      .with(
        "chosen",
        trx.raw(
          `select * from (
             select due.*, sum(bytes) over (order by age_key, id) - bytes as before from due where not held
           ) as ordered where ?::bigint is null or before < ?::bigint`,
          [needBytes, needBytes],
        ),
      )
      .first(trx.raw(`${planSql} as plan`, [limit, limit]));
    if (!row) throw new Error("a select returned nothing");
    return row.plan;
  });
}

const studyJson = `jsonb_build_object('id', id, 'studyInstanceUid', study_instance_uid, 'studyDate', study_date,
  'storedAt', stored_at, 'instances', instances, 'bytes', bytes)`;

function sumSql(from: string): string {
  return `(select jsonb_build_object('studies', count(*), 'instances', coalesce(sum(instances), 0),
    'bytes', coalesce(sum(bytes), 0)) from ${from})`;
}

function listSql(from: string): string {
  return `(select coalesce(jsonb_agg(${studyJson} order by age_key, id), '[]')
    from (select * from ${from} order by age_key, id limit ?) as listed)`;
}

const planSql = `jsonb_build_object(
  'due', ${sumSql("due")}, 'removed', ${sumSql("chosen")}, 'held', ${sumSql("due where held")},
  'studies', ${listSql("chosen")}, 'heldStudies', ${listSql("due where held")})`;
