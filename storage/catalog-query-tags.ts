/**
 * The list of query tags: which attributes an operator made searchable, and how far the index of each has come.
 *
 * No instance escapes a tag, in whatever interleaving: a transaction that writes instances reads `query_tag_list` in the
 * statement that does, hence holds ACCESS SHARE on it to its end. A change of the list takes ACCESS EXCLUSIVE first,
 * hence waits for those transactions and holds up later ones. So each instance either was committed before the tag came,
 * and has an id up to `index_until`, which the re-index covers; or is written by a transaction that knows the tag.
 */
import type { Knex } from "knex";
import { ArchiveError } from "../server/errors.ts";
import type { Level } from "./catalog-match.ts";

/** What makes a query tag. */
export interface QueryTagDefinition {
  /** Tags joined by dots, the last one that of the value; of a private one the block is `xx`: `0019xx07`. */
  readonly path: string;
  /** Private Creator of the private tags of the path; empty when there are none. */
  readonly privateCreator: string;
  readonly vr: string;
  readonly level: Level;
}

/** A query tag in force. */
export interface QueryTag extends QueryTagDefinition {
  readonly id: number;
}

/** A query tag and how far its index has come. */
export interface QueryTagState extends QueryTag {
  /** `adding`: instances that were stored before the tag are being indexed. */
  readonly status: "adding" | "ready";
  /** Instances to be indexed; null until the re-index has begun. */
  readonly total: number | null;
  readonly done: number;
  /** Instances whose value could not be indexed; 10,000 also stands for more. */
  readonly errors: number;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

/** An instance whose value could not be indexed. */
export interface QueryTagError {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  /** What was found, cut short. */
  readonly value: string;
  readonly reason: string;
}

/** Tags at most: each costs every store and every re-index. */
export const mostQueryTags = 128;

const mostCounted = 10_000;

/** How long (milliseconds) a change of the list waits for stores under way. */
const lockTime = 10_000;

/** Adds tags, all or none. @throws ArchiveError `query-tag-exists`, `too-many-query-tags`, `database-unavailable` */
export async function addQueryTags(knex: Knex, definitions: readonly QueryTagDefinition[]): Promise<QueryTagState[]> {
  return knex.transaction(async (trx) => {
    await lockList(trx);
    const taken = await trx("query_tag")
      .first("path")
      .whereIn(
        ["path", "private_creator"],
        definitions.map(({ path, privateCreator }) => [path, privateCreator]),
      )
      .whereNot("status", "removing");
    if (taken) throw new ArchiveError("query-tag-exists", `${taken.path} is a query tag already.`);
    const [list]: { tags: number }[] = await trx("query_tag_list")
      .increment("revision", 1)
      .increment("tags", definitions.length)
      .returning("tags");
    if ((list?.tags ?? 0) > mostQueryTags) {
      throw new ArchiveError("too-many-query-tags", `There may be ${mostQueryTags} query tags at most.`);
    }
    const rows = definitions.map(({ path, privateCreator, vr, level }) => ({
      path,
      private_creator: privateCreator,
      vr,
      level,
      index_until: trx.raw("(select coalesce(max(id), 0) from instance)"),
    }));
    const added: { id: number }[] = await trx("query_tag").insert(rows).returning("id");
    const ids = new Set(added.map(({ id }) => id));
    return (await listQueryTags(trx)).filter(({ id }) => ids.has(id));
  });
}

/** Every tag in force, the oldest first. */
export async function listQueryTags(knex: Knex): Promise<QueryTagState[]> {
  const some = knex("query_tag_error").whereRaw("query_tag_error.tag_id = query_tag.id").limit(mostCounted);
  const errors = knex.count().from(some.select("tag_id").as("some"));
  return await knex("query_tag").whereNot("status", "removing").orderBy("id").select({
    id: "id",
    path: "path",
    privateCreator: "private_creator",
    vr: "vr",
    level: "level",
    status: "status",
    total: "instances_total",
    done: "instances_done",
    errors,
    createdAt: "created_at",
    startedAt: "started_at",
    finishedAt: "finished_at",
  });
}

/** Takes a tag out of force at once; its values go in the background. False when it is not there. */
export async function removeQueryTag(knex: Knex, id: number): Promise<boolean> {
  return knex.transaction(async (trx) => {
    // Before the list is locked: a batch of the re-index may hold the row.
    const found = await trx("query_tag").first("id").where("id", id).whereNot("status", "removing").forUpdate();
    if (!found) return false;
    await lockList(trx);
    await trx("query_tag").where("id", id).update("status", "removing");
    await trx("query_tag_list").increment("revision", 1).decrement("tags", 1);
    return true;
  });
}

/** Instances whose value could not be indexed, in the order in which they were stored. */
export async function listQueryTagErrors(
  knex: Knex,
  tagId: number,
  { limit, offset }: { readonly limit: number; readonly offset: number },
): Promise<QueryTagError[]> {
  return await knex("query_tag_error")
    .join("instance", "instance.id", "query_tag_error.instance_id")
    .join("series", "series.id", "instance.series_id")
    .join("study", "study.id", "series.study_id")
    .where("tag_id", tagId)
    .orderBy("instance.id")
    .limit(limit)
    .offset(offset)
    .select({
      studyInstanceUid: "study_instance_uid",
      seriesInstanceUid: "series_instance_uid",
      sopInstanceUid: "sop_instance_uid",
      value: "query_tag_error.value",
      reason: "query_tag_error.reason",
    });
}

async function lockList(trx: Knex.Transaction): Promise<void> {
  await trx.raw(`set local lock_timeout = ${lockTime}`);
  try {
    await trx.raw("lock table query_tag_list in access exclusive mode");
  } catch (cause) {
    if (!isLockTimeout(cause)) throw cause;
    const reason = "Stores under way hold up the list of query tags; try again.";
    throw new ArchiveError("database-unavailable", reason, { cause });
  }
}

function isLockTimeout(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "55P03";
}
