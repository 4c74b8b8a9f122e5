/** Integrity: what verifications found, how far each has come, and since when the catalog knows of every object. */
import type { Knex } from "knex";
import {
  heldAt,
  heldBySopInstance,
  heldInRange,
  holdsNothing,
  type HeldObject,
  heldOfStudy,
  isHeld,
  type KeyRange,
  type NamedObject,
} from "./catalog-objects.ts";
import { databaseError } from "./database-error.ts";

/** Who runs a verification: the server by itself, or somebody by the command. */
export type RunKind = "background" | "command";

/** What a verification looks at. */
export interface RunOptions {
  /** Share of the objects whose bytes are read, from 0 to 1. */
  readonly sample: number;
  /** Whether the bytes must also describe the same instance as the row. */
  readonly deep: boolean;
  /** Ranges of keys begin with so many hexadecimal digits. */
  readonly digits: number;
}

/** How far a verification has come. */
export interface RunProgress {
  /** Every key up to this one has been checked. */
  readonly position: string;
  /** How much of the keys that is, from 0 to 1. */
  readonly share: number;
  /** Objects whose presence and size were compared. */
  readonly objects: number;
  readonly objectsRead: number;
  readonly bytesRead: number;
}

/** A verification. */
export interface IntegrityRun extends RunProgress {
  readonly id: number;
  readonly kind: RunKind;
  readonly options: RunOptions;
  readonly startedAt: Date;
  readonly updatedAt: Date;
  /** Null while it goes on, or waits to be taken up again. */
  readonly finishedAt: Date | null;
}

/** What may be wrong with an object. */
export type FaultKind = "missing" | "wrong-size" | "wrong-sha256" | "unreadable" | "different-metadata" | "orphan";

/** What a verification found of one object. */
export interface NewFault {
  readonly key: string;
  readonly kind: FaultKind;
  /** The row whose object it is; absent of an orphan. */
  readonly row?: NamedObject;
  /** One sentence. */
  readonly detail: string;
}

/** A fault as it is kept. */
export interface Fault {
  readonly id: number;
  readonly key: string;
  readonly kind: FaultKind;
  /** The table whose row names the object; null when no row does. */
  readonly holder: string | null;
  readonly studyInstanceUid: string | null;
  readonly seriesInstanceUid: string | null;
  readonly sopInstanceUid: string | null;
  readonly detail: string;
  readonly firstSeenAt: Date;
  readonly lastSeenAt: Date;
  /** Null while it is one. */
  readonly resolvedAt: Date | null;
  /** Why it is none any more; null while it is one. */
  readonly resolution: string | null;
}

/** What the row of an instance says that a description of its bytes must say, too. */
export interface DescribedObject {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  readonly transferSyntaxUid: string;
  readonly dataSetOffset: number;
  /** DICOM JSON, raw deflate. */
  readonly metadata: Buffer;
  readonly frameTable: Buffer | null;
}

/** An instance that may have been deleted, by its object. */
export interface DeletedInstance {
  readonly sopInstanceUid: string;
  readonly sha256: Buffer;
  /** When the object was stored: what is deleted may be stored again. */
  readonly storedAt: Date;
}

/** Which faults to list. */
export interface FaultPage {
  /** At most so many. */
  readonly limit: number;
  /** Only faults with a higher id. */
  readonly after: number;
  readonly state: "open" | "resolved";
  readonly kind?: FaultKind | undefined;
  readonly studyInstanceUid?: string | undefined;
}

/** Every method throws ArchiveError `database-unavailable` when PostgreSQL does not answer. */
export interface IntegrityCatalog {
  /** When the catalog began to know of every object that it acknowledges, and the time by the clock of the database. */
  knowsSince(): Promise<{ readonly since: Date; readonly now: Date }>;
  /** Notes that the catalog was put back from a backup, or rebuilt: it may lack what was acknowledged before now. */
  noteRestored(): Promise<void>;
  /** Whether no row names an object, and none ever has: the database is new. */
  holdsNothing(): Promise<boolean>;
  /** How many rows name objects, about. */
  countHeld(): Promise<number>;
  /** See `catalog-objects.ts`. */
  heldInRange(range: KeyRange): Promise<readonly HeldObject[]>;
  heldAt(keys: readonly string[]): Promise<readonly NamedObject[]>;
  heldBySopInstance(uids: readonly string[]): Promise<readonly NamedObject[]>;
  heldOfStudy(studyInstanceUid: string, after: string, limit: number): Promise<readonly NamedObject[]>;
  /** What the row of an instance says of it; undefined when no such row names the object. */
  describedAt(key: string): Promise<DescribedObject | undefined>;
  /** Those of `keys` that neither a row nor the list of the sweep names. */
  unknownKeys(keys: readonly string[]): Promise<readonly string[]>;
  /** Whether an instance with these bytes was deleted, as far as the feed of changes goes back. */
  wasDeleted(instance: DeletedInstance): Promise<boolean>;

  beginRun(kind: RunKind, options: RunOptions): Promise<IntegrityRun>;
  /** The latest run of a kind; undefined when there was none. */
  latestRun(kind: RunKind): Promise<IntegrityRun | undefined>;
  /** The latest run of a kind that came to its end. */
  latestFinishedRun(kind: RunKind): Promise<IntegrityRun | undefined>;
  saveRun(id: number, progress: RunProgress, finished?: boolean): Promise<void>;

  /** Notes faults; tells the keys of those that were not known. */
  noteFaults(runId: number | null, faults: readonly NewFault[]): Promise<ReadonlySet<string>>;
  /** Open faults of a range of keys. */
  openFaults(range: KeyRange): Promise<readonly Pick<Fault, "key" | "kind">[]>;
  /** The open faults of these keys are none any more. */
  resolveFaults(keys: readonly string[], resolution: string): Promise<void>;
  listFaults(page: FaultPage): Promise<readonly Fault[]>;
  /** How many are open, by kind. */
  countFaults(): Promise<ReadonlyMap<FaultKind, number>>;
}

/** The same over an open pool. */
export function createIntegrityCatalog(knex: Knex): IntegrityCatalog {
  return {
    knowsSince: () => databaseError(() => knowsSince(knex)),
    noteRestored: () =>
      databaseError(async () => void (await knex("archive_state").update({ restored_at: knex.fn.now() }))),
    countHeld: () => databaseError(() => countHeld(knex)),
    holdsNothing: () => databaseError(() => holdsNothing(knex)),
    heldInRange: (range) => databaseError(() => heldInRange(knex, range)),
    heldAt: (keys) => databaseError(() => heldAt(knex, keys)),
    heldBySopInstance: (uids) => databaseError(() => heldBySopInstance(knex, uids)),
    heldOfStudy: (study, after, limit) => databaseError(() => heldOfStudy(knex, study, after, limit)),
    describedAt: (key) => databaseError(() => describedAt(knex, key)),
    unknownKeys: (keys) => databaseError(() => unknownKeys(knex, keys)),
    wasDeleted: (instance) => databaseError(() => wasDeleted(knex, instance)),
    beginRun: (kind, options) => databaseError(() => beginRun(knex, kind, options)),
    latestRun: (kind) => databaseError(async () => await latest(knex, kind)),
    latestFinishedRun: (kind) => databaseError(async () => await latest(knex, kind).whereNotNull("finished_at")),
    saveRun: (id, progress, finished) => databaseError(() => saveRun(knex, id, progress, finished)),
    noteFaults: (runId, faults) => databaseError(() => noteFaults(knex, runId, faults)),
    openFaults: (range) => databaseError(() => openFaults(knex, range)),
    resolveFaults: (keys, resolution) => databaseError(() => resolveFaults(knex, keys, resolution)),
    listFaults: (page) => databaseError(() => listFaults(knex, page)),
    countFaults: () => databaseError(() => countFaults(knex)),
  };
}

async function knowsSince(knex: Knex) {
  const state: { since: Date; now: Date } | undefined = await knex("archive_state").first({
    since: knex.raw("greatest(made_at, restored_at)"),
    now: knex.raw("clock_timestamp()"),
  });
  if (!state) throw new Error("archive_state has no row");
  return state;
}

/** Of tables that may be small the rows, of instances the counts of their series. */
async function countHeld(knex: Knex): Promise<number> {
  const counted: { count: number | string } | undefined = await knex.first({
    count: knex.raw(
      `coalesce((select sum(instance_count) from series), 0) + coalesce((select sum(instance_count) from removal), 0)
       + (select count(*) from non_patient_instance) + (select count(*) from quarantine)`,
    ),
  });
  return Number(counted?.count ?? 0);
}

async function describedAt(knex: Knex, key: string): Promise<DescribedObject | undefined> {
  const instances = knex("instance")
    .join("series", "series.id", "series_id")
    .join("study", "study.id", "series.study_id");
  return await instances.where("blob_key", key).first({
    studyInstanceUid: "study_instance_uid",
    seriesInstanceUid: "series_instance_uid",
    sopInstanceUid: "sop_instance_uid",
    transferSyntaxUid: "transfer_syntax_uid",
    dataSetOffset: "data_set_offset",
    metadata: "metadata",
    frameTable: "frame_table",
  });
}

async function unknownKeys(knex: Knex, keys: readonly string[]): Promise<string[]> {
  const { rows }: { rows: { key: string }[] } = await knex.raw(
    `select key from unnest(?::text[]) as listed (key)
     where not ${isHeld("listed.key")} and not exists (select 1 from sweep where sweep.blob_key = listed.key)`,
    [[...keys]],
  );
  return rows.map(({ key }) => key);
}

async function wasDeleted(knex: Knex, { sopInstanceUid, sha256, storedAt }: DeletedInstance): Promise<boolean> {
  const found: unknown = await knex("change")
    .where({ action: "delete", sop_instance_uid: sopInstanceUid, sha256 })
    .where("at", ">=", storedAt)
    .first("id");
  return found !== undefined;
}

const runColumns = {
  id: "id",
  kind: "kind",
  options: "options",
  position: "position",
  share: "share",
  objects: "objects",
  objectsRead: "objects_read",
  bytesRead: "bytes_read",
  startedAt: "started_at",
  updatedAt: "updated_at",
  finishedAt: "finished_at",
};

async function beginRun(knex: Knex, kind: RunKind, options: RunOptions): Promise<IntegrityRun> {
  await knex("integrity_run").insert({ kind, options: JSON.stringify(options) });
  const begun: IntegrityRun | undefined = await latest(knex, kind);
  if (!begun) throw new Error("an insert left no row");
  return begun;
}

function latest(knex: Knex, kind: RunKind) {
  return knex("integrity_run").where("kind", kind).orderBy("id", "desc").first(runColumns);
}

async function saveRun(knex: Knex, id: number, progress: RunProgress, finished = false): Promise<void> {
  await knex("integrity_run")
    .where("id", id)
    .update({
      position: progress.position,
      share: progress.share,
      objects: progress.objects,
      objects_read: progress.objectsRead,
      bytes_read: progress.bytesRead,
      updated_at: knex.fn.now(),
      ...(finished && { finished_at: knex.fn.now() }),
    });
}

async function noteFaults(knex: Knex, runId: number | null, faults: readonly NewFault[]): Promise<Set<string>> {
  if (faults.length === 0) return new Set();
  const { rows }: { rows: { key: string; is_new: boolean }[] } = await knex.raw(
    `insert into integrity_fault
       (blob_key, kind, holder, study_instance_uid, series_instance_uid, sop_instance_uid, detail, run_id)
     select *, ?::bigint from jsonb_to_recordset(?::jsonb) as found
       (key text, kind text, holder text, study text, series text, sop_instance text, detail text)
     on conflict (blob_key) where resolved_at is null do update
       set kind = excluded.kind, detail = excluded.detail, holder = excluded.holder, run_id = excluded.run_id,
         last_seen_at = clock_timestamp()
     returning blob_key as key, xmax = 0 as is_new`,
    [runId, JSON.stringify(faults.map(documentOf))],
  );
  return new Set(rows.filter((row) => row.is_new).map(({ key }) => key));
}

function documentOf({ key, kind, detail, row }: NewFault) {
  const uids = { study: row?.studyInstanceUid, series: row?.seriesInstanceUid, sop_instance: row?.sopInstanceUid };
  return { key, kind, detail, holder: row?.holder, ...uids };
}

async function openFaults(knex: Knex, { from, to }: KeyRange): Promise<Pick<Fault, "key" | "kind">[]> {
  return await knex("integrity_fault")
    .whereNull("resolved_at")
    .where("blob_key", ">=", from)
    .where("blob_key", "<", to)
    .select({ key: "blob_key", kind: "kind" });
}

async function resolveFaults(knex: Knex, keys: readonly string[], resolution: string): Promise<void> {
  if (keys.length === 0) return;
  await knex("integrity_fault")
    .whereIn("blob_key", [...keys])
    .whereNull("resolved_at")
    .update({ resolved_at: knex.fn.now(), resolution });
}

async function listFaults(knex: Knex, page: FaultPage): Promise<Fault[]> {
  const { limit, after, state, kind, studyInstanceUid } = page;
  const faults = knex("integrity_fault").where("id", ">", after).orderBy("id").limit(limit);
  if (kind !== undefined) void faults.where("kind", kind);
  if (studyInstanceUid !== undefined) void faults.where("study_instance_uid", studyInstanceUid);
  void (state === "open" ? faults.whereNull("resolved_at") : faults.whereNotNull("resolved_at"));
  return await faults.select({
    id: "id",
    key: "blob_key",
    kind: "kind",
    holder: "holder",
    studyInstanceUid: "study_instance_uid",
    seriesInstanceUid: "series_instance_uid",
    sopInstanceUid: "sop_instance_uid",
    detail: "detail",
    firstSeenAt: "first_seen_at",
    lastSeenAt: "last_seen_at",
    resolvedAt: "resolved_at",
    resolution: "resolution",
  });
}

async function countFaults(knex: Knex): Promise<Map<FaultKind, number>> {
  const rows: { kind: FaultKind; count: number }[] = await knex("integrity_fault")
    .whereNull("resolved_at")
    .groupBy("kind")
    .select({ kind: "kind", count: knex.raw("count(*)") });
  return new Map(rows.map(({ kind, count }) => [kind, count]));
}
