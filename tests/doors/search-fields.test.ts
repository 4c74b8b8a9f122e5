/** includefield of searches: nested attributes, private ones, what only the metadata has, what a level has not. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { items, first, type JsonDataSet, toDataSets } from "../support/dicom-json.ts";
import { dicomFile, element, sequence } from "../support/dicom-writer.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("includefield", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
    for (const number of ["1", "2"]) await store(number);
  });
  after(() => server.stop());

  async function store(number: string): Promise<void> {
    const file = dicomFile([
      element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2"),
      element(0x00080018, "UI", `1.2.3.1.${number}`),
      element(0x00080020, "DA", "20240102"),
      element(0x00080060, "CS", "CT"),
      element(0x00080201, "SH", "+0100"),
      element(0x00081030, "LO", "Chest"),
      element(0x00090010, "LO", "ACME 1.1"),
      element(0x00091002, "LO", `private ${number}`),
      element(0x00091003, "LO", "not asked for"),
      element(0x00091010, "OB", Buffer.alloc(100_000, 7)),
      element(0x00100010, "PN", "Doe^Jane"),
      element(0x00100020, "LO", "P1"),
      sequence(0x00101002, [
        [element(0x00100020, "LO", "ALIAS-1"), element(0x00100022, "CS", "TEXT")],
        [element(0x00100020, "LO", "ALIAS-2"), element(0x00100022, "CS", "TEXT")],
      ]),
      element(0x00120040, "LO", "SUBJECT-7"),
      element(0x00180060, "DS", "120"),
      element(0x0020000d, "UI", "1.2.3"),
      element(0x0020000e, "UI", "1.2.3.1"),
      element(0x00200013, "IS", number),
      element(0x00281050, "DS", `${number}0`),
    ]);
    const body = new Uint8Array(file);
    const headers = { "Content-Type": "application/dicom" };
    assert.equal((await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body })).status, 200);
  }

  async function search(path: string): Promise<{ matches: JsonDataSet[]; warning: string }> {
    const response = await fetch(`${server.url}/dicom-web/${path}`);
    const body: unknown = await response.json();
    assert.equal(response.status, 200, JSON.stringify(body));
    return { matches: toDataSets(body), warning: response.headers.get("warning") ?? "" };
  }

  it("answers the time zone at every level, which says how dates and times are to be read", async () => {
    for (const path of ["studies", "studies/1.2.3/series", "studies/1.2.3/series/1.2.3.1/instances"]) {
      const { matches } = await search(path);
      assert.deepEqual(matches[0]?.["00080201"], { vr: "SH", Value: ["+0100"] }, path);
    }
  });

  it("answers of a sequence what a path names, or all of it", async () => {
    const nested = await search("studies?includefield=OtherPatientIDsSequence.PatientID");
    assert.deepEqual(items(nested.matches[0] ?? {}, "00101002"), [
      { "00100020": { vr: "LO", Value: ["ALIAS-1"] } },
      { "00100020": { vr: "LO", Value: ["ALIAS-2"] } },
    ]);
    const whole = await search("studies?includefield=00101002");
    assert.deepEqual(Object.keys(items(whole.matches[0] ?? {}, "00101002")[1] ?? {}), ["00100020", "00100022"]);
    assert.equal((await search("studies")).matches[0]?.["00101002"], undefined);
  });

  it("answers private attributes with their creator, of the first instance above the instance level", async () => {
    for (const level of ["studies", "series"]) {
      const { matches, warning } = await search(`${level}?includefield=00091002`);
      assert.equal(first(matches[0], "00091002"), "private 1", level);
      assert.equal(first(matches[0], "00090010"), "ACME 1.1");
      assert.equal(matches[0]?.["00091003"], undefined);
      assert.equal(warning, "");
    }
    const { matches } = await search("instances?includefield=00091002,WindowCenter&orderby=-InstanceNumber");
    assert.deepEqual(
      matches.map((match) => [first(match, "00091002"), first(match, "00281050")]),
      [
        ["private 2", 20],
        ["private 1", 10],
      ],
    );
  });

  it("names where a long value lies", async () => {
    const { matches } = await search("studies/1.2.3/instances?limit=1&includefield=00091010");
    const instance = "studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1";
    assert.equal(matches[0]?.["00091010"]?.["BulkDataURI"], `${server.url}/dicom-web/${instance}/bulkdata/00091010`);
  });

  it("answers what the instances of a study or a series have in common, and warns of the rest", async () => {
    const study = await search("studies?includefield=ClinicalTrialSubjectID,KVP,WindowCenter,Rows,StudyDescription");
    assert.equal(first(study.matches[0], "00120040"), "SUBJECT-7");
    assert.equal(first(study.matches[0], "00081030"), "Chest");
    assert.equal(study.matches[0]?.["00281050"], undefined);
    assert.match(study.warning, /left out: KVP\.".*left out: WindowCenter\.".*left out: Rows\."$/);
    const series = await search("series?includefield=KVP,NumberOfStudyRelatedInstances");
    assert.deepEqual([first(series.matches[0], "00180060"), first(series.matches[0], "00201208")], [120, 2]);
    assert.equal(series.warning, "");
  });

  it("answers the keys that were matched", async () => {
    const { matches } = await search("studies?StudyDescription=Chest&OtherPatientIDsSequence.PatientID=ALIAS-2");
    assert.equal(first(matches[0], "00081030"), "Chest");
    assert.equal(items(matches[0] ?? {}, "00101002").length, 2);
  });

  it("answers the keys that a query tag matched", async () => {
    const tag = { path: "00091002", vr: "LO", privateCreator: "ACME 1.1", level: "instance" };
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify(tag);
    assert.equal((await fetch(`${server.url}/api/query-tags`, { method: "POST", headers, body })).status, 202);
    const address = `${server.url}/api/query-tags/00091002`;
    for (let rest = 100; !/"ready"/.test(await (await fetch(address)).text()); rest -= 1) {
      assert.ok(rest > 0, "the tag is not indexed");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // A process searches by the list that it has for a second.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const { matches, warning } = await search("instances?00091002=private%202&00090010=ACME%201.1");
    assert.deepEqual([matches.length, warning], [1, ""]);
    assert.equal(first(matches[0], "00091002"), "private 2");
    assert.equal(first(matches[0], "00090010"), "ACME 1.1");
  });
});
