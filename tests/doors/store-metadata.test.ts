/** Store of metadata and bulk data (PS3.18 10.5.1.4): JSON and XML, references, failures that stay with their instance. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { deflateSync, gzipSync } from "node:zlib";
import request from "supertest";
import type { DicomJson } from "../../server/dicom/json.ts";
import { newUid } from "../../server/dicom/uid.ts";
import { parseNativeXml } from "../../server/dicom/xml-reader.ts";
import { toNativeXml } from "../../server/dicom/xml.ts";
import { first, items, toDataSet, toDataSets } from "../support/dicom-json.ts";
import { instanceFile } from "../support/instances.ts";
import { relatedBody, type RelatedPart } from "../support/related.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const referencedSopSequence = "00081199";
const failedSopSequence = "00081198";
const otherFailuresSequence = "0008119A";
const jsonType = "application/dicom+json";
const xmlType = "application/dicom+xml";
const pixels = Buffer.from(Array.from({ length: 16 }, (_, index) => index * 16));

/** A secondary capture of 4 x 4 pixels; `changes` replace or remove. */
function dataSet(changes: Readonly<Record<string, DicomJson[string] | undefined>> = {}): DicomJson {
  const whole: DicomJson = {
    "00080016": { vr: "UI", Value: ["1.2.840.10008.5.1.4.1.1.7"] },
    "00080018": { vr: "UI", Value: [newUid()] },
    "00080060": { vr: "CS", Value: ["OT"] },
    "00100010": { vr: "PN", Value: [{ Alphabetic: "Müller^Jürgen", Ideographic: "王^小东" }] },
    "00100020": { vr: "LO", Value: ["M-1"] },
    "0020000D": { vr: "UI", Value: [newUid()] },
    "0020000E": { vr: "UI", Value: [newUid()] },
    "00280002": { vr: "US", Value: [1] },
    "00280004": { vr: "CS", Value: ["MONOCHROME2"] },
    "00280010": { vr: "US", Value: [4] },
    "00280011": { vr: "US", Value: [4] },
    "00280030": { vr: "DS", Value: [0.5, "0.50"] },
    "00280100": { vr: "US", Value: [8] },
    "00280101": { vr: "US", Value: [8] },
    "00280102": { vr: "US", Value: [7] },
    "00280103": { vr: "US", Value: [0] },
    "00400275": { vr: "SQ", Value: [{ "00400007": { vr: "LO", Value: ["Schädel"] } }] },
    "7FE00010": { vr: "OB", BulkDataURI: "bulk/1" },
  };
  for (const [tag, attribute] of Object.entries(changes)) {
    if (attribute) whole[tag] = attribute;
    else delete whole[tag];
  }
  return whole;
}

const metadata = (...dataSets: readonly unknown[]): RelatedPart => ({
  headers: { "Content-Type": jsonType },
  body: JSON.stringify(dataSets),
});
const bulk = (location: string, body: Buffer | string, type = "application/octet-stream"): RelatedPart => ({
  headers: { "Content-Type": type, "Content-Location": location },
  body,
});

describe("POST /dicom-web/studies of metadata and bulk data", () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  function post(parts: readonly RelatedPart[], root = jsonType, path = "/studies") {
    const { contentType, body } = relatedBody(parts, root);
    return request(server.url).post(`/dicom-web${path}`).set("Content-Type", contentType).send(body);
  }

  const answerOf = ({ text }: { text: string }) => toDataSet(JSON.parse(text));

  async function get(url: unknown, accept: string): Promise<Buffer> {
    const response = await fetch(String(url), { headers: { Accept: accept } });
    assert.equal(response.status, 200, String(url));
    return Buffer.from(await response.arrayBuffer());
  }

  async function objects(): Promise<number> {
    const entries = await readdir(server.objectFolder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).length;
  }

  it("makes a file of it that says the same, with the pixels of the part", async () => {
    const given = dataSet();
    const response = await post([metadata(given), bulk("bulk/1", pixels)]).expect(200);
    const [reference] = items(answerOf(response), referencedSopSequence);
    assert.equal(first(reference, "00081155"), given["00080018"]?.Value?.[0]);
    const url = String(first(reference, "00081190"));
    const [read] = toDataSets(JSON.parse((await get(`${url}/metadata`, jsonType)).toString()));
    const { "7FE00010": pixelData, "00083002": syntax, ...others } = toDataSet(read);
    assert.deepEqual(syntax?.Value, ["1.2.840.10008.1.2.1"]);
    assert.ok(pixelData);
    assert.deepEqual(others, {
      ...dataSet({ "7FE00010": undefined }),
      ...Object.fromEntries(["00080018", "0020000D", "0020000E"].map((tag) => [tag, given[tag]])),
      "00080005": { vr: "CS", Value: ["ISO_IR 192"] },
      "00280030": { vr: "DS", Value: [0.5, 0.5] },
    });
    assert.deepEqual(await get(`${url}/frames/1`, "application/octet-stream"), pixels);
    const file = await get(url, "application/dicom");
    assert.ok(file.includes("0.5\\0.50"), "what the client wrote as a string is written so");
  });

  it("takes XML, a part an instance, and answers in XML", async () => {
    const [one, other] = [dataSet(), dataSet({ "7FE00010": { vr: "OB", BulkDataURI: "cid:two@x" } })];
    const parts = [one, other].map((given) => ({ headers: { "Content-Type": xmlType }, body: toNativeXml(given) }));
    const second = { headers: { "Content-Type": "application/octet-stream", "Content-ID": "<two@x>" }, body: pixels };
    const response = await post([...parts, bulk("bulk/1", pixels), second], xmlType)
      .set("Accept", xmlType)
      .expect(200);
    assert.match(response.headers["content-type"] ?? "", /^application\/dicom\+xml/);
    const answer = toDataSet(parseNativeXml(response.text));
    assert.equal(items(answer, referencedSopSequence).length, 2);
    const url = first(items(answer, referencedSopSequence)[1], "00081190");
    assert.deepEqual(await get(`${String(url)}/frames/1`, "application/octet-stream"), pixels);
    const multipart = await post([metadata(dataSet()), bulk("bulk/1", pixels)]).set(
      "Accept",
      `multipart/related; type="${xmlType}"`,
    );
    assert.equal(multipart.status, 200);
    assert.match(multipart.headers["content-type"] ?? "", /^multipart\/related; ?type="application\/dicom\+xml"/);
  });

  it("takes a body of JSON alone, encoded or not, and one data set without an array", async () => {
    const inline = () => dataSet({ "7FE00010": { vr: "OB", InlineBinary: pixels.toString("base64") } });
    const send = async (type: string, body: Buffer | string, encoding = "identity") => {
      const headers = { "Content-Type": type, "Content-Encoding": encoding };
      const response = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body });
      return response.status;
    };
    assert.equal(await send(jsonType, JSON.stringify([inline(), inline()])), 200);
    assert.equal(await send(jsonType, JSON.stringify(inline())), 200);
    assert.equal(await send(jsonType, gzipSync(JSON.stringify([inline()])), "gzip"), 200);
    assert.equal(await send(jsonType, deflateSync(JSON.stringify([inline()])), "deflate"), 200);
    assert.equal(await send("application/dicom", gzipSync(instanceFile().bytes), "gzip"), 200);
    assert.equal(await send(xmlType, toNativeXml(inline())), 200);
    assert.equal(await send(jsonType, "not gzip", "gzip"), 400);
    assert.equal(await send("application/dicom", gzipSync(instanceFile().bytes).subarray(0, 200), "gzip"), 400);
    assert.equal(await send(jsonType, JSON.stringify([inline()]), "br"), 415);
  });

  it("finds parts by relative, absolute and content references, before or behind the metadata", async () => {
    const base = `${server.url}/dicom-web/studies`;
    const cases: readonly (readonly [uri: string, location: string])[] = [
      ["bulk/1", "bulk/1"],
      [`${base.replace(/studies$/, "")}bulk/1`, "bulk/1"],
      ["bulk/1", `${base.replace(/studies$/, "")}bulk/1`],
      ["https://elsewhere/bulk", "https://elsewhere/bulk"],
      ["./bulk/../bulk/1", "bulk/1"],
    ];
    for (const [uri, location] of cases) {
      const given = dataSet({ "7FE00010": { vr: "OB", BulkDataURI: uri } });
      const response = await post([bulk(location, pixels), metadata(given)]);
      assert.equal(response.status, 200, `${uri} ${location} ${response.text}`);
    }
    const nameless = { headers: { "Content-Type": "application/octet-stream" }, body: pixels };
    await post([metadata(dataSet()), nameless]).expect(200);
  });

  it("writes bulk data anywhere: in items, of numbers, of odd length", async () => {
    const floats = Buffer.alloc(2000 * 4, 1);
    const given = dataSet({
      "00091010": { vr: "UN", BulkDataURI: "b" },
      "00090010": { vr: "LO", Value: ["TEST"] },
      "00660016": { vr: "OF", BulkDataURI: "floats" },
      "00400275": { vr: "SQ", Value: [{ "0040A123": { vr: "UT", BulkDataURI: "text" } }] },
    });
    const text = "é".repeat(500_001);
    const response = await post([
      metadata(given),
      bulk("bulk/1", pixels),
      bulk("b", Buffer.alloc(2001, 5)),
      bulk("floats", floats),
      bulk("text", text),
    ]).expect(200);
    const url = String(first(items(answerOf(response), referencedSopSequence)[0], "00081190"));
    assert.deepEqual(await get(`${url}/bulkdata/00660016`, "*/*"), floats);
    const odd = await get(`${url}/bulkdata/00091010`, "*/*");
    assert.deepEqual(odd, Buffer.concat([Buffer.alloc(2001, 5), Buffer.alloc(1)]));
    const [read] = toDataSets(JSON.parse((await get(`${url}/metadata`, jsonType)).toString()));
    const [item] = items(toDataSet(read), "00400275");
    assert.equal(item?.["0040A123"]?.Value?.[0], text);
  });

  it("fails an instance alone: bulk data that is missing, metadata at fault, identifiers missing", async () => {
    const good = dataSet();
    const bad = [
      dataSet({ "7FE00010": { vr: "OB", BulkDataURI: "nowhere" } }),
      dataSet({ "00280010": { vr: "US", Value: ["four"] } }),
      dataSet({ "00080018": undefined }),
      dataSet({ "00080016": undefined }),
      dataSet({ "0020000E": { vr: "UI", Value: ["1.2.x"] } }),
    ];
    const response = await post([metadata(good, ...bad, 7), bulk("bulk/1", pixels)]).expect(202);
    const answer = answerOf(response);
    assert.equal(items(answer, referencedSopSequence).length, 1);
    const told = [...items(answer, failedSopSequence), ...items(answer, otherFailuresSequence)].map((item) => {
      const [attribute] = items(item, "00741048");
      return [first(item, "00081197"), first(attribute, "00720026"), first(attribute, "00000902")];
    });
    assert.deepEqual(told, [
      [0xc000, "7FE00010", 'PixelData (7FE0,0010) refers to "nowhere", and no part of the body is that.'],
      [0xc000, "00280010", "Rows (0028,0010) holds a value that is not an integer."],
      [0xa900, "00080016", "SOPClassUID (0008,0016) is missing."],
      [
        0xa900,
        "0020000E",
        "SeriesInstanceUID (0020,000E) is not a UID of digits and dots with at most 128 characters.",
      ],
      [0xa900, "00080018", "SOPInstanceUID (0008,0018) is missing."],
      [0xc000, undefined, "The metadata is not an object."],
    ]);
  });

  it("takes the same again as a success, and keeps one", async () => {
    const parts = [metadata(dataSet()), bulk("bulk/1", pixels)];
    await post(parts).expect(200);
    const earlier = await objects();
    await post(parts).expect(200);
    assert.equal(await objects(), earlier);
  });

  it("warns of a part that no instance names", async () => {
    const response = await post([metadata(dataSet()), bulk("bulk/1", pixels), bulk("extra", "x")]).expect(200);
    const [reference] = items(answerOf(response), referencedSopSequence);
    assert.equal(first(reference, "00081196"), 0xb007);
    assert.match(JSON.stringify(reference), /The bulk data part \\"extra\\" is named by no instance/);
  });

  it("warns of an attribute with another VR than PS3.6 gives it", async () => {
    const given = dataSet({ "00081030": { vr: "SH", Value: ["x"] }, "00281050": { vr: "DS", Value: [1] } });
    const response = await post([metadata(given), bulk("bulk/1", pixels)]).expect(200);
    const [reference] = items(answerOf(response), referencedSopSequence);
    const faults = reference ? items(reference, "00741048") : [];
    assert.deepEqual(
      faults.map((fault) => [first(fault, "00720026"), first(fault, "00000902")]),
      [["00081030", "StudyDescription (0008,1030) has VR SH; PS3.6 gives it LO."]],
    );
  });

  it("takes a name that is one text, and warns of it", async () => {
    const given = dataSet({
      "00100010": { vr: "PN", Value: ["Doe^Jane=X"] },
      "00081048": { vr: "PN", Value: ["a", "b"] },
    });
    const response = await post([metadata(given), bulk("bulk/1", pixels)]).expect(200);
    const [reference] = items(answerOf(response), referencedSopSequence);
    const faults = reference ? items(reference, "00741048") : [];
    assert.deepEqual(new Set(faults.map((fault) => first(fault, "00720026"))), new Set(["00081048", "00100010"]));
    assert.match(JSON.stringify(faults), /PatientName \(0010,0010\) holds a name as one text; the model has an object/);
    const apart = dataSet({ "00100010": { vr: "PN", Value: [{ Alphabetic: "Doe^Jane" }] } });
    const quiet = await post([metadata(apart), bulk("bulk/1", pixels)]).expect(200);
    assert.doesNotMatch(JSON.stringify(quiet.body), /one text/);
  });

  it("takes parts without a Content-Type: bulk data when something names them", async () => {
    const untyped = { headers: { "Content-Location": "bulk/1" }, body: pixels };
    await post([{ headers: {}, body: JSON.stringify([dataSet()]) }, untyped]).expect(200);
  });

  it("takes Content-Type without quotes, in capitals, and with a transfer syntax; 415 lists what can be stored", async () => {
    const parts = () => [
      metadata(dataSet()),
      bulk("bulk/1", pixels, "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"),
    ];
    for (const change of [
      (type: string) => type.replaceAll('"', ""),
      (type: string) => type.replace(jsonType, jsonType.toUpperCase()),
      (type: string) => `${type}; transfer-syntax=1.2.840.10008.1.2.1`,
      (type: string) => `${type}; charset=utf-8`,
    ]) {
      const { contentType, body } = relatedBody(parts(), jsonType);
      const send = request(server.url).post("/dicom-web/studies").set("Content-Type", change(contentType));
      await send.send(body).expect(200);
    }
    const refused = await post(parts(), "image/png").expect(415);
    for (const type of [jsonType, xmlType, "application/pdf", "image/jpeg", "video/mp4", "video/mpeg", "model/stl"]) {
      assert.ok(refused.text.includes(type), type);
    }
  });

  it("refuses another study than the one addressed, and stores files among the parts", async () => {
    const file = instanceFile();
    const parts = [
      metadata(dataSet()),
      bulk("bulk/1", pixels),
      { headers: { "Content-Type": "application/dicom" }, body: file.bytes },
    ];
    const response = await post(parts, jsonType, `/studies/${file.studyInstanceUid}`).expect(202);
    assert.match(response.text, /is not that of the study in the address/);
    assert.equal(items(answerOf(response), referencedSopSequence).length, 1);
  });

  it("stores files behind a root of another type, and nothing when bare media among them have no patient", async () => {
    const part = (bytes: Buffer) => ({ headers: { "Content-Type": "application/dicom" }, body: bytes });
    const file = instanceFile();
    const response = await post([part(file.bytes)]).expect(200);
    assert.equal(first(items(answerOf(response), referencedSopSequence)[0], "00081155"), file.sopInstanceUid);
    const earlier = await objects();
    const pdf = { headers: { "Content-Type": "application/pdf" }, body: "%PDF-1.4" };
    const large = instanceFile({ PixelData: new ArrayBuffer(300_000) });
    await post([part(instanceFile().bytes), part(large.bytes), pdf]).expect(409);
    assert.equal(await objects(), earlier);
  });

  it("tells of octets that the metadata do not name, and that may be anything", async () => {
    const given = dataSet({ "7FE00010": undefined });
    const octets = { headers: { "Content-Type": "application/octet-stream" }, body: pixels };
    const response = await post([metadata(given), octets]).expect(200);
    assert.match(response.text, /is named by no instance, and was not kept/);
  });

  it("keeps nothing of parts put aside, whether the request succeeds or not", async () => {
    const earlier = await objects();
    const large = Buffer.alloc(300_000, 3);
    const given = dataSet({ "00280010": { vr: "US", Value: [500] }, "00280011": { vr: "US", Value: [600] } });
    await post([metadata(given), bulk("bulk/1", large), bulk("other", large)]).expect(200);
    assert.equal(await objects(), earlier + 1);
    await post([metadata(dataSet({ "00080018": undefined })), bulk("bulk/1", large)]).expect(409);
    const { contentType, body } = relatedBody([metadata(dataSet()), bulk("bulk/1", large), bulk("b", large)], jsonType);
    const cut = await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", contentType)
      .send(body.subarray(0, body.length - 200));
    assert.equal(cut.status, 400, cut.text);
    assert.equal(await objects(), earlier + 1);
    assert.deepEqual(await server.knex("sweep"), [], "nothing is left to the sweep");
  });

  it("answers 400 to metadata that are no JSON or no XML, 409 to XML of another model, 413 to too much of them", async () => {
    await post([{ headers: { "Content-Type": jsonType }, body: "[{" }]).expect(400);
    await post([{ headers: { "Content-Type": jsonType }, body: Buffer.from([0xff, 0xfe]) }]).expect(400);
    await post([metadata()]).expect(400);
    await post([{ headers: { "Content-Type": jsonType }, body: `[${"0,".repeat(2_000_000)}0]` }]).expect(400);
    await post([{ headers: { "Content-Type": xmlType }, body: "<NativeDicomModel>" }], xmlType).expect(400);
    await post([{ headers: { "Content-Type": xmlType }, body: "" }], xmlType).expect(400);
    await post([{ headers: { "Content-Type": xmlType }, body: Buffer.from("<a>\xff", "latin1") }], xmlType).expect(400);
    await post([{ headers: { "Content-Type": xmlType }, body: "<a/>" }], xmlType).expect(409);
    const entities = '<!DOCTYPE a [<!ENTITY b "bbbb">]><NativeDicomModel>&b;</NativeDicomModel>';
    await post([{ headers: { "Content-Type": xmlType }, body: entities }], xmlType).expect(409);
    await post([{ headers: { "Content-Type": jsonType }, body: Buffer.alloc(33 * 2 ** 20, " ") }]).expect(413);
  });
});
