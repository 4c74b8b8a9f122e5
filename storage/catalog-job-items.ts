/** The instances of jobs: those to be sent, with where they lie, and what became of each. */
import type { Knex } from "knex";
import { instanceColumns, type InstanceRow } from "./catalog-read.ts";

/** Where an item stands in the order in which items are sent. */
export interface ItemPosition {
  readonly attempts: number;
  readonly id: number;
}

/** An instance to be sent; `instance` is undefined when it is not there any more. */
export interface PendingItem extends ItemPosition {
  readonly sopInstanceUid: string;
  readonly instance: InstanceRow | undefined;
}

/** How many instances to be sent have the same SOP class and are stored in the same transfer syntax. */
export interface PendingKind {
  readonly sopClassUid: string;
  readonly transferSyntaxUid: string;
  readonly count: number;
}

/** What became of an item in one attempt. */
export interface ItemOutcome {
  readonly id: number;
  /** `sent` ones are forgotten; `pending`: it is to be tried again. */
  readonly state: "sent" | "warning" | "failed" | "pending";
  readonly status: number | null;
  readonly error: string | null;
}

/** An instance that was not transferred as it should, of a job without items. */
export interface ToldOutcome extends Omit<ItemOutcome, "id"> {
  readonly sopInstanceUid: string;
  readonly state: "failed" | "warning";
}

/** Counts of a job. */
export interface JobCounts {
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  readonly warning: number;
}

/** Rows that are inserted in one statement. */
const rowsAtOnce = 1000;

/** Instances that are not there any more have no row in `instance`. One by one: so each is found by its indexes. */
const itemsWithInstances = `left join study on study.study_instance_uid = item.study_instance_uid
  left join series on series.study_id = study.id and series.series_instance_uid = item.series_instance_uid
  left join instance on instance.series_id = series.id and instance.sop_instance_uid = item.sop_instance_uid`;

/** See `JobRunCatalog.pendingKinds`. */
export async function pendingKinds(knex: Knex, jobId: number): Promise<PendingKind[]> {
  return knex("job_item as item")
    .joinRaw(itemsWithInstances)
    .where({ "item.job_id": jobId, "item.state": "pending" })
    .whereNotNull("instance.id")
    .groupBy("sop_class_uid", "transfer_syntax_uid")
    .orderBy(["sop_class_uid", "transfer_syntax_uid"])
    .select({
      sopClassUid: "sop_class_uid",
      transferSyntaxUid: "transfer_syntax_uid",
      count: knex.raw("count(*)::integer"),
    });
}

/** See `JobRunCatalog.pending`. */
export async function pendingItems(
  knex: Knex,
  jobId: number,
  last: ItemPosition | undefined,
  limit: number,
): Promise<PendingItem[]> {
  const rows: (InstanceRow & { readonly itemId: number; readonly itemUid: string; readonly itemAttempts: number })[] =
    await knex("job_item as item")
      .joinRaw(itemsWithInstances)
      .where({ "item.job_id": jobId, "item.state": "pending" })
      .whereRaw("(item.attempts, item.id) > (?, ?)", [last?.attempts ?? -1, last?.id ?? 0])
      .orderBy(["item.attempts", "item.id"])
      .limit(limit)
      .select({
        itemId: "item.id",
        itemUid: "item.sop_instance_uid",
        itemAttempts: "item.attempts",
        ...instanceColumns,
        studyInstanceUid: "study.study_instance_uid",
        seriesInstanceUid: "series.series_instance_uid",
        seriesId: "series.id",
      });
  return rows.map(({ itemId, itemUid, itemAttempts, ...instance }) => ({
    id: itemId,
    sopInstanceUid: itemUid,
    attempts: itemAttempts,
    // Of an outer join that found nothing every column is null.
    instance: Number.isInteger(instance.id) ? instance : undefined,
  }));
}

/** See `JobRunCatalog.noteItems`. */
export async function noteItems(knex: Knex, jobId: number, outcomes: readonly ItemOutcome[]): Promise<void> {
  await knex.raw(
    `with outcome as (
       select * from jsonb_to_recordset(:outcomes::jsonb) as outcome (id bigint, state text, status integer, error text)
     ), sent as (
       delete from job_item using outcome
       where job_item.id = outcome.id and outcome.state = 'sent' and job_item.state = 'pending' returning 1
     ), kept as (
       update job_item set state = outcome.state, status = outcome.status, error = outcome.error, attempts = attempts + 1
       from outcome where job_item.id = outcome.id and outcome.state <> 'sent' and job_item.state = 'pending'
       returning job_item.state
     ), counted as (
       select (select count(*) from sent) as sent,
         count(*) filter (where state = 'warning') as warning, count(*) filter (where state = 'failed') as failed from kept
     )
     update job set completed = completed + sent, warning = job.warning + counted.warning,
       failed = job.failed + counted.failed,
       tried_since = case when sent + counted.warning > 0 then now() else tried_since end,
       crashes = case when sent + counted.warning + counted.failed > 0 then 0 else crashes end
     from counted where id = :jobId`,
    { jobId, outcomes: JSON.stringify(outcomes) },
  );
}

/** See `JobRunCatalog.noteCounts`. */
export async function noteCounts(
  knex: Knex,
  id: number,
  counts: JobCounts,
  told: readonly ToldOutcome[] = [],
): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx("job").where({ id }).update(counts);
    const rows = told.map(({ sopInstanceUid, state, status, error }) => ({
      job_id: id,
      sop_instance_uid: sopInstanceUid,
      state,
      attempts: 1,
      status,
      error,
    }));
    for (let from = 0; from < rows.length; from += rowsAtOnce) {
      await trx("job_item").insert(rows.slice(from, from + rowsAtOnce));
    }
  });
}
