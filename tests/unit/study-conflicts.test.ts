/** When an instance says otherwise than its study: identifiers exactly, names as people write them, the rest where both say. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { differences } from "../../storage/study-conflicts.ts";

function differing(study: Record<string, string | null>, instance: Record<string, string | null>): string[] {
  return differences(study, instance).map(({ attribute }) => attribute);
}

describe("differences of an instance from its study", () => {
  it("tells identifiers that differ, and one that is missing", () => {
    assert.deepEqual(differing({ patient_id: "A" }, { patient_id: "A" }), []);
    assert.deepEqual(differing({ patient_id: "A" }, { patient_id: "a" }), ["PatientID"]);
    assert.deepEqual(differing({ patient_id: "A" }, { patient_id: null }), ["PatientID"]);
    assert.deepEqual(differing({ patient_id: null }, { patient_id: "A" }), ["PatientID"]);
    assert.deepEqual(differing({ issuer_of_patient_id: "X" }, {}), ["IssuerOfPatientID"]);
    assert.deepEqual(differences({ patient_id: "A" }, { patient_id: null }), [
      { attribute: "PatientID", studyValue: "A", instanceValue: "" },
    ]);
  });

  it("takes names that are written in several ways for one", () => {
    for (const [one, other, expected] of [
      ["=Doe^Jane===", "=DOE^JANE===", []],
      ["=Doe^Jane===", "=Doe^Jane^^^===", []],
      ["=Doe^Jane===", "=Doe ^ Jane===", []],
      ["=Doe^Jane Ann===", "=Doe^Jane  Ann===", []],
      ["=Müller^Jo\u0308rg===", "=Müller^J\u00f6rg===", []],
      ["=Doe^Jane===", "=Doe^Jane=山田^花子==", []],
      ["=Doe^Jane===", "==山田^花子==", []],
      ["=Doe^Jane===", null, []],
      ["=====", "=Doe^Jane===", []],
      ["=Doe^Jane===", "=Doe^Janet===", ["PatientName"]],
      ["=Doe^Jane===", "=Jane^Doe===", ["PatientName"]],
      ["=Doe^Jane=山田^花子==", "=Doe^Jane=山田^太郎==", ["PatientName"]],
    ] as const) {
      assert.deepEqual(differing({ patient_name: one }, { patient_name: other }), expected, `${one} ${other}`);
      assert.deepEqual(differing({ patient_name: other }, { patient_name: one }), expected, `${other} ${one}`);
    }
  });

  it("leaves out what one of them does not say", () => {
    for (const column of ["patient_birth_date", "patient_sex", "study_date", "accession_number"]) {
      assert.deepEqual(differing({ [column]: "1" }, { [column]: null }), [], column);
      assert.deepEqual(differing({ [column]: "" }, { [column]: "1" }), [], column);
      assert.equal(differing({ [column]: "2" }, { [column]: "1" }).length, 1, column);
    }
  });
});
