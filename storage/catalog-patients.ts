/** Patients as the catalog has them: the studies with one Patient ID and one issuer of it, told by the newest of them. */

/** The studies `other` of the patient of `study`. A study without Patient ID is of a patient of its own. */
function samePatient(other: string, study: string): string {
  return (
    `${other}.patient_id = ${study}.patient_id and ` +
    `coalesce(${other}.issuer_of_patient_id, '') = coalesce(${study}.issuer_of_patient_id, '')`
  );
}

/**
 * The condition that `study` is the newest of its patient among those whose id is at most `asOf`, as SQL and its
 * bindings. A look-up in the index `study_of_patient` for every study.
 */
export function newestOfPatientSql(asOf: number | undefined): [sql: string, bindings: number[]] {
  const known = (table: string) => (asOf === undefined ? "true" : `${table}.id <= ?`);
  const newest = `
    select newer.id from study as newer where ${samePatient("newer", "study")} and ${known("newer")}
    order by newer.study_date desc nulls last, newer.study_time desc nulls last, newer.id desc limit 1`;
  const sql = `${known("study")} and (study.patient_id is null or study.id = (${newest}))`;
  return [sql, asOf === undefined ? [] : [asOf, asOf]];
}

/** What is counted for every patient found, as `counted`. */
export const patientCounts = `
  left join lateral (
    select count(distinct of_patient.id) as study_count, count(series.id) as series_count,
      coalesce(sum(series.instance_count), 0)::bigint as instance_count
    from study as of_patient left join series on series.study_id = of_patient.id
    where of_patient.id = found.study_key or (${samePatient("of_patient", "found")})
  ) as counted on true`;
