/** The audit after a kill: every promise is looked up by the web door, in SQL, and in the object store itself. */
import type { Knex } from "knex";
import { z } from "zod";
import { first, toDataSets } from "../support/dicom-json.ts";
import type { Account } from "./account.ts";
import type { ObjectEvidence } from "./evidence.ts";
import { pathOf, sha256, type State, type Subject } from "./subjects.ts";

/** What is audited. */
export interface Audited {
  readonly url: string;
  readonly knex: Knex;
  readonly evidence: ObjectEvidence;
  readonly account: Account;
}

/** Reads that go on at a time. */
const readers = 8;

/** The state of the archive as the feed of changes tells it: SHA-256 by SOP Instance UID. */
export class FeedReader {
  readonly current = new Map<string, string>();
  #last = 0;

  /** Reads what is new; every number follows the one before. */
  async read({ url, account }: Audited): Promise<void> {
    while (true) {
      const page = changesSchema.parse(await (await fetch(`${url}/api/changes?since=${this.#last}&limit=1000`)).json());
      for (const { sequence, action, sopInstanceUid, sha256: digest } of page.changes) {
        if (sequence !== this.#last + 1) account.problems.push(`the feed goes from ${this.#last} to ${sequence}`);
        this.#last = sequence;
        if (action === "delete") this.current.delete(sopInstanceUid);
        else this.current.set(sopInstanceUid, digest);
      }
      if (!page.more) return;
    }
  }
}

const changesSchema = z.object({
  changes: z.array(
    z.object({ sequence: z.number(), action: z.string(), sopInstanceUid: z.string(), sha256: z.string() }),
  ),
  more: z.boolean(),
});

/** Everything about these instances, and about the archive as a whole; what was open is then known. */
export async function audit(audited: Audited, subjects: readonly Subject[], feed: FeedReader): Promise<void> {
  const images = subjects.filter(({ kind }) => kind === "image");
  const found = await search(audited, new Set(images.map(({ study }) => study)));
  const expected = new Set(subjects.map(({ instance }) => instance));
  for (const uid of found) if (!expected.has(uid)) audited.account.problems.push(`nobody stored ${uid}`);
  const queue = [...subjects];
  await Promise.all(
    Array.from({ length: readers }, async () => {
      for (let subject = queue.pop(); subject; subject = queue.pop()) {
        await auditOne(audited, subject, found.has(subject.instance));
      }
    }),
  );
  await auditRows(audited);
  await feed.read(audited);
  await compareFeed(audited, feed);
}

/** The instances of studies, as a search answers them. */
async function search({ url }: Audited, studies: ReadonlySet<string>): Promise<Set<string>> {
  const found = new Set<string>();
  const limit = 200;
  for (const study of studies) {
    for (let offset = 0; ; offset += limit) {
      const response = await fetch(`${url}/dicom-web/studies/${study}/instances?limit=${limit}&offset=${offset}`);
      const text = await response.text();
      if (!response.ok) throw new Error(`${response.status} to a search: ${text}`);
      const page = response.status === 204 ? [] : toDataSets(JSON.parse(text));
      for (const dataSet of page) found.add(String(first(dataSet, "00080018")));
      if (page.length < limit) break;
    }
  }
  return found;
}

async function auditOne({ url, account }: Audited, subject: Subject, isFound: boolean): Promise<void> {
  const { counts, problems } = account;
  const at = `${url}/dicom-web/${pathOf(subject)}`;
  const reading = subject.kind === "image" ? read(at) : readPalette(at, subject);
  const state = await reading.catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
  if (typeof state === "string" && state !== "absent") return void problems.push(state);
  const was = subject.possible;
  const fitting = was.find((possible) => fits(possible, state));
  if (fitting === undefined)
    problems.push(`${subject.instance}: ${told(was)} was promised, and ${told([state])} found`);
  if (subject.kind === "image" && isFound !== (state !== "absent"))
    problems.push(`${subject.instance}: search and retrieval differ`);
  if (was.length > 1) {
    counts.inDoubt += 1;
    if (state !== "absent") counts.doubtStored += 1;
  }
  if (state !== "absent") counts.found += 1;
  if (was.length > 1 && state === "absent") subject.deleted = undefined;
  subject.possible = [state];
}

/** What is there: the file, its only frame, and its metadata. */
async function read(at: string): Promise<State> {
  const [file, frame, metadata] = await Promise.all([
    get(at, 'application/dicom; transfer-syntax="*"'),
    get(`${at}/frames/1`, "application/octet-stream"),
    get(`${at}/metadata`, "application/dicom+json"),
  ]);
  if (!file && !frame && !metadata) return "absent";
  if (!file || !frame || !metadata) throw new Error(`${at} is there in part`);
  const [dataSet] = toDataSets(JSON.parse(metadata.toString()));
  if (!at.endsWith(String(first(dataSet, "00080018")))) throw new Error(`${at} has the metadata of another`);
  return { file: sha256(file), pixels: sha256(frame) };
}

/** A palette has no frame: what was sent with the same file is taken for its pixels. */
async function readPalette(at: string, { possible }: Subject): Promise<State> {
  const bytes = await get(at, 'application/dicom; transfer-syntax="*"');
  if (!bytes) return "absent";
  const file = sha256(bytes);
  return possible.find((state) => state !== "absent" && state.file === file) ?? { file, pixels: "" };
}

async function get(url: string, accept: string): Promise<Buffer | undefined> {
  const response = await fetch(url, { headers: { Accept: accept } });
  const bytes = Buffer.from(await response.arrayBuffer());
  if (response.status === 200) return bytes;
  if (response.status !== 404) throw new Error(`${response.status} from ${url}: ${bytes.toString()}`);
  return undefined;
}

function fits(possible: State, found: State): boolean {
  if (possible === "absent" || found === "absent") return possible === found;
  return possible.pixels === found.pixels && (possible.file === undefined || possible.file === found.file);
}

function told(states: readonly State[]): string {
  return states.map((state) => (state === "absent" ? state : `file ${state.file ?? "?"}`)).join(" or ");
}

interface Row {
  readonly blob_key: string;
  readonly byte_length: number | null;
  readonly sha256: string | null;
}

/** Every row that names an object. */
const rowsWithObjects = `
  select blob_key, byte_length, encode(sha256, 'hex') as sha256 from instance
  union all select blob_key, byte_length, encode(sha256, 'hex') from non_patient_instance
  union all select blob_key, null, null from removed_instance`;

/** No row without its object; the counts agree; nothing is empty. */
async function auditRows({ knex, evidence, account }: Audited): Promise<void> {
  const { rows }: { rows: Row[] } = await knex.raw(rowsWithObjects);
  const objects = await evidence.list();
  for (const { blob_key, byte_length } of rows) {
    const size = objects.get(blob_key);
    if (size === undefined) account.problems.push(`the object ${blob_key} of a row is missing`);
    else if (byte_length !== null && size !== byte_length) account.problems.push(`${blob_key} has ${size} bytes`);
  }
  for (const [what, sql] of Object.entries(disagreements)) {
    const { rows: wrong }: { rows: unknown[] } = await knex.raw(sql);
    if (wrong.length > 0) account.problems.push(`${wrong.length} ${what}`);
  }
}

/** What no row may be, by its name. */
const disagreements: Readonly<Record<string, string>> = {
  "series with a wrong count": `select id from series
    where instance_count <> (select count(*) from instance where instance.series_id = series.id)`,
  "series without instances":
    "select id from series where not exists (select 1 from instance where series_id = series.id)",
  "studies without series": "select id from study where not exists (select 1 from series where study_id = study.id)",
  "removals with a wrong count": `select id from removal where instance_count <> (select count(*) from removed_instance
    join removed_series on removed_series.id = removed_series_id where removal_id = removal.id)`,
};

/** What the feed says is there, is; and nothing else. */
async function compareFeed({ knex, account }: Audited, { current }: FeedReader): Promise<void> {
  const rows: { sop_instance_uid: string; sha256: Buffer }[] = await knex("instance").select(
    "sop_instance_uid",
    "sha256",
  );
  const differing = rows.filter((row) => current.get(row.sop_instance_uid) !== row.sha256.toString("hex"));
  if (differing.length > 0)
    account.problems.push(`${differing.length} instances are not as the feed of changes has them`);
  if (rows.length !== current.size) account.problems.push(`${current.size} instances in the feed, ${rows.length} rows`);
}

/** Keys of objects that no row needs: those on the list of the sweep, and those that are not. */
export async function withoutRow({ knex, evidence }: Audited): Promise<{ listed: string[]; unlisted: string[] }> {
  const objects = await evidence.list();
  const { rows }: { rows: Row[] } = await knex.raw(rowsWithObjects);
  const needed = new Set(rows.map((row) => row.blob_key));
  const waiting = new Set<string>(await knex("sweep").pluck("blob_key"));
  const idle = [...objects.keys()].filter((key) => !needed.has(key));
  return { listed: idle.filter((key) => waiting.has(key)), unlisted: idle.filter((key) => !waiting.has(key)) };
}

/** Every object that a row names is, byte for byte, what the row says. */
export async function auditBytes({ knex, evidence, account }: Audited): Promise<void> {
  const { rows }: { rows: Row[] } = await knex.raw(rowsWithObjects);
  for (const { blob_key, sha256: digest } of rows) {
    // One that is missing has been told already.
    const actual = digest === null ? null : await evidence.sha256(blob_key).catch(() => digest);
    if (actual !== digest) {
      account.problems.push(`the object ${blob_key} has other bytes than its row says`);
    }
  }
}
