/** The store transaction: outcomes, statuses, and what stays behind when a request goes wrong. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import request from "supertest";
import { first, items, toDataSet } from "../support/dicom-json.ts";
import { instanceFile, multipartBody, multipartType } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const tag = {
  referencedSopSequence: "00081199",
  failedSopSequence: "00081198",
  otherFailuresSequence: "0008119A",
  referencedSopInstanceUid: "00081155",
  failureReason: "00081197",
  warningReason: "00081196",
  retrieveUrl: "00081190",
  failedAttributesSequence: "00741048",
  errorComment: "00000902",
} as const;

describe("POST /dicom-web/studies", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  function store(body: Buffer | string, contentType = multipartType, path = "/studies") {
    return request(server.url).post(`/dicom-web${path}`).set("Content-Type", contentType).send(body);
  }

  /** Rows and objects, which must stay in step. */
  async function counts(): Promise<{ rows: number; objects: number }> {
    const [row] = await server.knex("instance").count({ count: "*" });
    const entries = await readdir(server.objectFolder, { recursive: true, withFileTypes: true });
    return { rows: Number(row?.["count"]), objects: entries.filter((entry) => entry.isFile()).length };
  }

  it("stores every part, and answers with a reference and a URL for each", async () => {
    const study = instanceFile();
    const other = instanceFile({
      StudyInstanceUID: study.studyInstanceUid,
      SeriesInstanceUID: study.seriesInstanceUid,
    });
    const response = await store(multipartBody([study.bytes, other.bytes])).expect(200);
    assert.match(response.headers["content-type"] ?? "", /^application\/dicom\+json/);
    const answer = toDataSet(JSON.parse(response.text));
    const references = items(answer, tag.referencedSopSequence);
    assert.deepEqual(
      references.map((item) => first(item, tag.referencedSopInstanceUid)),
      [study.sopInstanceUid, other.sopInstanceUid],
    );
    assert.equal(answer[tag.failedSopSequence], undefined);
    assert.equal(first(answer, tag.retrieveUrl), `${server.url}/dicom-web/studies/${study.studyInstanceUid}`);
    const url = String(first(references[1], tag.retrieveUrl));
    const back = await fetch(url, { headers: { Accept: "application/dicom" } });
    assert.deepEqual(Buffer.from(await back.arrayBuffer()), other.bytes);
  });

  it("takes Content-Type with and without quotes, and one instance alone", async () => {
    await store(multipartBody([instanceFile().bytes]), multipartType.replaceAll('"', "")).expect(200);
    await store(instanceFile().bytes, "application/dicom").expect(200);
    await store(instanceFile().bytes, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1").expect(200);
  });

  it("fails a bad part alone: 202, with its reason", async () => {
    const good = instanceFile();
    const nameless = instanceFile({ SeriesInstanceUID: "1.2.letters" });
    const response = await store(multipartBody([Buffer.from("no DICOM at all"), nameless.bytes, good.bytes])).expect(
      202,
    );
    const answer = toDataSet(JSON.parse(response.text));
    assert.equal(first(items(answer, tag.referencedSopSequence)[0], tag.referencedSopInstanceUid), good.sopInstanceUid);
    const [failed] = items(answer, tag.failedSopSequence);
    assert.equal(first(failed, tag.referencedSopInstanceUid), nameless.sopInstanceUid);
    assert.equal(first(failed, tag.failureReason), 0xa900);
    const [comment] = failed ? items(failed, tag.failedAttributesSequence) : [];
    assert.match(String(first(comment, tag.errorComment)), /^SeriesInstanceUID \(0020,000E\) is not a UID/);
    assert.equal(first(items(answer, tag.otherFailuresSequence)[0], tag.failureReason), 0xc000);
  });

  it("answers 409 when no part can be stored, and keeps nothing", async () => {
    const earlier = await counts();
    await store(multipartBody([Buffer.from("text"), Buffer.alloc(0)])).expect(409);
    await store("a text file", "application/dicom").expect(409);
    assert.deepEqual(await counts(), earlier);
  });

  it("refuses an instance of another study than the one addressed", async () => {
    const file = instanceFile();
    const response = await store(
      multipartBody([file.bytes]),
      multipartType,
      `/studies/${instanceFile().studyInstanceUid}`,
    );
    assert.equal(response.status, 409);
    assert.match(response.text, /StudyInstanceUID \(0020,000D\) is not that of the study in the address/);
    await store(multipartBody([file.bytes]), multipartType, `/studies/${file.studyInstanceUid}`).expect(200);
  });

  it("takes an identical instance again as a success, and keeps one", async () => {
    const file = instanceFile();
    await store(file.bytes, "application/dicom").expect(200);
    const earlier = await counts();
    await store(file.bytes, "application/dicom").expect(200);
    await store(multipartBody([file.bytes, file.bytes])).expect(200);
    assert.deepEqual(await counts(), earlier);
  });

  it("refuses other content under the same UIDs, and keeps what was stored", async () => {
    const file = instanceFile();
    const { studyInstanceUid: study, seriesInstanceUid: series, sopInstanceUid: instance } = file;
    await store(file.bytes, "application/dicom").expect(200);
    const earlier = await counts();
    const uids = { StudyInstanceUID: study, SeriesInstanceUID: series, SOPInstanceUID: instance };
    const changed = instanceFile({ ...uids, PatientName: "Other^Patient" });
    const response = await store(changed.bytes, "application/dicom").expect(409);
    const [failed] = items(toDataSet(JSON.parse(response.text)), tag.failedSopSequence);
    assert.equal(first(failed, tag.failureReason), 0x0111);
    assert.deepEqual(await counts(), earlier);
    const url = `${server.url}/dicom-web/studies/${study}/series/${series}/instances/${instance}`;
    const back = await fetch(url, { headers: { Accept: "application/dicom" } });
    assert.deepEqual(Buffer.from(await back.arrayBuffer()), file.bytes);
  });

  it("stores a study that changes its patient, and says so", async () => {
    const file = instanceFile();
    await store(file.bytes, "application/dicom").expect(200);
    const mixed = instanceFile({ StudyInstanceUID: file.studyInstanceUid, PatientID: "SOMEONE-ELSE" });
    const response = await store(mixed.bytes, "application/dicom").expect(200);
    const [item] = items(toDataSet(JSON.parse(response.text)), tag.referencedSopSequence);
    assert.equal(first(item, tag.warningReason), 0xb007);
    assert.match(response.text, /PatientID \(0010,0020\) differs/);
  });

  it("counts right when 16 clients write one series, and one instance", async () => {
    const { studyInstanceUid, seriesInstanceUid } = instanceFile();
    const uids = { StudyInstanceUID: studyInstanceUid, SeriesInstanceUID: seriesInstanceUid };
    const same = instanceFile({ ...uids, InstanceNumber: 0 });
    const clients = Array.from({ length: 16 }, async (_, client) => {
      const files = Array.from({ length: 8 }, (_file, index) =>
        instanceFile({ ...uids, InstanceNumber: client * 8 + index + 1 }),
      );
      const response = await store(multipartBody([...files.map(({ bytes }) => bytes), same.bytes]));
      assert.equal(response.status, 200, response.text);
    });
    await Promise.all(clients);
    const search = await fetch(`${server.url}/dicom-web/studies?StudyInstanceUID=${studyInstanceUid}`);
    const [study] = toDataSet({ list: { vr: "SQ", Value: await search.json() } })["list"]?.Value ?? [];
    assert.equal(first(toDataSet(study), "00201208"), 129);
  });

  it("answers 400 to a body cut short, a wrong boundary, no part and no boundary; nothing stays", async () => {
    const earlier = await counts();
    const whole = multipartBody([instanceFile().bytes]);
    await store(whole.subarray(0, whole.length - 200)).expect(400);
    await store(whole, multipartType.replace("7d1f", "0000")).expect(400);
    await store("", multipartType).expect(400);
    await store(whole, "multipart/related; type=application/dicom").expect(400);
    assert.deepEqual(await counts(), earlier);
  });

  it("keeps the parts before the place where a body is cut short", async () => {
    const file = instanceFile();
    const whole = multipartBody([file.bytes, instanceFile().bytes]);
    const response = await store(whole.subarray(0, whole.length - 200)).expect(202);
    const answer = toDataSet(JSON.parse(response.text));
    assert.equal(first(items(answer, tag.referencedSopSequence)[0], tag.referencedSopInstanceUid), file.sopInstanceUid);
    assert.equal(items(answer, tag.otherFailuresSequence).length + items(answer, tag.failedSopSequence).length, 1);
  });

  it("answers 409 to an empty instance, 415 to other media types, 406 to an Accept it cannot meet", async () => {
    await store("", "application/dicom").expect(409);
    await store("{}", "application/json").expect(415);
    await store(multipartBody([]), multipartType.replace("application/dicom", "image/png")).expect(415);
    await store(instanceFile().bytes, "application/dicom").set("Accept", "text/html").expect(406);
  });

  it("answers a client that writes a large wrong body to its end before it reads", async () => {
    const text = Buffer.alloc(20 * 2 ** 20, "no DICOM ");
    await store(text, "application/dicom").expect(409);
    const headless = Buffer.concat([Buffer.from("\r\n--test-boundary-7d1f\r\n"), Buffer.alloc(20 * 2 ** 20, "x")]);
    await store(headless).expect(400);
  });

  it("refuses more parts than anyone sends in one request", async () => {
    await store(multipartBody(Array.from({ length: 20_001 }, () => Buffer.from("x")))).expect(400);
  });

  it("leaves neither row nor object when the client goes away in the middle", async () => {
    const earlier = await counts();
    const { hostname, port } = new URL(server.url);
    const body = multipartBody([instanceFile().bytes]);
    const socket = connect(Number(port), hostname);
    await once(socket, "connect");
    const head = `POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Type: ${multipartType}\r\nContent-Length: ${body.length}\r\n\r\n`;
    socket.write(head);
    socket.write(body.subarray(0, body.length - 300));
    await sleep(100);
    socket.destroy();
    await sleep(200);
    assert.deepEqual(await counts(), earlier);
    await request(server.url).get("/health/ready").expect(200);
  });
});
