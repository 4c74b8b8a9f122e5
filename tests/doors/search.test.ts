/** The search transaction: resources, matching, paging and included fields. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import request from "supertest";
import { first, type JsonDataSet, toDataSets } from "../support/dicom-json.ts";
import { type Attributes, instanceFile, type InstanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("GET /dicom-web/studies, /series and /instances", () => {
  let server: TestServer;
  const files: Record<string, InstanceFile> = {};

  before(async () => {
    server = await startTestServer();
    const young = { PatientName: "Doe^Jane", PatientID: "P1", StudyDate: "20240315", StudyTime: "080000" };
    await add("ct1", { ...young, Modality: "CT", SeriesNumber: 1, InstanceNumber: 1, AccessionNumber: "A_1" });
    const ct = files["ct1"];
    assert.ok(ct);
    const uids = { StudyInstanceUID: ct.studyInstanceUid, SeriesInstanceUID: ct.seriesInstanceUid };
    await add("ct2", { ...young, ...uids, Modality: "CT", SeriesNumber: 1, InstanceNumber: 2 });
    await add("pt", { ...young, StudyInstanceUID: ct.studyInstanceUid, Modality: "PT", SeriesNumber: 2 });
    const old = { PatientName: "Doe^John", PatientID: "p1", StudyDate: "20231231", StudyTime: "235959" };
    await add("mr", { ...old, Modality: "MR", StudyDescription: "Head, with contrast", AccessionNumber: "AX1" });
    const names = "Yamada^Tarou=山田^太郎=やまだ^たろう";
    await add("us", {
      PatientName: names,
      PatientID: "P2",
      StudyDate: "20240401",
      Modality: "US",
      SpecificCharacterSet: "ISO_IR 192",
    });
    await add("undated", {
      PatientName: "O'Brien (Jr.)^A%b",
      PatientID: "100%",
      StudyDate: "",
      StudyTime: "",
      Modality: "OT",
    });
  });
  after(() => server.stop());

  async function add(name: string, attributes: Attributes): Promise<void> {
    const file = instanceFile(attributes);
    const stored = await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", "application/dicom")
      .send(file.bytes);
    assert.equal(stored.status, 200, stored.text);
    files[name] = file;
  }

  async function search(path: string, query: Readonly<Record<string, string>> = {}): Promise<JsonDataSet[]> {
    const response = await request(server.url).get(`/dicom-web${path}`).query(query);
    assert.equal(response.status, 200, response.text);
    return toDataSets(JSON.parse(response.text));
  }

  /** Names of the stored files whose study, series or instance is among the matches. */
  function named(matches: readonly JsonDataSet[], tag: string, of: keyof InstanceFile): string[] {
    const found = new Set(matches.map((match) => first(match, tag)));
    const seen = new Set<unknown>();
    return Object.entries(files).flatMap(([name, file]) => {
      if (!found.has(file[of]) || seen.has(file[of])) return [];
      seen.add(file[of]);
      return [name];
    });
  }

  const studies = async (query: Readonly<Record<string, string>>) =>
    named(await search("/studies", query), "0020000D", "studyInstanceUid");

  it("answers newest first, an undated study last, with what is counted", async () => {
    const matches = await search("/studies");
    assert.deepEqual(
      matches.map((match) => first(match, "0020000D")),
      ["us", "ct1", "mr", "undated"].map((name) => files[name]?.studyInstanceUid),
    );
    const ct = matches[1];
    assert.deepEqual(ct?.["00080061"]?.Value, ["CT", "PT"]);
    assert.equal(first(ct, "00201206"), 2);
    assert.equal(first(ct, "00201208"), 3);
    assert.equal(first(ct, "00081190"), `${server.url}/dicom-web/studies/${files["ct1"]?.studyInstanceUid}`);
  });

  it("searches series and instances, of a study, of a series, and of all", async () => {
    const { studyInstanceUid: study, seriesInstanceUid: series } = files["ct1"] ?? assert.fail();
    assert.deepEqual(named(await search(`/studies/${study}/series`), "0020000E", "seriesInstanceUid"), ["ct1", "pt"]);
    assert.deepEqual(named(await search(`/studies/${study}/instances`), "00080018", "sopInstanceUid"), [
      "ct1",
      "ct2",
      "pt",
    ]);
    const ofSeries = await search(`/studies/${study}/series/${series}/instances`);
    assert.deepEqual(
      ofSeries.map((match) => first(match, "00200013")),
      [1, 2],
    );
    assert.equal(ofSeries[0]?.["00100020"], undefined, "the study is in the path, so its attributes are not answered");
    assert.equal((await search("/series")).length, 5);
    const all = await search("/instances", { Modality: "CT" });
    assert.deepEqual(named(all, "00080018", "sopInstanceUid"), ["ct1", "ct2"]);
    assert.equal(first(all[0], "00100020"), "P1");
    assert.equal(first(all[0], "00080060"), "CT");
    assert.deepEqual(await search(`/studies/${study}/series`, { Modality: "XA" }), []);
  });

  it("matches UIDs in lists of comma and backslash, by keyword and by tag", async () => {
    const [ct, mr] = [files["ct1"]?.studyInstanceUid, files["mr"]?.studyInstanceUid];
    assert.deepEqual(await studies({ StudyInstanceUID: `${ct}` }), ["ct1"]);
    assert.deepEqual(await studies({ StudyInstanceUID: `${ct},${mr}` }), ["ct1", "mr"]);
    assert.deepEqual(await studies({ "0020000D": `${ct}\\${mr}` }), ["ct1", "mr"]);
  });

  it("matches text exactly, case and all, with wildcards as well", async () => {
    assert.deepEqual(await studies({ PatientID: "P1" }), ["ct1"]);
    assert.deepEqual(await studies({ PatientID: "p1" }), ["mr"]);
    assert.deepEqual(await studies({ "00100020": "*p1*" }), ["mr"]);
    assert.deepEqual(await studies({ PatientID: "P?" }), ["ct1", "us"]);
    assert.deepEqual(await studies({ AccessionNumber: "A_*" }), ["ct1"], "an underscore is itself");
    assert.deepEqual(await studies({ PatientID: "1*%" }), ["undated"]);
    assert.deepEqual(await studies({ StudyDescription: "Head, with contrast" }), ["mr"], "a comma in text is a comma");
  });

  it("matches names in each component group, without regard to case", async () => {
    assert.deepEqual(await studies({ PatientName: "doe^jane" }), ["ct1"]);
    assert.deepEqual(await studies({ PatientName: "DOE*" }), ["ct1", "mr"]);
    assert.deepEqual(await studies({ PatientName: "山田*" }), ["us"]);
    assert.deepEqual(await studies({ PatientName: "*たろう" }), ["us"]);
    assert.deepEqual(await studies({ PatientName: "Yamada*=山田*" }), ["us"]);
    assert.deepEqual(await studies({ PatientName: "Yamada*=鈴木*" }), []);
    assert.deepEqual(await studies({ PatientName: "doe" }), [], "a name without wildcard is the whole name");
    assert.deepEqual(await studies({ PatientName: "o'brien (jr.)^a%b" }), ["undated"]);
    assert.deepEqual(await studies({ PatientName: "'; drop table study; --" }), []);
  });

  it("matches dates and times in ranges", async () => {
    assert.deepEqual(await studies({ StudyDate: "20240315" }), ["ct1"]);
    assert.deepEqual(await studies({ StudyDate: "20240101-20240331" }), ["ct1"]);
    assert.deepEqual(await studies({ StudyDate: "20240101-" }), ["ct1", "us"]);
    assert.deepEqual(await studies({ StudyDate: "-20231231" }), ["mr"]);
    assert.deepEqual(await studies({ StudyTime: "08" }), ["ct1"]);
    assert.deepEqual(await studies({ StudyTime: "2300-2400".replace("2400", "2359") }), ["mr"]);
  });

  it("matches the modalities of a study, several as alternatives", async () => {
    assert.deepEqual(await studies({ ModalitiesInStudy: "PT" }), ["ct1"]);
    assert.deepEqual(await studies({ ModalitiesInStudy: "MR,US" }), ["mr", "us"]);
    assert.deepEqual(await studies({ ModalitiesInStudy: "" }), ["ct1", "mr", "us", "undated"]);
  });

  it("pages by limit and offset, and answers nothing beyond the end", async () => {
    const all = await search("/studies");
    const pages = [await search("/studies", { limit: "2" }), await search("/studies", { limit: "2", offset: "2" })];
    assert.deepEqual(pages.flat(), all);
    assert.deepEqual(await search("/studies", { offset: "400" }), []);
    assert.deepEqual(await search("/studies", { limit: "0" }), []);
  });

  it("includes fields by keyword, by tag, in a list, and all", async () => {
    const [study] = await search("/studies", { PatientID: "p1" });
    assert.equal(study?.["00081030"], undefined);
    const [listed] = await search("/studies", { PatientID: "p1", includefield: "StudyDescription,00080062" });
    assert.equal(first(listed, "00081030"), "Head, with contrast");
    assert.equal(first(listed, "00080062"), "1.2.840.10008.5.1.4.1.1.7");
    const [all] = await search("/studies", { PatientID: "p1", includefield: "all" });
    assert.equal(first(all, "00081030"), "Head, with contrast");
  });

  it("says what it does not match, and goes on", async () => {
    const response = await request(server.url).get("/dicom-web/studies").query({ Manufacturer: "X", "00091001": "Y" });
    assert.equal(response.status, 200);
    assert.match(response.headers["warning"] ?? "", /^299 .*Manufacturer.*, 299 .*00091001/);
  });

  it("says when its own limit leaves matches out, and takes any large number", async () => {
    const all = await request(server.url)
      .get("/dicom-web/studies")
      .query({ limit: "99999999999999999999" })
      .expect(200);
    assert.equal(all.headers["warning"], undefined);
    const page = await request(server.url).get("/dicom-web/studies").query({ limit: "1" }).expect(200);
    assert.equal(page.headers["warning"], undefined, "the client set that limit");
    assert.deepEqual(await search("/studies", { offset: "99999999999999999999" }), []);
    assert.equal((await studies({ PatientName: "**" })).length, 4);
    const { knex } = server;
    await knex.raw(
      `insert into study (study_instance_uid, attributes) select '9.' || n, '{}' from generate_series(1, 1000) as n`,
    );
    const limited = await request(server.url).get("/dicom-web/studies").expect(200);
    assert.equal(
      limited.headers["warning"],
      `299 ${server.url}/dicom-web: "The number of results exceeded the maximum supported by the server. Additional results can be requested."`,
    );
    await knex("study").where("study_instance_uid", "like", "9.%").delete();
  });

  it("answers 405 to a method that a resource does not have, and says which it has", async () => {
    for (const path of ["/dicom-web/studies", `/dicom-web/studies/${files["ct1"]?.studyInstanceUid}/metadata`]) {
      const response = await request(server.url).delete(path).expect(405);
      assert.match(response.headers["allow"] ?? "", /GET/);
      assert.equal(JSON.parse(response.text).code, "method-not-allowed");
    }
  });

  it("answers 400 to what it cannot understand, naming the parameter", async () => {
    const bad = {
      StudyDate: "2024-01-01-x",
      StudyTime: "25",
      StudyInstanceUID: "1.2.x",
      limit: "-1",
      offset: "many",
      NoSuchAttribute: "1",
      includefield: "nothing",
      fuzzymatching: "perhaps",
      SeriesNumber: "one",
    };
    for (const [name, value] of Object.entries(bad)) {
      const path = name === "SeriesNumber" ? "/dicom-web/series" : "/dicom-web/studies";
      const response = await request(server.url)
        .get(path)
        .query({ [name]: value });
      assert.equal(response.status, 400, name);
      assert.match(response.headers["content-type"] ?? "", /^application\/problem\+json/);
      assert.ok(response.text.includes(name), `${name}: ${response.text}`);
    }
    await request(server.url).get("/dicom-web/studies").set("Accept", "text/html").expect(406);
  });
});
