/** Delete, restore and purge: what is gone is gone for every request, and comes back whole. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import request from "supertest";
import { z } from "zod";
import { first, toDataSets } from "../support/dicom-json.ts";
import { instanceFile, type InstanceFile, multipartBody, multipartType } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const removalsSchema = z.object({
  removals: z.array(
    z.object({ id: z.number(), level: z.string(), why: z.string(), instanceCount: z.number() }).loose(),
  ),
});

describe("DELETE below /dicom-web/studies, and /api/removed", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  async function store(...files: readonly InstanceFile[]): Promise<void> {
    const body = multipartBody(files.map(({ bytes }) => bytes));
    const stored = await request(server.url).post("/dicom-web/studies").set("Content-Type", multipartType).send(body);
    assert.equal(stored.status, 200, stored.text);
  }

  /** Two series of two instances each. */
  async function storedStudy(): Promise<InstanceFile[]> {
    const one = instanceFile({ InstanceNumber: 1, SeriesNumber: 1, Modality: "CT" });
    const uids = { StudyInstanceUID: one.studyInstanceUid, SeriesInstanceUID: one.seriesInstanceUid };
    const two = instanceFile({ ...uids, InstanceNumber: 2, SeriesNumber: 1, Modality: "CT" });
    const three = instanceFile({ StudyInstanceUID: one.studyInstanceUid, SeriesNumber: 2, Modality: "PT" });
    const ofThree = { StudyInstanceUID: one.studyInstanceUid, SeriesInstanceUID: three.seriesInstanceUid };
    const four = instanceFile({ ...ofThree, InstanceNumber: 2, SeriesNumber: 2, Modality: "PT" });
    const files = [one, two, three, four];
    await store(...files);
    return files;
  }

  const study = ({ studyInstanceUid }: InstanceFile) => `/dicom-web/studies/${studyInstanceUid}`;
  const series = (file: InstanceFile) => `${study(file)}/series/${file.seriesInstanceUid}`;
  const instance = (file: InstanceFile) => `${series(file)}/instances/${file.sopInstanceUid}`;
  const remove = (path: string) => request(server.url).delete(path);
  const status = async (path: string) => (await request(server.url).get(path)).status;

  async function statuses(files: readonly InstanceFile[]): Promise<number[]> {
    return Promise.all(files.map((file) => status(`${instance(file)}/metadata`)));
  }

  async function bytesOf(file: InstanceFile): Promise<Buffer> {
    const back = await fetch(server.url + instance(file), { headers: { Accept: "application/dicom" } });
    assert.equal(back.status, 200);
    return Buffer.from(await back.arrayBuffer());
  }

  async function found(path: string) {
    const response = await request(server.url).get(path).expect(200);
    return toDataSets(JSON.parse(response.text));
  }

  async function latestRemoval() {
    const response = await request(server.url).get("/api/removed?limit=1").expect(200);
    const [latest] = removalsSchema.parse(response.body).removals;
    assert.ok(latest);
    return latest;
  }

  const restore = (id: number) => request(server.url).post(`/api/removed/${id}/restore`);

  it("takes an instance out of everything at once, frames that are cached too, and counts what is left", async () => {
    const files = await storedStudy();
    const [gone, left] = files;
    assert.ok(gone && left);
    for (const path of ["/frames/1"]) assert.equal(await status(instance(gone) + path), 200, path);
    const { headers } = await request(server.url)
      .get(`${series(gone)}/metadata`)
      .expect(200);
    await remove(instance(gone)).expect(204);
    for (const path of ["", "/metadata", "/frames/1"]) assert.equal(await status(instance(gone) + path), 404, path);
    assert.deepEqual(await statuses(files), [404, 200, 200, 200]);
    const [match] = await found(`/dicom-web/studies?StudyInstanceUID=${gone.studyInstanceUid}`);
    assert.deepEqual([first(match, "00201206"), first(match, "00201208")], [2, 3]);
    assert.equal((await found(`${series(gone)}/instances`)).length, 1);
    const later = await request(server.url)
      .get(`${series(gone)}/metadata`)
      .expect(200);
    assert.notEqual(later.headers["etag"], headers["etag"]);
    await remove(instance(gone)).expect(404);
  });

  it("takes a series with its modality, and the study with its last series", async () => {
    const files = await storedStudy();
    const [one, , three] = files;
    assert.ok(one && three);
    await remove(series(three)).expect(204);
    assert.deepEqual(await statuses(files), [200, 200, 404, 404]);
    const [match] = await found(`/dicom-web/studies?StudyInstanceUID=${one.studyInstanceUid}`);
    assert.deepEqual(match?.["00080061"]?.Value, ["CT"]);
    assert.deepEqual([first(match, "00201206"), first(match, "00201208")], [1, 2]);
    await remove(series(one)).expect(204);
    assert.deepEqual(await found(`/dicom-web/studies?StudyInstanceUID=${one.studyInstanceUid}`), []);
    assert.equal(await status(`${study(one)}/metadata`), 404);
    await remove(study(one)).expect(404);
  });

  it("restores a study to the byte and to the answer", async () => {
    const files = await storedStudy();
    const [one] = files;
    assert.ok(one);
    const paths = [
      `/dicom-web/studies?StudyInstanceUID=${one.studyInstanceUid}&includefield=all`,
      `${study(one)}/series?includefield=all`,
      `${study(one)}/instances?includefield=all`,
      `${study(one)}/metadata`,
    ];
    const earlier = await Promise.all(paths.map(found));
    await remove(study(one)).expect(204);
    assert.deepEqual(await statuses(files), [404, 404, 404, 404]);
    const removal = await latestRemoval();
    assert.deepEqual(
      [removal.level, removal.why, removal.instanceCount, removal["studyInstanceUid"]],
      ["study", "deleted", 4, one.studyInstanceUid],
    );
    const { body } = await restore(removal.id).expect(200);
    assert.deepEqual(body, { restored: 4, stillRemoved: [] });
    assert.deepEqual(await Promise.all(paths.map(found)), earlier);
    for (const file of files) {
      assert.deepEqual(await bytesOf(file), file.bytes);
    }
    await restore(removal.id).expect(404);
  });

  it("finds by a query tag what came back, at once", async () => {
    await request(server.url).post("/api/query-tags").send({ path: "00189074", level: "instance" }).expect(202);
    const file = instanceFile({ FrameAcquisitionDateTime: "20240102101112" });
    await store(file);
    await remove(study(file)).expect(204);
    await restore((await latestRemoval()).id).expect(200);
    const matches = await found("/dicom-web/instances?FrameAcquisitionDateTime=20240102101112");
    assert.deepEqual(
      matches.map((match) => first(match, "00080018")),
      [file.sopInstanceUid],
    );
  });

  it("leaves what was stored anew, names it, and restores the rest", async () => {
    const files = await storedStudy();
    const [one] = files;
    assert.ok(one);
    await remove(study(one)).expect(204);
    const removal = await latestRemoval();
    await store(one);
    const { body } = await restore(removal.id).expect(200);
    assert.deepEqual(body, {
      restored: 3,
      stillRemoved: [
        {
          studyInstanceUid: one.studyInstanceUid,
          seriesInstanceUid: one.seriesInstanceUid,
          sopInstanceUid: one.sopInstanceUid,
        },
      ],
    });
    assert.deepEqual(await statuses(files), [200, 200, 200, 200]);
    assert.equal((await latestRemoval()).instanceCount, 1);
  });

  it("purges rows and objects, and nothing of what is in use", async () => {
    const [one, two] = await storedStudy();
    assert.ok(one && two);
    const before_ = await objects();
    await remove(instance(one)).expect(204);
    assert.equal((await objects()).length, before_.length, "the object stays while it can be restored");
    const { id } = await latestRemoval();
    await request(server.url).delete(`/api/removed/${id}`).expect(204);
    await request(server.url).delete(`/api/removed/${id}`).expect(404);
    await restore(id).expect(404);
    assert.equal((await objects()).length, before_.length - 1);
    assert.deepEqual(await bytesOf(two), two.bytes);
    assert.equal(Number((await server.knex("sweep").count({ count: "*" }))[0]?.["count"]), 0);
  });

  it("answers what it cannot do with a problem document", async () => {
    const absent = instanceFile();
    for (const [path, code] of [
      [study(absent), "no-such-study"],
      [series(absent), "no-such-series"],
      [instance(absent), "no-such-instance"],
      ["/api/removed/999999", "no-such-removal"],
    ] as const) {
      const { body } = await remove(path).expect(404);
      assert.equal(body.code, code);
    }
    await remove("/dicom-web/studies/not-a-uid").expect(400);
    await remove("/api/removed/0").expect(400);
    await remove("/dicom-web/studies").expect(405);
    await request(server.url).get("/api/removed?limit=0").expect(400);
    await request(server.url).get("/api/removed?before=x").expect(400);
    await request(server.url).post("/api/removed/99999999999999999999/restore").expect(400);
  });

  async function objects(): Promise<string[]> {
    const entries = await readdir(server.objectFolder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  }

  const patientOf = async (path: string) => (await found(path)).map((match) => first(match, "00100020"));

  it("gives a study back to its patient when the instance of another that described it goes", async () => {
    const wrong = instanceFile({ PatientID: "WRONG", Modality: "XA" });
    const uids = { StudyInstanceUID: wrong.studyInstanceUid, SeriesInstanceUID: wrong.seriesInstanceUid };
    const right = instanceFile({ ...uids, PatientID: "RIGHT", Modality: "CT" });
    await store(wrong);
    await store(right);
    const own = `/dicom-web/studies?StudyInstanceUID=${wrong.studyInstanceUid}`;
    assert.deepEqual(await patientOf(own), ["WRONG"]);
    await remove(instance(wrong)).expect(204);
    assert.deepEqual(await patientOf(own), ["RIGHT"]);
    assert.deepEqual(await patientOf(`${own}&PatientID=RIGHT`), ["RIGHT"]);
    assert.deepEqual(await patientOf(`${own}&PatientID=WRONG`), []);
    assert.equal(first((await found(`${study(wrong)}/series`))[0], "00080060"), "CT");
    const later = instanceFile({ StudyInstanceUID: wrong.studyInstanceUid, PatientID: "OTHER" });
    await store(later);
    await remove(series(later)).expect(204);
    assert.deepEqual(await patientOf(own), ["RIGHT"], "the instance that describes it is still there");
  });

  it("restores nothing into a study that another patient has now, unless it is told to", async () => {
    const gone = instanceFile({ PatientID: "FIRST" });
    await store(gone);
    await remove(study(gone)).expect(204);
    const { id } = await latestRemoval();
    await store(instanceFile({ StudyInstanceUID: gone.studyInstanceUid, PatientID: "SECOND" }));
    const refused = await restore(id).expect(409);
    assert.match(refused.text, /other-patient/);
    assert.equal(await status(`${instance(gone)}/metadata`), 404);
    assert.equal((await latestRemoval()).id, id, "it can still be restored");
    await request(server.url).post(`/api/removed/${id}/restore?otherPatient=perhaps`).expect(400);
    const { body } = await request(server.url).post(`/api/removed/${id}/restore?otherPatient=true`).expect(200);
    assert.deepEqual(body, { restored: 1, stillRemoved: [] });
    assert.deepEqual(await bytesOf(gone), gone.bytes);
    assert.deepEqual(await patientOf(`/dicom-web/studies?StudyInstanceUID=${gone.studyInstanceUid}`), ["SECOND"]);
  });
});

describe("a removal whose time is over", () => {
  it("can neither be listed nor restored, and is swept", async (t) => {
    const server = await startTestServer({ REMOVED_KEEP_DAYS: "0" });
    t.after(() => server.stop());
    const file = instanceFile();
    await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", "application/dicom")
      .send(file.bytes)
      .expect(200);
    await request(server.url).delete(`/dicom-web/studies/${file.studyInstanceUid}`).expect(204);
    const { body } = await request(server.url).get("/api/removed").expect(200);
    assert.deepEqual(body, { removals: [] });
    await request(server.url).post("/api/removed/1/restore").expect(404);
    await request(server.url).delete("/api/removed/1").expect(204);
  });
});
