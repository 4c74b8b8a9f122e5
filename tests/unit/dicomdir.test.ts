/** Directories of file sets: which instances come under one patient. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DicomDirectory } from "../../server/dicom/dicomdir.ts";

describe("DicomDirectory", () => {
  const instance = (study: string, issuer?: string) => ({
    "00080016": { vr: "UI", Value: ["1.2.840.10008.5.1.4.1.1.7"] },
    "00080018": { vr: "UI", Value: [`${study}.1.1`] },
    "00100010": { vr: "PN", Value: [{ Alphabetic: "Test^Patient" }] },
    "00100020": { vr: "LO", Value: ["1"] },
    ...(issuer !== undefined && { "00100021": { vr: "LO", Value: [issuer] } }),
    "0020000D": { vr: "UI", Value: [study] },
    "0020000E": { vr: "UI", Value: [`${study}.1`] },
  });

  it("keeps patients apart who have one name and one ID by two issuers, and names these", () => {
    const directory = new DicomDirectory();
    const patientOf = (study: string, issuer?: string) =>
      directory.add(instance(study, issuer), "1.2.840.10008.1.2.1")[0];
    assert.equal(patientOf("1.2.1", "NORTH"), "PA000001");
    assert.equal(patientOf("1.2.2", "SOUTH"), "PA000002");
    assert.equal(patientOf("1.2.3", "NORTH"), "PA000001");
    assert.equal(patientOf("1.2.4"), "PA000003");
    assert.match(directory.encode().toString("latin1"), /NORTH[^]*SOUTH/);
  });
});
