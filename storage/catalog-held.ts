/** What holds protect: looked up by every transaction that removes, while no hold can be placed. */
import type { Knex } from "knex";
import { ArchiveError } from "../server/errors.ts";
import type { Condition } from "./catalog-match.ts";
import { all, any, type Sql } from "./catalog-sql.ts";
import { conditionSql, restricted } from "./catalog-where.ts";

/**
 * Reads the query of a hold: conditions on a study, and conditions of which some series of it must meet all.
 * What it throws counts as a hold on everything, and so does that there is none: what cannot be read is not removed.
 */
export type ReadStudyMatch = (query: string) => StudyMatch;

/** Which studies are meant. */
export interface StudyMatch {
  readonly ofStudy: readonly Condition[];
  /** On the series; none: whatever its series are. */
  readonly ofSeries: readonly Condition[];
}

/** A hold that is in force. */
export const inForce = "hold.released_at is null and (hold.until is null or hold.until > now())";

/** A hold that names `study`, or its patient. */
export const namesStudy = `(hold.study_instance_uid = study.study_instance_uid
  or (hold.patient_id = study.patient_id
    and (hold.issuer_of_patient_id is null or hold.issuer_of_patient_id = study.issuer_of_patient_id)))`;

/**
 * Holds on patients, with the studies in which instances say that they are that patient's while the study is another's
 * (storage/catalog-conflicts.ts): images that came under a wrong study are protected where they are.
 */
const heldByInstances = `from conflict as said
  join hold on hold.patient_id = said.instance_value and said.attribute = 'PatientID'`;

/** Ids of studies that a hold which meets `condition` protects for what their instances say. */
export function saidToBeHeld(condition: string): string {
  return `(select said.study_id ${heldByInstances} where ${condition})`;
}

/** A hold, as far as a refusal names it. */
export interface HoldName {
  readonly id: number;
  readonly reason: string;
  readonly until: Date | null;
}

/** What is asked about: a study that is there, or one as a removal took it. */
export type HeldThing = { readonly studyId: number } | { readonly removalId: number };

/**
 * Until the end of the transaction no hold is placed: one that was placed before is seen, and one that is placed later
 * waits. To be asked for behind the locks of study and series.
 */
export async function lockHolds(trx: Knex.Transaction): Promise<void> {
  await trx.raw("lock table hold in share mode");
}

/** A hold that protects `thing`, the oldest; undefined when none does. */
export async function holdOn(knex: Knex, thing: HeldThing, read?: ReadStudyMatch): Promise<HoldName | undefined> {
  const studies = () => ("studyId" in thing ? knex("study").where("study.id", thing.studyId) : asRemoved(knex, thing));
  const named: HoldName | undefined = await studies()
    .joinRaw(`join hold on ${inForce} and ${namesStudy}`)
    .orderBy("hold.id")
    .first({ id: "hold.id", reason: "hold.reason", until: "hold.until" });
  if (named) return named;
  if ("studyId" in thing) {
    const said: { readonly rows: readonly HoldName[] } = await knex.raw(
      `select hold.id, reason, until ${heldByInstances} where said.study_id = ? and ${inForce} order by hold.id limit 1`,
      [thing.studyId],
    );
    if (said.rows[0]) return said.rows[0];
  }
  for (const { query, ...hold } of await queryHolds(knex)) {
    const found: unknown = await restricted(studies(), heldByQuery(query, read)).first(knex.raw("1"));
    if (found !== undefined) return hold;
  }
  return undefined;
}

/** @throws ArchiveError `held`, naming the hold that protects `thing` */
export async function refuseHeld(trx: Knex.Transaction, thing: HeldThing, read?: ReadStudyMatch): Promise<void> {
  await lockHolds(trx);
  const hold = await holdOn(trx, thing, read);
  if (hold) throw held(hold);
}

/** The error that names `hold`. */
export function held(hold: HoldName): ArchiveError {
  return new ArchiveError("held", `${holdSentence(hold)} Nothing of the study is removed before the hold is released.`);
}

/** One sentence that names a hold. */
export function holdSentence({ id, reason, until }: HoldName): string {
  const end = until === null ? "" : ` until ${until.toISOString()}`;
  return `Hold ${id} (${reason}) protects the study${end}.`;
}

/**
 * The condition that a hold protects `study`, for lists of many studies: true or false, and never null, as that of an
 * absent attribute is. Each list of what is held is made once.
 */
export async function heldSql(knex: Knex, read?: ReadStudyMatch): Promise<Sql> {
  const listed = (column: string) => `study.${column} in (
    select hold.${column} from hold where ${inForce} and hold.${column} is not null)`;
  const ofPatient = `(${listed("patient_id")} and exists (select from hold where ${inForce} and ${namesStudy}))`;
  const { text, bindings } = any([
    { text: listed("study_instance_uid"), bindings: [] },
    { text: ofPatient, bindings: [] },
    { text: `study.id in ${saidToBeHeld(inForce)}`, bindings: [] },
    ...(await queryHolds(knex)).map(({ query }) => heldByQuery(query, read)),
  ]);
  return { text: `(${text} is true)`, bindings };
}

/** The condition that `match` finds `study`: `some` series of it meets what is asked of series, or `every` one does. */
export function studyMatchSql({ ofStudy, ofSeries }: StudyMatch, series: "some" | "every"): Sql {
  const own = ofStudy.map(conditionSql);
  if (ofSeries.length === 0) return all(own);
  const met = all(ofSeries.map(conditionSql));
  const from = "exists (select from series where series.study_id = study.id and";
  const some = { text: `${from} ${met.text})`, bindings: met.bindings };
  const other = { text: `not ${from} ${met.text} is not true)`, bindings: met.bindings };
  return all([...own, series === "some" ? some : other]);
}

const everything: Sql = { text: "true", bindings: [] };

async function queryHolds(knex: Knex): Promise<(HoldName & { readonly query: string })[]> {
  return knex("hold")
    .whereNotNull("query")
    .whereRaw(inForce)
    .orderBy("id")
    .select({ id: "id", reason: "reason", until: "until", query: "query" });
}

/** The condition that the query of a hold finds `study`. */
export function heldByQuery(query: string, read?: ReadStudyMatch): Sql {
  try {
    if (!read) return everything;
    return studyMatchSql(read(query), "some");
  } catch {
    return everything;
  }
}

/**
 * Rows of `study`: the one that a removal took, and the one of its UID that is there; the tables below hold everything
 * that the study has or had. Names of expressions hide those of the tables, so that any condition can be asked of them.
 */
function asRemoved(knex: Knex, { removalId }: { readonly removalId: number }): Knex.QueryBuilder {
  const raw = (sql: string) => knex.raw(sql, { removalId });
  const uid = "(select study_instance_uid from removal where id = :removalId)";
  const liveStudy = `(select id from study where study_instance_uid = ${uid})`;
  // Each expression sees the tables that no expression before it has hidden.
  return knex
    .with(
      "instance",
      raw(`
        select (jsonb_populate_record(null::instance, (instance -> 'columns') || jsonb_build_object(
          'id', -removed_instance.id, 'series_id', -removed_series_id, 'sop_instance_uid', sop_instance_uid,
          'attributes', instance -> 'attributes'))).*
        from removed_instance join removed_series on removed_series.id = removed_series_id
        where removed_series.study ->> 'uid' = ${uid}
        union all
        select instance.* from instance join series on series.id = series_id where study_id = ${liveStudy}`),
    )
    .with(
      "series",
      raw(`
        select (jsonb_populate_record(null::series, (series -> 'columns') || jsonb_build_object(
          'id', -removed_series.id, 'study_id', 0, 'series_instance_uid', series ->> 'uid',
          'attributes', series -> 'attributes',
          'instance_count', (select count(*) from removed_instance where removed_series_id = removed_series.id)))).*
        from removed_series where study ->> 'uid' = ${uid}
        union all
        select (jsonb_populate_record(series, '{"study_id": 0}')).* from series where study_id = ${liveStudy}`),
    )
    .with(
      "study",
      raw(`
        select (jsonb_populate_record(null::study, (study -> 'columns') || jsonb_build_object(
          'id', 0, 'study_instance_uid', study ->> 'uid', 'attributes', study -> 'attributes'))).*
        from removed_series where removal_id = :removalId
        union all
        select (jsonb_populate_record(study, '{"id": 0}')).* from study where study_instance_uid = ${uid}`),
    )
    .from("study");
}
