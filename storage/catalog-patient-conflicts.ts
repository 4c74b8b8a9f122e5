/** Patients whose studies say different things of them: asked of the studies as they are, so that nothing is kept of it. */
import type { Knex } from "knex";
import { databaseError } from "./database-error.ts";

/** One patient, by Patient ID and its issuer, and what the studies say; values as the columns have them. */
export interface PatientSaid {
  readonly patientId: string;
  /** Empty for none. */
  readonly issuer: string;
  readonly studyCount: number;
  /** Different values, a few of each at most. */
  readonly names: readonly string[];
  readonly birthDates: readonly string[];
  readonly sexes: readonly string[];
}

/** Behind which patient a page begins. */
export type PatientKey = Pick<PatientSaid, "patientId" | "issuer">;

/** Values of one attribute that are told. */
const valuesTold = 10;

/**
 * Patients of whom two studies have different values, in the order of their identifiers: at most `limit` behind `after`.
 * Reads the studies in the order of their patients, until the page is full.
 */
export function findPatientConflicts(
  knex: Knex,
  limit: number,
  after: PatientKey | undefined,
): Promise<readonly PatientSaid[]> {
  return databaseError(async () => {
    const { rows }: { rows: PatientSaid[] } = await knex.raw(
      `with disputed as materialized (
         select patient_id, coalesce(issuer_of_patient_id, '') as issuer from study
         where patient_id <> '' and (patient_id, coalesce(issuer_of_patient_id, '')) > (?, ?)
         group by patient_id, coalesce(issuer_of_patient_id, '')
         having ${differ('patient_name collate "C"')} or ${differ("patient_birth_date")}
           or ${differ('patient_sex collate "C"')}
         order by patient_id, coalesce(issuer_of_patient_id, '') limit ?
       )
       select disputed.patient_id as "patientId", issuer, count(*) as "studyCount",
         ${valuesOf("patient_name")} as names, ${valuesOf("patient_birth_date::text")} as "birthDates",
         ${valuesOf("patient_sex")} as sexes
       from disputed join study
         on study.patient_id = disputed.patient_id and coalesce(study.issuer_of_patient_id, '') = issuer
       group by disputed.patient_id, issuer order by disputed.patient_id, issuer`,
      [after?.patientId ?? "", after?.issuer ?? "", limit],
    );
    return rows;
  });
}

/** Cheaper than to count different values, which sorts those of every patient. */
function differ(expression: string): string {
  return `min(${expression}) <> max(${expression})`;
}

function valuesOf(expression: string): string {
  return `coalesce((array_agg(distinct ${expression}) filter (where ${expression} <> ''))[:${valuesTold}], '{}')`;
}
