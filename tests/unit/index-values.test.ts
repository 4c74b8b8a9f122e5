/** Values for the catalog: strict to index, every fault named, nothing that PostgreSQL refuses. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { indexLevel, toDate, toTime } from "../../server/archive/index-values.ts";
import type { DicomJson } from "../../server/dicom/json.ts";

const study = (json: DicomJson) => indexLevel(json, "study");
const column = (json: DicomJson, name: string) => study(json).columns[name];

describe("index values", () => {
  it("of DA", () => {
    const dates = {
      "20240102": "2024-01-02",
      "2024.01.02": "2024-01-02",
      "20240229": "2024-02-29",
      "00010101": "0001-01-01",
      "99991231": "9999-12-31",
    };
    for (const [text, date] of Object.entries(dates)) assert.equal(toDate(text), date);
    const wrong = [
      "",
      "2024",
      "202401",
      "20230229",
      "20240230",
      "20241301",
      "20240100",
      "20240132",
      "00000101",
      "2024.0102",
      "2024-01-02",
      " 20240102",
      "20240102 ",
      "2024010a",
      "20240102-20240103",
      "٢٠٢٤٠١٠٢",
    ];
    for (const text of wrong) assert.equal(toDate(text), null, text);
  });

  it("of TM", () => {
    const times = {
      "10": "10:00:00.000000",
      "1011": "10:11:00.000000",
      "101112": "10:11:12.000000",
      "101112.5": "10:11:12.500000",
      "101112.123456": "10:11:12.123456",
      "10:11:12": "10:11:12.000000",
      "10:11:12.12": "10:11:12.120000",
      "235960": "23:59:59.000000",
      "000000": "00:00:00.000000",
    };
    for (const [text, time] of Object.entries(times)) assert.equal(toTime(text), time);
    const wrong = [
      "",
      "1",
      "101",
      "10111",
      "24",
      "1060",
      "101161",
      "101112.",
      "101112.1234567",
      "1011.5",
      "10-11",
      "a",
      " 10",
      "10:1",
    ];
    for (const text of wrong) assert.equal(toTime(text), null, text);
  });

  it("of names, between equals signs", () => {
    const name = { Alphabetic: "Doe^John", Phonetic: "d" };
    assert.equal(column({ "00100010": { vr: "PN", Value: [name] } }, "patient_name"), "=Doe^John==d=");
    assert.equal(column({ "00100010": { vr: "PN" } }, "patient_name"), null);
    assert.equal(column({}, "patient_name"), null);
  });

  it("of dates and times go into their columns", () => {
    const json: DicomJson = { "00080020": { vr: "DA", Value: ["20240102"] }, "00080030": { vr: "TM", Value: ["10"] } };
    assert.equal(column(json, "study_date"), "2024-01-02");
    assert.equal(column(json, "study_time"), "10:00:00.000000");
    const numbers: DicomJson = { "00080020": { vr: "US", Value: [20240102] }, "00080030": { vr: "US", Value: [10] } };
    assert.deepEqual([column(numbers, "study_date"), column(numbers, "study_time")], [null, null]);
  });

  it("that are ill-formed are left out and named, once each", () => {
    const { columns, faults } = study({
      "00080020": { vr: "DA", Value: ["2024-01-02"] },
      "00080030": { vr: "TM", Value: ["99"] },
      "00080050": { vr: "SH", Value: ["a".repeat(501)] },
      "00100010": { vr: "PN", Value: [{ Alphabetic: "a".repeat(500) }] },
      "00100020": { vr: "US", Value: [5] },
      "00100030": { vr: "DA", Value: [null] },
    });
    const names = ["StudyDate", "StudyTime", "AccessionNumber", "PatientName", "PatientID"];
    assert.deepEqual(
      faults,
      names.map((name) => `${name} is ill-formed and is not indexed.`),
    );
    for (const name of ["study_date", "study_time", "accession_number", "patient_name", "patient_id"]) {
      assert.equal(columns[name], null, name);
    }
  });

  it("of IS are numbers or nothing", () => {
    const of = (value: string | number) => indexLevel({ "00200013": { vr: "IS", Value: [value] } }, "instance");
    assert.equal(of(-7).columns["instance_number"], -7);
    assert.equal(of("1.5").columns["instance_number"], null);
    assert.deepEqual(of("1.5").faults, ["InstanceNumber is ill-formed and is not indexed."]);
  });

  it("have every column of their level and no identifier", () => {
    for (const level of ["study", "series", "instance"] as const) {
      const { columns, attributes, faults } = indexLevel({}, level);
      assert.ok(Object.keys(columns).length > 3);
      const { name_keys: nameKeys, ...others } = columns;
      assert.ok(Object.values(others).every((value) => value === null));
      assert.deepEqual(nameKeys, level === "instance" ? null : [], "null asks for keys to be made");
      for (const name of ["study_instance_uid", "series_instance_uid", "sop_instance_uid"])
        assert.ok(!(name in columns));
      assert.deepEqual([attributes, faults], [{}, []]);
    }
  });

  it("are as long as PostgreSQL can index", () => {
    const of = (length: number) => column({ "00100020": { vr: "LO", Value: ["a".repeat(length)] } }, "patient_id");
    assert.deepEqual([of(500), of(501)], ["a".repeat(500), null]);
  });

  it("take the first of several", () => {
    assert.equal(column({ "00100020": { vr: "LO", Value: ["a", "b"] } }, "patient_id"), "a");
  });

  describe("for the answer", () => {
    it("are the attributes of the level alone", () => {
      const json: DicomJson = {
        "00080060": { vr: "CS", Value: ["CT"] },
        "00100020": { vr: "LO", Value: ["1"] },
        "00091001": { vr: "LO", Value: ["private"] },
      };
      assert.deepEqual(Object.keys(study(json).attributes), ["00100020"]);
      assert.deepEqual(Object.keys(indexLevel(json, "series").attributes), ["00080060"]);
    });

    it("are neither bulk data nor very long", () => {
      const { attributes } = study({
        "00104000": { vr: "LT", BulkDataURI: "x" },
        "00081030": { vr: "LO", Value: ["a".repeat(5000)] },
        "00100020": { vr: "LO", Value: ["1"] },
      });
      assert.deepEqual(Object.keys(attributes), ["00100020"]);
    });

    it("hold only numbers that a column of whole numbers takes", () => {
      for (const value of [0.1, 1e30]) {
        const { columns, faults } = indexLevel({ "00200011": { vr: "DS", Value: [value] } }, "series");
        assert.equal(columns["series_number"], null);
        assert.deepEqual(faults, ["SeriesNumber is ill-formed and is not indexed."]);
      }
    });

    it("hold no U+0000, nor does a column", () => {
      const { attributes, columns } = study({
        "00100010": { vr: "PN", Value: [{ Alphabetic: "a\0b" }] },
        "00100020": { vr: "LO", Value: ["a\0b", "\\u0000"] },
      });
      assert.deepEqual(attributes["00100020"], { vr: "LO", Value: ["ab", "\\u0000"] });
      assert.deepEqual(attributes["00100010"], { vr: "PN", Value: [{ Alphabetic: "ab" }] });
      assert.equal(columns["patient_id"], "ab");
      assert.equal(columns["patient_name"], "=ab===");
    });
  });
});
