/** The Native DICOM Model of PS3.19 A.1 as it is written. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DicomJson } from "../../server/dicom/json.ts";
import { toNativeXml } from "../../server/dicom/xml.ts";

/** What stands inside NativeDicomModel. */
function inner(json: DicomJson): string {
  const text = toNativeXml(json);
  const found = /^<\?xml version="1.0" encoding="UTF-8"\?>\n<NativeDicomModel [^>]*>(.*)<\/NativeDicomModel>\n$/s.exec(
    text,
  );
  assert.ok(found, text);
  return found[1] ?? "";
}

describe("toNativeXml", () => {
  it("names the namespace and keeps blanks", () => {
    const root = '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">';
    assert.ok(toNativeXml({}).includes(`${root}</NativeDicomModel>`));
  });

  it("writes values by number, with tag, VR and keyword, in ascending order", () => {
    assert.equal(
      inner({
        "00280010": { vr: "US", Value: [512] },
        "00080008": { vr: "CS", Value: ["ORIGINAL", null, "AXIAL"] },
        "00080020": { vr: "DA" },
      }),
      '<DicomAttribute tag="00080008" vr="CS" keyword="ImageType"><Value number="1">ORIGINAL</Value>' +
        '<Value number="2"/><Value number="3">AXIAL</Value></DicomAttribute>' +
        '<DicomAttribute tag="00080020" vr="DA" keyword="StudyDate"></DicomAttribute>' +
        '<DicomAttribute tag="00280010" vr="US" keyword="Rows"><Value number="1">512</Value></DicomAttribute>',
    );
  });

  it("takes names apart into groups and components", () => {
    const name = { Alphabetic: "Yamada^Tarou^^Dr", Ideographic: "山田^太郎" };
    assert.equal(
      inner({ "00100010": { vr: "PN", Value: [name] } }),
      '<DicomAttribute tag="00100010" vr="PN" keyword="PatientName"><PersonName number="1">' +
        "<Alphabetic><FamilyName>Yamada</FamilyName><GivenName>Tarou</GivenName><NamePrefix>Dr</NamePrefix></Alphabetic>" +
        "<Ideographic><FamilyName>山田</FamilyName><GivenName>太郎</GivenName></Ideographic>" +
        "</PersonName></DicomAttribute>",
    );
  });

  it("writes sequences, inline binary and references to bulk data", () => {
    assert.equal(
      inner({
        "00400275": { vr: "SQ", Value: [{ "00400009": { vr: "SH", Value: ["A1"] } }, {}] },
        "00282000": { vr: "OB", BulkDataURI: 'http://host/?a="1"&b=2' },
        "00420011": { vr: "OB", InlineBinary: "AAE=" },
      }),
      '<DicomAttribute tag="00282000" vr="OB" keyword="ICCProfile">' +
        '<BulkData uri="http://host/?a=&quot;1&quot;&amp;b=2"/></DicomAttribute>' +
        '<DicomAttribute tag="00400275" vr="SQ" keyword="RequestAttributesSequence"><Item number="1">' +
        '<DicomAttribute tag="00400009" vr="SH" keyword="ScheduledProcedureStepID"><Value number="1">A1</Value>' +
        '</DicomAttribute></Item><Item number="2"></Item></DicomAttribute>' +
        '<DicomAttribute tag="00420011" vr="OB" keyword="EncapsulatedDocument"><InlineBinary>AAE=</InlineBinary>' +
        "</DicomAttribute>",
    );
  });

  it("writes private elements by their creator, in the data set that holds it", () => {
    const creator = { vr: "LO", Value: ["ACME <1>"] };
    assert.equal(
      inner({ "00090011": creator, "00091102": { vr: "UN" }, "00091202": { vr: "UN" } }),
      '<DicomAttribute tag="00090011" vr="LO"><Value number="1">ACME &lt;1&gt;</Value></DicomAttribute>' +
        '<DicomAttribute tag="00090002" vr="UN" privateCreator="ACME &lt;1&gt;"></DicomAttribute>' +
        '<DicomAttribute tag="00091202" vr="UN"></DicomAttribute>',
    );
  });

  it("escapes what XML would read otherwise, and replaces what it cannot hold", () => {
    const text = 'a<b>&"\r\n\t\f\0\u001b\uFFFE\uD800 𝒳 ';
    assert.equal(
      inner({ "00104000": { vr: "LT", Value: [text] } }),
      '<DicomAttribute tag="00104000" vr="LT" keyword="PatientComments"><Value number="1">' +
        "a&lt;b&gt;&amp;&quot;&#13;\n\t\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD 𝒳 </Value></DicomAttribute>",
    );
  });
});
