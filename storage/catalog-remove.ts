/** Removal of instances, and what becomes of the removed: list, purge, and the objects to be swept. */
import type { Knex } from "knex";
import { forgetSettled } from "./catalog-conflicts.ts";
import { describeAnew, type DescribeLevels } from "./catalog-describe.ts";
import { holdOn, lockHolds, type ReadStudyMatch, refuseHeld } from "./catalog-held.ts";
import { moveOut, type RemovalReason } from "./catalog-move-out.ts";
import { isHeld } from "./catalog-objects.ts";
import { recheckSeries } from "./catalog-query-tag-values.ts";
import { type DueRule, isDue } from "./catalog-retention-due.ts";
import { bytesOfSeries, isUnderWay, noteRemoval } from "./catalog-retention-runs.ts";
import type { Selector } from "./catalog-read.ts";
import { retried } from "./retry.ts";

/** What one request removed, or one instance that another replaced. */
export interface Removal {
  readonly id: number;
  readonly level: "study" | "series" | "instance";
  readonly why: RemovalReason;
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string | null;
  readonly sopInstanceUid: string | null;
  /** Instances that can be restored. */
  readonly instanceCount: number;
  readonly removedAt: Date;
  /** Until when it can be restored. */
  readonly restorableUntil: Date;
}

/** How to remove. */
export interface RemoveOptions {
  /** How long what is removed can be restored. */
  readonly keepDays: number;
  /** The door through which it was asked for. */
  readonly origin?: string | undefined;
  /** When given, the study is left unless it is due still and the rule enabled, and its removal is written down as one of that run. */
  readonly due?: { readonly rule: DueRule; readonly runId: number };
  /** Reads the queries of holds. */
  readonly readMatch?: ReadStudyMatch;
  /** Describes what stays and was described by an instance that goes; absent: it keeps its description. */
  readonly describe?: DescribeLevels;
}

const removalColumns = {
  id: "id",
  level: "level",
  why: "why",
  studyInstanceUid: "study_instance_uid",
  seriesInstanceUid: "series_instance_uid",
  sopInstanceUid: "sop_instance_uid",
  instanceCount: "instance_count",
  removedAt: "removed_at",
  restorableUntil: "kept_until",
};

/**
 * Removes the instances that `selector` names in one transaction, with the series and the study that become empty.
 * Undefined when there are none, or when they are not due any more. Rows are locked in the order in which commits lock them: study, series, instances.
 * @throws ArchiveError `held`
 */
export function removeInstances(knex: Knex, selector: Selector, options: RemoveOptions): Promise<Removal | undefined> {
  return retried(() => knex.transaction((trx) => removeIn(trx, selector, options)));
}

async function removeIn(
  trx: Knex.Transaction,
  selector: Selector,
  { keepDays, origin, due, readMatch, describe }: RemoveOptions,
): Promise<Removal | undefined> {
  const { studyInstanceUid, seriesInstanceUid } = selector;
  const study: { id: number } | undefined = await trx("study")
    .where("study_instance_uid", studyInstanceUid)
    .forUpdate()
    .first("id");
  if (!study) return undefined;
  const series: { id: number }[] = await trx("series")
    .where({ study_id: study.id, ...(seriesInstanceUid !== undefined && { series_instance_uid: seriesInstanceUid }) })
    .orderBy("id")
    .forUpdate()
    .select("id");
  const seriesIds = series.map(({ id }) => id);
  if (due && !((await isUnderWay(trx, due.runId)) && (await isDue(trx, due.rule, study.id)))) return undefined;
  await refuseHeld(trx, { studyId: study.id }, readMatch);
  const bytes = due && (await bytesOfSeries(trx, seriesIds));
  const moved = await moveOut(trx, { why: "deleted", selector, seriesIds, keepDays, origin });
  if (!moved) return undefined;
  if (due) await noteRemoval(trx, { runId: due.runId, removalId: moved.removalId, bytes: bytes ?? 0 });
  const touched = [...moved.counts.keys()];
  await trx.raw(
    `update series set instance_count = instance_count - gone.count, revision = revision + 1,
       updated_at = greatest(updated_at, clock_timestamp())
     from unnest(?::bigint[], ?::bigint[]) as gone (id, count) where series.id = gone.id`,
    [touched, [...moved.counts.values()]],
  );
  await trx("series").whereIn("id", touched).where("instance_count", 0).delete();
  await recheckSeries(trx, touched);
  await trx("study").where("id", study.id).whereNotExists(trx("series").where("study_id", study.id)).delete();
  await trx("study")
    .where("id", study.id)
    .update({ updated_at: trx.raw("greatest(updated_at, clock_timestamp())") });
  await forgetSettled(trx, study.id);
  if (describe) await describeAnew(trx, study.id, touched, describe);
  return trx("removal").where("id", moved.removalId).first(removalColumns);
}

/** Removals that can still be restored, newest first: at most `limit`, of those before `beforeId`. */
export async function listRemovals(knex: Knex, limit: number, beforeId: number): Promise<Removal[]> {
  return knex("removal")
    .whereRaw("kept_until > now()")
    .where("id", "<", beforeId)
    .orderBy("id", "desc")
    .limit(limit)
    .select(removalColumns);
}

/** The removal of this id, locked, while it can still be restored. */
export async function lockRemoval(trx: Knex.Transaction, id: number): Promise<Removal | undefined> {
  return trx("removal").where("id", id).whereRaw("kept_until > now()").forUpdate().first(removalColumns);
}

/** Forgets a removal; its objects are swept. False when there is none. @throws ArchiveError `held` */
export function purgeRemoval(knex: Knex, id: number, readMatch?: ReadStudyMatch): Promise<boolean> {
  return knex.transaction(async (trx) => {
    const locked = await trx("removal").where("id", id).forUpdate().first("id");
    if (!locked) return false;
    await refuseHeld(trx, { removalId: id }, readMatch);
    await forget(trx, id);
    return true;
  });
}

/**
 * Forgets one removal that cannot be restored any more; false when there is none left. What a hold protects can be
 * restored for another day instead, again and again, until the hold is over.
 */
export function purgeExpired(knex: Knex, readMatch?: ReadStudyMatch): Promise<boolean> {
  return knex.transaction(async (trx) => {
    const expired: { id: number } | undefined = await trx("removal")
      .whereRaw("kept_until <= now()")
      .orderBy("kept_until")
      .forUpdate()
      .skipLocked()
      .first("id");
    if (!expired) return false;
    await lockHolds(trx);
    if (await holdOn(trx, { removalId: expired.id }, readMatch)) {
      await trx("removal")
        .where("id", expired.id)
        .update({ kept_until: trx.raw("now() + interval '1 day'") });
      return true;
    }
    await forget(trx, expired.id);
    return true;
  });
}

/** A removal that the transaction has locked goes, and the keys of its objects come onto the list of the sweep. */
async function forget(trx: Knex.Transaction, id: number): Promise<void> {
  await trx.raw(
    `insert into sweep (blob_key)
     select blob_key from removed_instance join removed_series on removed_series.id = removed_series_id
     where removal_id = ? on conflict do nothing`,
    [id],
  );
  await trx("removal").where("id", id).delete();
}

/** Keys of objects to remove, at most `limit`. One that a row needs after all has left the list before. */
export async function keysToSweep(knex: Knex, limit: number): Promise<string[]> {
  const listed: string[] = await knex("sweep")
    .where("since", "<=", knex.fn.now())
    .orderBy("since")
    .limit(limit)
    .pluck("blob_key");
  if (listed.length === 0) return [];
  const inUse: { rows: { blob_key: string }[] } = await knex.raw(
    `delete from sweep where blob_key = any (?) and ${isHeld("sweep.blob_key")} returning blob_key`,
    [listed],
  );
  const kept = new Set(inUse.rows.map((row) => row.blob_key));
  return listed.filter((key) => !kept.has(key));
}

/** Takes keys whose objects are gone off the list. */
export async function swept(knex: Knex, keys: readonly string[]): Promise<void> {
  await knex("sweep")
    .whereIn("blob_key", [...keys])
    .delete();
}

/** Puts keys of objects that no row ever needed onto the list, to be removed in `hours` at the earliest. */
export async function sweepLater(knex: Knex, keys: readonly string[], hours = 0): Promise<void> {
  const rows = keys.map((blob_key) => ({ blob_key, since: knex.raw("now() + make_interval(hours => ?)", [hours]) }));
  if (rows.length > 0) await knex("sweep").insert(rows).onConflict("blob_key").ignore();
}
