/** Instances that belong to no patient (PS3.18 12), in the catalog. */
import type { Knex } from "knex";
import type { DocumentCondition } from "./catalog-match.ts";
import type { LevelDocument } from "./catalog-records.ts";
import { sweepLater } from "./catalog-remove.ts";
import { all } from "./catalog-sql.ts";
import { restricted } from "./catalog-where.ts";
import { documentSql } from "./catalog-where-document.ts";
import { databaseError } from "./database-error.ts";

/** One instance to be made existent; its bytes are durable under `blobKey` already. */
export interface NonPatientRecord {
  readonly sopInstanceUid: string;
  readonly sopClassUid: string;
  readonly category: string;
  /** DICOM JSON without bulk data. */
  readonly attributes: LevelDocument;
  /** DICOM JSON of the whole data set, raw deflate. */
  readonly metadata: Buffer;
  readonly transferSyntaxUid: string;
  readonly blobKey: string;
  readonly byteLength: number;
  readonly sha256: Buffer;
  readonly dataSetOffset: number;
  readonly bulkData: object | undefined;
}

/** What is kept of one. */
export interface NonPatientRow extends Omit<NonPatientRecord, "attributes" | "bulkData"> {
  readonly id: number;
  readonly createdAt: Date;
}

/** What the archive asks of them. Every method throws ArchiveError `database-unavailable`. */
export interface NonPatientCatalog {
  /** Makes an instance existent, unless one with the same SOP Instance UID is there; then its SHA-256. */
  insert(record: NonPatientRecord): Promise<{ readonly held: Buffer } | undefined>;
  find(category: string, sopInstanceUid: string): Promise<NonPatientRow | undefined>;
  /** The entry of the table of bulk data at `path`, as it was inserted. */
  findBulkData(id: number, path: string): Promise<unknown>;
  /** Takes an instance out, and puts its object on the sweep list; false when it is not there. */
  remove(category: string, sopInstanceUid: string): Promise<boolean>;
  /** How many instances of a category meet every condition. */
  count(category: string, conditions: readonly DocumentCondition[]): Promise<number>;
  /** The instances of a category that meet every condition, in the order of their storage. */
  search(
    category: string,
    conditions: readonly DocumentCondition[],
    page: { readonly limit: number; readonly offset: number },
  ): Promise<readonly NonPatientDocument[]>;
}

/** One instance as a search sees it. */
export interface NonPatientDocument {
  readonly sopInstanceUid: string;
  readonly attributes: LevelDocument;
}

/** The same over an open pool. */
export function createNonPatientCatalog(knex: Knex): NonPatientCatalog {
  return {
    insert: (record) => databaseError(() => insert(knex, record)),
    find: (category, sopInstanceUid) => databaseError(() => find(knex, category, sopInstanceUid)),
    findBulkData: (id, path) => databaseError(() => findBulkData(knex, id, path)),
    remove: (category, sopInstanceUid) => databaseError(() => remove(knex, category, sopInstanceUid)),
    count: (category, conditions) => databaseError(() => count(knex, category, conditions)),
    search: (category, conditions, page) => databaseError(() => search(knex, category, conditions, page)),
  };
}

async function insert(knex: Knex, record: NonPatientRecord): Promise<{ readonly held: Buffer } | undefined> {
  const { bulkData } = record;
  const inserted = await knex("non_patient_instance")
    .insert({
      sop_instance_uid: record.sopInstanceUid,
      sop_class_uid: record.sopClassUid,
      category: record.category,
      attributes: JSON.stringify(record.attributes),
      metadata: record.metadata,
      transfer_syntax_uid: record.transferSyntaxUid,
      blob_key: record.blobKey,
      byte_length: record.byteLength,
      sha256: record.sha256,
      data_set_offset: record.dataSetOffset,
      bulk_data: bulkData === undefined ? null : JSON.stringify(bulkData),
    })
    .onConflict("sop_instance_uid")
    .ignore()
    .returning("id");
  if (inserted.length === 1) return undefined;
  const held: { sha256: Buffer; blob_key: string } | undefined = await knex("non_patient_instance")
    .where({ sop_instance_uid: record.sopInstanceUid })
    .first("sha256", "blob_key");
  // An insert whose answer was lost is tried again: the row is then this one's own.
  return held === undefined || held.blob_key === record.blobKey ? undefined : { held: held.sha256 };
}

async function find(knex: Knex, category: string, sopInstanceUid: string): Promise<NonPatientRow | undefined> {
  return knex("non_patient_instance").where({ category, sop_instance_uid: sopInstanceUid }).first({
    id: "id",
    sopInstanceUid: "sop_instance_uid",
    sopClassUid: "sop_class_uid",
    category: "category",
    metadata: "metadata",
    transferSyntaxUid: "transfer_syntax_uid",
    blobKey: "blob_key",
    byteLength: "byte_length",
    sha256: "sha256",
    dataSetOffset: "data_set_offset",
    createdAt: "created_at",
  });
}

async function findBulkData(knex: Knex, id: number, path: string): Promise<unknown> {
  const row: { entry: unknown } | undefined = await knex("non_patient_instance")
    .where({ id })
    .first({ entry: knex.raw("bulk_data -> ?", [path]) });
  return row?.entry ?? undefined;
}

async function search(
  knex: Knex,
  category: string,
  conditions: readonly DocumentCondition[],
  { limit, offset }: { readonly limit: number; readonly offset: number },
): Promise<NonPatientDocument[]> {
  return matching(knex, category, conditions)
    .orderBy("id")
    .limit(limit)
    .offset(offset)
    .select({ sopInstanceUid: "sop_instance_uid", attributes: "attributes" });
}

async function count(knex: Knex, category: string, conditions: readonly DocumentCondition[]): Promise<number> {
  const [row]: { count: number }[] = await matching(knex, category, conditions).count({ count: "*" });
  return row?.count ?? 0;
}

function matching(knex: Knex, category: string, conditions: readonly DocumentCondition[]): Knex.QueryBuilder {
  // By the name of the level whose time zone counts in conditions on moments.
  const alias = "study";
  const met = all(conditions.map((condition) => documentSql(`${alias}.attributes`, condition)));
  return restricted(knex({ [alias]: "non_patient_instance" }).where({ category }), met);
}

async function remove(knex: Knex, category: string, sopInstanceUid: string): Promise<boolean> {
  return knex.transaction(async (trx) => {
    const removed: { blob_key: string }[] = await trx("non_patient_instance")
      .where({ category, sop_instance_uid: sopInstanceUid })
      .delete()
      .returning("blob_key");
    const keys = removed.map((row) => row.blob_key);
    await sweepLater(trx, keys);
    return keys.length > 0;
  });
}
