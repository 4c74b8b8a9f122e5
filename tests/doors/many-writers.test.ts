/** Clients of two server processes that write, delete, restore and read the same study at the same time. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { newUid } from "../../server/dicom/uid.ts";
import { first, toDataSets } from "../support/dicom-json.ts";
import { instanceFile, type InstanceFile, multipartBody, multipartType } from "../support/instances.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startProcess } from "../support/process.ts";
import { type Random, randomFrom } from "../support/random.ts";

const seed = Number(process.env["TEST_SEED"] ?? 7);
/** Requests of each client; more for a longer run. */
const steps = Number(process.env["TEST_ROUNDS"] ?? 4);
const clients = 16;
/** Only these may an answer be: what a client did not cause must not happen. */
const expected = new Set([200, 202, 204, 404, 409]);

const removalsSchema = z.object({ removals: z.array(z.object({ id: z.number() }).loose()) });

interface ChangeRow {
  readonly action: "create" | "update" | "delete" | "restore";
  readonly series_instance_uid: string;
  readonly sop_instance_uid: string;
  readonly sha256: Buffer;
}

interface InstanceKept {
  readonly series: string;
  readonly uid: string;
  readonly sha256: Buffer;
}

/** A file, and the others that have its UIDs and other bytes. */
interface Contested {
  readonly versions: readonly InstanceFile[];
}

for (const duplicates of ["keep", "replace", "reject"]) {
  describe(`many writers, DUPLICATES=${duplicates}`, () => {
    let database: TestDatabase;
    let folder = "";
    let urls: string[] = [];
    const ends: (() => Promise<unknown>)[] = [];

    before(async () => {
      database = await testDatabase();
      folder = await mkdtemp(path.join(tmpdir(), "noctis-writers-"));
      const settings = { DATABASE_URL: database.url, DATA_DIR: folder, DUPLICATES: duplicates };
      const servers = [startProcess(settings), startProcess(settings)];
      for (const server of servers) {
        ends.push(() => {
          server.kill("SIGTERM");
          return server.ended;
        });
      }
      urls = await Promise.all(servers.map(({ listening }) => listening));
    });
    after(async () => {
      for (const end of ends) await end();
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    });

    it(`loses nothing and counts right (seed ${seed})`, async (t) => {
      const study = newUid();
      // Nothing is ever deleted from the first series; the others come and go.
      const [kept = "", ...volatile] = Array.from({ length: 4 }, () => newUid());
      const fileIn = (SeriesInstanceUID: string) =>
        instanceFile({ StudyInstanceUID: study, SeriesInstanceUID, Modality: "CT" });
      const contested: Contested[] = [kept, ...volatile].map((series) => {
        const one = fileIn(series);
        const uids = { StudyInstanceUID: study, SeriesInstanceUID: series, SOPInstanceUID: one.sopInstanceUid };
        const others = ["Other^A", "Other^B"].map((PatientName) =>
          instanceFile({ ...uids, Modality: "CT", PatientName }),
        );
        return { versions: [one, ...others] };
      });
      // It describes the study, and is contested: whoever replaces it describes the study anew.
      const [describing] = contested[0]?.versions ?? [];
      assert.ok(describing);
      assert.equal((await store(urls[0] ?? "", [describing])).status, 200);
      const acknowledged: InstanceFile[] = [];
      const revisions = watchRevisions(database);

      const run = async (client: number) => {
        const random = randomFrom(seed * 1000 + client);
        const url = urls[client % urls.length] ?? "";
        for (let step = 0; step < steps; step += 1) {
          const own = Array.from({ length: 1 + random(4) }, () => fileIn(kept));
          const files = [...own, ...pickedVersions(contested, random), fileIn(volatile[random(volatile.length)] ?? "")];
          const stored = await store(url, shuffled(files, random));
          acknowledged.push(...own);
          assert.ok(expected.has(stored.status), `${stored.status} ${stored.text}`);
          for (const file of own) assert.match(stored.text, new RegExp(`ReferencedSOP.*|${file.sopInstanceUid}`));
          const status = await disturb(url, random, { study, volatile });
          assert.ok(expected.has(status), `client ${client}, step ${step}: ${status}`);
        }
      };
      await Promise.all(Array.from({ length: clients }, (_, client) => run(client)));
      const seen = await revisions.stop();

      const [url = ""] = urls;
      for (const file of acknowledged) {
        const back = await fetch(`${url}${pathOf(file)}`, { headers: { Accept: "application/dicom" } });
        assert.equal(back.status, 200, file.sopInstanceUid);
        assert.deepEqual(Buffer.from(await back.arrayBuffer()), file.bytes);
      }
      await checkCounts(database, url, study);
      await checkFeed(t, database, url);
      await checkObjects(database, path.join(folder, "objects"));
      assert.deepEqual(seen.fallen, [], "revisions rise");
      assert.equal(await deadlocks(database), 0, "nobody waits in a circle");
      t.diagnostic(`${acknowledged.length} instances kept, ${seen.asked} looks at the revisions`);
    });
  });
}

/** Some of the contested instances, each in a version. */
function pickedVersions(contested: readonly Contested[], random: Random): InstanceFile[] {
  return contested.flatMap(({ versions }) => {
    const version = versions[random(versions.length + 2)];
    return version ? [version] : [];
  });
}

function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  return items
    .map((item) => ({ item, at: random(1_000_000) }))
    .toSorted((one, other) => one.at - other.at)
    .map(({ item }) => item);
}

async function store(url: string, files: readonly InstanceFile[]): Promise<{ status: number; text: string }> {
  const body = multipartBody(files.map(({ bytes }) => bytes));
  const headers = { "Content-Type": multipartType, Accept: "application/dicom+json" };
  const response = await fetch(`${url}/dicom-web/studies`, { method: "POST", headers, body });
  return { status: response.status, text: await response.text() };
}

/** Something that others do meanwhile; the status of its answer. */
async function disturb(
  url: string,
  random: Random,
  { study, volatile }: { readonly study: string; readonly volatile: readonly string[] },
): Promise<number> {
  const series = `${url}/dicom-web/studies/${study}/series/${volatile[random(volatile.length)]}`;
  const choice = random(6);
  if (choice === 0) return statusOf(series, "DELETE");
  if (choice === 1) {
    const found = await fetch(`${series}/instances`);
    const [instance] = found.status === 200 ? toDataSets(await found.json()) : [];
    return instance ? statusOf(`${series}/instances/${String(first(instance, "00080018"))}`, "DELETE") : found.status;
  }
  if (choice <= 3) {
    const { removals } = removalsSchema.parse(await (await fetch(`${url}/api/removed?limit=100`)).json());
    const removal = removals[random(Math.max(1, removals.length))];
    return removal ? statusOf(`${url}/api/removed/${removal.id}/restore`, "POST") : 200;
  }
  if (choice === 4) return statusOf(`${url}/dicom-web/studies/${study}/metadata`, "GET");
  return statusOf(`${url}/dicom-web/series?StudyInstanceUID=${study}&includefield=all`, "GET");
}

async function statusOf(address: string, method: string): Promise<number> {
  const response = await fetch(address, { method });
  await response.arrayBuffer();
  return response.status;
}

function pathOf({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: InstanceFile): string {
  return `/dicom-web/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`;
}

/** Looks at the revisions of the series again and again; tells of those that have fallen. */
function watchRevisions({ knex }: TestDatabase) {
  const last = new Map<number, number>();
  const fallen: number[] = [];
  let asked = 0;
  const ending = new AbortController();
  const watching = (async () => {
    while (!ending.signal.aborted) {
      const rows: { id: number; revision: number }[] = await knex("series").select("id", "revision");
      asked += 1;
      for (const { id, revision } of rows) {
        if (revision < (last.get(id) ?? 0)) fallen.push(id);
        last.set(id, revision);
      }
      await sleep(20);
    }
  })();
  return {
    stop: async () => {
      ending.abort();
      await watching;
      return { fallen, asked };
    },
  };
}

/** Counts of series and of the study are those of the rows, and nothing is empty. */
async function checkCounts({ knex }: TestDatabase, url: string, study: string): Promise<void> {
  const wrong: { rows: unknown[] } = await knex.raw(
    `select series.id, instance_count, count(instance.id) from series left join instance on series_id = series.id
     group by series.id having instance_count <> count(instance.id) or instance_count = 0`,
  );
  assert.deepEqual(wrong.rows, []);
  const total = await knex("instance").count({ count: "*" }).first();
  const fields = "includefield=NumberOfStudyRelatedInstances,NumberOfStudyRelatedSeries";
  const [found] = toDataSets(
    await (await fetch(`${url}/dicom-web/studies?StudyInstanceUID=${study}&${fields}`)).json(),
  );
  assert.ok(found);
  assert.equal(first(found, "00201208"), total?.["count"]);
  assert.equal(first(found, "00201206"), Number((await knex("series").count({ count: "*" }).first())?.["count"]));
}

/** Replayed, the feed gives the instances that are there: one row an event, and none that could not have happened. */
async function checkFeed(t: TestContext, { knex }: TestDatabase, url: string): Promise<void> {
  await fetch(`${url}/api/changes`);
  const changes: ChangeRow[] = await knex("change")
    .orderBy("sequence")
    .select("action", "series_instance_uid", "sop_instance_uid", "sha256");
  const present = new Map<string, Buffer>();
  const counts = new Map<string, number>();
  for (const { action, series_instance_uid, sop_instance_uid, sha256 } of changes) {
    const name = `${series_instance_uid}/${sop_instance_uid}`;
    const held = present.get(name);
    counts.set(action, (counts.get(action) ?? 0) + 1);
    if (action === "create") assert.equal(held, undefined, `${name} is created when it is not there`);
    if (action === "update") assert.ok(held && !held.equals(sha256), `${name} is updated with other bytes`);
    if (action === "delete") assert.ok(held?.equals(sha256), `${name} is deleted when it is there`);
    if (action === "delete") present.delete(name);
    else present.set(name, sha256);
  }
  const rows: InstanceKept[] = await knex("instance")
    .join("series", "series.id", "series_id")
    .select({ series: "series_instance_uid", uid: "sop_instance_uid", sha256: "sha256" });
  const sorted = (entries: Iterable<readonly [string, Buffer]>) =>
    [...entries].map(([name, sha256]) => `${name} ${sha256.toString("hex")}`).toSorted();
  assert.deepEqual(sorted(present), sorted(rows.map(({ series, uid, sha256 }) => [`${series}/${uid}`, sha256])));
  const numbers = await knex("change").whereNull("sequence").count({ count: "*" }).first();
  t.diagnostic(
    `${[...counts].map(([action, count]) => `${count} ${action}`).join(", ")}, ${numbers?.["count"]} unnumbered`,
  );
}

/** Deadlocks that PostgreSQL had to end in this database; the transactions are run again, a second later. */
async function deadlocks({ knex }: TestDatabase): Promise<number> {
  await knex.raw("select pg_stat_force_next_flush()");
  const row = await knex("pg_stat_database").whereRaw("datname = current_database()").first("deadlocks");
  return Number(row?.deadlocks);
}

/** Every row has its object with its bytes, and every object a row, or a place on the list of the sweep. */
async function checkObjects({ knex }: TestDatabase, objects: string): Promise<void> {
  const files = await readdir(objects, { recursive: true, withFileTypes: true });
  const keys = new Set(files.filter((file) => file.isFile()).map((file) => path.basename(file.name)));
  const named = async (table: string) =>
    (await knex(table).pluck<string[]>("blob_key")).map((key: string) => path.basename(key));
  const needed = [...(await named("instance")), ...(await named("removed_instance"))];
  const listed = new Set([...needed, ...(await named("sweep"))]);
  assert.deepEqual(
    needed.filter((key) => !keys.has(key)),
    [],
    "rows without an object",
  );
  assert.deepEqual(
    [...keys].filter((key) => !listed.has(key)),
    [],
    "objects without a row",
  );
  assert.equal(new Set(needed).size, needed.length, "no object is two instances'");
}
