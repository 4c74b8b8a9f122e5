/** The DICOM JSON Model (PS3.18 Annex F), the Native DICOM Model (PS3.19 A.1), and character sets (PS3.3 C.12.1.1.2). */
import { characterSets } from "../character-sets.ts";
import type { Check, Checks } from "../check.ts";
import { attributeOf, dataSetsOf, itemsOf, type JsonDataSet, valuesOf } from "../dicom-json.ts";
import { expect, expectBytes, expectEqual, expectParts, expectStatus, soleBody } from "../expect.ts";
import { media, pathsOf, type Session } from "../session.ts";

async function metadataOf(session: Session): Promise<JsonDataSet> {
  const { instance } = pathsOf(session.need(session.fixtures.forms));
  const [dataSet] = dataSetsOf(expectStatus(await session.get(`${instance}/metadata`), 200));
  expect(dataSet !== undefined, "There is no data set.");
  return dataSet;
}

/** Expects values of an attribute of the fixture with every VR. */
function values(name: string, expected: readonly unknown[], vr?: string): Check {
  return async (session) => {
    const dataSet = await metadataOf(session);
    const attribute = attributeOf(dataSet, name);
    expect(attribute !== undefined, `${name} is missing.`);
    if (vr !== undefined) expectEqual(attribute.vr, vr, `The vr of ${name}`);
    expectEqual(attribute.Value, expected, name);
  };
}

/** As above, for 64-bit integers, DS and IS, which may be numbers or strings (PS3.18 F.2.3.1 Note). */
function numbers(name: string, expected: readonly string[], vr: string): Check {
  return async (session) => {
    const attribute = attributeOf(await metadataOf(session), name);
    expectEqual(attribute?.vr, vr, `The vr of ${name}`);
    const actual = (attribute?.Value ?? []).map((value) => (vr === "DS" ? String(Number(value)) : String(value)));
    expectEqual(actual, expected, name);
  };
}

/** Binary values, inline or by reference. */
function binary(name: string, expected: Buffer): Check {
  return async (session) => {
    const attribute = attributeOf(await metadataOf(session), name);
    const { InlineBinary, BulkDataURI } = attribute ?? {};
    if (InlineBinary !== undefined) return expectBytes(Buffer.from(InlineBinary, "base64"), expected, name);
    expect(BulkDataURI !== undefined, `${name} is neither inline nor referred to.`);
    const base = `${session.target.url}${pathsOf(session.fixtures.forms).instance}/metadata`;
    const url = new URL(BulkDataURI, base).href;
    const answer = expectStatus(await session.requestUrl(url, { headers: { Accept: media.octets } }), 200);
    expectBytes(soleBody(answer), expected, name);
  };
}

/** A name written with trailing delimiters may have empty groups, or not have them. */
function withoutEmptyGroups(name: unknown): object {
  return Object.fromEntries(Object.entries(Object(name)).filter(([, group]) => group !== ""));
}

/** Names of each character set, in metadata and in searches. */
const characterSetChecks: Checks = Object.fromEntries(
  characterSets.flatMap(({ name, alphabetic, ideographic, phonetic }, index): [string, Check][] => {
    const groups = {
      ...(alphabetic !== undefined && { Alphabetic: alphabetic }),
      ...(ideographic !== undefined && { Ideographic: ideographic }),
      ...(phonetic !== undefined && { Phonetic: phonetic }),
    };
    const slug = name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
    return [
      [
        `charset-${slug}`,
        async (session) => {
          const named = session.need(session.fixtures.named[index]);
          const path = `${pathsOf(named).instance}/metadata`;
          const [dataSet] = dataSetsOf(expectStatus(await session.get(path), 200));
          expectEqual(valuesOf(dataSet, "PatientName").map(withoutEmptyGroups), [groups], "Patient's Name in metadata");
        },
      ],
      [
        `charset-search-${slug}`,
        async (session) => {
          const named = session.need(session.fixtures.named[index]);
          const query = { StudyInstanceUID: named.studyInstanceUid, PatientName: alphabetic ?? "" };
          const [match] = await session.matches("/studies", query);
          expect(match !== undefined, "The study is not found by the name.");
          expectEqual(valuesOf(match, "PatientName").map(withoutEmptyGroups), [groups], "Patient's Name in the search");
        },
      ],
    ];
  }),
);

export const jsonModelChecks: Checks = {
  ...characterSetChecks,
  "json-as": values("PatientAge", ["041Y"], "AS"),
  "json-at": values("FrameIncrementPointer", ["00181063", "00181065"], "AT"),
  "json-cs-empty-value": values("ImageType", ["DERIVED", null, "OTHER"], "CS"),
  "json-da": values("StudyDate", ["19000102"], "DA"),
  "json-ds": numbers("PatientWeight", ["71.5"], "DS"),
  "json-dt": values("AcquisitionDateTime", ["20200102030405.678900+0100"], "DT"),
  "json-fd": values("SlopeInUse", [1.5, -0.25], "FD"),
  "json-fl": values("00091001:FL", [1], "FL"),
  "json-is": numbers("00091012:IS", ["12", "-3"], "IS"),
  "json-lt": values("PatientComments", ["Line one\r\nline \\ two"], "LT"),
  "json-sl": values("00091002:SL", [-2_000_000_000], "SL"),
  "json-ss": values("00091003:SS", [-1, 2], "SS"),
  "json-st": values("0009100B:ST", ["Short text"], "ST"),
  "json-sv": numbers("00091006:SV", ["-9007199254740993"], "SV"),
  "json-tm": values("StudyTime", ["040506.7"], "TM"),
  "json-uc": values("00091008:UC", ["A long text, unlimited"], "UC"),
  "json-ul": values("00091004:UL", [4_000_000_000], "UL"),
  "json-ur": values("00091009:UR", ["http://example.org/a?b=c"], "UR"),
  "json-us": values("00091005:US", [65_535, 0], "US"),
  "json-ut": values("0009100A:UT", ["Unlimited text"], "UT"),
  "json-uv": numbers("00091007:UV", ["18446744073709551615"], "UV"),
  "json-ob": binary("0009100C:OB", Buffer.from([1, 2, 3, 4])),
  "json-of": binary("0009100D:OF", Buffer.from(new Float32Array([1, 2]).buffer)),
  "json-od": binary("0009100E:OD", Buffer.from(new Float64Array([1, 2]).buffer)),
  "json-ol": binary("0009100F:OL", Buffer.from(new Uint32Array([1, 2]).buffer)),
  "json-ov": binary("00091014:OV", Buffer.from(new BigUint64Array([1n]).buffer)),
  "json-un": binary("00091010:UN", Buffer.from([9, 8, 7, 6])),
  "json-pn-groups": async (session) => {
    const name = { Alphabetic: `Forms${session.run.letters}^Ä`, Ideographic: "形", Phonetic: "かた" };
    expectEqual(valuesOf(await metadataOf(session), "PatientName"), [name], "Patient's Name");
  },
  "json-empty-attribute": async (session) => {
    const attribute = attributeOf(await metadataOf(session), "PatientBirthDate");
    expect(attribute !== undefined, "The empty attribute is missing.");
    expectEqual(Object.keys(attribute), ["vr"], "What stands beside no value");
  },
  "json-empty-sequence": async (session) => {
    const attribute = attributeOf(await metadataOf(session), "ReferencedImageSequence");
    expectEqual(attribute?.vr, "SQ", "The vr");
    expectEqual(attribute?.Value ?? [], [], "The items");
  },
  "json-sequence": async (session) => {
    const [item, ...more] = itemsOf(await metadataOf(session), "ConceptNameCodeSequence");
    expectEqual(more.length, 0, "The number of further items");
    expectEqual(valuesOf(item, "CodeMeaning"), ["Größe"], "Code Meaning");
  },
  "json-private-creator": values("00090010:LO", ["NOCTIS CONFORMANCE"], "LO"),
  "json-tags-ascend": async (session) => {
    const tags = Object.keys(await metadataOf(session)).filter(
      (tag) => Number.isNaN(Number(tag)) || tag.startsWith("0"),
    );
    expectEqual(tags, tags.toSorted(), "The order of the tags");
  },
  "json-no-group-lengths": async (session) => {
    const lengths = Object.keys(await metadataOf(session)).filter((tag) => tag.endsWith("0000"));
    expectEqual(lengths, [], "The group lengths in it");
  },
  "json-character-set": values("SpecificCharacterSet", ["ISO_IR 192"], "CS"),
  "json-character-set-converted": async (session) => {
    const named = session.need(session.fixtures.named[0]);
    const [dataSet] = dataSetsOf(expectStatus(await session.get(`${pathsOf(named).instance}/metadata`), 200));
    expectEqual(valuesOf(dataSet, "SpecificCharacterSet"), ["ISO_IR 192"], "Specific Character Set of UTF-8 text");
  },
  "xml-forms": async (session) => {
    const { instance } = pathsOf(session.need(session.fixtures.forms));
    const answer = expectStatus(await session.get(`${instance}/metadata`, media.xml), 200);
    const [part] = expectParts(answer, "application/dicom+xml");
    const text = part?.body.toString("utf8") ?? "";
    expect(/<NativeDicomModel[^>]*>/.test(text), "The root is not NativeDicomModel.");
    expect(
      /<DicomAttribute [^>]*tag="00101010"[^>]*>\s*<Value number="1">041Y<\/Value>/.test(text),
      "Patient's Age is wrong.",
    );
    expect(/keyword="PatientAge"/.test(text), "Patient's Age has no keyword.");
    expect(/<PersonName number="1">\s*<Alphabetic>\s*<FamilyName>Forms/.test(text), "Patient's Name is wrong.");
    expect(/<Ideographic>\s*<FamilyName>形</.test(text), "The ideographic group is wrong.");
    expect(/privateCreator="NOCTIS CONFORMANCE"/.test(text), "Private attributes do not name their creator.");
    expect(/<Item number="1">/.test(text), "Sequences have no items.");
    expect(/<Value number="3">OTHER</.test(text), "The third value of Image Type is not the third.");
    expect(/<BulkData uri="/.test(text), "Large values are not referred to.");
  },
};
