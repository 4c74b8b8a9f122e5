/** Holds: what they protect is removed by nobody, in no way, until they end. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import request from "supertest";
import { instanceFile, type InstanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("/api/holds", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer({ DUPLICATES: "replace" });
  });
  after(() => server.stop());

  const store = (file: InstanceFile) =>
    request(server.url).post("/dicom-web/studies").set("Content-Type", "application/dicom").send(file.bytes);
  const stored = async (attributes: Parameters<typeof instanceFile>[0] = {}) => {
    const file = instanceFile(attributes);
    await store(file).expect(200);
    return file;
  };
  const study = ({ studyInstanceUid }: InstanceFile) => `/dicom-web/studies/${studyInstanceUid}`;
  const series = (file: InstanceFile) => `${study(file)}/series/${file.seriesInstanceUid}`;
  const instance = (file: InstanceFile) => `${series(file)}/instances/${file.sopInstanceUid}`;
  const remove = (path: string) => request(server.url).delete(path);
  const place = (hold: object) =>
    request(server.url)
      .post("/api/holds")
      .send({ reason: "Litigation 7", ...hold });
  const release = (id: number) => remove(`/api/holds/${id}`);
  const uidsOf = ({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: InstanceFile) => ({
    StudyInstanceUID: studyInstanceUid,
    SeriesInstanceUID: seriesInstanceUid,
    SOPInstanceUID: sopInstanceUid,
  });

  it("protects a study, its series and its instances against DELETE, naming the hold, until it is released", async () => {
    const file = await stored();
    const { body: hold } = await place({ studyInstanceUid: file.studyInstanceUid }).expect(201);
    assert.deepEqual([hold.state, hold.studies, hold.until], ["in force", 1, null]);
    for (const path of [study(file), series(file), instance(file)]) {
      const { body } = await remove(path).expect(409);
      assert.equal(body.code, "held");
      assert.match(body.detail, new RegExp(`Hold ${hold.id} \\(Litigation 7\\) protects the study\\.`));
    }
    await request(server.url)
      .get(`${instance(file)}/metadata`)
      .expect(200);
    await release(hold.id).expect(204);
    await release(hold.id).expect(404);
    await remove(study(file)).expect(204);
    const { body } = await request(server.url).get(`/api/holds/${hold.id}`).expect(200);
    assert.equal(body.state, "released");
  });

  it("protects a patient's studies, those that arrive later too, and no other issuer's", async () => {
    const patient = { PatientID: "HELD-1", IssuerOfPatientID: "A" };
    const early = await stored(patient);
    const { body: ofIssuer } = await place({ patientId: "HELD-1", issuerOfPatientId: "A" }).expect(201);
    const late = await stored(patient);
    const other = await stored({ ...patient, IssuerOfPatientID: "B" });
    await remove(study(early)).expect(409);
    await remove(study(late)).expect(409);
    await remove(study(other)).expect(204);
    const { body: ofAny } = await place({ patientId: "HELD-1" }).expect(201);
    const another = await stored({ ...patient, IssuerOfPatientID: "C" });
    await remove(study(another)).expect(409);
    await release(ofAny.id).expect(204);
    await remove(study(another)).expect(204);
    await remove(study(early)).expect(409);
    await release(ofIssuer.id).expect(204);
    await remove(study(early)).expect(204);
  });

  it("protects a patient's images that came into a study of another patient", async () => {
    const study1 = await stored({ PatientID: "OTHER-1" });
    const misfiled = await stored({ PatientID: "HELD-MISFILED", StudyInstanceUID: study1.studyInstanceUid });
    const { body: hold } = await place({ patientId: "HELD-MISFILED" }).expect(201);
    assert.equal(hold.studies, 1);
    const { body } = await remove(instance(misfiled)).expect(409);
    assert.match(body.detail, new RegExp(`^Hold ${hold.id} `));
    await remove(study(study1)).expect(409);
    await release(hold.id).expect(204);
    await remove(instance(misfiled)).expect(204);
    await place({ patientId: "HELD-MISFILED" }).expect(201);
    await remove(study(study1)).expect(204);
  });

  it("protects what a query finds: by the study, or by one of its series", async () => {
    const held = await stored({ AccessionNumber: "ACC-77", Modality: "US", InstitutionName: "North" });
    const other = await stored({ AccessionNumber: "ACC-88", Modality: "US", InstitutionName: "South" });
    await stored({ StudyInstanceUID: held.studyInstanceUid, Modality: "SR" });
    for (const query of ["AccessionNumber=ACC-7*", "InstitutionName=North", "Modality=US&AccessionNumber=ACC-77"]) {
      const { body: hold } = await place({ query }).expect(201);
      assert.equal(hold.studies, 1, query);
      const { body } = await remove(study(held)).expect(409);
      assert.match(body.detail, new RegExp(`Hold ${hold.id} `));
      await release(hold.id).expect(204);
    }
    await place({ query: "AccessionNumber=ACC-7*" }).expect(201);
    await remove(study(other)).expect(204);
  });

  it("ends at its time", async () => {
    const file = await stored();
    const until = new Date(Date.now() + 3_600_000).toISOString();
    const { body: hold } = await place({ studyInstanceUid: file.studyInstanceUid, until }).expect(201);
    const { body } = await remove(study(file)).expect(409);
    assert.ok(body.detail.includes(` until ${until}`), body.detail);
    await server
      .knex("hold")
      .where("id", hold.id)
      .update({ until: server.knex.raw("now() - interval '1 second'") });
    await remove(study(file)).expect(204);
    const { body: over } = await request(server.url).get(`/api/holds/${hold.id}`).expect(200);
    assert.equal(over.state, "over");
  });

  it("protects against replacement, and what was replaced before against a restore in its place", async () => {
    const file = await stored({ PatientName: "First" });
    await store(instanceFile({ ...uidsOf(file), PatientName: "Second" })).expect(200);
    const { body: hold } = await place({ studyInstanceUid: file.studyInstanceUid }).expect(201);
    const refused = await store(instanceFile({ ...uidsOf(file), PatientName: "Third" })).expect(409);
    assert.match(refused.text, new RegExp(`Hold ${hold.id} \\(Litigation 7\\)`));
    const { text } = await request(server.url)
      .get(`${instance(file)}/metadata`)
      .expect(200);
    assert.match(text, /Second/);
    const [replaced] = (await request(server.url).get("/api/removed?limit=1").expect(200)).body.removals;
    assert.equal(replaced.why, "replaced");
    const { body } = await request(server.url).post(`/api/removed/${replaced.id}/restore`).expect(409);
    assert.equal(body.code, "held");
    await release(hold.id).expect(204);
    await request(server.url).post(`/api/removed/${replaced.id}/restore`).expect(200);
  });

  it("keeps what was removed before: neither purged nor swept, and restorable beyond its time", async () => {
    const targets = [
      (file: InstanceFile) => ({ studyInstanceUid: file.studyInstanceUid }),
      () => ({ patientId: "HELD-2" }),
      () => ({ query: "PatientID=HELD-2&ModalitiesInStudy=US&StudyDate=20200101-20201231" }),
      () => ({ query: "PatientID=HELD-2&Modality=U*" }),
      () => ({ query: "PatientID=HELD-2&SOPClassesInStudy=1.2.840.10008.5.1.4.1.1.7" }),
    ];
    for (const target of targets) {
      const file = await stored({ PatientID: "HELD-2", Modality: "US", StudyDate: "20200302" });
      await remove(study(file)).expect(204);
      const [removal] = (await request(server.url).get("/api/removed?limit=1").expect(200)).body.removals;
      const { body: hold } = await place(target(file)).expect(201);
      const { body } = await remove(`/api/removed/${removal.id}`).expect(409);
      assert.match(body.detail, new RegExp(`Hold ${hold.id} `));
      await expire(removal.id);
      const other = await stored();
      await remove(study(other)).expect(204);
      const [purged] = (await request(server.url).get("/api/removed?limit=1").expect(200)).body.removals;
      // It sweeps what has expired, too.
      await remove(`/api/removed/${purged.id}`).expect(204);
      await request(server.url).post(`/api/removed/${removal.id}/restore`).expect(200);
      const back = await fetch(server.url + instance(file), { headers: { Accept: "application/dicom" } });
      assert.ok(Buffer.from(await back.arrayBuffer()).equals(file.bytes));
      await release(hold.id).expect(204);
      await remove(study(file)).expect(204);
    }
  });

  it("keeps what was removed of a study that is held for what is left of it", async () => {
    const file = await stored({ PatientID: "HELD-3", Modality: "US" });
    const other = await stored({ StudyInstanceUID: file.studyInstanceUid, PatientID: "HELD-3", Modality: "SR" });
    await remove(series(other)).expect(204);
    const [removal] = (await request(server.url).get("/api/removed?limit=1").expect(200)).body.removals;
    const { body: hold } = await place({ query: "PatientID=HELD-3&Modality=US" }).expect(201);
    await remove(`/api/removed/${removal.id}`).expect(409);
    await release(hold.id).expect(204);
    await remove(`/api/removed/${removal.id}`).expect(204);
  });

  async function expire(id: number): Promise<void> {
    await server
      .knex("removal")
      .where({ id })
      .update({ kept_until: server.knex.raw("now() - interval '1 second'") });
  }

  it("protects everything when its query is understood no more", async () => {
    const file = await stored();
    const { body: hold } = await place({ query: "AccessionNumber=NOBODY" }).expect(201);
    await server.knex("hold").where("id", hold.id).update({ query: "NoSuchAttribute=1" });
    await remove(study(file)).expect(409);
    await release(hold.id).expect(204);
    await remove(study(file)).expect(204);
  });

  it("lists those in force, newest first, page by page, and the past ones when asked", async () => {
    const placed: number[] = [];
    for (const reason of ["one", "two", "three"]) {
      placed.push((await place({ studyInstanceUid: "1.2.3", reason }).expect(201)).body.id);
    }
    await release(placed[1] ?? 0).expect(204);
    const ids = async (query: string) =>
      (await request(server.url).get(`/api/holds?${query}`).expect(200)).body.holds.map(
        (one: { id: number }) => one.id,
      );
    assert.deepEqual(await ids("limit=2"), [placed[2], placed[0]]);
    assert.deepEqual(await ids("limit=2&past=true"), [placed[2], placed[1]]);
    assert.deepEqual(await ids(`limit=1&before=${placed[1]}&past=true`), [placed[0]]);
  });

  it("refuses what it cannot hold to, naming it", async () => {
    const cases: readonly (readonly [hold: object, named: RegExp])[] = [
      [{}, /exactly one of/],
      [{ studyInstanceUid: "1.2", patientId: "P" }, /exactly one of/],
      [{ studyInstanceUid: "1.2.x" }, /studyInstanceUid/],
      [{ issuerOfPatientId: "A" }, /exactly one of/],
      [{ studyInstanceUid: "1.2", issuerOfPatientId: "A" }, /issuerOfPatientId/],
      [{ patientId: "a\0b" }, /patientId/],
      [{ studyInstanceUid: "1.2", reason: "" }, /reason/],
      [{ studyInstanceUid: "1.2", until: "tomorrow" }, /until/],
      [{ studyInstanceUid: "1.2", until: "2001-01-01T00:00:00Z" }, /is over already/],
      [{ query: "NoSuchAttribute=1" }, /NoSuchAttribute/],
      [{ query: "SOPClassUID=1.2" }, /SOPClassUID/],
      [{ query: "SpecificCharacterSet=x" }, /SpecificCharacterSet/],
      [{ query: "PatientName=Doe&fuzzymatching=true" }, /fuzzymatching/],
      [{ query: "PatientName=Doe&limit=1" }, /limit/],
      [{ query: "PatientName=*" }, /no attribute/],
      [{ query: "StudyDate=20241301" }, /StudyDate/],
    ];
    for (const [hold, named] of cases) {
      const { body } = await place(hold).expect(400);
      assert.match(body.detail, named);
    }
    await request(server.url).get("/api/holds/999").expect(404);
    await request(server.url).get("/api/holds/one").expect(400);
  });
});
