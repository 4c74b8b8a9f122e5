/** Storage commitment in the catalog: requests with their outcome, and where the instances lie that they name. */
import type { Knex } from "knex";
import { databaseError } from "./database-error.ts";

/** One instance of which a client asks whether it is kept. */
export interface CommitmentReference {
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  /** Where the client names them too, they must be right. */
  readonly studyInstanceUid?: string;
  readonly seriesInstanceUid?: string;
}

/** An instance that has a row. */
export interface HeldInstance extends Required<CommitmentReference> {
  readonly blobKey: string;
  readonly byteLength: number;
}

/** A request as it stands. The outcome is what `finishCommitment` was given. */
export interface CommitmentRow {
  readonly transactionUid: string;
  readonly request: unknown;
  readonly result: unknown;
  readonly finished: boolean;
}

/** What the archive asks of storage commitment. Every method throws ArchiveError `database-unavailable`. */
export interface CommitmentCatalog {
  /** Keeps a request. False when one with the same Transaction UID is there already. */
  record(transactionUid: string, request: object): Promise<boolean>;
  /** Keeps the outcome in place of the request. */
  finish(transactionUid: string, result: object): Promise<void>;
  find(transactionUid: string): Promise<CommitmentRow | undefined>;
  /** Requests without an outcome that were made more than `age` seconds ago, the oldest first. */
  unfinished(age: number, limit: number): Promise<readonly CommitmentRow[]>;
  /** Forgets outcomes older than `age` seconds; that there was such a request stays known. */
  forget(age: number): Promise<void>;
  /** Every instance with one of these SOP Instance UIDs. */
  held(sopInstanceUids: readonly string[]): Promise<readonly HeldInstance[]>;
}

/** The same over an open pool. */
export function createCommitmentCatalog(knex: Knex): CommitmentCatalog {
  return {
    record: (uid, request) => databaseError(() => record(knex, uid, request)),
    finish: (uid, result) => databaseError(() => finish(knex, uid, result)),
    find: (uid) => databaseError(async () => knex("commitment").where({ transaction_uid: uid }).first(columns(knex))),
    unfinished: (age, limit) => databaseError(() => unfinished(knex, age, limit)),
    forget: (age) => databaseError(() => forget(knex, age)),
    held: (uids) => databaseError(() => held(knex, uids)),
  };
}

async function record(knex: Knex, transactionUid: string, request: object): Promise<boolean> {
  const inserted = await knex("commitment")
    .insert({ transaction_uid: transactionUid, request: JSON.stringify(request) })
    .onConflict("transaction_uid")
    .ignore()
    .returning("transaction_uid");
  return inserted.length === 1;
}

async function finish(knex: Knex, transactionUid: string, result: object): Promise<void> {
  await knex("commitment")
    .where({ transaction_uid: transactionUid })
    .update({ request: null, result: JSON.stringify(result), finished_at: knex.fn.now() });
}

async function unfinished(knex: Knex, age: number, limit: number): Promise<CommitmentRow[]> {
  return knex("commitment")
    .whereNull("finished_at")
    .whereRaw("created_at < now() - make_interval(secs => ?)", [age])
    .orderBy("created_at")
    .limit(limit)
    .select(columns(knex));
}

async function forget(knex: Knex, age: number): Promise<void> {
  await knex("commitment")
    .whereNotNull("result")
    .whereRaw("finished_at < now() - make_interval(secs => ?)", [age])
    .update({ result: null });
}

async function held(knex: Knex, sopInstanceUids: readonly string[]): Promise<HeldInstance[]> {
  return knex("instance")
    .join("series", "series.id", "instance.series_id")
    .join("study", "study.id", "series.study_id")
    .whereRaw("instance.sop_instance_uid = any (?)", [[...sopInstanceUids]])
    .select({
      sopClassUid: "sop_class_uid",
      sopInstanceUid: "sop_instance_uid",
      studyInstanceUid: "study_instance_uid",
      seriesInstanceUid: "series_instance_uid",
      blobKey: "blob_key",
      byteLength: "byte_length",
    });
}

function columns(knex: Knex) {
  return {
    transactionUid: "transaction_uid",
    request: "request",
    result: "result",
    finished: knex.raw("finished_at is not null"),
  };
}
