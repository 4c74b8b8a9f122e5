/** C-FIND and QIDO-RS give the same matches, in the same order and with the same values: random archives, random keys. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { entryOfKeyword, tagHex } from "../../server/dicom/dictionary.ts";
import { type DicomJson, isItem, type JsonAttribute, type JsonValue } from "../../server/dicom/json.ts";
import { type FindClient, findClient, patientRoot, studyRoot } from "../support/find-client.ts";
import { instanceFile, multipartBody, multipartType } from "../support/instances.ts";
import { randomFrom } from "../support/random.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const seed = Number(process.env["TEST_SEED"] ?? 20_260_605);
const random = randomFrom(seed);
const pick = <Value>(values: readonly [Value, ...Value[]]): Value => values[random(values.length)] ?? values[0];
const maybe = <Value>(value: Value): Value | undefined => (random(4) === 0 ? undefined : value);

const root = "1.2.826.0.1.3680043.2.1143.9";
const names = [
  "Müller^Jürgen",
  "MUELLER^Jurgen",
  "O'Brien^Séan",
  "Yamada^Tarou=山田^太郎=やまだ^たろう",
  "Hong^Gildong=洪^吉洞=홍^길동",
  "Люкceмбypг",
  "Doe^Jane^^Dr",
] as const;
const texts = ["A,1", "A%_1", "a", "ab", "Kopf ä", "胸部", "x*y"] as const;
const date = () => `2024010${1 + random(4)}`;
const time = () => pick(["0000", "0930", "12", "235959.5", "101112"]);

/** The attributes of one level, the same for all that share its UID. */
function attributesOf(...keywords: readonly [keyword: string, value: () => string | number][]) {
  const made = keywords.map(([keyword, value]) => [keyword, maybe(value())] as const);
  return Object.fromEntries(made.filter(([, value]) => value !== undefined));
}

function archive(): Buffer[] {
  const files: Buffer[] = [];
  for (let patient = 0; patient < 5; patient += 1) {
    const ofPatient = {
      PatientID: `P${patient}`,
      ...attributesOf(
        ["PatientName", () => pick(names)],
        ["PatientBirthDate", date],
        ["PatientSex", () => pick(["M", "F"])],
      ),
    };
    for (let study = 0; study <= random(4); study += 1) {
      const uid = `${root}.${patient}.${study}`;
      const ofStudy = attributesOf(
        ["StudyDate", date],
        ["StudyTime", time],
        ["AccessionNumber", () => pick(texts)],
        ["StudyDescription", () => pick(texts)],
        ["ReferringPhysicianName", () => pick(names)],
        ["PatientWeight", () => 70 + random(3) / 2],
        ["TimezoneOffsetFromUTC", () => pick(["+0100", "-0500"])],
      );
      for (let series = 0; series <= random(3); series += 1) {
        const ofSeries = attributesOf(
          ["Modality", () => pick(["CT", "MR", "SR"])],
          ["SeriesNumber", () => random(3)],
          ["SeriesDescription", () => pick(texts)],
          ["PerformedProcedureStepStartDate", date],
          ["PerformedProcedureStepStartTime", time],
        );
        for (let instance = 0; instance <= random(3); instance += 1) {
          const uids = { SeriesInstanceUID: `${uid}.${series}`, SOPInstanceUID: `${uid}.${series}.${instance}` };
          const attributes = { StudyInstanceUID: uid, ...uids, InstanceNumber: random(3), ImageComments: pick(texts) };
          files.push(instanceFile({ ...blank, ...ofPatient, ...ofStudy, ...ofSeries, ...attributes }).bytes);
        }
      }
    }
  }
  return files;
}

/** Without what every composed file has. */
const blank = { PatientName: "", StudyDate: "", StudyTime: "", Modality: "" };

/** Keys by keyword, and what they may ask for. */
const dateKey = () => pick([date(), `${date()}-`, `-${date()}`, "20240101-20240103", "20240102-20240102", "2024", "*"]);
const timeKey = () => pick([time(), `${time()}-`, "-12", "0900-1100", "10-09", "25"]);
const name = () => pick([...names, "*^J*", "m*", "=山*", "==やま*", "jane doe", "muller jurgen", "?oe^*", "*", "Люк*"]);
const text = () => pick([...texts, "A*", "?", "*ä*", "胸*", "*_*", '""', "*"]);
const rangeOf = (keyword: string) =>
  keyword === "StudyDate" ? `20240101-${date()}` : pick(["0000-1100", "1011-2359", "0930-"]);
type KeyRow = readonly [keyword: string, value: () => string];
const keys: readonly [KeyRow, ...KeyRow[]] = [
  ["PatientName", name],
  ["PatientID", () => pick(["P1", "P?", "P*", "p1", "P9", '""'])],
  ["PatientBirthDate", dateKey],
  ["PatientSex", () => pick(["M", "F", "M\\F", "?", '""'])],
  ["StudyDate", dateKey],
  ["StudyTime", timeKey],
  ["AccessionNumber", text],
  ["StudyDescription", text],
  ["ReferringPhysicianName", name],
  ["PatientWeight", () => pick(["70", "70.50", "71.0", "7*", "1"])],
  ["TimezoneOffsetFromUTC", () => pick(["+0200", "-0800", "CET"])],
  ["StudyInstanceUID", () => pick([`${root}.1.0`, `${root}.1.0\\${root}.2.0\\1.2`, "1.x", `${root}.*`])],
  ["ModalitiesInStudy", () => pick(["CT", "CT\\MR", "S?", "XX", "*", '""'])],
  ["NumberOfStudyRelatedInstances", () => pick(["1", "3", "x"])],
  ["NumberOfStudyRelatedSeries", () => pick(["1", "2"])],
  ["Modality", () => pick(["CT", "MR\\SR", "?R", '""'])],
  ["SeriesNumber", () => pick(["1", "+2", "007", "1*"])],
  ["SeriesDescription", text],
  ["PerformedProcedureStepStartDate", dateKey],
  ["PerformedProcedureStepStartTime", timeKey],
  ["NumberOfSeriesRelatedInstances", () => pick(["1", "2"])],
  ["InstanceNumber", () => pick(["1", "2", "+1"])],
  ["SOPInstanceUID", () => pick([`${root}.1.0.0.0`, `${root}.1.0.0.0\\${root}.2.0.0.0`])],
  ["Rows", () => pick(["4", "5"])],
  ["ImageComments", () => pick(["A,1", "*1", "胸部"])],
  ["InstanceAvailability", () => pick(["ONLINE", "OFFLINE"])],
  ["OtherPatientIDsSequence.PatientID", () => pick(["P1", "*"])],
  ["PatientComments", () => pick(["x", '""', "*"])],
];

const levels = [
  ["PATIENT", "patients", ["PatientID"]],
  ["STUDY", "studies", ["StudyInstanceUID"]],
  ["SERIES", "series", ["SeriesInstanceUID"]],
  ["IMAGE", "instances", ["SOPInstanceUID"]],
] as const;

/** Answered at each level and below. */
const returned = [
  ["PatientName", "PatientBirthDate", "NumberOfPatientRelatedStudies", "NumberOfPatientRelatedInstances"],
  ["PatientName", "PatientID", "StudyDate", "StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedInstances"],
  ["PatientName", "StudyDate", "Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances"],
  ["PatientName", "StudyDate", "Modality", "InstanceNumber", "Rows", "ImageComments", "SliceThickness"],
] as const;

const characterSets: readonly [readonly string[], ...(readonly string[])[]] = [
  [],
  ["ISO_IR 100"],
  ["ISO_IR 144"],
  ["ISO_IR 192"],
  ["GB18030"],
  ["", "ISO 2022 IR 87"],
  ["", "ISO 2022 IR 149"],
  ["ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 159"],
];
const transferSyntaxes = [
  "1.2.840.10008.1.2",
  "1.2.840.10008.1.2.1",
  "1.2.840.10008.1.2.2",
  "1.2.840.10008.1.2.1.99",
] as const;

describe(`C-FIND and QIDO-RS, seed ${seed}`, () => {
  let server: TestServer;
  const clients = new Map<string, Promise<FindClient>>();

  before(async () => {
    server = await startTestServer();
    const response = await fetch(`${server.url}/dicom-web/studies`, {
      method: "POST",
      headers: { "Content-Type": multipartType },
      body: multipartBody(archive()),
    });
    assert.equal(response.status, 200, await response.text());
  });
  after(async () => {
    for (const client of clients.values()) await (await client).close();
    await server.stop();
  });

  function clientOf(sopClassUid: string, options: readonly number[], syntax: string): Promise<FindClient> {
    const key = [sopClassUid, syntax, ...options].join();
    const known = clients.get(key) ?? findClient(server.dimsePort, sopClassUid, options, syntax);
    clients.set(key, known);
    return known;
  }

  for (const [index, [level, resource, unique]] of levels.entries()) {
    it(`answer the same at the level ${level}`, async () => {
      let matches = 0;
      let refusals = 0;
      for (let round = 0; round < 150; round += 1) {
        const asked = new Map(Array.from({ length: 1 + random(3) }, () => pick(keys)));
        // These are matched together.
        if (random(4) === 0)
          for (const keyword of ["StudyDate", "StudyTime"]) asked.set(keyword, () => rangeOf(keyword));
        const wanted = Array.from(asked, ([keyword, value]) => [keyword, value()] as const);
        const rules = [random(2), random(2), random(2)] as const;
        const fields = [...unique, ...(returned[index] ?? [])];
        const qido = await search(resource, wanted, fields, rules);
        const [fuzzy, empty, multiple] = rules;
        const sopClassUid = level === "PATIENT" ? patientRoot : pick([patientRoot, studyRoot]);
        const client = await clientOf(sopClassUid, [1, 1, fuzzy, 1, 0, empty, multiple], pick(transferSyntaxes));
        const characterSet = pick(characterSets);
        const found = await client.find(identifierOf(level, wanted, fields), { characterSet });
        const what = JSON.stringify([level, wanted, rules, characterSet, found.errorComment]);
        if (!qido) {
          refusals += 1;
          assert.equal(found.status, 0xa900, what);
          continue;
        }
        assert.equal(found.status, 0, what);
        const tags = fields.map(tagOf);
        assert.deepEqual(
          found.answers.map((answer) => valuesOf(answer, tags)),
          qido.answers.map((answer) => valuesOf(answer, tags)),
          what,
        );
        if (qido.answers.length > 0) assert.deepEqual(found.pending, [qido.isWarned ? 0xff01 : 0xff00], what);
        matches += found.answers.length;
      }
      assert.ok(matches > 0 && refusals > 0, `${matches} matches and ${refusals} refusals tell little`);
    });
  }

  /** Undefined when the query is refused. */
  async function search(
    resource: string,
    wanted: readonly (readonly [keyword: string, value: string])[],
    fields: readonly string[],
    [fuzzy, empty, multiple]: readonly [number, number, number],
  ): Promise<{ readonly answers: readonly DicomJson[]; readonly isWarned: boolean } | undefined> {
    const query = new URLSearchParams([
      ...wanted.map(([keyword, value]): [string, string] => [keyword, value]),
      // A key of C-FIND is asked for as well, also when it matches everything.
      ["includefield", [...fields, ...wanted.map(([keyword]) => keyword)].join()],
      ["fuzzymatching", String(fuzzy === 1)],
      ["emptyvaluematching", String(empty === 1)],
      ["multiplevaluematching", String(multiple === 1)],
    ]);
    const response = await fetch(`${server.url}/dicom-web/${resource}?${query.toString()}`);
    if (response.status === 400) {
      await response.arrayBuffer();
      return undefined;
    }
    assert.equal(response.status, 200, query.toString());
    const answers: DicomJson[] = JSON.parse(await response.text());
    return { answers, isWarned: response.headers.has("warning") };
  }
});

function tagOf(keyword: string): string {
  return tagHex(entryOfKeyword(keyword)?.tag ?? assert.fail(keyword));
}

/** The values of some attributes, null where there are none. */
function valuesOf(answer: DicomJson, tags: readonly string[]) {
  return tags.map((tag) => answer[tag]?.Value ?? null);
}

function identifierOf(
  level: string,
  wanted: readonly (readonly [keyword: string, value: string])[],
  fields: readonly string[],
): DicomJson {
  const identifier: DicomJson = { "00080052": { vr: "CS", Value: [level] } };
  for (const keyword of fields) identifier[tagOf(keyword)] = { vr: entryOfKeyword(keyword)?.vr ?? "UN" };
  for (const [keyword, value] of wanted) put(identifier, keyword.split("."), value);
  return identifier;
}

function put(dataSet: DicomJson, [keyword = "", ...below]: readonly string[], value: string): void {
  const vr = entryOfKeyword(keyword)?.vr ?? "UN";
  if (below.length === 0) {
    dataSet[tagOf(keyword)] = keyOf(vr, value);
    return;
  }
  const item: JsonValue = {};
  if (isItem(item)) put(item, below, value);
  dataSet[tagOf(keyword)] = { vr, Value: [item] };
}

function keyOf(vr: string, value: string): JsonAttribute {
  if (vr !== "PN") return { vr, Value: [value] };
  const [alphabetic, ideographic, phonetic] = value.split("=");
  const groups = {
    ...(alphabetic && { Alphabetic: alphabetic }),
    ...(ideographic && { Ideographic: ideographic }),
    ...(phonetic && { Phonetic: phonetic }),
  };
  return { vr, Value: [groups] };
}
