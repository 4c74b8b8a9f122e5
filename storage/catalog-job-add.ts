/** Adds jobs, and the instances that they are to send. */
import type { Knex } from "knex";
import type { JobKind } from "./catalog-job-runs.ts";

/** Priority (0000,0700). */
export type JobPriority = "high" | "medium" | "low";

/** A job to be added. */
export interface NewJob {
  readonly kind: JobKind;
  /** Name of the peer. */
  readonly peer: string;
  /** What is asked of it, as the archive reads it. */
  readonly request: object;
  readonly priority: JobPriority;
  /** How long faults are met with another attempt. */
  readonly retrySeconds: number;
}

/** A study, one of its series, or one instance of that. */
export interface JobResource {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid?: string | undefined;
  readonly sopInstanceUid?: string | undefined;
}

/** The job that was added, or why none was. */
export type AddedSend<Resource extends JobResource> = { readonly id: number } | { readonly absent: Resource };

const ranks: Readonly<Record<JobPriority, number>> = { high: 1, medium: 0, low: -1 };

/** The priority of a rank. */
export function priorityOf(rank: number): JobPriority {
  if (rank === 0) return "medium";
  return rank > 0 ? "high" : "low";
}

/** The rank of a priority: higher ones go first. */
export function rankOf(priority: JobPriority): number {
  return ranks[priority];
}

/** See `JobCatalog.add`. */
export async function insertJob(knex: Knex, { kind, peer, request, priority, retrySeconds }: NewJob): Promise<number> {
  const row = { kind, peer, request: JSON.stringify(request), priority: rankOf(priority), retry_seconds: retrySeconds };
  const [added]: { id: number }[] = await knex("job").insert(row, ["id"]);
  if (!added) throw new Error("an insert returned nothing");
  return added.id;
}

/** Nothing is stored of a resource: no job is added. */
class Absent extends Error {
  override readonly name = "Absent";
}

/** See `JobCatalog.addSend`. */
export async function addSend<Resource extends JobResource>(
  knex: Knex,
  job: NewJob,
  resources: readonly Resource[],
): Promise<AddedSend<Resource>> {
  let absent: Resource | undefined;
  try {
    return await knex.transaction(async (trx) => {
      const id = await insertJob(trx, job);
      let total = 0;
      for (const resource of resources) {
        const count = await addItems(trx, id, resource);
        if (count === 0) {
          absent = resource;
          throw new Absent();
        }
        total += count;
      }
      await trx("job").where({ id }).update({ total });
      return { id };
    });
  } catch (error) {
    if (absent && error instanceof Absent) return { absent };
    throw error;
  }
}

async function addItems(trx: Knex.Transaction, jobId: number, resource: JobResource): Promise<number> {
  const { studyInstanceUid, seriesInstanceUid = null, sopInstanceUid = null } = resource;
  const { rowCount }: { rowCount: number } = await trx.raw(
    `insert into job_item (job_id, study_instance_uid, series_instance_uid, sop_instance_uid, state)
     select :jobId::bigint, study_instance_uid, series_instance_uid, sop_instance_uid, 'pending'
     from study join series on series.study_id = study.id join instance on instance.series_id = series.id
     where study_instance_uid = :studyInstanceUid
       and (:seriesInstanceUid::text is null or series_instance_uid = :seriesInstanceUid)
       and (:sopInstanceUid::text is null or sop_instance_uid = :sopInstanceUid)
     order by series_number nulls last, series.id, instance_number nulls last, instance.id`,
    { jobId, studyInstanceUid, seriesInstanceUid, sopInstanceUid },
  );
  return rowCount;
}
