/** How attempts at jobs end: done, failed, to be made again, or given back. */
import type { Knex } from "knex";

/** Why an attempt did not succeed. */
export interface JobFault {
  readonly code: string;
  readonly sentence: string;
}

/** Of a job that nobody runs. */
export const unheld = { lease_holder: null, lease_until: null };

/** Queued again, unless it was cancelled just when its attempt ended. */
export function queued(knex: Knex) {
  const state = knex.raw("case when cancel_requested then 'cancelled' else 'queued' end");
  return { ...unheld, state, finished_at: knex.raw("case when cancel_requested then now() end") };
}

/** What came of a job, without what PostgreSQL has no text for: peers answer whatever they have. */
function jsonOf(result: object): string {
  return JSON.stringify(result, (_name, value: unknown) =>
    typeof value === "string" ? value.replaceAll("\0", "").toWellFormed() : value,
  );
}

/** The job, as long as `holder` has it. */
export function held(knex: Knex, id: number, holder: string): Knex.QueryBuilder {
  return knex("job").where({ id, lease_holder: holder, state: "running" });
}

/** See `JobRunCatalog.finish`. */
export async function finishJob(knex: Knex, id: number, holder: string, result?: object): Promise<boolean> {
  return knex.transaction(async (trx) => {
    const job: { failed: number; total: number } | undefined = await held(trx, id, holder)
      .forUpdate()
      .first("failed", "total");
    if (!job) return false;
    const left: unknown = await trx("job_item").where({ job_id: id, state: "pending" }).first("id");
    if (left !== undefined) {
      await trx("job")
        .where({ id })
        .update({ ...queued(trx), attempts: 0, next_attempt_at: trx.fn.now() });
      return true;
    }
    const { failed, total } = job;
    const fault = failed > 0 ? toFault(`${failed} of ${total} instances were not transferred.`) : noFault;
    await trx("job")
      .where({ id })
      .update({
        ...unheld,
        ...fault,
        state: failed > 0 ? "failed" : "succeeded",
        ...(result && { result: jsonOf(result) }),
        finished_at: trx.fn.now(),
      });
    return true;
  });
}

const noFault = { error_code: null, error: null };
const toFault = (error: string, error_code = "instances-failed") => ({ error_code, error });

/** See `JobRunCatalog.fail`. */
export async function failJob(
  knex: Knex,
  id: number,
  holder: string,
  fault: JobFault,
  result?: object,
): Promise<boolean> {
  return knex.transaction(async (trx) => {
    const job: unknown = await held(trx, id, holder).forUpdate().first("id");
    if (job === undefined) return false;
    await endFailed(trx, id, fault);
    if (result)
      await trx("job")
        .where({ id })
        .update({ result: jsonOf(result) });
    return true;
  });
}

async function endFailed(trx: Knex.Transaction, id: number, { code, sentence }: JobFault): Promise<void> {
  const failed: number = await trx("job_item")
    .where({ job_id: id, state: "pending" })
    .update({ state: "failed", error: trx.raw("coalesce(error, ?)", [sentence]) });
  await trx("job")
    .where({ id })
    .update({
      ...unheld,
      ...toFault(sentence, code),
      state: "failed",
      failed: trx.raw("failed + ?", [failed]),
      finished_at: trx.fn.now(),
    });
}

/** See `JobRunCatalog.postpone`. */
export async function postponeJob(
  knex: Knex,
  id: number,
  holder: string,
  fault: JobFault,
  seconds: number,
): Promise<"queued" | "failed" | "lost"> {
  return knex.transaction(async (trx) => {
    const job: { over: boolean } | undefined = await held(trx, id, holder)
      .forUpdate()
      .first(trx.raw("now() >= tried_since + make_interval(secs => retry_seconds) as over"));
    if (!job) return "lost";
    if (job.over) {
      await endFailed(trx, id, fault);
      return "failed";
    }
    await trx("job")
      .where({ id })
      .update({
        ...queued(trx),
        ...toFault(fault.sentence, fault.code),
        next_attempt_at: trx.raw("now() + make_interval(secs => ?)", [seconds]),
      });
    return "queued";
  });
}
