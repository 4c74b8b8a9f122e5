/** The catalog of quarantine: files that could not be stored for what is in them. */
import type { Knex } from "knex";
import { databaseError } from "./database-error.ts";

/** What is known of one file. */
export interface QuarantineRecord {
  /** Code of the error, and its sentence. */
  readonly reason: string;
  readonly detail: string;
  readonly blobKey: string;
  readonly byteLength: number;
  readonly sha256: Buffer;
  readonly sopClassUid: string | null;
  readonly sopInstanceUid: string | null;
  readonly studyInstanceUid: string | null;
  readonly seriesInstanceUid: string | null;
  /** The door through which it came. */
  readonly origin: string | null;
  /** Its number in the request, from 1 on. */
  readonly part: number | null;
  /** As the sender called it. */
  readonly name: string | null;
}

/** One file in quarantine. */
export interface QuarantineRow extends QuarantineRecord {
  readonly id: number;
  /** How often the same bytes came. */
  readonly count: number;
  readonly firstAt: Date;
  readonly lastAt: Date;
  readonly retries: number;
  readonly retriedAt: Date | null;
}

/** What is kept; what came longest ago goes first. */
export interface QuarantineLimits {
  readonly bytes: number;
  readonly files: number;
  readonly days: number;
}

/** Which files; what is absent is any. */
export interface QuarantineFilter {
  readonly reason?: string | undefined;
  readonly origin?: string | undefined;
  /** Only those that came last before that. */
  readonly olderThan?: Date | undefined;
}

/** Every method throws ArchiveError `database-unavailable` when PostgreSQL does not answer. */
export interface QuarantineCatalog {
  /** Counts these bytes once more, for what is wrong with them now; the id of their row, undefined when there is none. */
  again(sha256: Buffer, fault: Pick<QuarantineRecord, "reason" | "detail">): Promise<number | undefined>;
  /** Adds a row, unless another has the same bytes, which is counted then; tells the id and the object of the row. */
  add(record: QuarantineRecord): Promise<Pick<QuarantineRow, "id" | "blobKey">>;
  /** Removes what is beyond the limits; how many that were. */
  evict(limits: QuarantineLimits): Promise<number>;
  /** The newest first: at most `limit` with an id below `before`. */
  list(filter: QuarantineFilter, limit: number, before: number): Promise<readonly QuarantineRow[]>;
  find(id: number): Promise<QuarantineRow | undefined>;
  /** Notes a retry that failed. */
  retried(id: number, fault?: Pick<QuarantineRecord, "reason" | "detail">): Promise<void>;
  /** Removes one; its object is on the list of the sweep then. False when there is none. */
  remove(id: number): Promise<boolean>;
  /** The same with all that the filter names; how many these were. */
  removeAll(filter: QuarantineFilter): Promise<number>;
}

const columns = {
  id: "id",
  reason: "reason",
  detail: "detail",
  blobKey: "blob_key",
  byteLength: "byte_length",
  sha256: "sha256",
  sopClassUid: "sop_class_uid",
  sopInstanceUid: "sop_instance_uid",
  studyInstanceUid: "study_instance_uid",
  seriesInstanceUid: "series_instance_uid",
  origin: "origin",
  part: "part",
  name: "name",
  count: "count",
  firstAt: "first_at",
  lastAt: "last_at",
  retries: "retries",
  retriedAt: "retried_at",
} as const;

/** Removed rows leave the keys of their objects on the list of the sweep, in the same statement. */
const sweeping = (removal: string) => `
  with gone as (${removal} returning quarantine.blob_key),
    listed as (insert into sweep (blob_key) select blob_key from gone on conflict do nothing)
  select count(*) as count from gone`;

/** The quarantine over an open pool. */
export function createQuarantineCatalog(knex: Knex): QuarantineCatalog {
  const removed = async (removal: string, bindings: readonly (string | number | Date | null)[]): Promise<number> => {
    const { rows }: { rows: { count: number }[] } = await knex.raw(sweeping(removal), [...bindings]);
    return rows[0]?.count ?? 0;
  };
  return {
    again: (sha256, { reason, detail }) =>
      databaseError(async () => {
        const [row]: { id: number }[] = await knex("quarantine")
          .where({ sha256 })
          .update({ reason, detail, count: knex.raw("count + 1"), last_at: knex.fn.now() }, ["id"]);
        return row?.id;
      }),
    add: (record) => databaseError(() => add(knex, record)),
    evict: ({ bytes, files, days }) =>
      databaseError(() =>
        removed(
          `delete from quarantine using (
             select id, last_at, sum(byte_length) over newest as bytes, row_number() over newest as files
             from quarantine window newest as (order by last_at desc, id desc)
           ) as kept
           where quarantine.id = kept.id and quarantine.last_at = kept.last_at
             and (bytes > ? or files > ? or kept.last_at < now() - make_interval(days => ?::int))`,
          [bytes, files, days],
        ),
      ),
    list: (filter, limit, before) =>
      databaseError(async () => {
        const rows: QuarantineRow[] = await knex("quarantine")
          .whereRaw(matching, bindingsOf(filter))
          .where("id", "<", before)
          .orderBy("id", "desc")
          .limit(limit)
          .select(columns);
        return rows;
      }),
    find: (id) => databaseError(async () => knex("quarantine").where({ id }).first(columns)),
    retried: (id, fault) =>
      databaseError(async () => {
        const noted = { retries: knex.raw("retries + 1"), retried_at: knex.fn.now() };
        await knex("quarantine")
          .where({ id })
          .update({ ...noted, ...(fault && { reason: fault.reason, detail: fault.detail }) });
      }),
    remove: (id) => databaseError(async () => (await removed("delete from quarantine where id = ?", [id])) > 0),
    removeAll: (filter) => databaseError(() => removed(`delete from quarantine where ${matching}`, bindingsOf(filter))),
  };
}

const matching = `reason = coalesce(?, reason) and (?::text is null or origin = ?)
  and last_at < coalesce(?::timestamptz, 'infinity')`;

function bindingsOf({ reason, origin, olderThan }: QuarantineFilter): (string | Date | null)[] {
  return [reason ?? null, origin ?? null, origin ?? null, olderThan ?? null];
}

async function add(knex: Knex, record: QuarantineRecord): Promise<Pick<QuarantineRow, "id" | "blobKey">> {
  const { reason, detail, blobKey, byteLength, sha256, origin, part, name } = record;
  const [row]: Pick<QuarantineRow, "id" | "blobKey">[] = await knex("quarantine")
    .insert({
      reason,
      detail,
      blob_key: blobKey,
      byte_length: byteLength,
      sha256,
      sop_class_uid: record.sopClassUid,
      sop_instance_uid: record.sopInstanceUid,
      study_instance_uid: record.studyInstanceUid,
      series_instance_uid: record.seriesInstanceUid,
      origin,
      part,
      name,
    })
    .onConflict("sha256")
    .merge({ count: knex.raw("quarantine.count + 1"), last_at: knex.fn.now(), reason, detail })
    .returning(["id", "blob_key as blobKey"]);
  if (!row) throw new Error("an insert returned nothing");
  return row;
}
