/** Store of media: documents, images and videos become instances of the right SOP Class, and come back as they were. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { newUid } from "../../server/dicom/uid.ts";
import { first, items, type JsonDataSet, toDataSet, toDataSets } from "../support/dicom-json.ts";
import { instanceFile } from "../support/instances.ts";
import { j2k, jp2, jpeg, longPdf, mp4, pdf, stl } from "../support/media.ts";
import { relatedBody, type RelatedPart } from "../support/related.ts";
import { pathOf, requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const run = promisify(execFile);
const jsonType = "application/dicom+json";
const referencedSopSequence = "00081199";
const uid = (tag: string, attribute: unknown) => ({ [tag]: { vr: "UI", Value: [attribute] } });
const patient = { "00100020": { vr: "LO", Value: ["P-7"] }, "00100010": { vr: "PN", Value: [{ Alphabetic: "P^Q" }] } };
const theDocument = { "00420011": { vr: "OB", BulkDataURI: "media" } };
const thePixels = { "7FE00010": { vr: "OB", BulkDataURI: "media" } };

describe("POST /dicom-web/studies of media", () => {
  let server: TestServer;
  let folder = "";
  before(async () => {
    server = await startTestServer();
    folder = await mkdtemp(path.join(tmpdir(), "noctis-media-"));
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const send = (contentType: string, body: Buffer, at = "/studies") =>
    fetch(`${server.url}/dicom-web${at}`, {
      method: "POST",
      headers: { "Content-Type": contentType },
      body: new Uint8Array(body),
    });

  function post(metadata: object, media: readonly RelatedPart[]) {
    const { contentType, body } = relatedBody(
      [{ headers: { "Content-Type": jsonType }, body: JSON.stringify([metadata]) }, ...media],
      jsonType,
    );
    return send(contentType, body);
  }

  const part = (type: string, body: Buffer, location = "media"): RelatedPart => ({
    headers: { "Content-Type": type, "Content-Location": location },
    body,
  });

  interface Kept {
    readonly url: string;
    readonly metadata: JsonDataSet;
    readonly reference: JsonDataSet;
  }

  async function kept(response: Response, status = 200): Promise<Kept> {
    const text = await response.text();
    assert.equal(response.status, status, text);
    const [reference] = items(toDataSet(JSON.parse(text)), referencedSopSequence);
    assert.ok(reference, text);
    const url = String(first(reference, "00081190"));
    const [metadata] = toDataSets(await (await fetch(`${url}/metadata`)).json());
    assert.ok(metadata);
    return { url, metadata, reference };
  }

  async function bytes(url: string, accept = "*/*"): Promise<Buffer> {
    const response = await fetch(url, { headers: { Accept: accept } });
    assert.equal(response.status, 200, url);
    return Buffer.from(await response.arrayBuffer());
  }

  const values = (metadata: JsonDataSet, ...tags: readonly string[]) => tags.map((tag) => first(metadata, tag));

  it("wraps a PDF, of any size, and gives it back byte for byte", async () => {
    for (const document of [longPdf(10_000), longPdf(300_001)]) {
      const { url, metadata, reference } = await kept(
        await post({ ...patient, ...theDocument }, [part("application/pdf", document)]),
      );
      assert.equal(first(reference, "00081150"), "1.2.840.10008.5.1.4.1.1.104.1");
      assert.deepEqual(values(metadata, "00080060", "00420012", "00420015", "00280301", "00100020"), [
        "DOC",
        "application/pdf",
        document.length,
        "YES",
        "P-7",
      ]);
      assert.deepEqual(await bytes(`${url}/bulkdata/00420011`), document);
    }
  });

  it("keeps what the metadata say, and makes only what they leave out", async () => {
    const given = {
      ...patient,
      ...theDocument,
      ...uid("00080016", "1.2.840.10008.5.1.4.1.1.104.1"),
      ...uid("00080018", "2.25.1"),
      ...uid("0020000D", "2.25.2"),
      ...uid("0020000E", "2.25.3"),
      "00080060": { vr: "CS", Value: ["OT"] },
      "00280301": { vr: "CS", Value: ["NO"] },
      "00420010": { vr: "ST", Value: ["Report"] },
    };
    const { metadata } = await kept(await post(given, [part("application/pdf", pdf())]));
    for (const tag of Object.keys(given))
      if (tag !== "00420011") assert.deepEqual(metadata[tag], toDataSet(given)[tag]);
  });

  it("wraps STL, and says what a model must have that nobody can guess", async () => {
    const { metadata, reference } = await kept(await post({ ...patient, ...theDocument }, [part("model/stl", stl)]));
    assert.deepEqual(values(metadata, "00080016", "00080060", "00420012"), [
      "1.2.840.10008.5.1.4.1.1.104.3",
      "M3D",
      "model/stl",
    ]);
    assert.equal(first(items(reference, "00741048")[0], "00720026"), "004008EA");
  });

  it("wraps a JPEG, with the attributes that its header implies, and gives the frame back byte for byte", async () => {
    const { url, metadata, reference } = await kept(
      await post({ ...patient, ...thePixels }, [part("image/jpeg", jpeg)]),
    );
    assert.equal(first(reference, "00081150"), "1.2.840.10008.5.1.4.1.1.77.1.4");
    const pixelTags = ["00280002", "00280004", "00280010", "00280011", "00280100", "00280101", "00280102", "00280103"];
    assert.deepEqual(values(metadata, ...pixelTags), [3, "YBR_FULL_422", 6, 8, 8, 8, 7, 0]);
    assert.deepEqual(values(metadata, "00282110", "00282114", "00080060", "00083002"), [
      "01",
      "ISO_10918_1",
      "XC",
      "1.2.840.10008.1.2.4.50",
    ]);
    assert.equal(jpeg.length % 2, 1, "an odd length is what padding would change");
    assert.deepEqual(await bytes(`${url}/frames/1`, "image/jpeg"), jpeg);
  });

  it("wraps several frames in the order of their parts", async () => {
    const frames = [jpeg, Buffer.concat([jpeg.subarray(0, -2), Buffer.from([0xff, 0xff, 0xd9])]), jpeg];
    const parts = frames.map((frame) => part("image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", frame));
    const { url, metadata } = await kept(await post({ ...patient, ...thePixels }, parts));
    assert.deepEqual(values(metadata, "00280008", "00080016"), [3, "1.2.840.10008.5.1.4.1.1.7.4"]);
    for (const [index, frame] of frames.entries()) {
      assert.deepEqual(await bytes(`${url}/frames/${index + 1}`, "image/jpeg"), frame);
    }
  });

  it("says how many frames there are where neither the metadata nor a header does", async () => {
    const frames = [jpeg, Buffer.concat([jpeg.subarray(0, -2), Buffer.from([0xff, 0xff, 0xd9])])];
    const parts = frames.map((frame) =>
      part("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.50", frame),
    );
    const uids = { ...uid("00080016", "1.2.840.10008.5.1.4.1.1.7.4"), ...uid("00080018", newUid()) };
    const given = { ...patient, ...thePixels, ...uids, ...uid("0020000D", newUid()), ...uid("0020000E", newUid()) };
    const { url, metadata } = await kept(await post(given, parts));
    assert.deepEqual(values(metadata, "00280008"), [2]);
    for (const [index, frame] of frames.entries()) {
      assert.deepEqual(await bytes(`${url}/frames/${index + 1}`, "image/jpeg"), frame);
    }
  });

  it("wraps JPEG 2000, without the boxes of a file", async () => {
    for (const [type, image] of [
      ["image/jp2", jp2],
      ["image/jp2", j2k],
      ["image/j2c", j2k],
    ] as const) {
      const { url, metadata } = await kept(await post({ ...patient, ...thePixels }, [part(type, image)]));
      assert.deepEqual(values(metadata, "00080016", "00280100", "00282110", "00280004", "00083002"), [
        "1.2.840.10008.5.1.4.1.1.7",
        16,
        "00",
        "YBR_RCT",
        "1.2.840.10008.1.2.4.90",
      ]);
      assert.deepEqual(await bytes(`${url}/frames/1`, "image/jp2"), j2k);
    }
  });

  it("wraps a video of each codec and level in its transfer syntax, and gives it back, padded to even length", async () => {
    const cases = [
      [mp4(), "1.2.840.10008.1.2.4.102"],
      [mp4({ level: 42, mediaBytes: 200_000 }), "1.2.840.10008.1.2.4.104"],
      [mp4({ profile: 128 }), "1.2.840.10008.1.2.4.106"],
      [mp4({ codec: "hvc1", profile: 1, level: 120 }), "1.2.840.10008.1.2.4.107"],
      [mp4({ codec: "hvc1", profile: 2, level: 120 }), "1.2.840.10008.1.2.4.108"],
    ] as const;
    for (const [video, syntax] of cases) {
      const { url, metadata } = await kept(await post({ ...patient, ...thePixels }, [part("video/mp4", video)]));
      assert.deepEqual(values(metadata, "00080016", "00083002", "00280010", "00280011", "00280008", "00181063"), [
        "1.2.840.10008.5.1.4.1.1.77.1.4.1",
        syntax,
        240,
        320,
        50,
        40,
      ]);
      assert.deepEqual(metadata["00280009"]?.Value, ["00181063"]);
      const even = Buffer.concat([video, Buffer.alloc(video.length % 2)]);
      assert.deepEqual(await bytes(`${url}/bulkdata/7FE00010`), even);
    }
  });

  it("finds the media that the metadata do not name, when there is one instance", async () => {
    const nameless = { headers: { "Content-Type": "application/pdf" }, body: pdf() };
    const { metadata } = await kept(await post(patient, [nameless]));
    assert.equal(first(metadata, "00080016"), "1.2.840.10008.5.1.4.1.1.104.1");
    const image = await kept(await post(patient, [part("image/jpeg", jpeg, "some/name")]));
    assert.equal(first(image.metadata, "00280010"), 6);
  });

  it("takes media alone into a study that it has, with the patient of that study", async () => {
    const file = instanceFile({ PatientID: "OF-STUDY" });
    await send("application/dicom", file.bytes);
    const at = `/studies/${file.studyInstanceUid}`;
    for (const [type, media] of [
      ["application/pdf", pdf()],
      ["image/jpeg", jpeg],
      ["video/mp4", mp4()],
      ["model/stl", stl],
    ] as const) {
      const { metadata } = await kept(await send(type, media, at));
      assert.deepEqual(values(metadata, "00100020", "0020000D", "00080020"), [
        "OF-STUDY",
        file.studyInstanceUid,
        "20240102",
      ]);
    }
    const { contentType, body } = relatedBody([part("application/pdf", pdf())], "application/pdf");
    await kept(await send(contentType, body, at));
  });

  it("gives no PatientID of the study to media that name another patient", async () => {
    const file = instanceFile({ PatientID: "JANE", PatientName: "Smith^Jane" });
    await kept(await send("application/dicom", file.bytes));
    const named = (name: string) => ({
      "0020000D": { vr: "UI", Value: [file.studyInstanceUid] },
      "00100010": { vr: "PN", Value: [{ Alphabetic: name }] },
    });
    const report = part("application/pdf", Buffer.from("%PDF-1.4"));
    const { metadata: same } = await kept(await post(named("Smith^Jane"), [report]));
    assert.equal(first(same, "00100020"), "JANE");
    const { metadata: other, reference } = await kept(await post(named("Doe^John"), [report]));
    assert.equal(first(other, "00100020"), undefined);
    assert.match(JSON.stringify(reference), /PatientID \(0010,0020\) differs/);
  });

  it("makes up no patient: media alone are refused anywhere else, with what is missing", async () => {
    for (const at of ["/studies", `/studies/${newUid()}`]) {
      const response = await send("application/pdf", pdf(), at);
      const problem = await response.json();
      assert.equal(response.status, 409);
      assert.match(JSON.stringify(problem), /metadata-required.*study that is in the archive, whose patient it gets/);
    }
  });

  it("refuses what is not what its type says, and what DICOM has no transfer syntax for", async () => {
    const cases: readonly (readonly [type: string, media: Buffer, words: RegExp])[] = [
      ["image/jpeg", pdf(), /not a JPEG image/],
      ["image/jpeg", jpeg.subarray(0, 100), /no header of a process/],
      ["image/jp2", jpeg, /not a JPEG 2000 image/],
      ["video/mp4", jpeg, /not an MP4 file/],
      ["video/mp4", mp4({ codec: "vp09" }), /coded as .{0,3}vp09/],
      ["video/mp4", mp4({ level: 51 }), /does not tell a transfer syntax/],
      ["image/png", jpeg, /image\/png, for which DICOM has no transfer syntax/],
      ["application/pdf", pdf(), /PixelData \(7FE0,0010\) has a bulk data part of application\/pdf/],
    ];
    for (const [type, media, words] of cases) {
      const response = await post({ ...patient, ...thePixels }, [part(type, media)]);
      assert.equal(response.status, 409, type);
      assert.match(await response.text(), words);
    }
    assert.equal((await send("image/png", jpeg)).status, 415);
  });

  it("refuses other bytes under the name of a document, alone or with metadata", async () => {
    const file = instanceFile();
    await send("application/dicom", file.bytes);
    const binary = Buffer.alloc(84 + 2 * 50);
    binary.writeUInt32LE(2, 80);
    const cases: readonly (readonly [type: string, media: Buffer, words: RegExp | undefined])[] = [
      ["application/pdf", Buffer.from("hello"), /not a PDF document/],
      ["application/pdf", Buffer.concat([Buffer.alloc(1020, " "), pdf()]), /not a PDF document/],
      ["application/pdf", Buffer.concat([Buffer.alloc(1000, " "), pdf()]), undefined],
      ["model/stl", Buffer.from("hello"), /not an STL model/],
      ["model/stl", binary.subarray(0, -1), /not an STL model/],
      ["model/stl", Buffer.alloc(0), /not an STL model/],
      ["model/stl", binary, undefined],
    ];
    for (const [type, media, words] of cases) {
      const answers = [
        await send(type, media, `/studies/${file.studyInstanceUid}`),
        await post({ ...patient, ...theDocument }, [part(type, media)]),
      ];
      for (const answer of answers) {
        assert.equal(answer.status, words ? 409 : 200, `${type} of ${media.length} bytes`);
        if (words) assert.match(await answer.text(), words);
      }
    }
  });

  it("warns when the metadata contradict the image", async () => {
    const wrong = { ...patient, ...thePixels, "00280010": { vr: "US", Value: [7] } };
    const { metadata, reference } = await kept(await post(wrong, [part("image/jpeg", jpeg)]));
    assert.equal(first(metadata, "00280010"), 7);
    const [attribute] = items(reference, "00741048");
    assert.deepEqual(
      [first(attribute, "00720026"), first(attribute, "00000902")],
      ["00280010", "Rows (0028,0010) is 7 in the metadata, and 6 in the image itself."],
    );
  });

  it("makes files that DCMTK reads", requirement("dcmtk"), async () => {
    const tool = (name: string) => path.join(path.dirname(pathOf("dcmtk")), name);
    const cases = [
      ["application/pdf", theDocument, pdf()],
      ["model/stl", theDocument, stl],
      ["image/jpeg", thePixels, jpeg],
      ["image/jp2", thePixels, jp2],
      ["video/mp4", thePixels, mp4()],
    ] as const;
    for (const [type, reference, media] of cases) {
      const { url } = await kept(await post({ ...patient, ...reference }, [part(type, media)]));
      const file = path.join(folder, "media.dcm");
      await writeFile(file, await bytes(url, "application/dicom"));
      const { stdout, stderr } = await run(tool("dcmdump"), ["--verbose", file]);
      assert.doesNotMatch(stderr, /^[EW]:/m, type);
      assert.match(stdout, /MediaStorageSOPClassUID/);
      await run(tool("dcmftest"), [file]);
    }
  });
});
