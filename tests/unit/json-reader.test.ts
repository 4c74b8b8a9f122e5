/** Reading the DICOM JSON Model of others: what is taken, what is refused and how it is said. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseJsonDocuments, readDataSet } from "../../server/dicom/json-reader.ts";
import { ArchiveError } from "../../server/errors.ts";
import { repeatable } from "../support/scan.ts";

const refused = (value: unknown, words: RegExp) =>
  assert.throws(
    () => readDataSet(value),
    (error) => error instanceof ArchiveError && error.code === "malformed-metadata" && words.test(error.message),
    `${JSON.stringify(value).slice(0, 80)} against ${words}`,
  );

describe("reading DICOM JSON", () => {
  it("takes an array of data sets, one alone, and a byte order mark", () => {
    assert.deepEqual(parseJsonDocuments("[{},{}]"), [{}, {}]);
    assert.deepEqual(parseJsonDocuments("\uFEFF{}"), [{}]);
    assert.throws(() => parseJsonDocuments("{"), /not JSON/);
  });

  it("gives every value one form", () => {
    const given = {
      "0020000d": { vr: "UI", Value: ["1.2"] },
      "00100010": { vr: "PN", Value: ["A^B=C=D", { Alphabetic: "E", Ideographic: null }, null] },
      "00280010": { Value: ["4"] },
      "00280103": { vr: "US", Value: [] },
      "00089459": { vr: "FL", Value: ["NaN", "INF", 1.5, "-2e1"] },
      "0040A162": { vr: "UV", Value: ["18446744073709551615", 7] },
      "00400275": { vr: "SQ", Value: [{ "00400007": { vr: "LO", Value: ["x"] } }, {}, null] },
      "00280030": { vr: "DS", Value: [0.5, "1.500"] },
      "00720026": { vr: "AT", Value: ["0010000d"] },
      "00880200": { vr: "SQ" },
      "7FE00010": { vr: "OW", InlineBinary: "AAEC\r\nAw==" },
      "00420011": { vr: "OB", BulkDataURI: "bulk/1", Value: null },
    };
    assert.deepEqual(readDataSet(given), {
      "0020000D": { vr: "UI", Value: ["1.2"] },
      "00100010": {
        vr: "PN",
        Value: [{ Alphabetic: "A^B", Ideographic: "C", Phonetic: "D" }, { Alphabetic: "E" }, null],
      },
      "00280010": { vr: "US", Value: [4] },
      "00280103": { vr: "US" },
      "00089459": { vr: "FL", Value: ["NaN", "inf", 1.5, -20] },
      "0040A162": { vr: "UV", Value: ["18446744073709551615", 7] },
      "00400275": { vr: "SQ", Value: [{ "00400007": { vr: "LO", Value: ["x"] } }, {}, {}] },
      "00280030": { vr: "DS", Value: [0.5, "1.500"] },
      "00720026": { vr: "AT", Value: ["0010000D"] },
      "00880200": { vr: "SQ" },
      "7FE00010": { vr: "OW", InlineBinary: "AAECAw==" },
      "00420011": { vr: "OB", BulkDataURI: "bulk/1" },
    });
  });

  it("refuses what has no meaning, and names the attribute and its item", () => {
    refused([], /^The metadata is not an object/);
    refused({ PatientName: {} }, /^"PatientName" is not a tag/);
    refused({ "00100010": "x" }, /^PatientName \(0010,0010\) is not an object/);
    refused({ "00291010": {} }, /^\(0029,1010\) has no vr/);
    refused({ "00100010": { vr: "ZZ" } }, /vr that is none/);
    refused({ "00100010": { vr: "PN", Value: "x" } }, /Value that is not an array/);
    refused({ "00100010": { vr: "PN", Value: [1] } }, /name that is not an object/);
    refused({ "00100010": { vr: "PN", Value: ["a=b=c=d"] } }, /three component groups/);
    refused({ "00100020": { vr: "LO", Value: [7] } }, /^PatientID \(0010,0020\) holds a number where VR LO/);
    refused({ "00100020": { vr: "LO", Value: ["a\\b"] } }, /backslash/);
    refused({ "00280010": { vr: "US", Value: [65536] } }, /^Rows \(0028,0010\) holds 65536, which VR US cannot/);
    refused({ "00280010": { vr: "US", Value: ["1.5"] } }, /not an integer/);
    refused({ "00280030": { vr: "DS", Value: [true] } }, /a boolean where VR DS/);
    refused({ "00720026": { vr: "AT", Value: ["Rows"] } }, /not a tag/);
    refused({ "7FE00010": { vr: "OB", InlineBinary: "?" } }, /not base64/);
    refused({ "7FE00010": { vr: "OB", Value: [1] } }, /takes InlineBinary/);
    refused({ "00100020": { vr: "LO", InlineBinary: "AAAA" } }, /does not take/);
    refused({ "7FE00010": { vr: "OB", InlineBinary: "AAAA", BulkDataURI: "x" } }, /more than one of/);
    refused({ "00400275": { vr: "SQ", BulkDataURI: "x" } }, /cannot be one/);
    refused({ "0020000d": { vr: "UI" }, "0020000D": { vr: "UI" } }, /is there twice/);
    const inside = { "00400275": { vr: "SQ", Value: [{}, { "00400007": { vr: "LO", Value: [{}] } }] } };
    refused(inside, /\(0040,0007\) in item 2 of RequestAttributesSequence \(0040,0275\) holds an? object/);
  });

  it("refuses numbers that their VR cannot hold, and words that only look like special ones", () => {
    refused({ "00189306": { vr: "FL", Value: [1e300] } }, /holds 1e\+300, which VR FL cannot/);
    refused({ "00189307": { vr: "FD", Value: ["1e999"] } }, /holds 1e999, which VR FD cannot/);
    for (const word of ["constructor", "__proto__"]) {
      refused({ "00189307": { vr: "FD", Value: [word] } }, /not a number/);
    }
    refused({ "00200013": { vr: "IS", Value: [1e21] } }, /holds 1e\+21, which is no IS/);
  });

  it("refuses texts that would take gigabytes as objects", () => {
    const item = "{},".repeat(1_500_000);
    for (const text of [`[{"00400275":{"vr":"SQ","Value":[${item}{}]}}]`, `[${"1,".repeat(8_000_001)}1]`]) {
      assert.throws(
        () => parseJsonDocuments(text),
        (error) => error instanceof ArchiveError && error.code === "invalid-request" && /more than/.test(error.message),
      );
    }
  });

  it("refuses sequences without end", () => {
    let value: unknown = {};
    for (let depth = 0; depth < 300; depth += 1) value = { "00400275": { vr: "SQ", Value: [value] } };
    refused(value, /nested more than 256 deep/);
  });

  it("throws nothing else, whatever the text", () => {
    const text = JSON.stringify([
      {
        "00100010": { vr: "PN", Value: [{ Alphabetic: "A^B" }] },
        "00280010": { vr: "US", Value: [4] },
        "00400275": { vr: "SQ", Value: [{ "00400007": { vr: "LO", Value: ["x"] } }] },
        "7FE00010": { vr: "OW", InlineBinary: "AAEC" },
      },
    ]);
    const random = repeatable(7);
    const pieces = ['"', "{", "}", "[", "]", "null", "1e999", "SQ", "US", "Value", ",", "\\u0000", "7", ":"];
    for (let round = 0; round < 20_000; round += 1) {
      const at = random(text.length);
      const mutated = text.slice(0, at) + (pieces[random(pieces.length)] ?? "") + text.slice(at + random(4));
      try {
        for (const document of parseJsonDocuments(mutated)) readDataSet(document);
      } catch (error) {
        assert.ok(error instanceof ArchiveError, `${String(error)} of ${mutated}`);
      }
    }
  });
});
