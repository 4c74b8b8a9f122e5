/** Matching of searches (PS3.18 8.3.4, PS3.4 C.2.2.2) on stored instances: each kind, hit and miss. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import request from "supertest";
import { newUid } from "../../server/dicom/uid.ts";
import { first, type JsonDataSet, toDataSets } from "../support/dicom-json.ts";
import { dicomFile, element, type Piece, sequence } from "../support/dicom-writer.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7";

/** Elements by tag: VR and value in UTF-8, several values joined by a backslash. */
type Elements = Readonly<Record<string, readonly [vr: string, value: string]>>;

/** Text in UTF-8, padded to even length. */
function text(tag: number, vr: string, value: string): Piece {
  const bytes = Buffer.from(value, "utf8");
  return element(
    tag,
    vr,
    bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.from(vr === "UI" ? "\0" : " ")]),
  );
}

/** A small instance without pixels, in Unicode. */
function file(elements: Elements, sequences: Readonly<Record<string, readonly (readonly Piece[])[]>> = {}): Buffer {
  const all: Elements = {
    "00080005": ["CS", "ISO_IR 192"],
    "00080016": ["UI", secondaryCapture],
    "00080018": ["UI", newUid()],
    "00080060": ["CS", "OT"],
    "0020000D": ["UI", newUid()],
    "0020000E": ["UI", newUid()],
    ...elements,
  };
  const pieces = [
    ...Object.entries(all).map(([tag, [vr, value]]) => [tag, text(Number.parseInt(tag, 16), vr, value)] as const),
    ...Object.entries(sequences).map(([tag, items]) => [tag, sequence(Number.parseInt(tag, 16), items)] as const),
  ];
  return dicomFile(pieces.sort(([one], [other]) => (one < other ? -1 : 1)).map(([, piece]) => piece));
}

describe("matching of searches", () => {
  let server: TestServer;
  const uids = new Map<string, string>();

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  /** Stores a study of one instance; `PatientID` becomes `name`, by which `found` tells it. */
  async function add(name: string, elements: Elements, sequences?: Parameters<typeof file>[1]): Promise<void> {
    const study = elements["0020000D"]?.[1] ?? newUid();
    uids.set(study, name);
    const bytes = file({ "0020000D": ["UI", study], ...elements }, sequences);
    const stored = await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", "application/dicom")
      .send(bytes);
    assert.equal(stored.status, 200, stored.text);
  }

  type Pairs = Readonly<Record<string, string>>;

  async function ask(path: string, query: Pairs): Promise<JsonDataSet[]> {
    const response = await request(server.url).get(`/dicom-web${path}`).query(query);
    assert.equal(response.status, 200, `${JSON.stringify(query)}: ${response.text}`);
    assert.equal(response.headers["warning"], undefined, JSON.stringify(query));
    return toDataSets(JSON.parse(response.text));
  }

  /** The names of the studies found, sorted. */
  async function found(query: Pairs, path = "/studies"): Promise<string[]> {
    const matches = await ask(path, query);
    return matches.map((match) => uids.get(String(first(match, "0020000D"))) ?? "?").sort();
  }

  describe("of text", () => {
    before(async () => {
      await add("plain", { "00081030": ["LO", "Head, with contrast"], "00100020": ["LO", "t-1"] });
      await add("signs", { "00081030": ["LO", `50% "off" _x_ (a|b)`], "00100020": ["LO", "t-2"] });
      await add("greek", { "00081030": ["LO", "Κεφαλή"], "00100020": ["LO", "t-3"], "00102000": ["LO", "one\\two"] });
    });

    it("takes every character of a literal for itself", async () => {
      assert.deepEqual(await found({ StudyDescription: "Head, with contrast" }), ["plain"]);
      assert.deepEqual(await found({ StudyDescription: " Head, with contrast " }), ["plain"]);
      assert.deepEqual(await found({ StudyDescription: "head, with contrast" }), [], "case counts");
      assert.deepEqual(await found({ StudyDescription: "Head" }), []);
      assert.deepEqual(await found({ StudyDescription: `50% "off" _x_ (a|b)` }), ["signs"]);
      assert.deepEqual(await found({ StudyDescription: "Κεφαλή" }), ["greek"]);
    });

    it("takes wildcards, and no other sign for one", async () => {
      assert.deepEqual(await found({ StudyDescription: "Head,*" }), ["plain"]);
      assert.deepEqual(await found({ StudyDescription: "*head*" }), []);
      assert.deepEqual(await found({ StudyDescription: "50%*_x_*" }), ["signs"]);
      assert.deepEqual(await found({ StudyDescription: "5_%*" }), []);
      assert.deepEqual(await found({ StudyDescription: "Κ?φαλ*" }), ["greek"]);
      assert.deepEqual(await found({ StudyDescription: "*(a|b)" }), ["signs"]);
    });

    it("matches any of the values of an attribute", async () => {
      const query = { includefield: "00102000" };
      assert.deepEqual(await found({ ...query, PatientID: "t-3" }), ["greek"]);
    });
  });

  describe("of names, fuzzy", () => {
    before(async () => {
      await add("mueller", { "00100010": ["PN", "Müller^Hans-Jörg"], "00080090": ["PN", "O'Brien^Séan"] });
      await add("yamada", { "00100010": ["PN", "Yamada^Tarou=山田^太郎=やまだ^たろう"] });
      await add("smith", { "00100010": ["PN", "Smith^Jon^^Dr."], "00081060": ["PN", "Meyer^A\\Øster^Bjørn"] });
    });

    const fuzzy = (query: Pairs) => found({ ...query, fuzzymatching: "true" });

    it("folds accents and case, and hears", async () => {
      for (const PatientName of ["muller", "MÜLLER^hans", "Mueller", "Miller", "jorg muller", "Hans Müller"]) {
        assert.deepEqual(await fuzzy({ PatientName }), ["mueller"], PatientName);
      }
      assert.deepEqual(await fuzzy({ PatientName: "Smyth^John" }), ["smith"]);
      assert.deepEqual(await fuzzy({ PatientName: "Jon Smith" }), ["smith"]);
      assert.deepEqual(await fuzzy({ PatientName: "Jon Miller" }), []);
      assert.deepEqual(await fuzzy({ ReferringPhysicianName: "obrien sean" }), ["mueller"]);
      assert.deepEqual(await found({ PatientName: "muller" }), [], "literally it is another name");
    });

    it("looks into all three component groups", async () => {
      for (const PatientName of ["山田", "太郎 山田", "山田太郎", "田", "やまだ", "Yamada 太郎", "Taro=山田"]) {
        assert.deepEqual(await fuzzy({ PatientName }), ["yamada"], PatientName);
      }
      assert.deepEqual(await fuzzy({ PatientName: "鈴木" }), []);
    });

    it("takes wildcards", async () => {
      assert.deepEqual(await fuzzy({ PatientName: "Mul*" }), ["mueller"]);
      assert.deepEqual(await fuzzy({ PatientName: "*smyth*" }), ["smith"], "as viewers send it");
      assert.deepEqual(await fuzzy({ PatientName: "sm?th jo*" }), ["smith"]);
      assert.deepEqual(await fuzzy({ PatientName: "%ll*" }), []);
      assert.ok((await fuzzy({ PatientName: "*" })).length >= 3);
    });

    it("finds names that have no column, and any of several", async () => {
      for (const NameOfPhysiciansReadingStudy of ["Maier", "oster bjorn"]) {
        assert.deepEqual(await fuzzy({ NameOfPhysiciansReadingStudy }), ["smith"], NameOfPhysiciansReadingStudy);
      }
      assert.deepEqual(await found({ NameOfPhysiciansReadingStudy: "øster^bjørn" }), ["smith"], "literally, too");
    });
  });

  async function refused(query: Pairs, path = "/studies"): Promise<string> {
    const response = await request(server.url).get(`/dicom-web${path}`).query(query);
    assert.equal(response.status, 400, `${JSON.stringify(query)}: ${response.text}`);
    const problem: { code: string; detail: string } = JSON.parse(response.text);
    assert.equal(problem.code, "invalid-query");
    return problem.detail;
  }

  describe("of dates and times", () => {
    before(async () => {
      const at = (date: string, time: string): Elements => ({ "00080020": ["DA", date], "00080030": ["TM", time] });
      await add("monday", { ...at("20060703", "0930"), "0008002A": ["DT", "20060703093000.5+0100"] });
      await add("tuesday", {
        ...at("20060704", "2300"),
        "0008002A": ["DT", "200607042300"],
        "00080201": ["SH", "-0500"],
      });
      await add("wednesday", { ...at("20060705", "010000.25"), "0008002A": ["DT", "20060705010000-0500"] });
    });
    const days = ["monday", "tuesday", "wednesday"];
    const in2006 = async (query: Pairs, path?: string) =>
      (await found(query, path)).filter((name) => days.includes(name));

    it("takes a date and a time, each a range, for one range", async () => {
      const query = { StudyDate: "20060703-20060705", StudyTime: "2200-0200" };
      assert.deepEqual(await in2006(query), ["tuesday", "wednesday"]);
      assert.deepEqual(await in2006({ StudyDate: "20060703-20060704", StudyTime: "1000-2300" }), ["tuesday"]);
      assert.deepEqual(await in2006({ StudyDate: "20060704-", StudyTime: "2301-" }), ["wednesday"]);
      assert.deepEqual(await in2006({ StudyDate: "-20060704", StudyTime: "-10" }), ["monday"]);
    });

    it("takes them for two conditions when they are of two forms", async () => {
      assert.deepEqual(await in2006({ StudyDate: "20060703-20060705", StudyTime: "0930" }), ["monday"]);
      assert.deepEqual(await in2006({ StudyDate: "20060703-20060705", StudyTime: "-1000" }), ["monday", "wednesday"]);
      assert.deepEqual(await in2006({ StudyDate: "20060704", StudyTime: "22-2359" }), ["tuesday"]);
    });

    it("matches DT by what they mean, offsets as well", async () => {
      const of = (value: string) => in2006({ AcquisitionDateTime: value }, "/instances");
      assert.deepEqual(await of("20060703"), ["monday"], "the whole day");
      assert.deepEqual(await of("20060703083000.5+0000"), ["monday"]);
      assert.deepEqual(await of("20060703083000.50+0000-20060703083000.50+0000"), ["monday"]);
      assert.deepEqual(await of("200607050400+0000"), ["tuesday"], "by the offset of the study");
      assert.deepEqual(await of("20060704230000-0500"), ["tuesday"]);
      assert.deepEqual(await of("20060705-"), ["wednesday"], "as they are written");
      assert.deepEqual(await of("20060705+0000-"), ["tuesday", "wednesday"]);
      assert.deepEqual(await of("-2005"), []);
    });

    it("takes the time zone of the request for its dates and times", async () => {
      const utc = { TimezoneOffsetFromUTC: "+0000" };
      assert.deepEqual(await in2006({ StudyDate: "20060705" }), ["wednesday"]);
      assert.deepEqual(await in2006({ ...utc, StudyDate: "20060705" }), ["tuesday", "wednesday"]);
      assert.deepEqual(await in2006({ ...utc, StudyDate: "20060704" }), []);
      assert.deepEqual(await in2006({ ...utc, StudyDate: "20060704-20060705", StudyTime: "0400-0359" }), ["wednesday"]);
      assert.deepEqual(await in2006({ ...utc, StudyDate: "20060705-20060705", StudyTime: "0400-0400" }), ["tuesday"]);
      assert.deepEqual(await in2006({ ...utc, AcquisitionDateTime: "200607050400" }, "/instances"), ["tuesday"]);
    });
  });

  describe("of attributes without a column", () => {
    before(async () => {
      const step = (id: string, procedure: string) => [
        element(0x00400009, "SH", id),
        element(0x00401001, "SH", procedure),
      ];
      await add(
        "one item",
        {
          "00080008": ["CS", String.raw`ORIGINAL\PRIMARY\AXIAL`],
          "00101010": ["AS", "042Y"],
          "00101030": ["DS", "70.50"],
          "00180015": ["CS", "CHEST"],
          "00080070": ["LO", "A & B, Inc."],
          "00181020": ["LO", String.raw`v1\v2`],
        },
        { "00400275": [step("SPS1", "RP1")] },
      );
      await add(
        "two items",
        { "00080008": ["CS", "DERIVED"] },
        { "00400275": [step("SPS1", "RP2"), step("SPS2", "RP1")] },
      );
    });

    it("matches any of several values, numbers by their value, ages as they are", async () => {
      assert.deepEqual(await found({ ImageType: "PRIMARY" }, "/instances"), ["one item"]);
      assert.deepEqual(await found({ ImageType: "primary" }, "/instances"), []);
      assert.deepEqual(await found({ ImageType: "PRIM*,DERIVED" }, "/instances"), ["one item", "two items"]);
      for (const PatientWeight of ["70.5", "70.500", "+7.05e1"])
        assert.deepEqual(await found({ PatientWeight }), ["one item"]);
      assert.deepEqual(await found({ PatientAge: "042Y" }), ["one item"]);
      assert.deepEqual(await found({ PatientAge: "042M" }), []);
      assert.deepEqual(await found({ Manufacturer: "A & B, Inc." }, "/series"), ["one item"]);
    });

    it("matches items of a sequence, all keys in one item", async () => {
      const items = "RequestAttributesSequence";
      const [step, procedure] = [`${items}.ScheduledProcedureStepID`, `${items}.RequestedProcedureID`];
      for (const name of [step, "00400275.00400009", "00400275.ScheduledProcedureStepID"]) {
        assert.deepEqual(await found({ [name]: "SPS1" }, "/series"), ["one item", "two items"]);
        assert.deepEqual(await found({ [name]: "SPS2" }, "/series"), ["two items"]);
        assert.deepEqual(await found({ [name]: "S?S2*" }, "/series"), ["two items"]);
      }
      assert.deepEqual(await found({ [step]: "SPS1", [procedure]: "RP1" }, "/series"), ["one item"]);
      assert.deepEqual(await found({ [step]: "SPS1", [procedure]: "RP*" }, "/instances"), ["one item", "two items"]);
      assert.deepEqual(await found({ [step]: "SPS2", [procedure]: "RP2" }, "/series"), []);
      const [answer] = await ask("/series", { [step]: "SPS2" });
      assert.ok(answer?.["00400275"], "what is matched is answered");
    });

    it("matches what is empty or absent, when that is asked for", async () => {
      const query = { emptyvaluematching: "true" };
      const empty = await found({ ...query, PatientWeight: '""' });
      assert.ok(empty.includes("two items") && !empty.includes("one item"));
      const noDate = await found({ ...query, StudyDate: '""', PatientAge: "042Y" });
      assert.deepEqual(noDate, ["one item"]);
      assert.deepEqual(await found({ ...query, StudyDate: '""', PatientName: "Yamada*" }), ["yamada"]);
      assert.deepEqual(await found({ ...query, PatientAge: '""', PatientWeight: "70.5" }), []);
      const procedure = "00400275.RequestedProcedureDescription";
      assert.deepEqual(await found({ ...query, [procedure]: '""' }, "/series"), ["one item", "two items"]);
      assert.deepEqual(
        await found({ ...query, RequestAttributesSequence: '""', ImageType: "DERIVED" }, "/instances"),
        [],
      );
      assert.deepEqual(await found({ StudyDescription: '""' }), [], "without the parameter it is text");
    });

    it("matches several values, each of which must be there, when that is asked for", async () => {
      const query = { multiplevaluematching: "true" };
      const versions = (value: string) => found({ ...query, SoftwareVersions: value }, "/series");
      assert.deepEqual(await versions(String.raw`v2\v1`), ["one item"]);
      assert.deepEqual(await versions(String.raw`v1\v3`), []);
      assert.deepEqual(await found({ ...query, ImageType: String.raw`AXIAL\PRIMARY` }, "/instances"), ["one item"]);
      assert.deepEqual(await found({ ImageType: String.raw`AXIAL\DERIVED` }, "/instances"), ["one item", "two items"]);
      for (const list of [String.raw`AXIAL\PRIM*`, "AXIAL\\", "\\"]) {
        assert.match(await refused({ ...query, ImageType: list }, "/instances"), /^ImageType /);
      }
    });
  });

  describe("of what is counted and made", () => {
    const study = newUid();
    before(async () => {
      const of: Elements = { "0020000D": ["UI", study] };
      await add("mixed", { ...of, "00080060": ["CS", "CT"], "00080016": ["UI", "1.2.840.10008.5.1.4.1.1.2"] });
      await add("mixed", { ...of, "00080060": ["CS", "PT"], "00080016": ["UI", "1.2.840.10008.5.1.4.1.1.128"] });
    });

    it("matches modalities: one of several, or each of several", async () => {
      assert.deepEqual(await found({ ModalitiesInStudy: "CT" }), ["mixed"]);
      assert.deepEqual(await found({ ModalitiesInStudy: "C?" }), ["mixed"]);
      assert.deepEqual(await found({ ModalitiesInStudy: "MR,PT" }), ["mixed"]);
      const query = { multiplevaluematching: "true" };
      assert.deepEqual(await found({ ...query, ModalitiesInStudy: String.raw`CT\PT` }), ["mixed"]);
      assert.deepEqual(await found({ ...query, ModalitiesInStudy: "CT,MR" }), []);
      assert.deepEqual(await found({ emptyvaluematching: "true", ModalitiesInStudy: '""' }), []);
    });

    it("matches classes, counts, availability and transfer syntax", async () => {
      assert.deepEqual(await found({ SOPClassesInStudy: "1.2.840.10008.5.1.4.1.1.128" }), ["mixed"]);
      assert.deepEqual(await found({ SOPClassesInStudy: "1.2.840.10008.5.1.4.1.1.4,1.2.840.10008.5.1.4.1.1.2" }), [
        "mixed",
      ]);
      assert.deepEqual(await found({ NumberOfStudyRelatedSeries: "2" }), ["mixed"]);
      assert.deepEqual(await found({ NumberOfStudyRelatedInstances: "2" }), ["mixed"]);
      assert.deepEqual(await found({ NumberOfSeriesRelatedInstances: "2" }, "/series"), []);
      const one = { StudyInstanceUID: study };
      assert.deepEqual(await found({ ...one, InstanceAvailability: "ONLINE" }), ["mixed"]);
      assert.deepEqual(await found({ ...one, InstanceAvailability: "NEARLINE" }), []);
      assert.deepEqual(await found({ ...one, "00083002": "1.2.840.10008.1.2.1" }, "/instances"), ["mixed", "mixed"]);
      assert.deepEqual(await found({ ...one, "00083002": "1.2.840.10008.1.2.4.50" }, "/instances"), []);
    });

    it("counts anew right after a removal, and right after what was removed comes back", async () => {
      const uid = newUid();
      const name: Elements = { "0020000D": ["UI", uid], "00100010": ["PN", "Sørensen^Bjørn"] };
      await add("shrinking", { ...name, "00080060": ["CS", "XA"] });
      await add("shrinking", { ...name, "00080060": ["CS", "NM"], "0020000E": ["UI", "1.2.3.4"] });
      const one = { StudyInstanceUID: uid };
      const counts = async () => [
        await found({ ...one, ModalitiesInStudy: "NM" }),
        await found({ ...one, NumberOfStudyRelatedSeries: "2" }),
        await found({ ...one, NumberOfStudyRelatedInstances: "1" }),
      ];
      assert.deepEqual(await counts(), [["shrinking"], ["shrinking"], []]);
      await request(server.url).delete(`/dicom-web/studies/${uid}/series/1.2.3.4`).expect(204);
      assert.deepEqual(await counts(), [[], [], ["shrinking"]]);
      await request(server.url).delete(`/dicom-web/studies/${uid}`).expect(204);
      const fuzzy = { PatientName: "bjorn sorensen", fuzzymatching: "true" };
      assert.deepEqual(await found(fuzzy), []);
      const { body } = await request(server.url).get("/api/removed").expect(200);
      const removals: readonly { readonly id: number; readonly studyInstanceUid: string }[] = body.removals;
      for (const { id } of removals.filter(({ studyInstanceUid }) => studyInstanceUid === uid)) {
        await request(server.url).post(`/api/removed/${id}/restore`).expect(200);
      }
      assert.deepEqual(await counts(), [["shrinking"], ["shrinking"], []]);
      assert.deepEqual(await found(fuzzy), ["shrinking"], "names have their keys again");
    });

    it("matches attributes of the levels above in every search below", async () => {
      assert.deepEqual(await found({ Modality: "CT", ModalitiesInStudy: "PT" }, "/instances"), ["mixed"]);
      assert.deepEqual(await found({ PatientWeight: "70.5" }, "/instances"), ["one item"]);
      assert.deepEqual(await found({ BodyPartExamined: "CHEST", ImageType: "AXIAL" }, "/instances"), ["one item"]);
      assert.deepEqual(await found({ NumberOfStudyRelatedSeries: "2", Modality: "PT" }, "/series"), ["mixed"]);
    });
  });

  it("refuses what it cannot understand, names the parameter, and is quick about it", async () => {
    const bad: readonly (readonly [name: string, value: string, path?: string])[] = [
      ["StudyDate", "2006"],
      ["StudyDate", "20060230"],
      ["StudyDate", "2006*"],
      ["StudyDate", "20060705-20060704"],
      ["StudyDate", "'; drop table study; --"],
      ["StudyTime", "2300-0200"],
      ["StudyTime", "25"],
      ["StudyInstanceUID", "1.2.*"],
      ["StudyInstanceUID", "1' or '1'='1"],
      ["SeriesNumber", "1?", "/series"],
      ["PatientAge", "42"],
      ["PatientWeight", "heavy"],
      ["PatientWeight", "7*"],
      ["AcquisitionDateTime", "20061", "/instances"],
      ["AcquisitionDateTime", "2006-2005", "/instances"],
      ["TimezoneOffsetFromUTC", "CET"],
      ["RequestAttributesSequence", "SPS1", "/series"],
      ["RequestAttributesSequence.Nonsense", "x", "/series"],
      ["PatientID.PatientName", "x"],
      ["PatientName", "a".repeat(2000)],
      ["NumberOfStudyRelatedSeries", "two"],
      ["SOPClassesInStudy", "CT"],
      ["NoSuchAttribute", "x"],
      ["00100020 or 1=1", "x"],
      ["fuzzymatching", "maybe"],
      ["emptyvaluematching", "1"],
      ["multiplevaluematching", "yes"],
    ];
    for (const [name, value, path] of bad) {
      const begun = performance.now();
      const detail = await refused({ [name]: value }, path);
      assert.ok(performance.now() - begun < 500, `${name}=${value}: the machine may be busy, the server is not`);
      assert.ok(detail.includes(name.split(".").at(-1) ?? ""), `${name}: ${detail}`);
    }
    const twice = await request(server.url).get("/dicom-web/studies?PatientID=1&00100020=2").expect(400);
    assert.match(twice.text, /00100020.* more than once/);
  });

  it("takes what looks like SQL or a pattern for text", async () => {
    for (const value of [
      "'; drop table study; --",
      "' or ''='",
      "$1",
      "?",
      "\\",
      "%",
      "a\\",
      "{}",
      "[",
      "\u2028",
      "\u{1f600}",
    ]) {
      for (const name of ["PatientID", "PatientName", "StudyDescription", "PatientComments", "ModalitiesInStudy"]) {
        if (value === "?" && name !== "PatientComments") continue;
        assert.deepEqual(await found({ [name]: value }), [], `${name}=${value}`);
        assert.deepEqual(await found({ [name]: value, fuzzymatching: "true", emptyvaluematching: "true" }), []);
      }
    }
  });
});
