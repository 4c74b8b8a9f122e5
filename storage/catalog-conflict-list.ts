/** The catalog of conflicts: their list, their instances, and what somebody has said of them. */
import type { Knex } from "knex";
import { findPatientConflicts, type PatientKey, type PatientSaid } from "./catalog-patient-conflicts.ts";
import { databaseError } from "./database-error.ts";

/** One attribute of which instances of a study say otherwise than the study. */
export interface ConflictRow {
  readonly id: number;
  readonly studyInstanceUid: string;
  /** Keyword. */
  readonly attribute: string;
  /** As the column has it; empty for none. */
  readonly studyValue: string;
  readonly instanceValue: string;
  readonly instanceCount: number;
  /** Series of those instances, a few at most. */
  readonly seriesInstanceUids: readonly string[];
  readonly firstStoredAt: Date;
  readonly lastStoredAt: Date;
  readonly origin: string | null;
  readonly acknowledgedAt: Date | null;
  readonly note: string | null;
}

/** Which conflicts to list, newest first; what is absent is any. */
export interface ConflictPage {
  readonly limit: number;
  /** Only conflicts whose id is lower. */
  readonly before: number;
  readonly studyInstanceUid?: string | undefined;
  /** Of studies of this patient, and of instances that say that they are this patient's. */
  readonly patientId?: string | undefined;
  /** Keywords. */
  readonly attributes?: readonly string[] | undefined;
  readonly isAcknowledged?: boolean | undefined;
}

/** One instance of a conflict. */
export interface ConflictInstance {
  /** Of its row: the order of the list. */
  readonly id: number;
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  readonly storedAt: Date;
}

/** Every method throws ArchiveError `database-unavailable` when PostgreSQL does not answer. */
export interface ConflictCatalog {
  list(page: ConflictPage): Promise<readonly ConflictRow[]>;
  /** Undefined when there is none. */
  find(id: number): Promise<ConflictRow | undefined>;
  /** At most `limit` of its instances with a higher id, in the order of these. */
  instances(id: number, limit: number, after: number): Promise<readonly ConflictInstance[]>;
  /** Says that it is right as it is; false when there is none. */
  acknowledge(id: number, note: string | undefined): Promise<boolean>;
  /** Takes that back; false when there is none. */
  reopen(id: number): Promise<boolean>;
  /** Patients of whom studies have different values: at most `limit` behind `after`, in the order of their identifiers. */
  patients(limit: number, after: PatientKey | undefined): Promise<readonly PatientSaid[]>;
}

/** Series named of one conflict. */
const seriesNamed = 10;

/** The conflicts over an open pool. */
export function createConflictCatalog(knex: Knex): ConflictCatalog {
  return {
    list: (page) => databaseError(() => list(knex, page)),
    find: (id) => databaseError(async () => (await rowsOf(knex).where("conflict.id", id))[0]),
    instances: (id, limit, after) => databaseError(() => instances(knex, id, limit, after)),
    acknowledge: (id, note) =>
      databaseError(() => update(knex, id, { acknowledged_at: knex.fn.now(), note: note ?? null })),
    patients: (limit, after) => findPatientConflicts(knex, limit, after),
    reopen: (id) => databaseError(() => update(knex, id, { acknowledged_at: null, note: null })),
  };
}

async function list(knex: Knex, page: ConflictPage): Promise<readonly ConflictRow[]> {
  const { limit, before, studyInstanceUid, patientId, attributes, isAcknowledged } = page;
  const rows = rowsOf(knex).where("conflict.id", "<", before).orderBy("conflict.id", "desc").limit(limit);
  if (studyInstanceUid !== undefined) void rows.where("study_instance_uid", studyInstanceUid);
  if (attributes !== undefined) void rows.whereIn("attribute", [...attributes]);
  if (isAcknowledged !== undefined) void rows.whereRaw("(acknowledged_at is not null) = ?", [isAcknowledged]);
  if (patientId !== undefined) {
    void rows.whereRaw(
      `(patient_id = ? or exists (
         select 1 from conflict as said
         where said.study_id = conflict.study_id and said.attribute = 'PatientID' and said.instance_value = ?))`,
      [patientId, patientId],
    );
  }
  return await rows;
}

/** Whether the study that a shared UID was found in still has it; what else is compared is kept true by who changes it. */
const isTrue = `case attribute
  when 'SOPInstanceUID' then exists (
    select 1 from instance as twin join series as of_twin on of_twin.id = twin.series_id
      join study as other on other.id = of_twin.study_id
    where twin.sop_instance_uid = instance.sop_instance_uid and twin.series_id <> instance.series_id
      and other.study_instance_uid = instance_value)
  when 'SeriesInstanceUID' then exists (
    select 1 from series as twin join study as other on other.id = twin.study_id
    where twin.series_instance_uid = series.series_instance_uid and twin.id <> series.id
      and other.study_instance_uid = instance_value)
  else true end`;

/** Every conflict has an instance: one without is deleted with its last one. */
function rowsOf(knex: Knex) {
  return knex("conflict")
    .join("study", "study.id", "conflict.study_id")
    .joinRaw(
      `cross join lateral (
         select sum(count)::bigint as instance_count, min(first) as first_stored_at, max(last) as last_stored_at,
           (array_agg(series_instance_uid order by of_series.id))[:${seriesNamed}] as series_instance_uids
         from (
           select series.id, series_instance_uid, count(*), min(instance.created_at) as first,
             max(instance.created_at) as last
           from conflict_instance
             join instance on instance.id = instance_id
             join series on series.id = series_id
           where conflict_id = conflict.id and ${isTrue} group by series.id
         ) as of_series
       ) as instances`,
    )
    .whereNotNull("instance_count")
    .select({
      id: "conflict.id",
      studyInstanceUid: "study_instance_uid",
      attribute: "attribute",
      studyValue: "study_value",
      instanceValue: "instance_value",
      instanceCount: "instance_count",
      seriesInstanceUids: "series_instance_uids",
      firstStoredAt: "first_stored_at",
      lastStoredAt: "last_stored_at",
      origin: "origin",
      acknowledgedAt: "acknowledged_at",
      note: "note",
    });
}

async function instances(knex: Knex, id: number, limit: number, after: number): Promise<readonly ConflictInstance[]> {
  return knex("conflict_instance")
    .join("instance", "instance.id", "instance_id")
    .join("series", "series.id", "series_id")
    .join("study", "study.id", "series.study_id")
    .join("conflict", "conflict.id", "conflict_id")
    .where("conflict_id", id)
    .whereRaw(isTrue)
    .where("instance_id", ">", after)
    .orderBy("instance_id")
    .limit(limit)
    .select({
      id: "instance.id",
      studyInstanceUid: "study_instance_uid",
      seriesInstanceUid: "series_instance_uid",
      sopInstanceUid: "sop_instance_uid",
      storedAt: "instance.created_at",
    });
}

async function update(knex: Knex, id: number, columns: Readonly<Record<string, unknown>>): Promise<boolean> {
  return (await knex("conflict").where({ id }).update(columns)) > 0;
}
