/** The feed of changes: numbers without gaps, in an order in which the changes can have happened; pages; forgetting. */
import type { Knex } from "knex";
import { databaseError } from "./database-error.ts";

/** What happened to one instance. */
export interface Change {
  /** Counts from 1, without gaps, but for the one that each restore from a backup leaves. */
  readonly sequence: number;
  readonly action: "create" | "update" | "delete" | "restore";
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  readonly sopClassUid: string;
  /** SHA-256 of the bytes that the change made current, or took away, in hexadecimal. */
  readonly sha256: string;
  readonly at: Date;
  /** The door through which it came; null when that is not known. */
  readonly origin: string | null;
}

/** Changes after a sequence number. */
export interface ChangePage {
  readonly changes: readonly Change[];
  /** The last sequence number that is no longer kept; 0 when every one is. */
  readonly lastForgotten: number;
}

/** Every method throws ArchiveError `database-unavailable` when PostgreSQL does not answer. */
export interface ChangeCatalog {
  /** The changes with a sequence number above `since`, at most `limit`, in their order. */
  read(since: number, limit: number): Promise<ChangePage>;
  /** The sequence number of the last change. */
  last(): Promise<number>;
  /** Forgets a batch of changes older than `keepDays`; tells how many. */
  forget(keepDays: number): Promise<number>;
}

/** Numbers given, and changes forgotten, in one transaction. */
const batchSize = 10_000;

/** The changes over an open pool. */
export function createChangeCatalog(knex: Knex): ChangeCatalog {
  return {
    read: (since, limit) => databaseError(() => readChanges(knex, since, limit)),
    last: () => databaseError(() => lastSequence(knex)),
    forget: (keepDays) => databaseError(() => forgetChanges(knex, keepDays)),
  };
}

async function readChanges(knex: Knex, since: number, limit: number): Promise<ChangePage> {
  while (await hasUnnumbered(knex)) {
    const given = await numberChanges(knex);
    if (given.lastSequence >= since + limit || given.count < batchSize) break;
  }
  const changes: Change[] = await knex("change")
    .where("sequence", ">", since)
    .orderBy("sequence")
    .limit(limit)
    .select({
      sequence: "sequence",
      action: "action",
      studyInstanceUid: "study_instance_uid",
      seriesInstanceUid: "series_instance_uid",
      sopInstanceUid: "sop_instance_uid",
      sopClassUid: "sop_class_uid",
      sha256: knex.raw("encode(sha256, 'hex')"),
      at: "at",
      origin: "origin",
    });
  // After the changes: what is forgotten between the two is noticed.
  const counter: { last_forgotten: number } | undefined = await knex("change_counter").first({
    // Numbers that a restore has skipped were those of changes that are not there any more.
    last_forgotten: knex.raw(
      "case when restored_from < :since and :since < restored_to then restored_to else last_forgotten end",
      { since },
    ),
  });
  return { changes, lastForgotten: counter?.last_forgotten ?? 0 };
}

async function lastSequence(knex: Knex): Promise<number> {
  while (await hasUnnumbered(knex)) {
    const { count } = await numberChanges(knex);
    if (count < batchSize) break;
  }
  const counter: { last_sequence: number } | undefined = await knex("change_counter").first("last_sequence");
  return counter?.last_sequence ?? 0;
}

async function hasUnnumbered(knex: Knex): Promise<boolean> {
  const found: unknown = await knex("change").whereNull("sequence").first("id");
  return found !== undefined;
}

/**
 * Gives numbers to committed changes that have none, in the order of their ids. Writers never wait for it, nor for each
 * other: a change that is committed later gets a higher number, and one that was seen before another was written has a
 * lower id. Whoever numbers holds the counter, so that the second sees what the first has done.
 */
async function numberChanges(knex: Knex): Promise<{ lastSequence: number; count: number }> {
  return knex.transaction(async (trx) => {
    const counter: { last_sequence: number } | undefined = await trx("change_counter")
      .forUpdate()
      .first("last_sequence");
    const begin = counter?.last_sequence ?? 0;
    const numbered: { rowCount: number } = await trx.raw(
      `with fresh as (
         select id, row_number() over (order by id) as position
         from (select id from change where sequence is null order by id limit ?) as unnumbered
       )
       update change set sequence = ? + position from fresh where change.id = fresh.id`,
      [batchSize, begin],
    );
    const last = begin + numbered.rowCount;
    await trx("change_counter").update({ last_sequence: last });
    return { lastSequence: last, count: numbered.rowCount };
  });
}

/** The oldest go first, so that the feed loses its beginning and nothing in between. */
async function forgetChanges(knex: Knex, keepDays: number): Promise<number> {
  return knex.transaction(async (trx) => {
    await trx("change_counter").forUpdate().first("last_sequence");
    const { rows }: { rows: { count: number; last: number | null }[] } = await trx.raw(
      `with oldest as (
         select id, sequence, bool_and(at < now() - make_interval(days => ?::int)) over (order by sequence) as old
         from (select id, sequence, at from change where sequence is not null order by sequence limit ?) as first_ones
       ), forgotten as (
         delete from change using oldest where change.id = oldest.id and oldest.old returning change.sequence
       )
       select count(*) as count, max(sequence) as last from forgotten`,
      [keepDays, batchSize],
    );
    const [{ count, last } = { count: 0, last: null }] = rows;
    if (last !== null) await trx("change_counter").update({ last_forgotten: last });
    return count;
  });
}
