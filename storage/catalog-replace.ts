/** Replacement: an instance takes the place of one with the same UIDs, which can be restored. */
import type { Knex } from "knex";
import { moveOut } from "./catalog-move-out.ts";
import { values } from "./catalog-entities.ts";
import type { InstanceRecord } from "./catalog-records.ts";
import { RowGone } from "./retry.ts";

/**
 * Locks the studies, then the series, so that two replacements in one series come one after the other, and neither
 * meets a removal half-way. @throws RowGone when one is not there any more
 */
export async function lockForReplacement(trx: Knex.Transaction, seriesIds: readonly number[]): Promise<void> {
  await trx("study")
    .whereIn(
      "id",
      trx("series")
        .select("study_id")
        .whereIn("id", [...seriesIds]),
    )
    .orderBy("id")
    .forNoKeyUpdate()
    .select("id");
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
