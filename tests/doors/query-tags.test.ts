/** Query tags: made, told, removed; what is stored before, while and after. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import request from "supertest";
import { z } from "zod";
import { newUid } from "../../server/dicom/uid.ts";
import { first, toDataSets } from "../support/dicom-json.ts";
import { dicomFile, element, sequence, syntaxUid } from "../support/dicom-writer.ts";
import { type Attributes, instanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const tagAnswer = z.object({
  path: z.string(),
  keyword: z.string().optional(),
  vr: z.string(),
  privateCreator: z.string().optional(),
  level: z.string(),
  status: z.enum(["adding", "ready"]),
  progress: z.object({ done: z.number(), total: z.number().nullable(), percent: z.number() }),
  errors: z.number(),
});

describe("/api/query-tags", () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  async function store(bytes: Buffer): Promise<void> {
    const stored = await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", "application/dicom")
      .send(bytes);
    assert.equal(stored.status, 200, stored.text);
  }

  async function storeInstance(attributes: Attributes) {
    const file = instanceFile(attributes);
    await store(file.bytes);
    return file;
  }

  const add = (body: object) => request(server.url).post("/api/query-tags").send(body);

  async function tell(path: string) {
    const response = await request(server.url).get(`/api/query-tags/${path}`);
    assert.equal(response.status, 200, response.text);
    return tagAnswer.parse(response.body);
  }

  async function ready(path: string) {
    for (let tries = 0; tries < 200; tries += 1) {
      const tag = await tell(path);
      if (tag.status === "ready") return tag;
      await sleep(50);
    }
    return assert.fail(`${path} is not ready`);
  }

  it("indexes what was stored before, with its progress and its faults", async () => {
    await storeInstance({ MedicalAlerts: "none", AcquisitionDuration: 1.5 });
    const { sopInstanceUid } = await storeInstance({ DateOfLastCalibration: "20249999" });
    const added = await add([
      { path: "MedicalAlerts", level: "study" },
      { path: "00181200", level: "instance" },
    ]);
    assert.equal(added.status, 202, added.text);
    const tags = z.array(tagAnswer).parse(added.body);
    assert.deepEqual(
      tags.map(({ path, keyword, vr }) => [path, keyword, vr]),
      [
        ["00102000", "MedicalAlerts", "LO"],
        ["00181200", "DateOfLastCalibration", "DA"],
      ],
    );
    const date = await ready("DateOfLastCalibration");
    assert.deepEqual(date.progress, { done: 2, total: 2, percent: 100 });
    assert.equal(date.errors, 1);
    assert.equal((await ready("00102000")).errors, 0);
    const errors = await request(server.url).get("/api/query-tags/00181200/errors");
    assert.equal(errors.body[0].sopInstanceUid, sopInstanceUid);
    assert.equal(errors.body[0].value, "20249999");
    const listed = await request(server.url).get("/api/query-tags");
    assert.equal(listed.body.length, 2);
  });

  async function search(path: string, query: Readonly<Record<string, string>>) {
    const response = await request(server.url).get(`/dicom-web${path}`).query(query);
    assert.equal(response.status, 200, response.text);
    return { matches: toDataSets(JSON.parse(response.text)), warning: response.get("Warning") };
  }

  async function found(path: string, query: Readonly<Record<string, string>>): Promise<string[]> {
    const tag = path.endsWith("studies") ? "0020000D" : path.endsWith("series") ? "0020000E" : "00080018";
    const { matches, warning } = await search(path, query);
    assert.equal(warning, undefined);
    return matches.map((match) => String(first(match, tag))).sort();
  }

  it("matches every kind of value, at its level and those below", async () => {
    const study = newUid();
    const one = await storeInstance({
      StudyInstanceUID: study,
      CountryOfResidence: "Gold, 100%",
      ContrastBolusVolume: 12.5,
      ExposureTime: 7,
      FrameAcquisitionDateTime: "20240102101112.5+0100",
      DateOfSecondaryCapture: "20240102",
      TimeOfSecondaryCapture: "101112",
      NameOfPhysiciansReadingStudy: "x",
      ScheduledPerformingPhysicianName: "Müller^Jürgen=山田^太郎",
      SpecificCharacterSet: "ISO_IR 192",
      DimensionOrganizationUID: "1.2.3",
      InstanceCreatorUID: "1.2.4",
    });
    const other = await storeInstance({ StudyInstanceUID: study, ContrastBolusVolume: 20 });
    const definitions = [
      ["CountryOfResidence", "study"],
      ["ContrastBolusVolume", "instance"],
      ["ExposureTime", "series"],
      ["FrameAcquisitionDateTime", "instance"],
      ["DateOfSecondaryCapture", "series"],
      ["TimeOfSecondaryCapture", "study"],
      ["ScheduledPerformingPhysicianName", "instance"],
      ["InstanceCreatorUID", "instance"],
    ].map(([path, level]) => ({ path, level }));
    const added = await add(definitions);
    assert.equal(added.status, 202, added.text);
    await ready("InstanceCreatorUID");
    // Stored when the tags were there already: in the index at once.
    const third = await storeInstance({ CountryOfResidence: "Silver", ContrastBolusVolume: 12.5 });
    const both = [one.sopInstanceUid, other.sopInstanceUid].sort();
    const cases: readonly [path: string, key: string, value: string, expected: readonly string[]][] = [
      ["/studies", "CountryOfResidence", "Gold, 100%", [study]],
      ["/studies", "00102150", "*lve*", [third.studyInstanceUid]],
      ["/studies", "00102150", "Gold, 100_", []],
      ["/instances", "CountryOfResidence", "Gold*", both],
      ["/instances", "ContrastBolusVolume", "12.50", [one.sopInstanceUid, third.sopInstanceUid].sort()],
      ["/series", "ExposureTime", "007", [one.seriesInstanceUid]],
      [`/studies/${study}/instances`, "ExposureTime", "7", [one.sopInstanceUid]],
      ["/instances", "FrameAcquisitionDateTime", "20240102091112.5+0000-20240102091113+0000", [one.sopInstanceUid]],
      ["/instances", "FrameAcquisitionDateTime", "20240102091113+0000-", []],
      ["/instances", "FrameAcquisitionDateTime", "20240102101112", [one.sopInstanceUid]],
      ["/series", "DateOfSecondaryCapture", "20240101-20240103", [one.seriesInstanceUid]],
      ["/series", "DateOfSecondaryCapture", "-20240101", []],
      ["/studies", "TimeOfSecondaryCapture", "1000-1011", [study]],
      ["/studies", "TimeOfSecondaryCapture", "1012-", []],
      ["/instances", "ScheduledPerformingPhysicianName", "müller*", [one.sopInstanceUid]],
      ["/instances", "ScheduledPerformingPhysicianName", "山田^太郎", [one.sopInstanceUid]],
      ["/instances", "InstanceCreatorUID", "1.2.9,1.2.4", [one.sopInstanceUid]],
    ];
    for (const [path, key, value, expected] of cases) {
      assert.deepEqual(await found(path, { [key]: value }), expected, `${path} ${key} ${value}`);
    }
    assert.deepEqual(
      await found("/instances", { ContrastBolusVolume: '""', emptyvaluematching: "true", StudyInstanceUID: study }),
      [],
    );
    const empty = await found("/studies", { CountryOfResidence: '""', emptyvaluematching: "true" });
    assert.equal(empty.includes(study), false);
    assert.ok(empty.length > 0);
    const fuzzy = await search("/instances", { ScheduledPerformingPhysicianName: "müller*", fuzzymatching: "true" });
    assert.match(fuzzy.warning ?? "", /fuzzymatching .* ScheduledPerformingPhysicianName/);
    assert.equal(fuzzy.matches.length, 1);
    const below = await search("/studies", { ContrastBolusVolume: "12.5" });
    assert.match(below.warning ?? "", /ContrastBolusVolume/, "a tag of a level below is not matched, and that is said");
    for (const [key, value] of [
      ["ContrastBolusVolume", "many"],
      ["InstanceCreatorUID", "x"],
      ["DateOfSecondaryCapture", "2024*"],
    ]) {
      const response = await request(server.url)
        .get("/dicom-web/instances")
        .query({ [key ?? ""]: value });
      assert.equal(response.status, 400, key);
      assert.match(response.body.detail, new RegExp(key ?? ""));
    }
  });

  it("matches a series or a study when any of its instances has the value", async () => {
    const uids = { StudyInstanceUID: newUid(), SeriesInstanceUID: newUid() };
    await add([
      { path: "ConvolutionKernel", level: "study" },
      { path: "FilterType", level: "series" },
    ]);
    await ready("FilterType");
    await storeInstance({ ...uids, ConvolutionKernel: "B30f", FilterType: "A" });
    await storeInstance({ ...uids, ConvolutionKernel: "B70f", FilterType: "B" });
    assert.deepEqual(await found("/studies", { ConvolutionKernel: "B70f" }), [uids.StudyInstanceUID]);
    assert.deepEqual(await found("/studies", { ConvolutionKernel: "B30f" }), [uids.StudyInstanceUID]);
    assert.deepEqual(await found("/series", { FilterType: "B" }), [uids.SeriesInstanceUID]);
  });

  it("matches private attributes by their creator, whatever block that has reserved", async () => {
    const uids = [newUid(), newUid()];
    const privateFile = (index: number, block: number, creator: string, syntax: string) =>
      dicomFile(
        [
          element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7"),
          element(0x00080018, "UI", uids[index]),
          element(0x00190000 + block, "LO", creator),
          element(0x00190007 + block * 256, "SH", `value ${index}`),
          element(0x0020000d, "UI", newUid()),
          element(0x0020000e, "UI", newUid()),
        ],
        { syntax },
      );
    await store(privateFile(0, 0x10, "ACME 1.1", syntaxUid.explicitLittle));
    const one = { path: "00191007", vr: "SH", privateCreator: "ACME 1.1", level: "instance" };
    assert.equal((await add(one)).status, 202);
    assert.equal((await add({ ...one, path: "0019xx07" })).status, 409);
    await store(privateFile(1, 0x42, "ACME 1.1", syntaxUid.implicitLittle));
    const told = await ready("0019xx07");
    assert.deepEqual([told.path, told.privateCreator, told.errors], ["0019xx07", "ACME 1.1", 0]);
    assert.deepEqual(await found("/instances", { "00191007": "value 0" }), [uids[0]]);
    assert.deepEqual(await found("/instances", { "0019xx07": "value 1" }), [uids[1]]);
    const [told0] = (await search("/instances", { "00191007": "value 0" })).matches;
    assert.deepEqual([told0?.["00190010"]?.Value, told0?.["00191007"]?.Value], [["ACME 1.1"], ["value 0"]]);
    assert.deepEqual(await found("/instances", { "00191107": "value*" }), uids.toSorted());
    assert.equal((await add({ ...one, privateCreator: "OTHER" })).status, 202);
    const ambiguous = await request(server.url).get("/dicom-web/instances").query({ "00191007": "value 0" });
    assert.equal(ambiguous.status, 400);
    const listed = await request(server.url).get("/api/query-tags/00191007").query({ privateCreator: "OTHER" });
    assert.equal(listed.body.privateCreator, "OTHER");
    await ready("00191007?privateCreator=OTHER");
    assert.deepEqual(await found("/instances", { "00190011": "ACME 1.1", "00191107": "value 1" }), [uids[1]]);
    assert.deepEqual(await found("/instances", { "00190010": "OTHER", "00191007": "value 1" }), []);
    const both = await request(server.url).delete("/api/query-tags/00191007");
    assert.equal(both.status, 400, "which of the two is not said");
    assert.equal((await request(server.url).delete("/api/query-tags/00191007?privateCreator=OTHER")).status, 204);
    assert.deepEqual(await found("/instances", { "00191007": "value 0" }), [uids[0]]);
  });

  it("matches attributes of items, by keywords and by tags", async () => {
    const [study, sop] = [newUid(), newUid()];
    await store(
      dicomFile([
        element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7"),
        element(0x00080018, "UI", sop),
        element(0x0020000d, "UI", study),
        element(0x0020000e, "UI", newUid()),
        sequence(0x00400555, [[element(0x0040a160, "UT", "first")], [element(0x0040a160, "UT", "second")]]),
      ]),
    );
    assert.equal((await add({ path: "AcquisitionContextSequence.TextValue", level: "study" })).status, 202);
    const told = await ready("00400555.0040a160");
    assert.equal(told.keyword, "AcquisitionContextSequence.TextValue");
    const { matches } = await search("/studies", { "AcquisitionContextSequence.TextValue": "second" });
    assert.deepEqual(
      matches.map((match) => first(match, "0020000D")),
      [study],
    );
    const items = ["first", "second"].map((value) => ({ "0040A160": { vr: "UT", Value: [value] } }));
    assert.deepEqual(matches[0]?.["00400555"], { vr: "SQ", Value: items });
    assert.deepEqual(await found("/instances", { "00400555.0040A160": "fir*" }), [sop]);
    assert.deepEqual(await found("/studies", { "00400555.0040A160": "third" }), []);
  });

  it("answers the values of tags that were matched or asked for, of a study those of all its instances", async () => {
    const uids = { StudyInstanceUID: newUid(), SeriesInstanceUID: newUid() };
    const added = await add([
      ...["ScatterCorrectionMethod", "DateOfGainCalibration", "EndAcquisitionDateTime"].map((path) => ({
        path,
        level: "study",
      })),
      { path: "TimeOfGainCalibration", level: "series" },
      { path: "HumanPerformerName", level: "study" },
      { path: "ScatterFractionFactor", level: "instance" },
    ]);
    assert.equal(added.status, 202, added.text);
    await ready("ScatterFractionFactor");
    await storeInstance({
      ...uids,
      ScatterCorrectionMethod: "B",
      DateOfGainCalibration: "20240102",
      EndAcquisitionDateTime: "20240102101112.5+0130",
      TimeOfGainCalibration: "101112.25",
      HumanPerformerName: "Doe^Jane",
      ScatterFractionFactor: 0.5,
    });
    await storeInstance({ ...uids, ScatterCorrectionMethod: "A", ScatterFractionFactor: 0.25 });
    const fields = "ScatterCorrectionMethod,DateOfGainCalibration,EndAcquisitionDateTime,00404037";
    const { matches, warning } = await search("/studies", { ScatterCorrectionMethod: "B", includefield: fields });
    assert.equal(warning, undefined);
    const [study] = matches;
    assert.deepEqual(study?.["00541105"], { vr: "LO", Value: ["A", "B"] });
    assert.deepEqual(study?.["00404037"], { vr: "PN", Value: [{ Alphabetic: "Doe^Jane" }] });
    const [series] = (
      await search("/series", {
        ScatterCorrectionMethod: "A",
        includefield: "EndAcquisitionDateTime,DateOfGainCalibration,TimeOfGainCalibration",
      })
    ).matches;
    assert.deepEqual(series?.["00541105"]?.Value, ["A", "B"], "a key that was matched is answered");
    assert.deepEqual(series?.["00189517"]?.Value, ["20240102101112.5+0130"]);
    assert.deepEqual(series?.["00143076"], { vr: "DA", Value: ["20240102"] });
    assert.deepEqual(series?.["00143077"], { vr: "TM", Value: ["101112.25"] });
    const [instance] = (await search("/instances", { ScatterFractionFactor: "0.25" })).matches;
    assert.deepEqual(instance?.["00541323"]?.Value, [0.25]);
  });

  it("says that matches may be missing while the index is made, and searches all the same", async (t) => {
    const { sopInstanceUid } = await storeInstance({ AcquisitionContextDescription: "before" });
    // As if another process were at the index.
    const holder = await server.knex.transaction();
    t.after(() => holder.isCompleted() || holder.rollback());
    await holder.raw("select pg_advisory_xact_lock(486736389491)");
    await add({ path: "AcquisitionContextDescription", level: "instance" });
    const { sopInstanceUid: later } = await storeInstance({ AcquisitionContextDescription: "after" });
    const { matches, warning } = await search("/instances", { AcquisitionContextDescription: "*e*" });
    assert.match(warning ?? "", /index of AcquisitionContextDescription is not complete/);
    assert.deepEqual(
      matches.map((match) => first(match, "00080018")),
      [later],
    );
    await holder.rollback();
    await ready("AcquisitionContextDescription");
    await sleep(1100);
    assert.deepEqual(
      await found("/instances", { AcquisitionContextDescription: "*e*" }),
      [sopInstanceUid, later].sort(),
    );
  });

  it("forgets a tag at once, and lets it be made again", async () => {
    assert.equal((await add({ path: "PatientReligiousPreference", level: "study" })).status, 202);
    assert.equal((await request(server.url).delete("/api/query-tags/PatientReligiousPreference")).status, 204);
    assert.equal((await request(server.url).get("/api/query-tags/PatientReligiousPreference")).status, 404);
    assert.equal((await request(server.url).delete("/api/query-tags/PatientReligiousPreference")).status, 404);
    assert.equal((await add({ path: "PatientReligiousPreference", level: "study" })).status, 202);
    await ready("PatientReligiousPreference");
  });

  it("refuses what cannot be a query tag, and says why", async () => {
    const many = Array.from({ length: 129 }, (_, index) => ({
      path: `0019xx${(index % 256).toString(16).padStart(2, "0")}`,
      vr: "LO",
      privateCreator: "MANY",
      level: "instance",
    }));
    assert.equal((await add({ path: "MilitaryRank", level: "study" })).status, 202);
    const cases: readonly [body: object | string, status: number, naming: RegExp][] = [
      [{ path: "NoSuchKeyword", level: "study" }, 400, /NoSuchKeyword/],
      [{ path: "PatientAge" }, 400, /level/],
      [{ path: "PatientAge", level: "patient" }, 400, /level/],
      [{ path: "MedicalAlerts", level: "study", vr: "SH" }, 400, /vr/],
      [{ path: "PixelData", level: "instance" }, 400, /OW/],
      [{ path: "RequestAttributesSequence", level: "series" }, 400, /SQ/],
      [{ path: "00191007", level: "series", privateCreator: "ACME" }, 400, /vr/],
      [{ path: "00191007", level: "series", vr: "LO" }, 400, /privateCreator/],
      [{ path: "00191007", level: "series", vr: "UN", privateCreator: "ACME" }, 400, /UN/],
      [{ path: "MedicalAlerts", level: "study", privateCreator: "ACME" }, 400, /privateCreator/],
      [{ path: "MilitaryRank", level: "study" }, 409, /query tag already/],
      [{ path: "PatientName", level: "study" }, 409, /without a query tag/],
      [{ path: "PatientAge", level: "study" }, 409, /without a query tag/],
      [{ path: "TimezoneOffsetFromUTC", level: "study" }, 400, /not matched/],
      [{ path: "Modality", level: "instance" }, 409, /without a query tag/],
      [{ path: "PatientAge", level: "study", surprise: 1 }, 400, /surprise/],
      [[], 400, /no tag/],
      [many, 400, /128/],
      [many.slice(0, 127), 409, /128/],
    ];
    for (const [body, status, naming] of cases) {
      const response = await (typeof body === "string"
        ? request(server.url).post("/api/query-tags").send(body)
        : add(body));
      const shown = JSON.stringify(body).slice(0, 80);
      assert.equal(response.status, status, `${shown} ${response.text}`);
      assert.match(response.body.detail, naming, shown);
    }
    const text = await request(server.url).post("/api/query-tags").set("Content-Type", "text/plain").send("x");
    assert.equal(text.status, 415);
    assert.equal((await request(server.url).get("/api/query-tags/nonsense")).status, 400);
    assert.equal((await request(server.url).get("/api/query-tags/0018xx01")).status, 400);
  });
});
