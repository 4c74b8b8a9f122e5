/** GET /api/conflicts: what instances say otherwise than their study is stored, told, listed, and true whatever is done. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import request from "supertest";
import { z } from "zod";
import { first, items, toDataSet } from "../support/dicom-json.ts";
import {
  type Attributes,
  instanceFile,
  type InstanceFile,
  multipartBody,
  multipartType,
} from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const conflict = z.object({
  id: z.number(),
  kind: z.string(),
  status: z.string(),
  studyInstanceUid: z.string(),
  attribute: z.string(),
  studyValue: z.string().nullable(),
  instanceValue: z.string().nullable(),
  instanceCount: z.number(),
  seriesInstanceUids: z.array(z.string()),
  origin: z.string().nullable(),
  note: z.string().nullable(),
});
const page = z.object({ conflicts: z.array(conflict), next: z.number().nullable() });

async function store(server: TestServer, ...files: readonly InstanceFile[]): Promise<string> {
  const body = multipartBody(files.map(({ bytes }) => bytes));
  const answer = await request(server.url).post("/dicom-web/studies").set("Content-Type", multipartType).send(body);
  assert.equal(answer.status, 200, answer.text);
  return answer.text;
}

async function list(server: TestServer, query: string) {
  const { body } = await request(server.url).get(`/api/conflicts?${query}`).expect(200);
  return page.parse(body);
}

/** Attribute, value of the study, value of the instances and their number of every conflict of a study. */
async function conflictsOf(server: TestServer, { studyInstanceUid }: InstanceFile) {
  const { conflicts } = await list(server, `study=${studyInstanceUid}&status=all`);
  return conflicts
    .map((one) => [one.attribute, one.studyValue, one.instanceValue, one.instanceCount] as const)
    .sort((a, b) => (a.join() < b.join() ? -1 : 1));
}

/** Of the study and the series of `file`. */
function sibling(file: InstanceFile, attributes: Attributes): InstanceFile {
  const uids = { StudyInstanceUID: file.studyInstanceUid, SeriesInstanceUID: file.seriesInstanceUid };
  return instanceFile({ ...uids, InstanceNumber: 2, ...attributes });
}

const pathOf = ({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: InstanceFile) =>
  `/dicom-web/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`;

describe("GET /api/conflicts", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  async function removed(path: string): Promise<number> {
    await request(server.url).delete(path).expect(204);
    const { body } = await request(server.url).get("/api/removed?limit=1").expect(200);
    return z.object({ removals: z.array(z.object({ id: z.number() })) }).parse(body).removals[0]?.id ?? 0;
  }

  it("stores an instance that says otherwise, tells of every attribute in the outcome, and lists them", async () => {
    const file = instanceFile({ PatientID: "A", PatientName: "Doe^Jane", PatientBirthDate: "19700101" });
    await store(server, file);
    assert.deepEqual(await conflictsOf(server, file), []);
    const other = sibling(file, {
      PatientID: "B",
      PatientName: "Roe^Richard",
      PatientBirthDate: "19800202",
      StudyDate: "20240103",
    });
    const answer = await store(server, other);
    const [stored] = items(toDataSet(JSON.parse(answer)), "00081199");
    assert.equal(first(stored, "00081196"), 0xb007);
    assert.deepEqual(
      items(stored ?? {}, "00741048").map((item) => [first(item, "00720026"), first(item, "00000902")]),
      [
        ["00100020", "PatientID (0010,0020) differs from that of the study."],
        ["00100010", "PatientName (0010,0010) differs from that of the study."],
        ["00100030", "PatientBirthDate (0010,0030) differs from that of the study."],
        ["00080020", "StudyDate (0008,0020) differs from that of the study."],
      ],
    );
    assert.doesNotMatch(answer, /Jane|Richard/, "the outcome tells no name");
    assert.deepEqual(await conflictsOf(server, file), [
      ["PatientBirthDate", "19700101", "19800202", 1],
      ["PatientID", "A", "B", 1],
      ["PatientName", "Doe^Jane", "Roe^Richard", 1],
      ["StudyDate", "20240102", "20240103", 1],
    ]);
    const { conflicts } = await list(server, `study=${file.studyInstanceUid}&attribute=PatientID`);
    assert.deepEqual(
      conflicts.map(({ kind, status, origin, seriesInstanceUids }) => [kind, status, origin, seriesInstanceUids]),
      [["patient", "open", "dicomweb", [file.seriesInstanceUid]]],
    );
    const instances = await request(server.url).get(`/api/conflicts/${conflicts[0]?.id}/instances`).expect(200);
    assert.equal(instances.body.instances.length, 1);
    assert.equal(instances.body.instances[0].sopInstanceUid, other.sopInstanceUid);
    assert.equal((await fetch(server.url + pathOf(other))).status, 200);
  });

  it("says nothing of a name in capitals and of what an instance leaves out", async () => {
    const file = instanceFile({ PatientName: "Doe^Jane", PatientSex: "F", AccessionNumber: "1" });
    await store(server, file);
    await store(server, sibling(file, { PatientName: "DOE^JANE^^^" }));
    assert.deepEqual(await conflictsOf(server, file), []);
  });

  it("is one conflict however many instances say it, and tells studies, patients and attributes apart", async () => {
    const file = instanceFile({ PatientID: "FILTER-A" });
    const others = Array.from({ length: 5 }, () => sibling(file, { PatientID: "FILTER-B" }));
    const third = sibling(file, { PatientID: "FILTER-A", AccessionNumber: "X", SeriesInstanceUID: "2.25.77" });
    await store(server, file);
    await store(server, third, ...others);
    assert.deepEqual(await conflictsOf(server, file), [["PatientID", "FILTER-A", "FILTER-B", 5]]);
    const study = instanceFile({ PatientID: "FILTER-A", AccessionNumber: "1" });
    await store(server, study);
    await store(server, sibling(study, { PatientID: "FILTER-A", AccessionNumber: "2" }));
    const attributesOf = async (query: string) => (await list(server, query)).conflicts.map((one) => one.attribute);
    assert.deepEqual(await attributesOf("patient=FILTER-A"), ["AccessionNumber", "PatientID"]);
    assert.deepEqual(await attributesOf("patient=FILTER-B"), ["PatientID"]);
    assert.deepEqual(await attributesOf("patient=FILTER-A&kind=study"), ["AccessionNumber"]);
    assert.deepEqual(await attributesOf("patient=FILTER-A&kind=study&attribute=PatientID"), []);
    const firstPage = await list(server, "patient=FILTER-A&limit=1");
    assert.deepEqual(
      firstPage.conflicts.map((one) => one.attribute),
      ["AccessionNumber"],
    );
    const secondPage = await list(server, `patient=FILTER-A&limit=2&before=${firstPage.next}`);
    assert.deepEqual(
      secondPage.conflicts.map((one) => one.attribute),
      ["PatientID"],
    );
    assert.equal(secondPage.next, null);
    const of = `/api/conflicts/${secondPage.conflicts[0]?.id}/instances`;
    const { body } = await request(server.url).get(`${of}?limit=3`).expect(200);
    const rest = await request(server.url).get(`${of}?limit=3&after=${body.next}`).expect(200);
    const uids = z.array(z.object({ sopInstanceUid: z.string() }));
    assert.deepEqual(
      [...uids.parse(body.instances), ...uids.parse(rest.body.instances)].map((one) => one.sopInstanceUid).sort(),
      others.map((one) => one.sopInstanceUid).sort(),
    );
  });

  it("is acknowledged with a note, stays so when more instances say the same, and opens again", async () => {
    const file = instanceFile({ PatientName: "Doe^Jane" });
    await store(server, file);
    await store(server, sibling(file, { PatientName: "Smith^Jane" }));
    const own = `study=${file.studyInstanceUid}`;
    const [open] = (await list(server, own)).conflicts;
    const path = `/api/conflicts/${open?.id}`;
    const { body } = await request(server.url).post(`${path}/acknowledge`).send({ note: "She married." }).expect(200);
    assert.deepEqual([body.status, body.note], ["acknowledged", "She married."]);
    await store(server, sibling(file, { PatientName: "Smith^Jane" }));
    assert.deepEqual((await list(server, own)).conflicts, []);
    const [acknowledged] = (await list(server, `${own}&status=acknowledged`)).conflicts;
    assert.deepEqual([acknowledged?.id, acknowledged?.instanceCount], [open?.id, 2]);
    await store(server, sibling(file, { PatientName: "Jones^Jane" }));
    assert.equal(
      (await list(server, own)).conflicts[0]?.instanceValue,
      "Jones^Jane",
      "another name is another conflict",
    );
    const reopened = await request(server.url).post(`${path}/reopen`).expect(200);
    assert.deepEqual([reopened.body.status, reopened.body.note], ["open", null]);
    await request(server.url).post(`${path}/acknowledge`).expect(200);
  });

  it("goes with its instances, and comes back with them", async () => {
    const file = instanceFile({ PatientID: "A" });
    const others = [sibling(file, { PatientID: "B" }), sibling(file, { PatientID: "B" })] as const;
    await store(server, file);
    await store(server, ...others);
    await removed(pathOf(others[0]));
    assert.deepEqual(await conflictsOf(server, file), [["PatientID", "A", "B", 1]]);
    const [{ id } = { id: 0 }] = (await list(server, `study=${file.studyInstanceUid}`)).conflicts;
    const removal = await removed(pathOf(others[1]));
    assert.deepEqual(await conflictsOf(server, file), []);
    await request(server.url).get(`/api/conflicts/${id}`).expect(404);
    assert.equal((await server.knex("conflict").where({ id })).length, 0, "nothing of the other patient stays");
    await request(server.url).post(`/api/removed/${removal}/restore?otherPatient=true`).expect(200);
    assert.deepEqual(await conflictsOf(server, file), [["PatientID", "A", "B", 1]]);
    await removed(`/dicom-web/studies/${file.studyInstanceUid}`);
    assert.deepEqual(await conflictsOf(server, file), []);
  });

  it("turns round when another instance describes the study", async () => {
    const wrong = instanceFile({ PatientID: "WRONG" });
    await store(server, wrong);
    const right = [2, 3].map((number) => sibling(wrong, { PatientID: "RIGHT", InstanceNumber: number }));
    const other = sibling(wrong, { PatientID: "WRONG", InstanceNumber: 4 });
    await store(server, ...right, other);
    assert.deepEqual(await conflictsOf(server, wrong), [["PatientID", "WRONG", "RIGHT", 2]]);
    const removal = await removed(pathOf(wrong));
    assert.deepEqual(await conflictsOf(server, wrong), [["PatientID", "RIGHT", "WRONG", 1]]);
    await request(server.url).post(`/api/removed/${removal}/restore?otherPatient=true`).expect(200);
    assert.deepEqual(await conflictsOf(server, wrong), [["PatientID", "RIGHT", "WRONG", 2]]);
    await removed(pathOf(wrong));
    await removed(pathOf(other));
    assert.deepEqual(await conflictsOf(server, wrong), []);
  });

  it("tells of UIDs that another study has, as long as it has them", async () => {
    const file = instanceFile({ PatientID: "A" });
    await store(server, file);
    const { seriesInstanceUid: SeriesInstanceUID, sopInstanceUid: SOPInstanceUID } = file;
    const copy = instanceFile({ PatientID: "A", SeriesInstanceUID, SOPInstanceUID });
    const beside = sibling(copy, { PatientID: "A" });
    const answer = await store(server, copy);
    assert.match(answer, /SOPInstanceUID \(0008,0018\) is that of an instance in another series or study, too\./);
    assert.match(answer, /SeriesInstanceUID \(0020,000E\) is that of a series in another study, too\./);
    await store(server, beside);
    const [own, other] = [copy.studyInstanceUid, file.studyInstanceUid];
    assert.deepEqual(await conflictsOf(server, copy), [
      ["SOPInstanceUID", own, other, 1],
      ["SeriesInstanceUID", own, other, 2],
    ]);
    const { conflicts } = await list(server, `study=${own}&kind=uid&attribute=SOPInstanceUID`);
    const path = `/api/conflicts/${conflicts[0]?.id}`;
    assert.equal((await request(server.url).get(`${path}/instances`).expect(200)).body.instances.length, 1);
    const removal = await removed(pathOf(file));
    assert.deepEqual(await conflictsOf(server, copy), []);
    await request(server.url).get(path).expect(404);
    await request(server.url).post(`/api/removed/${removal}/restore`).expect(200);
    assert.equal((await conflictsOf(server, copy)).length, 2);
    assert.equal((await conflictsOf(server, file)).length, 2, "what comes back is the later one");
    const series = sibling(file, { PatientID: "A", SeriesInstanceUID: "2.25.4711", SOPInstanceUID });
    await store(server, series);
    const within = (await conflictsOf(server, series)).filter(([, , where]) => where === other);
    assert.deepEqual(within, [["SOPInstanceUID", other, other, 1]], "another series of the same study");
  });

  it("tells the patients whose studies name different people", async () => {
    const study = (PatientID: string, attributes: Attributes) => instanceFile({ PatientID, ...attributes });
    await store(server, study("Z-1", { PatientName: "Doe^Jane" }), study("Z-1", { PatientName: "DOE^JANE^^" }));
    await store(server, study("Z-2", { PatientName: "Doe^Jane", PatientBirthDate: "19700101" }));
    await store(server, study("Z-2", { PatientName: "Roe^Richard", PatientBirthDate: "19700101" }));
    await store(server, study("Z-3", { PatientBirthDate: "19700101" }), study("Z-3", { PatientBirthDate: "19710101" }));
    await store(server, study("Z-4", { IssuerOfPatientID: "H1", PatientSex: "F" }));
    await store(server, study("Z-4", { IssuerOfPatientID: "H2", PatientSex: "M" }));
    const { body } = await request(server.url).get("/api/patient-conflicts").expect(200);
    const patients = z.array(z.object({ patientId: z.string() }).loose()).parse(body.patients);
    const mine = patients.filter(({ patientId }) => patientId.startsWith("Z-"));
    assert.deepEqual(mine, [
      {
        patientId: "Z-2",
        issuerOfPatientId: null,
        studyCount: 2,
        names: ["Doe^Jane", "Roe^Richard"],
        birthDates: ["19700101"],
        sexes: [],
      },
      {
        patientId: "Z-3",
        issuerOfPatientId: null,
        studyCount: 2,
        names: ["Test^Patient"],
        birthDates: ["19700101", "19710101"],
        sexes: [],
      },
    ]);
    const paged: unknown[] = [];
    for (let cursor = ""; ;) {
      const answer = await request(server.url).get(`/api/patient-conflicts?limit=1${cursor}`).expect(200);
      paged.push(...z.array(z.unknown()).parse(answer.body.patients));
      if (answer.body.next === null) break;
      cursor = `&after=${answer.body.next}`;
    }
    assert.deepEqual(paged, patients);
    await request(server.url).get("/api/patient-conflicts?after=nowhere").expect(400);
  });

  it("answers what it cannot do with a problem document", async () => {
    for (const query of ["limit=0", "before=x", "status=closed", "study=a", "attribute=Modality", "kind=any"]) {
      const { body } = await request(server.url).get(`/api/conflicts?${query}`).expect(400);
      assert.match(body.detail, new RegExp(`^${query.split("=")[0]} `), query);
    }
    const { body } = await request(server.url).get("/api/conflicts/999999").expect(404);
    assert.equal(body.code, "no-such-conflict");
    await request(server.url).get("/api/conflicts/x").expect(400);
    await request(server.url).get("/api/conflicts/999999/instances").expect(404);
    await request(server.url).post("/api/conflicts/999999/reopen").expect(404);
    await request(server.url).post("/api/conflicts/999999/acknowledge").send({ note: "?" }).expect(404);
    await request(server.url).post("/api/conflicts/1/acknowledge").send({ why: "?" }).expect(400);
    await request(server.url).post("/api/conflicts/1/acknowledge").send({ note: "a\0b" }).expect(400);
    const behindNul = Buffer.from(JSON.stringify(["a\0b", ""])).toString("base64url");
    await request(server.url).get(`/api/patient-conflicts?after=${behindNul}`).expect(400);
    await request(server.url).post("/api/conflicts/1/acknowledge").type("text/plain").send("?").expect(415);
  });
});

describe("conflicts under DUPLICATES=replace", () => {
  it("follow the instance that describes the study", async (t) => {
    const server = await startTestServer({ DUPLICATES: "replace" });
    t.after(() => server.stop());
    const file = instanceFile({ PatientID: "A" });
    const second = sibling(file, { PatientID: "A" });
    await store(server, file);
    await store(server, second);
    const as = (of: InstanceFile, id: string) => sibling(of, { SOPInstanceUID: of.sopInstanceUid, PatientID: id });
    await store(server, as(second, "B"));
    assert.deepEqual(await conflictsOf(server, file), [["PatientID", "A", "B", 1]]);
    await store(server, as(second, "A"));
    assert.deepEqual(await conflictsOf(server, file), []);
    await store(server, as(file, "B"));
    assert.deepEqual(await conflictsOf(server, file), [["PatientID", "B", "A", 1]]);
    await store(server, as(second, "B"));
    assert.deepEqual(await conflictsOf(server, file), []);
  });
});

describe("conflicts of writers at two servers", () => {
  it("are as many as there are instances that say otherwise than the study", async (t) => {
    const one = await startTestServer({ DUPLICATES: "replace" });
    t.after(() => one.stop());
    const two = await startTestServer({ DUPLICATES: "replace", ...one.shared });
    t.after(() => two.stop());
    const file = instanceFile({ PatientID: "A" });
    const names = ["A", "B", "C"];
    const writers = [one, two].flatMap((server) => names.map((name) => ({ server, name })));
    const stored = new Map<string, string>();
    await Promise.all(
      writers.map(async ({ server, name }) => {
        for (let turn = 0; turn < 8; turn += 1) {
          const next = sibling(file, { PatientID: name, ...(turn % 2 === 0 && { SeriesInstanceUID: `2.25.${turn}` }) });
          await store(server, next);
          stored.set(next.sopInstanceUid, name);
          // The study changes hands meanwhile: an instance that may describe it is replaced, or goes.
          if (turn % 3 === 2) await store(server, sibling(file, { SOPInstanceUID: "2.25.99", PatientID: name }));
          if (turn % 4 === 3) await request(server.url).delete(pathOf(next)).expect(204);
          if (turn % 4 === 3) stored.delete(next.sopInstanceUid);
        }
      }),
    );
    const { body } = await request(one.url)
      .get(`/dicom-web/studies?StudyInstanceUID=${file.studyInstanceUid}`)
      .set("Accept", "application/json")
      .expect(200);
    const patient = first(z.array(z.custom<ReturnType<typeof toDataSet>>()).parse(body)[0], "00100020");
    const rows: { patient: string; count: number }[] = await one
      .knex("conflict_instance")
      .join("conflict", "conflict.id", "conflict_id")
      .join("study", "study.id", "conflict.study_id")
      .where({ study_instance_uid: file.studyInstanceUid, study_value: patient })
      .select({ patient: "instance_value" })
      .count({ count: "*" })
      .groupBy("instance_value");
    const total: { count: number }[] = await one.knex("conflict_instance").count({ count: "*" });
    const said = [...stored.values()].filter((name) => name !== patient).length;
    const others = rows.reduce((sum, { count }) => sum + count, 0);
    assert.equal(total[0]?.count, others, "no conflict is with what the study said before");
    // And the instance that was replaced again and again, which says what its last writer said.
    assert.ok(others === said || others === said + 1, `${others} of ${said}`);
    for (const { patient: other, count } of rows) {
      const own = [...stored.values()].filter((name) => name === other).length;
      assert.ok(count === own || count === own + 1, `${other}: ${count} of ${own}`);
    }
  });
});
