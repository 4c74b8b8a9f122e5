/** Query tags: paths, and the values of a data set as they are indexed. */
import assert from "node:assert/strict";
import { deflateRawSync } from "node:zlib";
import { describe, it } from "node:test";
import { parseTagPath } from "../../server/archive/query-tag-path.ts";
import { tagValuesOf, tagValuesOfMetadata } from "../../server/archive/query-tag-values.ts";
import type { DicomJson } from "../../server/dicom/json.ts";

const path = (text: string) => parseTagPath(text, "path").path;

function valuesOf(json: DicomJson, vr: string, at: string, privateCreator = "") {
  const [found] = tagValuesOf(json, [{ id: 7, path: at, privateCreator, vr, level: "instance" }]);
  return found && { values: found.values, fault: found.fault?.reason };
}

describe("query tags", () => {
  it("takes paths of keywords and tags, and leaves the block of private ones open", () => {
    assert.equal(path("PatientAge"), "00101010");
    assert.equal(path("0018115e"), "0018115E");
    assert.equal(path("RequestAttributesSequence.00400009"), "00400275.00400009");
    for (const text of ["00191007", "001910 07".replace(" ", ""), "0019xx07", "0019XX07", "0019FF07"]) {
      assert.equal(path(text), "0019xx07");
    }
    assert.deepEqual(parseTagPath("00400275.ScheduledProcedureStepID", "path"), {
      path: "00400275.00400009",
      keyword: "RequestAttributesSequence.ScheduledProcedureStepID",
      vr: "SH",
      hasPrivate: false,
    });
  });

  it("refuses what is no path", () => {
    const wrong = [
      "",
      "NoSuchKeyword",
      "00190010",
      "0019",
      "FFFFFFFF",
      "PatientAge.PatientName",
      "a.".repeat(9),
      "';--",
    ];
    for (const text of wrong) assert.throws(() => path(text), { code: "invalid-request" }, text);
  });

  it("makes equal values equal, and names what is ill-formed", () => {
    const cases: readonly [vr: string, values: string[] | number[], expected: string[], faulty?: boolean][] = [
      ["LO", ["a b", "a b", "C"], ["a b", "C"]],
      ["IS", [5], ["5"]],
      ["IS", ["five"], [], true],
      ["DS", ["1.50", "-0", "1e400"], ["1.5", "0"], true],
      ["FD", ["NaN", "inf"], [], true],
      ["UV", ["18446744073709551615"], ["18446744073709551615"]],
      ["DA", ["20240102", "2024.01.03", "20240230"], ["2024-01-02", "2024-01-03"], true],
      ["TM", ["1011"], ["10:11:00.000000"]],
      ["DT", ["20240102101112.5+0100"], ["2024-01-02 10:11:12.500000 2024-01-02 09:11:12.500000"]],
      ["DT", ["2024"], ["2024-01-01 00:00:00.000000 2024-01-01 00:00:00.000000"]],
      ["LT", ["x".repeat(501)], [], true],
    ];
    for (const [vr, Value, values, faulty] of cases) {
      const found = valuesOf({ "00101010": { vr, Value } }, vr, "00101010");
      assert.deepEqual(found?.values, values, `${vr} ${Value.join()}`);
      assert.equal(found.fault !== undefined, faulty === true, `${vr} ${Value.join()}`);
    }
    const name = { Alphabetic: "Yamada^Tarou", Ideographic: "山田^太郎" };
    assert.deepEqual(valuesOf({ "00101060": { vr: "PN", Value: [name] } }, "PN", "00101060")?.values, [
      "=Yamada^Tarou=山田^太郎==",
    ]);
    assert.equal(valuesOf({}, "LO", "00101010"), undefined);
    assert.equal(valuesOf({ "00101010": { vr: "LO" } }, "LO", "00101010"), undefined);
    assert.equal(valuesOf({ "00101010": { vr: "LO", BulkDataURI: "x" } }, "LO", "00101010")?.fault, "It is too long.");
  });

  it("reads a DT without offset in the time zone of its data set", () => {
    const json = {
      "00080201": { vr: "SH", Value: ["-0500"] },
      "0008002A": { vr: "DT", Value: ["20240101230000"] },
    };
    assert.deepEqual(valuesOf(json, "DT", "0008002A")?.values, [
      "2024-01-01 23:00:00.000000 2024-01-02 04:00:00.000000",
    ]);
  });

  it("goes through every item of a sequence", () => {
    const item = (id: string) => ({ "00400009": { vr: "SH", Value: [id] } });
    const json = { "00400275": { vr: "SQ", Value: [item("A"), {}, item("B")] } };
    assert.deepEqual(valuesOf(json, "SH", "00400275.00400009")?.values, ["A", "B"]);
  });

  it("finds private tags by their creator, in whatever block, also where they were stored as UN", () => {
    const json = {
      "00190010": { vr: "LO", Value: ["OTHER"] },
      "00190011": { vr: "LO", Value: ["ACME"] },
      "00191007": { vr: "SH", Value: ["not this"] },
      "00191107": { vr: "SH", Value: ["this"] },
    };
    assert.deepEqual(valuesOf(json, "SH", "0019xx07", "ACME")?.values, ["this"]);
    const implicit = {
      "00190042": { vr: "UN", InlineBinary: Buffer.from("ACME").toString("base64") },
      "00194207": { vr: "UN", InlineBinary: Buffer.from([5, 0, 6, 0]).toString("base64") },
    };
    assert.deepEqual(valuesOf(implicit, "US", "0019xx07", "ACME")?.values, ["5", "6"]);
    assert.equal(valuesOf(implicit, "US", "0019xx07", "OTHER"), undefined);
  });

  it("tells of metadata that cannot be read", () => {
    const tag = { id: 1, path: "00101010", privateCreator: "", vr: "AS", level: "study" } as const;
    const [found] = tagValuesOfMetadata(Buffer.from("nonsense"), [tag]);
    assert.equal(found?.fault?.reason, "The stored metadata cannot be read.");
    const good = deflateRawSync('{"00101010":{"vr":"AS","Value":["030Y"]}}');
    assert.deepEqual(tagValuesOfMetadata(good, [tag]), [{ tagId: 1, values: ["030Y"] }]);
  });

  it("cuts what it shows of a value between characters", () => {
    const json: DicomJson = { "00080023": { vr: "DA", Value: [`${"x".repeat(63)}\u{1F600}`] } };
    const tag = { id: 7, path: "00080023", privateCreator: "", vr: "DA", level: "instance" } as const;
    const [found] = tagValuesOf(json, [tag]);
    assert.ok(found?.fault?.value.isWellFormed());
  });
});
