/** A disk that is full, nearly full, or read-only: clear refusals, nothing half stored, and the way back without a restart. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { newUid } from "../../server/dicom/uid.ts";
import { connectDatabase } from "../../storage/database.ts";
import { first, items, toDataSet, toDataSets } from "../support/dicom-json.ts";
import { multipartBody, multipartType } from "../support/instances.ts";
import { testDatabase } from "../support/postgres.ts";
import { type ServerProcess, startFlags, startProcess } from "../support/process.ts";
import { pathOf as executable, requirement } from "../support/require.ts";
import { repeatable } from "../support/scan.ts";
import { mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { folderEvidence } from "./evidence.ts";
import { fileOf, newSubject, pathOf, sha256, type Subject } from "./subjects.ts";

const random = repeatable(7);

/** What a test has opened, closed in the opposite order when it ends. */
type Opened = (() => Promise<unknown>)[];

function opening(t: TestContext): Opened {
  const opened: Opened = [];
  t.after(async () => {
    for (let last = opened.pop(); last; last = opened.pop()) await last();
  });
  return opened;
}

/** A server whose objects, or everything of which, lies on a small disk. */
interface Bench {
  readonly url: string;
  readonly server: ServerProcess;
  readonly disk: SmallDisk;
  readonly settings: Readonly<Record<string, string>>;
}

describe("a full or read-only disk", requirement("tmpfs"), () => {
  let folder = "";
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "noctis-full-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** Objects on a disk of `megabytes`; the database is elsewhere. */
  async function bench(t: TestContext, megabytes: number, given: Readonly<Record<string, string>>): Promise<Bench> {
    const opened = opening(t);
    const disk = await mountSmallDisk(await mkdtemp(path.join(folder, "disk-")), megabytes);
    opened.push(() => disk.remove());
    const database = await testDatabase();
    opened.push(() => database.drop());
    const settings = { DATA_DIR: disk.folder, DATABASE_URL: database.url, ...given };
    const server = start(opened, settings);
    return { url: await server.listening, server, disk, settings };
  }

  it("refuses with 507, keeps nothing of what it refused, and stores again when there is room", async (t) => {
    const { url, disk, settings } = await bench(t, 8, { MIN_FREE_MB: "0" });
    const study = newUid();
    const kept: Subject[] = [];
    let refused: Response | undefined;
    while (refused === undefined) {
      const subject = newSubject(study, newUid(), 1);
      const response = await store(url, [fileOf(subject, 900_000, random).bytes]);
      if (response.status === 200) kept.push(subject);
      else refused = response;
      assert.ok(kept.length < 10, "the disk has 8 MB");
    }
    await assertFull(refused);
    await assertNothingHalf(settings, kept.length);
    // Several in one request: what fits is stored, the rest has its own reason (PS3.18 Table I.2-1: out of resources).
    await disk.fill(200_000);
    const [small, large] = [newSubject(study, newUid(), 1), newSubject(study, newUid(), 1)];
    const files = [fileOf(small, 20_000, random).bytes, fileOf(large, 900_000, random).bytes];
    const mixed = await store(url, files);
    assert.equal(mixed.status, 202);
    const answer = toDataSet(await mixed.json());
    assert.deepEqual(
      items(answer, "00081199").map((item) => first(item, "00081155")),
      [small.instance],
    );
    assert.deepEqual(
      items(answer, "00081198").map((item) => first(item, "00081197")),
      [0xa700],
    );
    kept.push(small);
    await disk.fill();
    await assertFull(await fetch(`${url}/health/ready`));
    await assertFull(await store(url, [fileOf(large, 1000, random).bytes]));
    await assertNothingHalf(settings, kept.length);
    // Everything else goes on, and a deletion for good makes room.
    const found = await fetch(`${url}/dicom-web/studies/${study}/instances`);
    assert.equal(toDataSets(await found.json()).length, kept.length);
    for (const gone of kept.splice(0, 2)) await removeForGood(url, gone);
    assert.equal((await store(url, [fileOf(large, 900_000, random).bytes])).status, 200);
    assert.equal((await fetch(`${url}/health/ready`)).status, 200);
    await assertNothingHalf(settings, kept.length + 1);
  });

  it("keeps MIN_FREE_MB free, also in the middle of a large instance", async (t) => {
    const { url, disk, settings } = await bench(t, 24, { MIN_FREE_MB: "8" });
    const study = newUid();
    assert.equal((await store(url, [fileOf(newSubject(study, newUid(), 1), 6_000_000, random).bytes])).status, 200);
    const large = await store(url, [fileOf(newSubject(study, newUid(), 1), 20_000_000, random).bytes]);
    await assertFull(large, /less than 8 MB free \(MIN_FREE_MB\)/);
    await assertNothingHalf(settings, 1);
    assert.equal((await fetch(`${url}/health/ready`)).status, 200);
    await disk.fill(7 * 2 ** 20);
    await sleep(1100);
    await assertFull(await fetch(`${url}/health/ready`));
    await assertFull(await store(url, [fileOf(newSubject(study, newUid(), 1), 1000, random).bytes]));
    await disk.empty();
    assert.equal((await fetch(`${url}/health/ready`)).status, 200);
    assert.equal((await store(url, [fileOf(newSubject(study, newUid(), 1), 1000, random).bytes])).status, 200);
  });

  it("refuses with 503 while the folder is read-only, and recovers", async (t) => {
    const { url, disk, settings } = await bench(t, 24, { MIN_FREE_MB: "0" });
    const subject = newSubject(newUid(), newUid(), 1);
    const { bytes } = fileOf(subject, 100_000, random);
    assert.equal((await store(url, [bytes])).status, 200);
    await disk.make("ro");
    for (const response of [
      await store(url, [fileOf(newSubject(subject.study, newUid(), 1), 100_000, random).bytes]),
      await fetch(`${url}/health/ready`),
    ]) {
      assert.equal(response.status, 503);
      assert.notEqual(response.headers.get("retry-after"), null);
      assert.match(await response.text(), /"detail":"The folder of the archive refuses access\."/);
    }
    assert.equal(sha256(await read(url, subject)), sha256(bytes));
    await assertNothingHalf(settings, 1);
    await disk.make("rw");
    assert.equal((await fetch(`${url}/health/ready`)).status, 200);
    assert.equal((await store(url, [fileOf(newSubject(subject.study, newUid(), 1), 1000, random).bytes])).status, 200);
  });

  it("says in one sentence at the start what it cannot use", async (t) => {
    const opened = opening(t);
    const full = await mountSmallDisk(await mkdtemp(path.join(folder, "disk-")), 1);
    opened.push(() => full.remove());
    const database = await testDatabase();
    opened.push(() => database.drop());
    await full.fill();
    const alone = await start(opened, { DATA_DIR: full.folder }).ended;
    assert.equal(alone.status, 1);
    assert.match(alone.stderr, /^.*full.*\n$/);
    await full.empty();
    await full.make("ro");
    const readOnly = await start(opened, { DATA_DIR: full.folder, DATABASE_URL: database.url }).ended;
    assert.equal(readOnly.status, 1);
    assert.match(
      readOnly.stderr,
      /^The data folder \S+ \(DATA_DIR\) cannot be used: it is on a read-only file system\.\n$/,
    );
  });

  it("loses nothing that was acknowledged while the disk of its own PostgreSQL is full", async (t) => {
    const opened = opening(t);
    const disk = await mountSmallDisk(path.join(folder, "alone", "postgres"), 160);
    opened.push(() => disk.remove());
    const settings = { DATA_DIR: path.join(folder, "alone"), MIN_FREE_MB: "0" };
    const server = start(opened, settings);
    const url = await server.listening;
    const study = newUid();
    const acknowledged: Subject[] = [];
    const statuses = new Set<number>();
    const storeOne = async () => {
      const subject = newSubject(study, newUid(), 1);
      const response = await store(url, [fileOf(subject, 20_000, random).bytes]);
      await response.arrayBuffer();
      if (response.status === 200) acknowledged.push(subject);
      else statuses.add(response.status);
      return response.status;
    };
    for (let count = 0; count < 20; count += 1) assert.equal(await storeOne(), 200);
    await disk.fill();
    // The log has room in its segment for a while; then PostgreSQL refuses, or ends itself.
    for (let count = 0; count < 3000 && statuses.size === 0; count += 1) await storeOne();
    for (let count = 0; count < 5; count += 1) await storeOne();
    for (const status of statuses) assert.ok(status === 503 || status === 507, String(status));
    assert.ok(statuses.size > 0, "the disk of the database was full");
    // Even one that ends then is started again when there is room, though the first starts fail.
    const [pid] = (await readFile(path.join(disk.folder, "cluster", "postmaster.pid"), "utf8")).split("\n");
    process.kill(Number(pid), "SIGKILL");
    await sleep(4000);
    assert.equal((await fetch(`${url}/health/ready`)).status, 503);
    await disk.empty();
    const until = Date.now() + 60_000;
    while ((await storeOne()) !== 200) {
      assert.ok(Date.now() < until, "it stores again");
      await sleep(200);
    }
    for (const subject of acknowledged) assert.ok((await read(url, subject)).byteLength > 0);
    t.diagnostic(`${acknowledged.length} acknowledged, refused with ${[...statuses].join(" and ")}`);
  });
});

describe("a folder that the user of the server may not write", requirement("tmpfs", "setpriv"), () => {
  it("is refused at the start, in one sentence", async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), "noctis-mode-"));
    const opened = opening(t);
    opened.push(() => rm(folder, { recursive: true, force: true }));
    const database = await testDatabase();
    opened.push(() => database.drop());
    const asNobody = [executable("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"];
    const server = startProcess({ DATA_DIR: folder, DATABASE_URL: database.url }, startFlags, asNobody);
    const { status, stderr } = await server.ended;
    assert.equal(status, 1);
    assert.match(stderr, /^The data folder \S+ \(DATA_DIR\) cannot be used: it may not be written\.\n$/);
  });
});

/** A server that is gone when the test is. */
function start(opened: Opened, settings: Readonly<Record<string, string>>): ServerProcess {
  const server = startProcess(settings);
  opened.push(async () => {
    server.kill("SIGTERM");
    await server.ended;
  });
  return server;
}

function store(url: string, files: readonly Buffer[]): Promise<Response> {
  const headers = { "Content-Type": multipartType, Accept: "application/dicom+json" };
  return fetch(`${url}/dicom-web/studies`, { method: "POST", headers, body: multipartBody(files) });
}

async function read(url: string, subject: Subject): Promise<Buffer> {
  const headers = { Accept: 'application/dicom; transfer-syntax="*"' };
  const response = await fetch(`${url}/dicom-web/${pathOf(subject)}`, { headers });
  assert.equal(response.status, 200);
  return Buffer.from(await response.arrayBuffer());
}

async function removeForGood(url: string, subject: Subject): Promise<void> {
  assert.equal((await fetch(`${url}/dicom-web/${pathOf(subject)}`, { method: "DELETE" })).status, 204);
  const listed: unknown = await (await fetch(`${url}/api/removed?limit=1`)).json();
  const id = /"id":(\d+)/.exec(JSON.stringify(listed))?.[1];
  assert.equal((await fetch(`${url}/api/removed/${id}`, { method: "DELETE" })).status, 204);
}

/** One sentence, as a problem document. */
async function assertFull(response: Response, sentence = /The disk of the archive /): Promise<void> {
  const text = await response.text();
  assert.equal(response.status, 507, text);
  assert.match(text, /"code":"storage-full"/);
  assert.match(text, sentence);
}

/** As many objects as rows, of the same keys, and no drafts. */
async function assertNothingHalf(settings: Readonly<Record<string, string>>, rows: number): Promise<void> {
  const evidence = folderEvidence(path.join(settings["DATA_DIR"] ?? "", "objects"));
  const knex = await connectDatabase({ url: settings["DATABASE_URL"] ?? "" });
  try {
    const keys: string[] = await knex("instance").pluck("blob_key");
    assert.equal(keys.length, rows);
    assert.deepEqual([...(await evidence.list()).keys()].sort(), keys.sort());
    assert.deepEqual(await evidence.drafts(), []);
  } finally {
    await knex.destroy();
  }
}
