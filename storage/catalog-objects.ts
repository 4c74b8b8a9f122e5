/** Which rows name objects of the object store: THE list of tables that do, and the questions that go over all of them. */
import type { Knex } from "knex";

/** How the rows of a table tell of their objects: SQL expressions. */
interface Holder {
  readonly byteLength: string;
  readonly sha256: string;
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  /** Joins that the UIDs need. */
  readonly joins: string;
}

/** The list: each table has a column `blob_key`. An object that none of them names is an orphan. */
const holders = {
  instance: {
    byteLength: "instance.byte_length",
    sha256: "instance.sha256",
    studyInstanceUid: "study.study_instance_uid",
    seriesInstanceUid: "series.series_instance_uid",
    sopInstanceUid: "instance.sop_instance_uid",
    joins: "join series on series.id = instance.series_id join study on study.id = series.study_id",
  },
  removed_instance: {
    byteLength: "(removed_instance.instance ->> 'byteLength')::bigint",
    sha256: "decode(removed_instance.instance ->> 'sha256', 'hex')",
    studyInstanceUid: "removed_series.study ->> 'uid'",
    seriesInstanceUid: "removed_series.series ->> 'uid'",
    sopInstanceUid: "removed_instance.sop_instance_uid",
    joins: "join removed_series on removed_series.id = removed_instance.removed_series_id",
  },
  non_patient_instance: {
    byteLength: "non_patient_instance.byte_length",
    sha256: "non_patient_instance.sha256",
    studyInstanceUid: "null::text",
    seriesInstanceUid: "null::text",
    sopInstanceUid: "non_patient_instance.sop_instance_uid",
    joins: "",
  },
  // What its file says of itself is no instance of that UID.
  quarantine: {
    byteLength: "quarantine.byte_length",
    sha256: "quarantine.sha256",
    studyInstanceUid: "null::text",
    seriesInstanceUid: "null::text",
    sopInstanceUid: "null::text",
    joins: "",
  },
} as const satisfies Readonly<Record<string, Holder>>;

/** A table whose rows name objects. */
export type ObjectHolder = keyof typeof holders;

const listed: readonly (readonly [table: string, holder: Holder])[] = Object.entries(holders);

/** What a row says of its object. */
export interface HeldObject {
  readonly key: string;
  readonly holder: ObjectHolder;
  /** Bytes that it should have. */
  readonly byteLength: number;
  readonly sha256: Buffer;
}

/** The same with the UIDs of the row; null where it has none. */
export interface NamedObject extends HeldObject {
  readonly studyInstanceUid: string | null;
  readonly seriesInstanceUid: string | null;
  readonly sopInstanceUid: string | null;
}

/** Keys from `from` on and below `to`, in the order of their bytes. */
export interface KeyRange {
  readonly from: string;
  readonly to: string;
}

/** Every row of a range of keys: as many as the caller has cut the range for. */
export function heldInRange(knex: Knex, { from, to }: KeyRange): Promise<HeldObject[]> {
  return ask(knex, ({ byteLength, sha256 }, table) => ({
    sql: `select blob_key as key, '${table}' as holder, ${byteLength} as "byteLength", ${sha256} as sha256
      from ${table} where blob_key >= ? and blob_key < ?`,
    bindings: [from, to],
  }));
}

/** The rows of some objects, with their UIDs; none of an object that no row names. */
export function heldAt(knex: Knex, keys: readonly string[]): Promise<NamedObject[]> {
  return ask(knex, (holder, table) => ({
    sql: `${selectNamed(holder, table)} where ${table}.blob_key = any (?)`,
    bindings: [[...keys]],
  }));
}

/** Rows with one of these SOP Instance UIDs. */
export function heldBySopInstance(knex: Knex, sopInstanceUids: readonly string[]): Promise<NamedObject[]> {
  return ask(knex, (holder, table) => ({
    sql: `${selectNamed(holder, table)} where ${holder.sopInstanceUid} = any (?)`,
    bindings: [[...sopInstanceUids]],
  }));
}

/** Rows of the instances of a study behind the key `after`, in the order of their keys. */
export async function heldOfStudy(knex: Knex, study: string, after: string, limit: number): Promise<NamedObject[]> {
  const { rows }: { rows: NamedObject[] } = await knex.raw(
    `${selectNamed(holders.instance, "instance")}
     where study_instance_uid = ? and instance.blob_key > ? order by instance.blob_key limit ?`,
    [study, after, limit],
  );
  return rows;
}

/** Whether no row names an object, and none ever has: the database is new. */
export async function holdsNothing(knex: Knex): Promise<boolean> {
  const tables = ["change", ...listed.map(([table]) => table)];
  const any = tables.map((table) => `exists (select 1 from ${table})`).join(" or ");
  const { rows }: { rows: { any: boolean }[] } = await knex.raw(`select ${any} as any`);
  return rows[0]?.any === false;
}

/** Every object that a row names, each once, in the order of its key: `key`, `sha256` in hexadecimal, `bytes`. */
export function everyHeldSql(): string {
  const each = listed.map(
    ([table, { sha256, byteLength }]) =>
      `select blob_key as key, encode(${sha256}, 'hex') as sha256, ${byteLength} as bytes from ${table}`,
  );
  return `select distinct on (key collate "C") key, sha256, bytes from (${each.join(" union all ")}) as held
    order by key collate "C"`;
}

/** An SQL condition: a row names the object whose key is `column`. */
export function isHeld(column: string): string {
  const each = listed.map(([table]) => `exists (select 1 from ${table} where ${table}.blob_key = ${column})`);
  return `(${each.join(" or ")})`;
}

function selectNamed(holder: Holder, table: string): string {
  return `select ${table}.blob_key as key, '${table}' as holder, ${holder.byteLength} as "byteLength",
      ${holder.sha256} as sha256, ${holder.studyInstanceUid} as "studyInstanceUid",
      ${holder.seriesInstanceUid} as "seriesInstanceUid", ${holder.sopInstanceUid} as "sopInstanceUid"
    from ${table} ${holder.joins}`;
}

interface Question {
  readonly sql: string;
  readonly bindings: readonly (string | string[])[];
}

/** Asks every table of the list the same question, all in one statement. */
async function ask<Row>(knex: Knex, questionOf: (holder: Holder, table: string) => Question): Promise<Row[]> {
  const questions = listed.map(([table, holder]) => questionOf(holder, table));
  const { rows }: { rows: Row[] } = await knex.raw(
    questions.map(({ sql }) => sql).join(" union all "),
    questions.flatMap(({ bindings }) => bindings),
  );
  return rows;
}
