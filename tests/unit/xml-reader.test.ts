/** Reading the Native DICOM Model: every form of value, private blocks, and what is refused. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseNativeXml } from "../../server/dicom/xml-reader.ts";
import { ArchiveError, type ErrorCode } from "../../server/errors.ts";
import { repeatable } from "../support/scan.ts";

const model = (inside: string, root = "NativeDicomModel") =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<${root}>\n${inside}\n</NativeDicomModel>`;

const refused = (text: string, words: RegExp, code: ErrorCode = "malformed-metadata") =>
  assert.throws(
    () => parseNativeXml(text),
    (error) => error instanceof ArchiveError && error.code === code && words.test(error.message),
    `${text.slice(0, 200)} against ${words}`,
  );

const whole = model(`
  <DicomAttribute tag="00080005" vr="CS" keyword="SpecificCharacterSet"><Value number="1">ISO_IR 192</Value></DicomAttribute>
  <DicomAttribute tag="00100010" vr="PN" keyword="PatientName">
    <PersonName number="1">
      <Alphabetic><FamilyName>Wang</FamilyName><GivenName>XiaoDong</GivenName><NameSuffix>Jr</NameSuffix></Alphabetic>
      <Ideographic><FamilyName>王</FamilyName><GivenName>小东</GivenName></Ideographic>
    </PersonName>
  </DicomAttribute>
  <DicomAttribute tag="00280010" vr="US" keyword="Rows"><Value number="1">4</Value></DicomAttribute>
  <DicomAttribute tag="00280030" vr="DS"><Value number="1">0.50</Value><Value number="2"/></DicomAttribute>
  <DicomAttribute tag="00400275" vr="SQ">
    <Item number="1">
      <DicomAttribute tag="00400007" vr="LO"><Value number="1">a &amp; <![CDATA[<b>]]></Value></DicomAttribute>
      <DicomAttribute tag="00290001" vr="LO" privateCreator="INNER"><Value number="1">x</Value></DicomAttribute>
    </Item>
    <Item number="2"/>
  </DicomAttribute>
  <DicomAttribute tag="00420010" vr="ST"/>
  <DicomAttribute tag="00880140" vr="UI"><Value number="1"></Value></DicomAttribute>
  <DicomAttribute tag="7FE00010" vr="OW"><InlineBinary>AAEC</InlineBinary></DicomAttribute>
`);

describe("reading the Native DICOM Model", () => {
  it("gives the data set as DICOM JSON", () => {
    assert.deepEqual(parseNativeXml(whole), {
      "00080005": { vr: "CS", Value: ["ISO_IR 192"] },
      "00100010": { vr: "PN", Value: [{ Alphabetic: "Wang^XiaoDong^^^Jr", Ideographic: "王^小东" }] },
      "00280010": { vr: "US", Value: [4] },
      "00280030": { vr: "DS", Value: ["0.50", null] },
      "00400275": {
        vr: "SQ",
        Value: [
          {
            "00400007": { vr: "LO", Value: ["a & <b>"] },
            "00290010": { vr: "LO", Value: ["INNER"] },
            "00291001": { vr: "LO", Value: ["x"] },
          },
          {},
        ],
      },
      "00420010": { vr: "ST" },
      "00880140": { vr: "UI", Value: [null] },
      "7FE00010": { vr: "OW", InlineBinary: "AAEC" },
    });
  });

  it("takes the namespace of PS3.19, prefixes, capitals as in its examples, and bulk data by URI and UUID", () => {
    const named = model(
      '<DicomAttribute Keyword="PatientID" VR="LO"><Value number="1">7</Value></DicomAttribute>' +
        '<DicomAttribute tag="00420011" vr="OB"><BulkData uri="a/b"/></DicomAttribute>' +
        '<DicomAttribute tag="7fe00010" vr="OW"><BulkData uuid="u-1"/></DicomAttribute>',
      'NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM"',
    );
    assert.deepEqual(parseNativeXml(named), {
      "00100020": { vr: "LO", Value: ["7"] },
      "00420011": { vr: "OB", BulkDataURI: "a/b" },
      "7FE00010": { vr: "OW", BulkDataURI: "u-1" },
    });
    const prefixed = '<d:NativeDicomModel xmlns:d="http://dicom.nema.org/PS3.19/models/NativeDICOM"/>';
    assert.deepEqual(parseNativeXml(prefixed), {});
  });

  it("gives private attributes a block of their creator", () => {
    const attribute = (tag: string, creator: string, value: string) =>
      `<DicomAttribute tag="${tag}" vr="LO"${creator && ` privateCreator="${creator}"`}><Value number="1">${value}</Value></DicomAttribute>`;
    const text = model(
      attribute("00290010", "", "FIRST") +
        attribute("00291001", "", "a") +
        attribute("00290001", "SECOND", "b") +
        attribute("00290002", "FIRST", "c") +
        attribute("00290003", "SECOND", "d") +
        attribute("00292004", "THIRD", "e"),
    );
    assert.deepEqual(
      Object.entries(parseNativeXml(text))
        .map(([tag, { Value }]) => `${tag} ${JSON.stringify(Value?.[0])}`)
        .sort(),
      [
        '00290010 "FIRST"',
        '00290011 "SECOND"',
        '00290020 "THIRD"',
        '00291001 "a"',
        '00291002 "c"',
        '00291101 "b"',
        '00291103 "d"',
        '00292004 "e"',
      ],
    );
  });

  it("puts no private attribute into the block of another creator", () => {
    const attribute = (tag: string, creator: string) =>
      `<DicomAttribute tag="${tag}" vr="LO"${creator && ` privateCreator="${creator}"`}><Value number="1">${creator || "ACME "}</Value></DicomAttribute>`;
    const text = model(attribute("00090010", "") + attribute("00091001", "ACME") + attribute("00091002", "OTHER"));
    const read = parseNativeXml(text);
    assert.deepEqual(Object.keys(read).sort(), ["00090010", "00090011", "00091001", "00091102"]);
    assert.deepEqual(read["00090011"]?.Value, ["OTHER"]);
  });

  it("refuses what is not XML, as what is not JSON is", () => {
    refused("", /cannot be read|not well-formed|holds no data set/, "invalid-request");
    refused(model("&x;"), /not well-formed/, "invalid-request");
    refused(model("").slice(0, -5), /not well-formed/, "invalid-request");
  });

  it("refuses what is not the model", () => {
    refused("<a/>", /holds the element "a"/);
    refused(model("<Value>1</Value>"), /holds the element "Value"/);
    refused('<NativeDicomModel xmlns="urn:other"/>', /holds the element/);
    refused(`<!DOCTYPE a [<!ENTITY x "y">]>${model("")}`.replace(/<\?xml.*\?>\n/, ""), /document type/);
    refused(model('<DicomAttribute tag="0010" vr="LO"/>'), /eight hexadecimal digits/);
    refused(model('<DicomAttribute tag="00100010" vr="ZZ"/>'), /none of PS3.5/);
    refused(model('<DicomAttribute tag="00100020" vr="LO"/>'.repeat(2)), /twice/);
    refused(model('<DicomAttribute tag="7FE00010" vr="OB"><BulkData/></DicomAttribute>'), /without uri or uuid/);
    refused(model('<DicomAttribute tag="00280010" vr="US"><Value>x</Value></DicomAttribute>'), /Rows \(0028,0010\)/);
    const deep = '<DicomAttribute tag="00400275" vr="SQ"><Item>'.repeat(300);
    refused(model(deep), /more than 256 deep/);
  });

  it("puts each value in the place of its number: one that is left out is empty", () => {
    const values = (...numbers: readonly number[]) =>
      model(
        `<DicomAttribute tag="00080008" vr="CS">${numbers
          .map((number) => `<Value number="${number}">V${number}</Value>`)
          .join("")}</DicomAttribute>`,
      );
    assert.deepEqual(parseNativeXml(values(1, 3))["00080008"]?.Value, ["V1", null, "V3"]);
    refused(values(2, 1), /00080008 out of their order/);
    refused(values(1, 1), /out of their order/);
    refused(values(0), /out of their order/);
    refused(values(9_000_000), /leaves out too many values/);
    const named = '<PersonName number="2"><Alphabetic><FamilyName>B</FamilyName></Alphabetic></PersonName>';
    const names = model(`<DicomAttribute tag="00081048" vr="PN">${named}</DicomAttribute>`);
    assert.deepEqual(parseNativeXml(names)["00081048"]?.Value, [null, { Alphabetic: "B" }]);
  });

  it("refuses documents that would take gigabytes as objects", () => {
    refused(
      model(`<DicomAttribute tag="00400275" vr="SQ">${"<Item/>".repeat(1_500_000)}`),
      /more than 1500000 elements/,
      "invalid-request",
    );
  });

  it("throws nothing else, whatever the text", () => {
    const random = repeatable(11);
    const pieces = ["<", ">", "/", '"', "&", "]]>", "<Item>", "</Item>", "<Value>", "<!--", "-->", "<?a?>", "SQ", "\0"];
    for (let round = 0; round < 20_000; round += 1) {
      const at = random(whole.length);
      const mutated = whole.slice(0, at) + (pieces[random(pieces.length)] ?? "") + whole.slice(at + random(6));
      try {
        parseNativeXml(mutated);
      } catch (error) {
        assert.ok(
          error instanceof ArchiveError && ["malformed-metadata", "invalid-request"].includes(error.code),
          `${String(error)} of ${mutated}`,
        );
      }
    }
  });
});
