/** The index of query tags over what is stored: made in steps in the background, and anew for series that changed. */
import { setImmediate } from "node:timers/promises";
import type { Knex } from "knex";
import {
  type Indexed,
  type ReadTagValues,
  recheckSeries,
  tagColumns,
  tagsInForce,
  writeValues,
} from "./catalog-query-tag-values.ts";
import type { QueryTag } from "./catalog-query-tags.ts";

/** Instances, and bytes of compressed metadata, of one transaction of the re-index. */
const batchInstances = 500;
const batchBytes = 8 * 2 ** 20;
/** Data sets read in one turn of the event loop: requests come between. */
const readsInTurn = 16;

/** A number of our own that PostgreSQL locks by: "qtags" in ASCII. */
const backgroundLock = "486736389491";

/**
 * One step of what is to be done in the background, in a transaction of its own: a killed process loses that step at
 * most. Only one process at a time works; the others, and a process that finds nothing to do, get false.
 */
export async function indexBatch(knex: Knex, read: ReadTagValues): Promise<boolean> {
  return knex.transaction(async (trx) => {
    const { rows }: { rows: { locked: boolean }[] } = await trx.raw("select pg_try_advisory_xact_lock(?) as locked", [
      backgroundLock,
    ]);
    if (!rows[0]?.locked) return false;
    return (await recheckOne(trx, read)) || (await reindex(trx, read)) || (await purge(trx));
  });
}

interface Reindexed extends QueryTag {
  readonly indexUntil: number;
  readonly indexedUntil: number;
  readonly total: number | null;
}

/** Tags that came together are indexed together: metadata is read once. */
async function reindex(trx: Knex.Transaction, read: ReadTagValues): Promise<boolean> {
  const adding: Reindexed[] = await trx("query_tag")
    .where("status", "adding")
    .orderBy("id")
    .forNoKeyUpdate()
    .select({ ...tagColumns, indexUntil: "index_until", indexedUntil: "indexed_until", total: "instances_total" });
  const [first] = adding;
  if (!first) return false;
  const tags = adding.filter(
    ({ indexUntil, indexedUntil }) => indexUntil === first.indexUntil && indexedUntil === first.indexedUntil,
  );
  const ids = tags.map(({ id }) => id);
  if (first.total === null) await begin(trx, ids, first.indexUntil);
  const window = await nextWindow(trx, first.indexedUntil, first.indexUntil);
  const last = window.at(-1);
  if (!last) return finish(trx, ids);
  await indexWindow(trx, tags, window, read);
  await trx("query_tag")
    .whereIn("id", ids)
    .update({ indexed_until: last.id })
    .increment("instances_done", window.length);
  return true;
}

async function begin(trx: Knex.Transaction, ids: readonly number[], until: number): Promise<void> {
  await trx("query_tag")
    .whereIn("id", [...ids])
    .update({
      instances_total: trx("instance").count().where("id", "<=", until),
      started_at: trx.fn.now(),
    });
}

/** A series that waits to be made anew may lack values: not ready before that is done. */
async function finish(trx: Knex.Transaction, ids: readonly number[]): Promise<boolean> {
  const waiting: unknown = await trx("query_tag_recheck").first("series_id");
  if (waiting) return false;
  await trx("query_tag")
    .whereIn("id", [...ids])
    .update({ status: "ready", finished_at: trx.raw("clock_timestamp()") });
  return true;
}

interface WindowRow {
  readonly id: number;
  readonly seriesId: number;
}

async function nextWindow(trx: Knex.Transaction, after: number, until: number): Promise<WindowRow[]> {
  const { rows }: { rows: WindowRow[] } = await trx.raw(
    `select id, series_id as "seriesId" from (
       select id, series_id, sum(bytes) over (order by id) - bytes as bytes_before from (
         select id, series_id, octet_length(metadata) as bytes from instance
         where id > ? and id <= ? order by id limit ?
       ) as next
     ) as counted where bytes_before < ? order by id`,
    [after, until, batchInstances, batchBytes],
  );
  return rows;
}

/** Instances that another transaction is removing are left to a recheck: waiting for it might be a deadlock. */
async function indexWindow(
  trx: Knex.Transaction,
  tags: readonly QueryTag[],
  window: readonly WindowRow[],
  read: ReadTagValues,
): Promise<void> {
  const seriesIds = [...new Set(window.map(({ seriesId }) => seriesId))];
  const free: { id: number }[] = await trx("series")
    .whereIn("id", seriesIds)
    .orderBy("id")
    .forKeyShare()
    .skipLocked()
    .select("id");
  const freeSeries = new Set(free.map(({ id }) => id));
  const rows = await lockInstances(
    trx,
    window.map(({ id }) => id),
  );
  const indexed = await readAll(
    rows.filter(({ seriesId }) => freeSeries.has(seriesId)),
    tags,
    read,
  );
  await writeValues(trx, tags, indexed);
  const done = new Set(indexed.map(({ instanceId }) => instanceId));
  await recheckSeries(
    trx,
    window.filter(({ id }) => !done.has(id)).map(({ seriesId }) => seriesId),
  );
}

interface MetadataRow extends WindowRow {
  readonly metadata: Buffer;
}

async function lockInstances(trx: Knex.Transaction, ids: readonly number[]): Promise<MetadataRow[]> {
  return await trx("instance")
    .whereIn("id", [...ids])
    .orderBy("id")
    .forKeyShare()
    .skipLocked()
    .select({ id: "id", seriesId: "series_id", metadata: "metadata" });
}

async function readAll(
  rows: readonly MetadataRow[],
  tags: readonly QueryTag[],
  read: ReadTagValues,
): Promise<Indexed[]> {
  const indexed: Indexed[] = [];
  for (const { id, seriesId, metadata } of rows) {
    if (indexed.length % readsInTurn === readsInTurn - 1) await setImmediate();
    indexed.push({ instanceId: id, seriesId, values: read(metadata, tags) });
  }
  return indexed;
}

/** Series looked at for one that no other transaction holds. */
const recheckChoice = 20;

/** The series is locked as a store locks it, so that none adds a value that is about to be taken away. */
async function recheckOne(trx: Knex.Transaction, read: ReadTagValues): Promise<boolean> {
  const waiting: { seriesId: number }[] = await trx("query_tag_recheck")
    .select({ seriesId: "series_id" })
    .limit(recheckChoice);
  if (waiting.length === 0) return false;
  const ids = waiting.map(({ seriesId }) => seriesId);
  const there: { id: number }[] = await trx("series").whereIn("id", ids).select("id");
  const gone = ids.filter((id) => !there.some((series) => series.id === id));
  const forgotten = await trx("query_tag_recheck").whereIn("series_id", gone).delete();
  const free: { id: number } | undefined = await trx("series")
    .whereIn("id", ids)
    .forNoKeyUpdate()
    .skipLocked()
    .first("id");
  if (!free) return forgotten > 0;
  await recheck(trx, free.id, read);
  return true;
}

async function recheck(trx: Knex.Transaction, seriesId: number, read: ReadTagValues): Promise<void> {
  await trx("query_tag_recheck").where("series_id", seriesId).delete();
  await trx("query_tag_list").first("revision");
  const tags = await tagsInForce(trx);
  await trx("query_tag_value").where("series_id", seriesId).delete();
  let missed = false;
  for (let after = 0; ;) {
    const window = await nextOfSeries(trx, seriesId, after);
    const last = window.at(-1);
    if (!last) break;
    after = last.id;
    const rows = await lockInstances(
      trx,
      window.map(({ id }) => id),
    );
    missed ||= rows.length < window.length;
    const ids = rows.map(({ id }) => id);
    await trx("query_tag_value").whereIn("instance_id", ids).delete();
    await trx("query_tag_error").whereIn("instance_id", ids).delete();
    await writeValues(trx, tags, await readAll(rows, tags, read));
  }
  if (missed) await recheckSeries(trx, [seriesId]);
}

async function nextOfSeries(trx: Knex.Transaction, seriesId: number, after: number): Promise<{ id: number }[]> {
  const { rows }: { rows: { id: number }[] } = await trx.raw(
    `select id from (
       select id, sum(bytes) over (order by id) - bytes as bytes_before from (
         select id, octet_length(metadata) as bytes from instance
         where series_id = ? and id > ? order by id limit ?
       ) as next
     ) as counted where bytes_before < ? order by id`,
    [seriesId, after, batchInstances, batchBytes],
  );
  return rows;
}

/** Rows of a tag that is removed, deleted at a time. */
const purgeRows = 10_000;

/** Nobody writes values of a tag that is being removed any more. */
async function purge(trx: Knex.Transaction): Promise<boolean> {
  const tag: { id: number } | undefined = await trx("query_tag").where("status", "removing").first("id");
  if (!tag) return false;
  const deleted = (await purgeFrom(trx, "query_tag_value", tag.id)) + (await purgeFrom(trx, "query_tag_error", tag.id));
  if (deleted > 0) return true;
  const left: unknown =
    (await trx("query_tag_value").where("tag_id", tag.id).first("tag_id")) ??
    (await trx("query_tag_error").where("tag_id", tag.id).first("tag_id"));
  if (left) return false;
  await trx("query_tag").where("id", tag.id).delete();
  return true;
}

/** Rows that go with their instance in another transaction are left to it. */
async function purgeFrom(trx: Knex.Transaction, table: string, tagId: number): Promise<number> {
  const { rowCount }: { rowCount: number | null } = await trx.raw(
    `delete from ?? where ctid = any (array(select ctid from ?? where tag_id = ? limit ? for update skip locked))`,
    [table, table, tagId, purgeRows],
  );
  return rowCount ?? 0;
}
