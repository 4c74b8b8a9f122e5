/** Replacement: an instance takes the place of one with the same UIDs, which can be restored. */
import type { Knex } from "knex";
import { moveOut } from "./catalog-move-out.ts";
import { values } from "./catalog-entities.ts";
import type { InstanceRecord } from "./catalog-records.ts";
import { RowGone } from "./retry.ts";

/**
 * Locks the studies of `records` that are there, before anything else of them: two replacements in one study come one
 * after the other. The lock is the one that describing a study anew needs. Were a lesser one taken first, as every
 * other commit takes it, two could wait for each other to let go of theirs.
 */
export async function lockStudies(trx: Knex.Transaction, records: readonly InstanceRecord[]): Promise<void> {
  await trx("study")
    .whereIn("study_instance_uid", [...new Set(records.map(({ study }) => study.uid))])
    .orderBy("id")
    .forUpdate()
    .select("id");
}

/** Locks the series, so that no replacement meets a removal half-way. @throws RowGone when one is not there any more */
export async function lockSeries(trx: Knex.Transaction, seriesIds: readonly number[]): Promise<void> {
  const locked: unknown[] = await trx("series")
    .whereIn("id", [...seriesIds])
    .orderBy("id")
    .forNoKeyUpdate()
    .select("id");
  if (locked.length !== new Set(seriesIds).size) throw new RowGone("a series is gone");
}

/**
 * Moves out the instance that has the UIDs of `record`, whose object is `held`; where it described the study or the
 * series, `record` does from now on. The series is locked. Tells whether `record` describes the study.
 */
export async function makeWay(
  trx: Knex.Transaction,
  record: InstanceRecord,
  { seriesId, held, keepDays }: { readonly seriesId: number; readonly held: string; readonly keepDays: number },
): Promise<boolean> {
  const selector = {
    studyInstanceUid: record.study.uid,
    seriesInstanceUid: record.series.uid,
    sopInstanceUid: record.instance.uid,
  };
  const moved = await moveOut(trx, { why: "replaced", selector, seriesIds: [seriesId], keepDays });
  if (!moved) throw new RowGone("the instance to be replaced is gone");
  const isDescribed = "coalesce(described_by, ?) = ?";
  const described_by = record.instance.blobKey;
  const studies = await trx("study")
    .where("study_instance_uid", record.study.uid)
    .whereRaw(isDescribed, [held, held])
    .update({ described_by, ...values(record.study) });
  await trx("series")
    .where("id", seriesId)
    .whereRaw(isDescribed, [held, held])
    .update({ described_by, ...values(record.series) });
  return studies > 0;
}
