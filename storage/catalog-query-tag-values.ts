/** Values of query tags: written with new instances, and how rows of them are written. */
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
export interface Indexed {
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

/** Columns of a `QueryTag`. */
export const tagColumns = {
  id: "id",
  path: "path",
  privateCreator: "private_creator",
  vr: "vr",
  level: "level",
} as const;

/** The tags that stores write values of. */
export async function tagsInForce(trx: Knex.Transaction): Promise<QueryTag[]> {
  return await trx("query_tag").whereNot("status", "removing").orderBy("id").select(tagColumns);
}

interface ValueRow {
  readonly tag_id: number;
  readonly series_id: number | null;
  readonly instance_id: number | null;
  readonly value: string;
}

/** One insert for values and one for faults; in the order of a key, so that two transactions never wait in a circle. */
export async function writeValues(
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
