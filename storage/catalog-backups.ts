/** Backups in the catalog: what they are made of, and how the last ones went. */
import type { Knex } from "knex";
import { databaseError } from "./database-error.ts";
import { type DatabaseSnapshot, openSnapshot } from "./database-dump.ts";

/** What became of a backup. */
export interface BackupResult {
  readonly outcome: "complete" | "with-faults" | "failed";
  readonly snapshot?: string | undefined;
  /** Why it failed, in a sentence. */
  readonly fault?: string | undefined;
  readonly instances?: number | undefined;
  readonly objects?: number | undefined;
  readonly objectBytes?: number | undefined;
  /** What had to be copied of them. */
  readonly copiedObjects?: number | undefined;
  readonly copiedBytes?: number | undefined;
  /** Objects that are missing in the archive, or are not what was stored. */
  readonly faultyObjects?: number | undefined;
}

/** What began a backup. */
export type BackupCause = "schedule" | "command";

/** A backup that was begun. */
export interface BackupRun {
  readonly id: number;
  readonly cause: BackupCause;
  readonly startedAt: Date;
  readonly finishedAt: Date | null;
  readonly outcome: BackupResult["outcome"] | "running";
  readonly snapshot: string | null;
  readonly fault: string | null;
  readonly instances: number | null;
  readonly objects: number | null;
  readonly objectBytes: number | null;
  readonly copiedObjects: number | null;
  readonly copiedBytes: number | null;
  readonly faultyObjects: number | null;
}

/** The backups of one archive between two restores, and those that it goes on from. */
export interface BackupLine {
  readonly line: string;
  /** The lines that were restored, each until the moment of the snapshot (ISO 8601, in UTC). */
  readonly origins: readonly { readonly line: string; readonly until: string }[];
}

/** Whose backups are made here. */
export interface BackupSource extends BackupLine {
  /** What tells this archive from others; a restored one keeps it, a copy does not. */
  readonly archiveId: string;
}

/** Every method throws ArchiveError `database-unavailable`. */
export interface BackupCatalog {
  openSnapshot(): Promise<DatabaseSnapshot>;
  source(): Promise<BackupSource>;
  /** Notes that a backup begins. Runs that never ended have failed: the caller holds the lock of backups. */
  begin(cause: BackupCause): Promise<number>;
  end(id: number, result: BackupResult): Promise<void>;
  /** The latest runs, newest first. */
  latest(limit: number): Promise<readonly BackupRun[]>;
  /** The latest that made a snapshot. */
  latestSuccess(): Promise<BackupRun | undefined>;
  /** Whether one of those that are remembered made a snapshot by itself, where the settings say. */
  hasScheduled(): Promise<boolean>;
}

/** Runs that are remembered. */
const remembered = 1000;

const columns = {
  id: "id",
  cause: "cause",
  startedAt: "started_at",
  finishedAt: "finished_at",
  outcome: "outcome",
  snapshot: "snapshot",
  fault: "fault",
  instances: "instances",
  objects: "objects",
  objectBytes: "object_bytes",
  copiedObjects: "copied_objects",
  copiedBytes: "copied_bytes",
  faultyObjects: "faulty_objects",
};

/** The backups over an open pool. */
export function createBackupCatalog(knex: Knex): BackupCatalog {
  const latest = (limit: number): Promise<BackupRun[]> =>
    knex("backup_run").orderBy("id", "desc").limit(limit).select(columns);
  return {
    openSnapshot: () => openSnapshot(knex),
    source: () =>
      databaseError(async () => {
        const row: BackupSource | undefined = await knex("backup_source").first({
          archiveId: "archive_id",
          line: "line",
          origins: "origins",
        });
        if (!row) throw new Error("the row of backup_source is missing");
        return row;
      }),
    begin: (cause) =>
      databaseError(async () => {
        await knex("backup_run")
          .where("outcome", "running")
          .update({ outcome: "failed", finished_at: knex.fn.now(), fault: "It ended before it was done." });
        const [run]: { id: number }[] = await knex("backup_run").insert({ cause }, ["id"]);
        if (!run) throw new Error("an insert returned nothing");
        await knex("backup_run")
          .where("id", "<=", run.id - remembered)
          .delete();
        return run.id;
      }),
    end: (id, result) =>
      databaseError(async () => {
        await knex("backup_run")
          .where({ id })
          .update({
            finished_at: knex.fn.now(),
            outcome: result.outcome,
            snapshot: result.snapshot ?? null,
            fault: result.fault ?? null,
            instances: result.instances ?? null,
            objects: result.objects ?? null,
            object_bytes: result.objectBytes ?? null,
            copied_objects: result.copiedObjects ?? null,
            copied_bytes: result.copiedBytes ?? null,
            faulty_objects: result.faultyObjects ?? null,
          });
      }),
    latest: (limit) => databaseError(() => latest(limit)),
    hasScheduled: () =>
      databaseError(async () => {
        const made = knex("backup_run").where("cause", "schedule").whereIn("outcome", ["complete", "with-faults"]);
        const found: unknown = await made.first("id");
        return found !== undefined;
      }),
    latestSuccess: () =>
      databaseError(async () => {
        const row: BackupRun | undefined = await knex("backup_run")
          .whereIn("outcome", ["complete", "with-faults"])
          .orderBy("id", "desc")
          .first(columns);
        return row;
      }),
  };
}

/** A restored archive begins a line of its own, which goes on from the snapshot. @throws ArchiveError `database-unavailable` */
export async function beginLine(knex: Knex, origins: BackupLine["origins"]): Promise<void> {
  const changed = { line: knex.raw("gen_random_uuid()"), origins: JSON.stringify(origins) };
  await databaseError(async () => void (await knex("backup_source").update(changed)));
}

/**
 * What was restored is an archive of its own beside the one that was backed up: its backups are told from those of the
 * other, nobody is told of its changes, and no rule removes anything in it. @throws ArchiveError `database-unavailable`
 */
export async function becomeCopy(trx: Knex.Transaction): Promise<void> {
  await databaseError(async () => {
    const fresh = trx.raw("gen_random_uuid()");
    await trx("backup_source").update({ archive_id: fresh, line: fresh, origins: "[]" });
    await trx("webhook").delete();
    await trx("commitment_report").delete();
    await trx("forwarding_rule").update({ enabled: false });
    await trx("job").delete();
    await trx("peer_fault").delete();
    await trx("retention_rule").where("enabled", true).update({ enabled: false, stopped: "The archive is a copy." });
  });
}
