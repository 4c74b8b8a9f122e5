/** Values of query tags: written with new instances, made for those stored before, made anew for series that changed. */
import { setImmediate } from "node:timers/promises";
import type { Knex } from "knex";
import type { QueryTag } from "./catalog-query-tags.ts";

/** What one instance holds for one tag. */
export interface QueryTagValues {
  readonly tagId: number;
  /** Canonical, without repetition. */
  readonly values: readonly string[];
  /** The first value that could not be indexed, cut short, and why. */
  readonly fault?: { readonly value: string; readonly reason: string };
}

/** Reads the values of an instance from its compressed metadata. Never throws. */
export type ReadTagValues = (metadata: Buffer, tags: readonly QueryTag[]) => readonly QueryTagValues[];

/** The list of tags that a process knows, with the revision that it stands for: the database tells when it is old. */
export interface KnownTags {
  revision: number;
  tags: readonly QueryTag[];
}

/** An instance that a transaction has written, or indexes. */
interface Indexed {
  readonly instanceId: number;
  readonly seriesId: number;
  readonly values: readonly QueryTagValues[];
}

/** An instance that the transaction has just inserted. */
export interface NewInstance {
  readonly instanceId: number;
  readonly seriesId: number;
  /** `listRevision` as the inserting statement saw it. */
  readonly revision: number;
  /** Undefined: its values are not at hand, and are made in the background. */
  readonly tagValues: ((tags: readonly QueryTag[]) => readonly QueryTagValues[]) | undefined;
}

/** To be selected or returned by the statement that inserts instances: see catalog-query-tags.ts. */
export const listRevision = "(select revision from query_tag_list)";

/** Instances, and bytes of compressed metadata, of one transaction of the re-index. */
const batchInstances = 500;
const batchBytes = 8 * 2 ** 20;
/** Data sets read in one turn of the event loop: requests come between. */
const readsInTurn = 16;

/** A number of our own that PostgreSQL locks by: "qtags" in ASCII. */
const backgroundLock = "486736389491";

/**
 * Writes the values of instances that this transaction has inserted, after their series have been locked. Costs nothing
 * when there are no tags, one query when the list has changed, and one insert otherwise.
 */
export async function indexNewInstances(
  trx: Knex.Transaction,
  known: KnownTags,
  instances: readonly NewInstance[],
): Promise<void> {
  const [first] = instances;
  if (!first) return;
  if (first.revision !== known.revision) {
    // The list cannot change before this transaction ends.
    known.tags = await tagsInForce(trx);
    known.revision = first.revision;
  }
  const { tags } = known;
  if (tags.length === 0) return;
  const indexed = instances.flatMap(({ instanceId, seriesId, tagValues }) =>
    tagValues ? [{ instanceId, seriesId, values: tagValues(tags) }] : [],
  );
  await writeValues(trx, tags, indexed);
  await recheckSeries(
    trx,
    instances.filter(({ tagValues }) => !tagValues).map(({ seriesId }) => seriesId),
  );
}

/**
 * Has the values of series made anew in the background: to be called in a transaction that takes instances out of
 * series that stay, or changes the metadata of some.
 */
export async function recheckSeries(trx: Knex.Transaction, seriesIds: readonly number[]): Promise<void> {
  if (seriesIds.length === 0) return;
  await trx.raw(
    `insert into query_tag_recheck (series_id)
       select distinct unnest(?::bigint[]) as id where (select tags from query_tag_list) > 0 order by id
     on conflict do nothing`,
    [[...seriesIds]],
  );
}

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

const tagColumns = { id: "id", path: "path", privateCreator: "private_creator", vr: "vr", level: "level" } as const;

async function tagsInForce(trx: Knex.Transaction): Promise<QueryTag[]> {
  return await trx("query_tag").whereNot("status", "removing").orderBy("id").select(tagColumns);
}

interface ValueRow {
  readonly tag_id: number;
  readonly series_id: number | null;
  readonly instance_id: number | null;
  readonly value: string;
}

/** One insert for values and one for faults; in the order of a key, so that two transactions never wait in a circle. */
async function writeValues(
  trx: Knex.Transaction,
  tags: readonly QueryTag[],
  indexed: readonly Indexed[],
): Promise<void> {
  const levels = new Map(tags.map(({ id, level }) => [id, level]));
  const values = new Map<string, ValueRow>();
  const faults: object[] = [];
  for (const { instanceId, seriesId, values: found } of indexed) {
    for (const { tagId, values: texts, fault } of found) {
      const byInstance = levels.get(tagId) === "instance";
      const entity = byInstance
        ? { series_id: null, instance_id: instanceId }
        : { series_id: seriesId, instance_id: null };
      for (const value of texts) {
        const key = `${byInstance ? "instance" : "series"} ${byInstance ? instanceId : seriesId} ${tagId} ${value}`;
        values.set(key, { tag_id: tagId, ...entity, value });
      }
      if (fault) faults.push({ tag_id: tagId, instance_id: instanceId, ...fault });
    }
  }
  const sorted = [...values.entries()].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, row]) => row);
  await insertRows(trx, "query_tag_value", sorted, "tag_id integer, series_id bigint, instance_id bigint, value text");
  await insertRows(trx, "query_tag_error", faults, "tag_id integer, instance_id bigint, value text, reason text");
}

/** As one parameter, since PostgreSQL takes 65,535 at most. */
async function insertRows(
  trx: Knex.Transaction,
  table: string,
  rows: readonly object[],
  columns: string,
): Promise<void> {
  if (rows.length === 0) return;
  const names = columns.replaceAll(/ \w+(?=,|$)/g, "");
  await trx.raw(
    `insert into ${table} (${names}) select ${names} from jsonb_to_recordset(?::jsonb) as rows (${columns})
     on conflict do nothing`,
    [JSON.stringify(rows)],
  );
}
