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
});
