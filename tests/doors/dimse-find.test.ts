/** C-FIND as SCP (PS3.4 C.4.1): levels, models, kinds of matching, character sets, cancellation, and what is refused. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import type { DicomJson } from "../../server/dicom/json.ts";
import {
  type FindClient,
  findClient,
  type FindResult,
  identifier,
  type KeyValue,
  patientRoot,
  patientStudyOnly,
  studyRoot,
  valueOf,
} from "../support/find-client.ts";
import { type Attributes, instanceFile, multipartBody, multipartType } from "../support/instances.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const run = promisify(execFile);

const ascending = (one: unknown, other: unknown) => (String(one) < String(other) ? -1 : 1);
const study = (number: number) => `1.2.826.0.1.3680043.2.1143.${number}`;

/** Two patients; the first has two studies, of which one has two series, of which one has two instances. */
const instances: readonly Attributes[] = [
  {
    StudyInstanceUID: study(1),
    SeriesInstanceUID: `${study(1)}.1`,
    SOPInstanceUID: `${study(1)}.1.1`,
    InstanceNumber: 1,
  },
  {
    StudyInstanceUID: study(1),
    SeriesInstanceUID: `${study(1)}.1`,
    SOPInstanceUID: `${study(1)}.1.2`,
    InstanceNumber: 2,
  },
  { StudyInstanceUID: study(1), SeriesInstanceUID: `${study(1)}.2`, SOPInstanceUID: `${study(1)}.2.1`, Modality: "SR" },
  { StudyInstanceUID: study(2), SeriesInstanceUID: `${study(2)}.1`, SOPInstanceUID: `${study(2)}.1.1`, Modality: "MR" },
  { StudyInstanceUID: study(3), SeriesInstanceUID: `${study(3)}.1`, SOPInstanceUID: `${study(3)}.1.1`, Modality: "CT" },
].map((uids) => ({ Modality: "CT", ...uids, ...ofStudy(uids.StudyInstanceUID) }));

function ofStudy(uid: string): Attributes {
  const patient1 = { PatientID: "FIND-1", PatientName: "Müller^Jürgen", PatientSex: "M" };
  if (uid === study(1)) return { ...patient1, AccessionNumber: "ACC1", StudyDate: "20240101", StudyTime: "230000" };
  if (uid === study(2)) return { ...patient1, AccessionNumber: "ACC2", StudyDate: "20240102", StudyTime: "010000" };
  return {
    PatientID: "FIND-3",
    PatientName: "Yamada^Tarou=山田^太郎=やまだ^たろう",
    AccessionNumber: "A,3",
    StudyDate: "20240103",
  };
}

describe("C-FIND", () => {
  let server: TestServer;
  const clients: FindClient[] = [];

  async function client(sopClassUid = studyRoot, negotiation: readonly number[] = [], syntax?: string) {
    const made = await findClient(server.dimsePort, sopClassUid, negotiation, syntax);
    clients.push(made);
    return made;
  }

  before(async () => {
    server = await startTestServer();
    const response = await fetch(`${server.url}/dicom-web/studies`, {
      method: "POST",
      headers: { "Content-Type": multipartType },
      body: multipartBody(instances.map((attributes) => instanceFile(attributes).bytes)),
    });
    assert.equal(response.status, 200);
  });
  after(async () => {
    await Promise.all(clients.map((each) => each.close()));
    await server.stop();
  });

  const uids = ({ answers }: FindResult, keyword: string) =>
    answers.map((answer) => valueOf(answer, keyword)).toSorted(ascending);
  const ask = async (level: string, keys: Readonly<Record<string, KeyValue>>, by?: FindClient) =>
    (by ?? (await client())).find(identifier(level, keys));

  describe("levels and models", () => {
    it("answers each level of Patient Root, below the unique keys of those above", async () => {
      const patients = await client(patientRoot);
      const found = await ask(
        "PATIENT",
        { PatientID: "FIND-1", PatientName: "", NumberOfPatientRelatedStudies: "" },
        patients,
      );
      assert.deepEqual([found.status, found.pending], [0, [0xff00]]);
      assert.deepEqual(found.answers, [
        {
          "00080005": { vr: "CS", Value: ["ISO_IR 192"] },
          "00080052": { vr: "CS", Value: ["PATIENT"] },
          "00080054": { vr: "AE", Value: ["NOCTIS"] },
          "00080056": { vr: "CS", Value: ["ONLINE"] },
          "00100010": { vr: "PN", Value: [{ Alphabetic: "Müller^Jürgen" }] },
          "00100020": { vr: "LO", Value: ["FIND-1"] },
          "00201200": { vr: "IS", Value: [2] },
        },
      ]);
      assert.deepEqual(found.characterSets, [["ISO_IR 100"]]);
      const studies = await ask("STUDY", { PatientID: "FIND-1", StudyInstanceUID: "" }, patients);
      assert.deepEqual(uids(studies, "StudyInstanceUID"), [study(1), study(2)]);
      const above = { PatientID: "FIND-1", StudyInstanceUID: study(1) };
      const series = await ask("SERIES", { ...above, SeriesInstanceUID: "", Modality: "CT" }, patients);
      assert.deepEqual(uids(series, "SeriesInstanceUID"), [`${study(1)}.1`]);
      const images = await ask("IMAGE", { ...above, SeriesInstanceUID: `${study(1)}.1`, SOPInstanceUID: "" }, patients);
      assert.deepEqual(uids(images, "SOPInstanceUID"), [`${study(1)}.1.1`, `${study(1)}.1.2`]);
    });

    it("answers each level of Study Root, with what is counted", async () => {
      const keys = { AccessionNumber: "ACC1", ModalitiesInStudy: "", NumberOfStudyRelatedSeries: "" };
      const { answers, pending } = await ask("STUDY", { ...keys, NumberOfStudyRelatedInstances: "", PatientID: "" });
      assert.deepEqual(pending, [0xff00]);
      assert.equal(answers.length, 1);
      assert.deepEqual(answers[0]?.["00080061"], { vr: "CS", Value: ["CT", "SR"] });
      assert.equal(valueOf(answers[0], "NumberOfStudyRelatedSeries"), 2);
      assert.equal(valueOf(answers[0], "NumberOfStudyRelatedInstances"), 3);
      const series = await ask("SERIES", {
        StudyInstanceUID: study(1),
        Modality: "",
        NumberOfSeriesRelatedInstances: "",
      });
      assert.deepEqual(uids(series, "NumberOfSeriesRelatedInstances"), [1, 2]);
      const uniqueKeys = { StudyInstanceUID: study(1), SeriesInstanceUID: `${study(1)}.1` };
      const images = await ask("IMAGE", { ...uniqueKeys, InstanceNumber: "2", SOPClassUID: "", Rows: "" });
      assert.deepEqual(
        images.answers.map((answer) => valueOf(answer, "Rows")),
        [4],
      );
    });

    it("answers Patient/Study Only", async () => {
      const retired = await client(patientStudyOnly);
      assert.deepEqual(uids(await ask("PATIENT", { PatientID: "FIND*" }, retired), "PatientID"), ["FIND-1", "FIND-3"]);
      const studies = await ask("STUDY", { PatientID: "FIND-3", StudyInstanceUID: "" }, retired);
      assert.deepEqual(uids(studies, "StudyInstanceUID"), [study(3)]);
      const { status, offendingElements } = await ask("SERIES", { PatientID: "FIND-3" }, retired);
      assert.deepEqual([status, offendingElements], [0xa900, ["00080052"]]);
    });

    it("answers findscu of DCMTK at every level of every model", requirement("dcmtk"), async () => {
      const above = ["PatientID=FIND-1", `StudyInstanceUID=${study(1)}`, `SeriesInstanceUID=${study(1)}.1`];
      const cases: readonly (readonly [model: string, level: string, keys: readonly string[], matches: number])[] = [
        ["-P", "PATIENT", ["PatientID", "PatientName=*"], 2],
        ["-P", "STUDY", [above[0] ?? "", "StudyDate=20240102-"], 1],
        ["-P", "SERIES", [...above.slice(0, 2), "SeriesInstanceUID"], 2],
        ["-P", "IMAGE", [...above, "SOPInstanceUID"], 2],
        ["-S", "STUDY", ["StudyInstanceUID", `StudyDate=20240101-20240103`], 3],
        ["-S", "SERIES", [...above.slice(1, 2), "Modality=SR"], 1],
        ["-S", "IMAGE", [...above.slice(1), "InstanceNumber=1"], 1],
        ["-O", "PATIENT", ["PatientID=FIND-?"], 2],
        ["-O", "STUDY", [above[0] ?? "", "StudyTime=0000-0100"], 1],
      ];
      for (const [model, level, keys, matches] of cases) {
        const options = [`QueryRetrieveLevel=${level}`, ...keys].flatMap((key) => ["-k", key]);
        const { stdout, stderr } = await run("findscu", ["-v", model, ...options, "127.0.0.1", `${server.dimsePort}`]);
        const text = `${stdout}${stderr}`;
        assert.equal(text.match(/Find Response: \d+ \(Pending\)/g)?.length, matches, `${model} ${level}\n${text}`);
        assert.match(text, /Received Final Find Response \(Success\)/);
      }
    });

    it("refuses what names no one entity above, unless relational queries are agreed on", async () => {
      const missing = await ask("IMAGE", { SOPInstanceUID: "", StudyInstanceUID: [study(1), study(2)] });
      assert.deepEqual([missing.status, missing.answers.length], [0xa900, 0]);
      assert.deepEqual(missing.offendingElements, ["0020000D", "0020000E"]);
      assert.match(missing.errorComment ?? "", /StudyInstanceUID, SeriesInstanceUID/);
      const wild = await ask("STUDY", { PatientID: "FIND*" }, await client(patientRoot));
      assert.deepEqual([wild.status, wild.offendingElements], [0xa900, ["00100020"]]);
      const relational = await client(studyRoot, [1]);
      const found = await ask("IMAGE", { SOPInstanceUID: "", PatientID: "FIND-1", Modality: ["SR", "MR"] }, relational);
      assert.deepEqual(uids(found, "SOPInstanceUID"), [`${study(1)}.2.1`, `${study(2)}.1.1`]);
    });
  });

  describe("matching", () => {
    const cases: readonly (readonly [
      kind: string,
      keys: Readonly<Record<string, KeyValue>>,
      studies: readonly number[],
    ])[] = [
      ["single value", { AccessionNumber: "ACC2" }, [2]],
      ["single value, case of a name", { PatientName: "MÜLLER^jürgen" }, [1, 2]],
      ["wildcard", { AccessionNumber: "ACC?" }, [1, 2]],
      ["universal", { AccessionNumber: "*" }, [1, 2, 3]],
      ["list of UID", { StudyInstanceUID: [study(1), study(3), "1.2"] }, [1, 3]],
      ["a comma, which parts nothing", { AccessionNumber: "A,3" }, [3]],
      ["range", { StudyDate: "-20240102" }, [1, 2]],
      ["date and time each by itself", { StudyDate: "20240101-20240102", StudyTime: "0030-2330" }, [1, 2]],
      ["ideographic group", { PatientName: "=山田*" }, [3]],
      ["codes", { ModalitiesInStudy: ["SR", "MR"] }, [1, 2]],
      ["counts", { NumberOfStudyRelatedInstances: "3" }, [1]],
    ];
    for (const [kind, keys, studies] of cases) {
      it(kind, async () => {
        const found = await ask("STUDY", { StudyInstanceUID: "", ...keys });
        assert.equal(found.status, 0, found.errorComment);
        assert.deepEqual(uids(found, "StudyInstanceUID"), studies.map(study));
      });
    }

    it("takes dates with times, sounds, empty and several values where that is agreed on", async () => {
      const agreed = await client(studyRoot, [0, 1, 1, 1, 0, 1, 1]);
      const combined = { StudyDate: "20240101-20240102", StudyTime: "2330-0030" };
      assert.deepEqual((await ask("STUDY", combined, agreed)).answers.length, 0);
      assert.equal((await ask("STUDY", combined)).status, 0xa900, "a range of times by itself ends after it begins");
      const fuzzy = { StudyInstanceUID: "", PatientName: "Mueller juergen" };
      assert.deepEqual(uids(await ask("STUDY", fuzzy, agreed), "StudyInstanceUID"), [study(1), study(2)]);
      assert.equal((await ask("STUDY", fuzzy)).answers.length, 0);
      const empty = { StudyInstanceUID: "", PatientSex: '""' };
      assert.deepEqual(uids(await ask("STUDY", empty, agreed), "StudyInstanceUID"), [study(3)]);
      assert.equal((await ask("STUDY", empty)).answers.length, 0);
      const both = { StudyInstanceUID: "", ModalitiesInStudy: ["SR", "CT"] };
      assert.deepEqual(uids(await ask("STUDY", both, agreed), "StudyInstanceUID"), [study(1)]);
      assert.deepEqual(uids(await ask("STUDY", both), "StudyInstanceUID"), [study(1), study(3)]);
    });

    it("says that a key is not supported, and passes over it", async () => {
      const found = await ask("STUDY", { StudyInstanceUID: "", PatientID: "FIND-3", Modality: "XX" });
      assert.deepEqual([found.pending, uids(found, "StudyInstanceUID")], [[0xff01], [study(3)]]);
      assert.deepEqual(found.answers[0]?.["00080060"], { vr: "CS" });
    });

    it("answers what is asked for of the items of a sequence", async () => {
      const asked = { PatientID: "FIND-3", OtherPatientIDsSequence: { PatientID: "" }, ProcedureCodeSequence: "" };
      const found = await ask("STUDY", asked);
      assert.deepEqual(found.pending, [0xff00]);
      assert.deepEqual(found.answers[0]?.["00101002"], { vr: "SQ" });
      assert.deepEqual(found.answers[0]?.["00081032"], { vr: "SQ" });
    });
  });

  describe("character sets", () => {
    const tarou = { Alphabetic: "Yamada^Tarou", Ideographic: "山田^太郎", Phonetic: "やまだ^たろう" };
    const cases: readonly (readonly [characterSet: readonly string[], name: string, answered: readonly string[]])[] = [
      [["ISO_IR 100"], "Müller*", ["ISO_IR 100"]],
      [["ISO_IR 192"], "Müller*", ["ISO_IR 192"]],
      [["ISO_IR 144"], "M*", ["ISO_IR 192"]],
      [["", "ISO 2022 IR 87"], "=山*", ["", "ISO 2022 IR 87"]],
      [["ISO_IR 192"], "=山*", ["ISO_IR 192"]],
      [["GB18030"], "==やまだ*", ["GB18030"]],
    ];
    for (const [characterSet, name, answered] of cases) {
      it(`asked in ${characterSet.join("\\")}, answered in ${answered.join("\\")}`, async () => {
        const asked = identifier("PATIENT", { PatientName: name, PatientID: "" });
        const found = await (await client(patientRoot)).find(asked, { characterSet });
        const expected = name.startsWith("M") ? { Alphabetic: "Müller^Jürgen" } : tarou;
        assert.deepEqual(
          found.answers.map((answer) => answer["00100010"]?.Value),
          [[expected]],
        );
        assert.deepEqual(found.characterSets, [answered]);
      });
    }

    for (const syntax of ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"]) {
      it(`in the transfer syntax ${syntax}`, async () => {
        const found = await ask(
          "PATIENT",
          { PatientName: "=山*", PatientID: "" },
          await client(patientRoot, [], syntax),
        );
        assert.deepEqual(found.answers[0]?.["00100010"]?.Value, [tarou]);
      });
    }
  });

  describe("what is malformed", () => {
    const cases: readonly (readonly [what: string, asked: DicomJson, elements: readonly string[], comment: RegExp])[] =
      [
        ["no level", { "00100020": { vr: "LO" } }, ["00080052"], /QueryRetrieveLevel is missing/],
        [
          "a level of another model",
          identifier("PATIENT", {}),
          ["00080052"],
          /QueryRetrieveLevel is none of Study Root/,
        ],
        [
          "a date",
          identifier("STUDY", { StudyDate: "2024", PatientID: "1" }),
          ["00080020"],
          /^StudyDate is neither a date/,
        ],
        [
          "a UID",
          identifier("STUDY", { StudyInstanceUID: "1.x" }),
          ["0020000D"],
          /^StudyInstanceUID is not a list of UIDs/,
        ],
        [
          "two items",
          { ...identifier("STUDY", {}), "00101002": { vr: "SQ", Value: [{}, {}] } },
          ["00101002"],
          /more than one/,
        ],
        [
          "an offset",
          identifier("STUDY", { TimezoneOffsetFromUTC: "CET", StudyDate: "20240101" }),
          ["00080201"],
          /offset/,
        ],
      ];
    for (const [what, asked, elements, comment] of cases) {
      it(what, async () => {
        const found = await (await client()).find(asked);
        assert.deepEqual([found.status, found.offendingElements, found.answers], [0xa900, elements, []]);
        assert.match(found.errorComment ?? "", comment);
      });
    }

    it("bytes, and the association goes on", async () => {
      const one = await client();
      const cut = await one.find({}, { bytes: Buffer.from("08005200ffff0000", "hex") });
      assert.equal(cut.status, 0xa900);
      assert.equal((await ask("STUDY", { AccessionNumber: "ACC1" }, one)).answers.length, 1);
    });
  });
});

describe("C-FIND of ten thousand studies", () => {
  const studies = 10_000;
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
    await server.knex.raw(
      `insert into study (study_instance_uid, study_date, patient_id, attributes)
       select '1.2.' || n, date '2020-01-01' + n % 700, 'P' || n,
         jsonb_build_object('0020000D', jsonb_build_object('vr', 'UI', 'Value', jsonb_build_array('1.2.' || n)))
       from generate_series(1, ?) as n`,
      [studies],
    );
  });
  after(() => server.stop());

  it("answers all of them, each once", async () => {
    const client = await findClient(server.dimsePort, studyRoot);
    const { status, answers } = await client.find(identifier("STUDY", { StudyInstanceUID: "" }));
    assert.equal(status, 0);
    assert.equal(new Set(answers.map((answer) => valueOf(answer, "StudyInstanceUID"))).size, studies);
    assert.equal(answers.length, studies);
    await client.close();
  });

  it("ends with FE00 as soon as it is cancelled", async () => {
    const client = await findClient(server.dimsePort, studyRoot);
    const { status, answers } = await client.find(identifier("STUDY", { StudyInstanceUID: "" }), { cancelAfter: 3 });
    assert.equal(status, 0xfe00);
    assert.ok(answers.length < studies, `${answers.length} answers`);
    assert.equal((await client.find(identifier("STUDY", { PatientID: "P7" }))).answers.length, 1, "and goes on");
    await client.close();
  });

  it("is cancelled by findscu of DCMTK", requirement("dcmtk"), async () => {
    const keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID"];
    const { stdout, stderr } = await run(
      "findscu",
      ["-v", "-S", "--cancel", "2", ...keys, "127.0.0.1", `${server.dimsePort}`],
      {
        maxBuffer: 2 ** 26,
      },
    );
    assert.match(`${stdout}${stderr}`, /Received Final Find Response \(Cancel/);
  });
});
