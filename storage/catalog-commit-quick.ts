/** The common commit in one statement: instances of series that are there, which say what their study says. */
import { createHash } from "node:crypto";
import type { Knex } from "knex";
import { LRUCache } from "lru-cache";
import { distinct, instanceKey, type SeriesKey, seriesKey } from "./catalog-entities.ts";
import { type KnownTags, listRevision } from "./catalog-query-tag-values.ts";
import type { InstanceRecord } from "./catalog-records.ts";
import { codeOf } from "./error-code.ts";
import { comparedNames, differences } from "./study-conflicts.ts";
import { undoneUnlessFinished } from "./undone.ts";

/** Series as this process last saw them. The statement believes none of it: it writes nothing when it is out of date. */
export type KnownSeries = Pick<LRUCache<string, SeriesKey>, "get" | "set" | "delete">;

/** Series that a process remembers: those that are sent now, by many senders. */
const mostKnownSeries = 1000;

/** Bytes of metadata and frame tables in one statement: as JSON they take twice as many, several times over. */
const mostBytes = 2 ** 20;

/** A memory of series that is empty. */
export function knownSeries(): KnownSeries {
  return new LRUCache<string, SeriesKey>({ max: mostKnownSeries });
}

/**
 * Makes `records` existent in one statement, which is its own transaction: all of them, or none and the other way is to be
 * taken. It inserts them, raises the counts and revisions of their series and tells the changes, when nothing else is to
 * be done: each series is there, its study still says what this process knows, no record says otherwise, no UID is there
 * already, and there are no query tags. Takes rows in the same order as the other way.
 * @throws Undone when it is certain that no row was written, and the database cannot be asked at all
 */
export async function commitQuickly(
  knex: Knex,
  records: readonly InstanceRecord[],
  knownTags: KnownTags,
  memory: KnownSeries,
): Promise<boolean> {
  const series = seriesThatAgree(records, memory);
  if (series === undefined || knownTags.tags.length > 0 || knownTags.revision < 0) return false;
  const sorted = distinct(records, instanceKey);
  const uids = sorted.map(({ instance }) => instance.uid);
  // No statement sees what it inserts itself.
  if (new Set(uids).size < records.length) return false;
  if (sorted.reduce((sum, record) => sum + longBytes(record), 0) > mostBytes) return false;
  const rows = sorted.map((record) => rowOf(record, series.get(seriesKey(record))?.id));
  const expected = [...series.values()].map(({ id, studyValues }) => ({ id, ...studyValues }));
  const columns = Object.keys(rows[0] ?? {}).join(", ");
  const told = sorted.map(({ instance, study, series: { uid }, origin, aeTitles }) => ({
    blob_key: instance.blobKey,
    study: study.uid,
    series: uid,
    origin,
    sending: aeTitles?.sending,
    receiving: aeTitles?.receiving,
  }));
  const bindings = [
    JSON.stringify(expected),
    uids,
    JSON.stringify(rows),
    knownTags.revision,
    expected.length,
    JSON.stringify(told),
  ];
  const count = await ask(knex, statementFor(columns), bindings);
  if (count !== records.length) for (const key of series.keys()) memory.delete(key);
  return count === records.length;
}

/**
 * Codes of PostgreSQL (its Appendix A) with which it refuses the one statement and may take the others: of values that
 * JSON cannot carry to it (22), of rows that came or went meanwhile (23), of a deadlock (40), and of a statement that is
 * not prepared where a pooler has changed the connection.
 */
const codesOfRefusal = /^(22...|23...|40...|26000|42P05|08P01)$/;

/** How many rows the statement has made; none when PostgreSQL has refused it. */
async function ask(knex: Knex, { sql, name }: Statement, bindings: readonly unknown[]): Promise<number> {
  return undoneUnlessFinished(async (finished) => {
    const connection: unknown = await knex.client.acquireConnection();
    try {
      // From here on an answer that is lost leaves it open what was done.
      finished();
      // Not `raw`, which takes the whole text to pieces every time.
      const query = { sql, bindings, options: { name } };
      const { response }: Answered = await knex.client.query(connection, query);
      return response.rows.length;
    } catch (error) {
      if (codesOfRefusal.test(codeOf(error))) return 0;
      throw error;
    } finally {
      await knex.client.releaseConnection(connection);
    }
  });
}

/** The series of `records` by their key; undefined when one is not known, or a record contradicts its study. */
function seriesThatAgree(
  records: readonly InstanceRecord[],
  memory: KnownSeries,
): ReadonlyMap<string, SeriesKey> | undefined {
  const found = new Map<string, SeriesKey>();
  for (const record of records) {
    const key = seriesKey(record);
    const known = found.get(key) ?? memory.get(key);
    if (known === undefined || differences(known.studyValues, record.study.columns).length > 0) return undefined;
    found.set(key, known);
  }
  return found;
}

function longBytes({ instance }: InstanceRecord): number {
  return instance.metadata.byteLength + (instance.frameTable?.byteLength ?? 0);
}

/** The row of an instance by its columns, as PostgreSQL reads it from JSON. */
function rowOf({ instance }: InstanceRecord, seriesId: number | undefined): Readonly<Record<string, unknown>> {
  return {
    series_id: seriesId,
    sop_instance_uid: instance.uid,
    ...instance.columns,
    attributes: instance.attributes,
    metadata: hex(instance.metadata),
    transfer_syntax_uid: instance.transferSyntaxUid,
    blob_key: instance.blobKey,
    byte_length: instance.byteLength,
    sha256: hex(instance.sha256),
    data_set_offset: instance.dataSetOffset,
    frame_table: instance.frameTable === undefined ? null : hex(instance.frameTable),
    bulk_data: instance.bulkData ?? null,
    warnings: instance.warnings.length === 0 ? null : instance.warnings,
  };
}

function hex(bytes: Buffer): string {
  return `\\x${bytes.toString("hex")}`;
}

/** What Knex makes of a query that its client is asked. */
interface Answered {
  readonly response: { readonly rows: readonly unknown[] };
}

/** As PostgreSQL takes it, with the name under which it is prepared. */
interface Statement {
  readonly sql: string;
  readonly name: string;
}

/** One for each list of columns; there are as many as versions of the table of attributes in this process. */
const statements = new Map<string, Statement>();

/** The same statement is planned once a connection: that takes PostgreSQL longer than running it. */
function statementFor(columns: string): Statement {
  const known = statements.get(columns);
  if (known) return known;
  const name = `noctis-commit-${createHash("sha256").update(columns).digest("hex").slice(0, 16)}`;
  let count = 0;
  const sql = statement(columns).replaceAll("?", () => `$${(count += 1)}`);
  const made = { sql, name };
  statements.set(columns, made);
  return made;
}

/**
 * All rows or none: a UID that comes to be there meanwhile violates a constraint. The lock of the study, which every
 * insert below it takes anyhow, keeps what it says to the end (catalog-entities.ts). Series are locked behind the inserts,
 * in the order of their ids.
 */
function statement(columns: string): string {
  const values = comparedNames.map((name) => `${name} text`).join(", ");
  const unchanged = comparedNames.map((name) => `study.${name}::text is not distinct from expected.${name}`);
  return `with expected as (select * from json_to_recordset(?::json) as expected (id bigint, ${values})),
    held as materialized (
      select series.id from expected join series on series.id = expected.id join study on study.id = series.study_id
      where ${unchanged.join(" and ")} and not exists (
        select 1 from series as twin where twin.series_instance_uid = series.series_instance_uid and twin.id <> series.id)
      for key share of study
    ),
    there as materialized (
      select 1 from unnest(?::text[]) as sent (uid)
      where (select true from instance where sop_instance_uid = sent.uid limit 1) limit 1
    ),
    inserted as (
      insert into instance (${columns})
        select ${columns} from rows from (json_populate_recordset(null::instance, ?::json)) with ordinality as sent
        where ${listRevision} = ? and (select count(*) from held) = ? and not exists (select 1 from there)
        order by ordinality
      returning series_id, sop_instance_uid, sop_class_uid, sha256, blob_key
    ),
    added as materialized (select series_id as id, count(*) as count from inserted group by series_id),
    locked as materialized (
      select id from series where id in (select id from added) order by id for no key update
    ),
    revised as (
      update series set instance_count = instance_count + added.count, revision = revision + 1,
        updated_at = greatest(updated_at, clock_timestamp())
      from locked join added using (id) where series.id = locked.id
    ),
    told as (
      insert into change
        (action, study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid, sha256, origin,
          sending_ae_title, receiving_ae_title)
      select 'create', study, series, sop_instance_uid, sop_class_uid, sha256, origin, sending, receiving
      from inserted
      join json_to_recordset(?::json)
        as told (blob_key text, study text, series text, origin text, sending text, receiving text) using (blob_key)
    )
    select blob_key from inserted`;
}
