/** Restore: what was removed is committed again, as it was. */
import type { Knex } from "knex";
import { commitRecords } from "./catalog-commit.ts";
import { held } from "./catalog-held.ts";
import { type DocumentColumns, documentColumns } from "./catalog-move-out.ts";
import type { KnownTags, ReadTagValues } from "./catalog-query-tag-values.ts";
import type { Columns, CommitOutcome, EntityRecord, InstanceRecord } from "./catalog-records.ts";
import { lockRemoval, type RemoveOptions } from "./catalog-remove.ts";
import { ArchiveError } from "../server/errors.ts";
import { retried } from "./retry.ts";
import { isOtherPatient } from "./study-conflicts.ts";

/** What a restore did. */
export interface Restored {
  readonly restored: number;
  /** Instances that stay removed, since an instance with their UIDs was stored meanwhile. */
  readonly stillRemoved: readonly InstanceName[];
}

/** How to restore. */
export interface RestoreOptions extends Pick<RemoveOptions, "keepDays" | "origin" | "describe" | "readMatch"> {
  /** Whether instances may come back into a study that is another patient's now; otherwise nothing is restored. */
  readonly otherPatient?: boolean;
  /** Reads what query tags ask for, so that what comes back is found by them at once. */
  readonly readTags?: ReadTagValues;
}

/** The UIDs of one instance. */
export interface InstanceName {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
}

interface RemovedRow {
  readonly id: number;
  readonly sop_instance_uid: string;
  readonly study: EntityRecord;
  readonly series: EntityRecord;
  readonly instance: Pick<EntityRecord, "columns" | "attributes"> & {
    readonly transferSyntaxUid: string;
    readonly byteLength: number;
    readonly sha256: string;
    readonly dataSetOffset: number;
    readonly bulkData: object | null;
    readonly warnings: readonly string[] | null;
  };
  readonly metadata: Buffer;
  readonly frame_table: Buffer | null;
  readonly blob_key: string;
}

/** Rows restored at a time: their metadata is held in memory. */
const pageSize = 100;

/**
 * Restores a removal in one transaction; undefined when there is none, or none any more. An instance that another one
 * replaced comes back in its place, and that one can be restored in turn. @throws ArchiveError `other-patient`, `held`
 */
export function restoreRemoval(
  knex: Knex,
  id: number,
  knownTags: KnownTags,
  options: RestoreOptions,
): Promise<Restored | undefined> {
  return retried(() => knex.transaction((trx) => restoreIn(trx, id, knownTags, options)));
}

async function restoreIn(
  trx: Knex.Transaction,
  id: number,
  knownTags: KnownTags,
  options: RestoreOptions,
): Promise<Restored | undefined> {
  const removal = await lockRemoval(trx, id);
  if (!removal) return undefined;
  const replaceKeepingDays = removal.why === "replaced" ? options.keepDays : undefined;
  const columns = await documentColumns(trx);
  const stillRemoved: InstanceName[] = [];
  let restored = 0;
  let last = 0;
  while (true) {
    const page = await removedRows(trx, id, last);
    if (page.length === 0) break;
    const records = page.map((row) => ({ ...recordOf(row, columns, options.readTags), origin: options.origin }));
    const outcomes = await commitRecords(trx, records, knownTags, {
      action: "restore",
      replaceKeepingDays,
      ...(options.readMatch && { readMatch: options.readMatch }),
      ...(options.describe && { describe: options.describe }),
    });
    refuseHeld(outcomes);
    if (options.otherPatient !== true) refuseOtherPatient(outcomes);
    const back = page.filter((_, index) => outcomes[index]?.status !== "duplicate");
    await trx("removed_instance")
      .whereIn(
        "id",
        back.map((row) => row.id),
      )
      .delete();
    restored += back.length;
    stillRemoved.push(...page.filter((row) => !back.includes(row)).map(nameOf));
    last = page.at(-1)?.id ?? last;
  }
  if (stillRemoved.length === 0) await trx("removal").where("id", id).delete();
  else await trx("removal").where("id", id).update({ instance_count: stillRemoved.length });
  return { restored, stillRemoved };
}

/** What is there instead would go. @throws ArchiveError `held` */
function refuseHeld(outcomes: readonly CommitOutcome[]): void {
  for (const outcome of outcomes) if (outcome.status === "duplicate" && outcome.hold) throw held(outcome.hold);
}

/** A study may have been stored meanwhile under the UID of one that was removed. @throws ArchiveError `other-patient` */
function refuseOtherPatient(outcomes: readonly CommitOutcome[]): void {
  if (outcomes.some((outcome) => outcome.status === "committed" && isOtherPatient(outcome.differences))) {
    throw new ArchiveError(
      "other-patient",
      "The study is another patient's now: remove it first, or restore into it with otherPatient=true.",
    );
  }
}

async function removedRows(trx: Knex.Transaction, removalId: number, after: number): Promise<RemovedRow[]> {
  return trx("removed_instance")
    .join("removed_series", "removed_series.id", "removed_series_id")
    .where("removal_id", removalId)
    .where("removed_instance.id", ">", after)
    .orderBy("removed_instance.id")
    .limit(pageSize)
    .select("removed_instance.*", "study", "series");
}

function nameOf({ study, series, sop_instance_uid }: RemovedRow): InstanceName {
  return { studyInstanceUid: study.uid, seriesInstanceUid: series.uid, sopInstanceUid: sop_instance_uid };
}

function recordOf(row: RemovedRow, columns: DocumentColumns, readTags: ReadTagValues | undefined): InstanceRecord {
  const { study, series, instance } = row;
  return {
    study: { ...study, columns: present(study.columns, columns.study) },
    series: { ...series, columns: present(series.columns, columns.series) },
    instance: {
      ...instance,
      columns: present(instance.columns, columns.instance),
      uid: row.sop_instance_uid,
      sha256: Buffer.from(instance.sha256, "hex"),
      metadata: row.metadata,
      frameTable: row.frame_table ?? undefined,
      bulkData: instance.bulkData ?? undefined,
      warnings: instance.warnings ?? [],
      blobKey: row.blob_key,
      ...(readTags && { tagValues: (tags) => readTags(row.metadata, tags) }),
    },
  };
}

/** The columns that the table still has: a newer version may have dropped one since the removal. */
function present(columns: Columns, names: readonly string[]): Columns {
  return Object.fromEntries(Object.entries(columns).filter(([name]) => names.includes(name)));
}
