/** GET /dicom-web/patients: one answer a patient, told by the newest study, with what is counted. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import request from "supertest";
import { first, type JsonDataSet, toDataSets } from "../support/dicom-json.ts";
import { type Attributes, instanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("GET /dicom-web/patients", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
    const doe = { PatientID: "D1", PatientBirthDate: "19700101", PatientSex: "F" };
    const old = await store({ ...doe, PatientName: "Doe^Jane", StudyDate: "20200101", PatientComments: "old" });
    await store({ ...doe, PatientName: "Doe^Jane", StudyInstanceUID: old, Modality: "MR" });
    await store({ ...doe, PatientName: "Roe^Jane", StudyDate: "20230101", PatientComments: "married" });
    await store({ ...doe, PatientName: "Doe^Jane", StudyDate: "", StudyTime: "" });
    await store({ ...doe, PatientName: "Other^House", IssuerOfPatientID: "EAST", StudyDate: "20210101" });
    await store({ PatientID: "", PatientName: "Nobody^One", StudyDate: "20190101" });
    await store({ PatientID: "", PatientName: "Nobody^Two", StudyDate: "20190102" });
  });
  after(() => server.stop());

  async function store(attributes: Attributes): Promise<string> {
    const file = instanceFile(attributes);
    await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", "application/dicom")
      .send(file.bytes)
      .expect(200);
    return file.studyInstanceUid;
  }

  async function search(query: string): Promise<{ names: unknown[]; matches: JsonDataSet[]; headers: Headers }> {
    const response = await fetch(`${server.url}/dicom-web/patients${query}`);
    const body: unknown = await response.json();
    assert.equal(response.status, 200, JSON.stringify(body));
    const matches = toDataSets(body);
    return { names: matches.map((match) => nameOf(match)), matches, headers: response.headers };
  }

  function nameOf(match: JsonDataSet | undefined): unknown {
    const name = first(match, "00100010");
    return typeof name === "object" && name !== null && "Alphabetic" in name ? name.Alphabetic : undefined;
  }

  it("answers each patient once, the one with the newest study first, by its attributes there", async () => {
    const { names, matches } = await search("");
    assert.deepEqual(names, ["Roe^Jane", "Other^House", "Nobody^Two", "Nobody^One"]);
    const [doe, east, nobody] = matches;
    assert.deepEqual(doe?.["00201200"], { vr: "IS", Value: [3] });
    assert.deepEqual(
      [doe, east, nobody].map((match) => ["00201200", "00201202", "00201204"].map((tag) => first(match, tag))),
      [
        [3, 4, 4],
        [1, 1, 1],
        [1, 1, 1],
      ],
    );
    assert.deepEqual([first(doe, "00100020"), first(doe, "00100030"), first(doe, "00100040")], ["D1", "19700101", "F"]);
    assert.equal(first(east, "00100021"), "EAST");
    for (const tag of Object.keys(doe ?? {})) assert.match(tag, /^(0010|0020120[024]|00080005)/);
  });

  it("matches the keys of a patient against the newest study, and passes over those of studies", async () => {
    assert.deepEqual((await search("?PatientID=D1")).names, ["Roe^Jane", "Other^House"]);
    assert.deepEqual((await search("?PatientID=D1&IssuerOfPatientID=EAST")).names, ["Other^House"]);
    assert.deepEqual(
      (
        await search(
          "?PatientName=*Jane&PatientSex=F&PatientBirthDate=1960-1980".replace("1960-1980", "19600101-19800101"),
        )
      ).names,
      ["Roe^Jane"],
    );
    assert.deepEqual((await search("?PatientName=Doe*")).names, [], "she has another name by now");
    const { names, headers } = await search("?StudyDate=20200101&ModalitiesInStudy=MR&limit=1");
    assert.equal(names.length, 1);
    assert.match(headers.get("warning") ?? "", /StudyDate.*ModalitiesInStudy/);
  });

  it("includes fields of the patient", async () => {
    assert.equal(first((await search("?PatientID=D1")).matches[0], "00104000"), undefined);
    assert.equal(first((await search("?PatientID=D1&includefield=PatientComments")).matches[0], "00104000"), "married");
    assert.equal(first((await search("?PatientID=D1&includefield=all")).matches[0], "00104000"), "married");
  });

  it("orders, counts and pages", async () => {
    const { names, headers } = await search("?orderby=PatientName&limit=3&count=true");
    assert.deepEqual(names, ["Nobody^One", "Nobody^Two", "Other^House"]);
    assert.equal(headers.get("x-total-count"), "4");
    assert.equal((await fetch(`${server.url}/dicom-web/patients?orderby=StudyDate`)).status, 400);
  });

  it("neither repeats nor misses a patient while studies arrive that move patients forward", async () => {
    const { names: all } = await search("");
    const walked: unknown[] = [];
    for (let query: string | undefined = "?limit=1"; query !== undefined;) {
      const { names, headers } = await search(query);
      walked.push(...names);
      query = /<[^?]*(\?[^>]*)>; rel="next"/.exec(headers.get("link") ?? "")?.[1];
      await store({ PatientID: "D1", IssuerOfPatientID: "EAST", PatientName: "Other^House", StudyDate: "20300101" });
      await store({ PatientID: "D1", PatientName: "Roe^Jane", StudyDate: "20300102" });
      await store({ PatientID: "NEW", PatientName: "New^One", StudyDate: "20180101" });
    }
    assert.deepEqual(walked, all);
    assert.deepEqual((await search("")).names.slice(0, 2), ["Roe^Jane", "Other^House"]);
  });
});
