/** Retention: rules that remove what is due, after a dry run and never what a hold protects. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { after, before, beforeEach, describe, it } from "node:test";
import request from "supertest";
import { type Archive, createArchive } from "../../server/archive/archive.ts";
import { readStudyMatch } from "../../server/archive/study-match.ts";
import { createLog } from "../../server/log.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { instanceFile, type InstanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("/api/retention", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer({ RETENTION_EVERY: "10080" });
  });
  after(() => server.stop());
  let objectsBefore = 0;
  beforeEach(async () => {
    objectsBefore = 0;
    objectsBefore = await objects();
    await server.knex.raw("truncate study, removal, hold, retention_rule, retention_run, change cascade");
  });

  const catalogOf = () => createCatalog(server.knex, (query) => readStudyMatch(query));

  /** Another process on the same archive, which is told to run: the server itself does so in its own time. */
  async function process(settings: { maxPercent?: number; capacityBytes?: number } = {}): Promise<Archive> {
    return createArchive({
      blobs: await openFileBlobs({ folder: server.objectFolder }),
      catalog: catalogOf(),
      log: createLog("silent"),
      retentionMaxPercent: settings.maxPercent ?? 100,
      capacityBytes: settings.capacityBytes,
    });
  }
  const signal = new AbortController().signal;
  async function run(settings?: { maxPercent?: number; capacityBytes?: number }) {
    const outcomes = await (await process(settings)).retention.run({ signal, now: true });
    assert.ok(outcomes, "another run was under way");
    return outcomes;
  }

  /** A study that came `days` ago. */
  async function stored(days: number, attributes: Parameters<typeof instanceFile>[0] = {}): Promise<InstanceFile> {
    const file = instanceFile({ StudyDate: dayBefore(days), ...attributes });
    await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", "application/dicom")
      .send(file.bytes)
      .expect(200);
    await server.knex.raw(
      `update series set updated_at = now() - make_interval(days => ?)
       where study_id = (select id from study where study_instance_uid = ?)`,
      [days, file.studyInstanceUid],
    );
    return file;
  }
  const dayBefore = (days: number) =>
    new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10).replaceAll("-", "");

  const rules = "/api/retention/rules";
  const rule = { name: "Old", ageBy: "StudyDate", olderThanDays: 30, all: true };
  const add = (changes: object = {}) =>
    request(server.url)
      .post(rules)
      .send({ ...rule, ...changes });
  const dryRun = (id: number) => request(server.url).post(`${rules}/${id}/dry-run`);
  const enable = (id: number, token: string) => request(server.url).post(`${rules}/${id}/enable`).send({ token });
  async function enabled(changes: object = {}): Promise<number> {
    const { body: added } = await add(changes).expect(201);
    const { body: dry } = await dryRun(added.id).expect(200);
    await enable(added.id, dry.token).expect(200);
    return added.id;
  }
  async function left(): Promise<string[]> {
    return server.knex("study").orderBy("id").pluck("study_instance_uid");
  }
  const uids = (...files: readonly InstanceFile[]) => files.map(({ studyInstanceUid }) => studyInstanceUid);

  it("is added disabled, removes nothing in a dry run, and is enabled by the token of that alone", async () => {
    const [old, young] = [await stored(40), await stored(20)];
    const { body: added } = await add().expect(201);
    assert.deepEqual([added.enabled, added.revision, added.settledDays, added.space], [false, 1, 7, null]);
    assert.deepEqual(await run(), []);
    const { body: refused } = await enable(added.id, "5f0c9b1e-3d2a-4c58-9a76-0e1b2c3d4e5f").expect(409);
    assert.equal(refused.code, "dry-run-needed");
    const { body: dry } = await dryRun(added.id).expect(200);
    const sum = { studies: 1, instances: 1, bytes: old.bytes.length };
    assert.deepEqual([dry.due, dry.removed, dry.held.studies], [sum, sum, 0]);
    assert.equal(dry.studies[0].studyInstanceUid, old.studyInstanceUid);
    assert.match(dry.studies[0].why, /^its Study Date \d{4}-\d\d-\d\d is more than 30 days ago$/);
    assert.deepEqual(await left(), uids(old, young));
    await enable(added.id, dry.token).expect(200);
    const [outcome] = await run();
    assert.deepEqual([outcome?.studies, outcome?.bytes, outcome?.fault], [1, old.bytes.length, null]);
    assert.deepEqual(await left(), uids(young));
  });

  it("is disabled by a change, until that is run dry", async () => {
    const old = await stored(40);
    const id = await enabled();
    const { body: earlier } = await dryRun(id).expect(200);
    const { body: changed } = await request(server.url)
      .put(`${rules}/${id}`)
      .send({ ...rule, olderThanDays: 20 })
      .expect(200);
    assert.deepEqual([changed.enabled, changed.revision, changed.dryRunAt], [false, 2, null]);
    await enable(id, earlier.token).expect(409);
    assert.deepEqual(await run(), []);
    assert.deepEqual(await left(), uids(old));
    const { body: stale } = await dryRun(id).expect(200);
    await server.knex("retention_rule").update({ dry_run_at: server.knex.raw("now() - interval '25 hours'") });
    await enable(id, stale.token).expect(409);
    const { body: fresh } = await dryRun(id).expect(200);
    await enable(id, fresh.token).expect(200);
    await request(server.url).post(`${rules}/${id}/disable`).expect(200);
    assert.deepEqual(await run(), []);
  });

  it("removes as DELETE does: restorable, in the feed of changes as retention, and its runs tell it", async () => {
    const old = await stored(40);
    const id = await enabled();
    await run();
    const { body: changes } = await request(server.url).get("/api/changes").expect(200);
    const last = changes.changes.at(-1);
    assert.deepEqual([last.action, last.origin, last.sopInstanceUid], ["delete", "retention", old.sopInstanceUid]);
    const { body: list } = await request(server.url).get("/api/retention/runs").expect(200);
    const [told] = list.runs;
    assert.deepEqual(
      [told.ruleId, told.ruleName, told.ruleRevision, told.studies, told.instances, told.bytes, told.fault],
      [id, "Old", 1, 1, 1, old.bytes.length, null],
    );
    assert.ok(told.endedAt);
    const { body: of } = await request(server.url).get(`/api/retention/runs/${told.id}/removals`).expect(200);
    assert.equal(of.removals[0].studyInstanceUid, old.studyInstanceUid);
    await request(server.url).post(`/api/removed/${of.removals[0].removalId}/restore`).expect(200);
    // It has just come back, and is left alone for the days in which a study settles.
    assert.equal((await run())[0]?.studies, 0);
    assert.deepEqual(await left(), uids(old));
    await request(server.url).get("/api/retention/runs/999/removals").expect(404);
  });

  it("finds studies as a search does: all series must have what a rule asks of series", async () => {
    const phantom = await stored(40, { Modality: "US", StudyDescription: "QA phantom 3", InstitutionName: "North" });
    const patient = await stored(40, { Modality: "US", StudyDescription: "Abdomen", InstitutionName: "North" });
    const mixed = await stored(40, { Modality: "US", StudyDescription: "QA phantom 4", InstitutionName: "North" });
    await stored(40, { StudyInstanceUID: mixed.studyInstanceUid, Modality: "CT", InstitutionName: "South" });
    const cases: readonly (readonly [match: string, found: readonly InstanceFile[]])[] = [
      ["ModalitiesInStudy=US&StudyDescription=*phantom*", [phantom, mixed]],
      ["Modality=US&StudyDescription=*phantom*", [phantom]],
      ["InstitutionName=North", [phantom, patient]],
      ["Modality=CT", []],
    ];
    for (const [index, [match, found]] of cases.entries()) {
      const { body: added } = await add({ name: `Match ${index}`, match, all: false }).expect(201);
      const { body: dry } = await dryRun(added.id).expect(200);
      const actual = dry.studies.map((study: { studyInstanceUid: string }) => study.studyInstanceUid);
      assert.deepEqual(actual.sort(), uids(...found).sort(), match);
    }
  });

  it("tells age by the Study Date, by the storage when there is none, and never by a date to come", async () => {
    await stored(40, { StudyDate: dayBefore(-400) });
    await stored(40, { StudyDate: dayBefore(30) });
    const undated = await stored(40, { StudyDate: "" });
    await stored(20, { StudyDate: "" });
    const ancient = await stored(8, { StudyDate: "19990101" });
    // What has just arrived is left, however old it is: somebody has sent it for a comparison.
    await stored(3, { StudyDate: "19990101" });
    const { body: byDate } = await add().expect(201);
    const { body: dry } = await dryRun(byDate.id).expect(200);
    const found = (body: { studies: { studyInstanceUid: string }[] }) =>
      body.studies.map(({ studyInstanceUid }) => studyInstanceUid);
    assert.deepEqual(found(dry), uids(ancient, undated), "the oldest first");
    assert.match(dry.studies[1].why, /^it has no Study Date, and it last got or lost an instance on /);
    const { body: byStorage } = await add({ name: "Stored", ageBy: "stored" }).expect(201);
    assert.equal((await dryRun(byStorage.id).expect(200)).body.removed.studies, 3);
  });

  it("leaves a study with images of a patient who is held, though it is another's", async () => {
    const other = await stored(40, { PatientID: "OTHER" });
    await stored(40, { PatientID: "HELD", StudyInstanceUID: other.studyInstanceUid });
    await request(server.url).post("/api/holds").send({ patientId: "HELD", reason: "R" }).expect(201);
    const id = await enabled();
    const { body: dry } = await dryRun(id).expect(200);
    assert.deepEqual([dry.due.studies, dry.held.studies, dry.heldStudies.length], [1, 1, 1]);
    await run();
    assert.deepEqual(await left(), uids(other));
  });

  it("leaves what a hold protects, and says by which", async () => {
    const [held, free] = [await stored(40, { PatientID: "HELD" }), await stored(40)];
    const id = await enabled();
    await request(server.url).post("/api/holds").send({ patientId: "HELD", reason: "Study 9" }).expect(201);
    // Of an attribute that no study has.
    const query = "StudyDescription=*trial*";
    await request(server.url).post("/api/holds").send({ query, reason: "Another" }).expect(201);
    const { body: dry } = await dryRun(id).expect(200);
    assert.deepEqual([dry.due.studies, dry.removed.studies, dry.held.studies], [2, 1, 1]);
    assert.equal(dry.heldStudies[0].studyInstanceUid, held.studyInstanceUid);
    assert.match(dry.heldStudies[0].hold, /^Hold \d+ \(Study 9\) protects the study\.$/);
    assert.equal((await run())[0]?.studies, 1);
    assert.deepEqual(await left(), uids(held));
    assert.ok(free);
  });

  it("stops when it would remove more than it may, and goes on when a dry run has shown as many", async () => {
    for (let number = 0; number < 10; number += 1) await stored(number < 5 ? 20 : 40);
    const id = await enabled();
    await stored(20);
    // The clock, or somebody else, has made more studies old than the dry run has shown.
    await server.knex.raw("update study set study_date = '2001-01-01'");
    const [outcome] = await run({ maxPercent: 10 });
    assert.equal(outcome?.studies, 0);
    assert.match(outcome.fault ?? "", /^It would remove 11 studies, .*RETENTION_MAX_PERCENT/);
    assert.equal((await left()).length, 11);
    const { body: stopped } = await request(server.url).get(`${rules}/${id}`).expect(200);
    assert.deepEqual([stopped.enabled, stopped.stopped], [false, outcome.fault]);
    const { body: dry } = await dryRun(id).expect(200);
    const { body: on } = await enable(id, dry.token).expect(200);
    assert.deepEqual([on.enabled, on.stopped, on.confirmedStudies], [true, null, 11]);
    assert.equal((await run({ maxPercent: 10 }))[0]?.studies, 11);
    const { body: done } = await request(server.url).get(`${rules}/${id}`).expect(200);
    assert.equal(done.confirmedStudies, 0);
  });

  it("removes the oldest for good while too little is free, and no more than is needed", async () => {
    const files: InstanceFile[] = [];
    for (const days of [90, 80, 70, 60, 20]) files.push(await stored(days));
    const total = files.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const [first, second, third, fourth, young] = files;
    assert.ok(first && second && third && fourth && young);
    const space = { unit: "percent", below: 10, until: 30 };
    const capacityBytes = Math.round(total * 1.02);
    const other = await process({ capacityBytes });
    const added = await other.retention.add({ ...spaceRule, space: { ...space, unit: "percent" } });
    const dry = await other.retention.dryRun(added.id, 10);
    assert.equal(dry.removed.studies, 2);
    assert.equal(dry.due.studies, 4);
    assert.equal(dry.space?.needBytes, Math.ceil(capacityBytes * 0.3 - (capacityBytes - total)));
    await other.retention.enable(added.id, dry.token);
    const [outcome] = await run({ capacityBytes });
    assert.deepEqual([outcome?.studies, outcome?.fault], [2, null]);
    assert.deepEqual(await left(), uids(third, fourth, young));
    assert.equal(await objects(), 3);
    // Enough is free now.
    assert.deepEqual(
      (await run({ capacityBytes })).map(({ studies }) => studies),
      [0],
    );
    assert.deepEqual((await request(server.url).get("/api/removed").expect(200)).body.removals, []);
  });

  const spaceRule = {
    name: "Room",
    match: "",
    all: true,
    ageBy: "StudyDate",
    olderThanDays: 30,
    settledDays: 7,
  } as const;

  /** Objects of the studies of this test alone. */
  async function objects(): Promise<number> {
    const all = await readdir(server.objectFolder, { recursive: true, withFileTypes: true });
    return all.filter((entry) => entry.isFile()).length - objectsBefore;
  }

  it("forgets what retention has removed before it removes more", async () => {
    const removed = await stored(90, { PatientID: "FIRST" });
    const kept = await stored(80);
    await enabled({ name: "First", all: false, match: "PatientID=FIRST" });
    await run();
    assert.equal(await objects(), 2);
    const capacityBytes = Math.round(removed.bytes.length * 2.1);
    const other = await process({ capacityBytes });
    const added = await other.retention.add({ ...spaceRule, space: { unit: "percent", below: 10, until: 20 } });
    const dry = await other.retention.dryRun(added.id, 10);
    assert.deepEqual([dry.removed.studies, dry.space?.retainedBytes], [0, dry.space?.needBytes]);
    await other.retention.enable(added.id, dry.token);
    await run({ capacityBytes });
    assert.deepEqual(await left(), uids(kept));
    assert.equal(await objects(), 1);
  });

  it("stops in the middle when it is disabled or changed", async () => {
    for (const days of [90, 80, 70]) await stored(days);
    const id = await enabled();
    const catalog = catalogOf();
    const remove: typeof catalog.removals.remove = async (...args) => {
      const removal = await catalog.removals.remove(...args);
      await request(server.url).post(`${rules}/${id}/disable`).expect(200);
      return removal;
    };
    const archive = createArchive({
      blobs: await openFileBlobs({ folder: server.objectFolder }),
      catalog: { ...catalog, removals: { ...catalog.removals, remove } },
      log: createLog("silent"),
      retentionMaxPercent: 100,
    });
    const outcomes = await archive.retention.run({ signal, now: true });
    assert.deepEqual(
      outcomes?.map(({ studies, changed }) => [studies, changed]),
      [[1, 0]],
    );
    assert.equal((await left()).length, 2);
  });

  /** A process whose store has room for `capacity` bytes of objects. */
  async function processOf(capacity: number): Promise<Archive> {
    const blobs = await openFileBlobs({ folder: server.objectFolder });
    const space = async () => {
      let bytes = 0;
      for await (const { byteLength } of blobs.list()) bytes += byteLength;
      return { totalBytes: capacity, freeBytes: capacity - (bytes - bytesBefore) };
    };
    return createArchive({
      blobs: { ...blobs, space },
      catalog: catalogOf(),
      log: createLog("silent"),
      retentionMaxPercent: 100,
    });
  }
  let bytesBefore = 0;
  beforeEach(async () => {
    bytesBefore = 0;
    for await (const { byteLength } of (await openFileBlobs({ folder: server.objectFolder })).list()) {
      bytesBefore += byteLength;
    }
  });
  const halfFree = { unit: "percent", below: 40, until: 45 } as const;

  it("removes nothing for room while a backup keeps what was removed from giving its room back", async () => {
    const files = await Promise.all([90, 80, 70].map((days) => stored(days)));
    const size = files.reduce((sum, { bytes }) => sum + bytes.length, 0) / files.length;
    // Room for four: one is to go.
    const archive = await processOf(size * 4);
    const added = await archive.retention.add({ ...spaceRule, space: halfFree });
    await archive.retention.enable(added.id, (await archive.retention.dryRun(added.id, 1)).token);
    await catalogOf().withLock("objects", async () => {
      const [outcome] = (await archive.retention.run({ signal, now: true })) ?? [];
      assert.deepEqual([outcome?.studies, outcome?.fault], [0, null]);
    });
    assert.equal((await left()).length, 3);
    const [outcome] = (await archive.retention.run({ signal, now: true })) ?? [];
    assert.deepEqual([outcome?.studies, outcome?.fault], [1, null]);
    assert.equal((await left()).length, 2);
  });

  it("does not wait for the room of what retention has removed and a hold protects", async () => {
    const first = await stored(90, { PatientID: "FIRST" });
    const second = await stored(80);
    await stored(70);
    await enabled({ name: "First", all: false, match: "PatientID=FIRST" });
    await run();
    await request(server.url)
      .post("/api/holds")
      .send({ studyInstanceUid: first.studyInstanceUid, reason: "R" })
      .expect(201);
    const archive = await processOf((first.bytes.length + second.bytes.length * 2) * 1.33);
    const added = await archive.retention.add({ ...spaceRule, space: halfFree });
    await archive.retention.enable(added.id, (await archive.retention.dryRun(added.id, 1)).token);
    const outcomes = await archive.retention.run({ signal, now: true });
    assert.deepEqual(outcomes?.at(-1), {
      rule: "Room",
      studies: 1,
      bytes: second.bytes.length,
      held: 0,
      changed: 0,
      fault: null,
    });
    assert.equal((await request(server.url).get("/api/removed").expect(200)).body.removals.length, 1);
  });

  it("is disabled when its match is understood no more, and says so once", async () => {
    const old = await stored(40);
    const id = await enabled({ all: false, match: "AccessionNumber=A*" });
    await server.knex("retention_rule").where({ id }).update({ match: "NoSuchAttribute=1" });
    const [outcome] = await run();
    assert.match(outcome?.fault ?? "", /NoSuchAttribute/);
    assert.deepEqual(await run(), []);
    assert.deepEqual(await left(), uids(old));
    const { body } = await request(server.url).get("/api/retention/runs").expect(200);
    assert.match(body.runs[0].fault, /NoSuchAttribute/);
  });

  it("has one turn in its time, whoever runs it", async () => {
    await stored(40);
    const id = await enabled();
    await run();
    const again = await (await process()).retention.run({ signal });
    assert.deepEqual(again, []);
    await server
      .knex("retention_rule")
      .where({ id })
      .update({ last_run_at: server.knex.raw("now() - interval '61 minutes'") });
    assert.equal((await (await process()).retention.run({ signal }))?.length, 1);
  });

  it("refuses rules that cannot be meant, naming what is wrong", async () => {
    const cases: readonly (readonly [changes: object, named: RegExp])[] = [
      [{ all: false }, /every study/],
      [{ all: false, match: "PatientName=*" }, /every study/],
      [{ match: "PatientID=1" }, /all/],
      [{ olderThanDays: 0 }, /olderThanDays/],
      [{ olderThanDays: -1 }, /olderThanDays/],
      [{ olderThanDays: 1.5 }, /olderThanDays/],
      [{ settledDays: 0 }, /settledDays/],
      [{ ageBy: "accessed" }, /ageBy/],
      [{ name: "" }, /name/],
      [{ name: "a\nb" }, /name/],
      [{ all: false, match: "SeriesUID=1" }, /SeriesUID/],
      [{ all: false, match: "InstanceNumber=1" }, /InstanceNumber/],
      [{ all: false, match: "StudyDate=yesterday" }, /StudyDate/],
      [{ all: false, match: "Modality=US&limit=1" }, /limit/],
      [{ space: { unit: "percent", below: 20, until: 10 } }, /until/],
      [{ space: { unit: "percent", below: 20, until: 100 } }, /until/],
      [{ space: { unit: "percent", below: 0, until: 10 } }, /below/],
      [{ space: { unit: "bytes", below: 1, until: 1 } }, /unit/],
      [{ enabled: true }, /enabled/],
    ];
    for (const [changes, named] of cases) {
      const { body } = await add(changes).expect(400);
      assert.match(body.detail, named, JSON.stringify(changes));
    }
    const { body: added } = await add().expect(201);
    assert.equal((await add().expect(409)).body.code, "retention-rule-exists");
    await request(server.url).delete(`${rules}/${added.id}`).expect(204);
    for (const path of ["", "/dry-run", "/disable"]) {
      const method = path === "" ? "get" : "post";
      await request(server.url)[method](`${rules}/${added.id}${path}`).expect(404);
    }
  });
});
