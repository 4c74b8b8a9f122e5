/** Storage Commitment Service (PS3.18 13) through the web door. */
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { createCommitment } from "../../server/archive/commitment.ts";
import { newUid } from "../../server/dicom/uid.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { type InstanceFile, instanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7";
const ctImage = "1.2.840.10008.5.1.4.1.1.2";

describe("storage commitment", () => {
  let server: TestServer;
  let first: InstanceFile;
  let second: InstanceFile;

  before(async () => {
    server = await startTestServer();
    first = instanceFile();
    second = instanceFile({ StudyInstanceUID: first.studyInstanceUid });
    for (const { bytes } of [first, second]) {
      const headers = { "Content-Type": "application/dicom" };
      const response = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body: bytes });
      assert.equal(response.status, 200);
    }
  });
  after(() => server.stop());

  function request(transactionUid: string, dataSet: unknown, contentType = "application/dicom+json") {
    const body = typeof dataSet === "string" ? dataSet : JSON.stringify(dataSet);
    const headers = { "Content-Type": contentType, Accept: "application/dicom+json" };
    return fetch(`${server.url}/dicom-web/commitment-requests/${transactionUid}`, { method: "POST", headers, body });
  }

  const check = (transactionUid: string) => fetch(`${server.url}/dicom-web/commitment-requests/${transactionUid}`);

  const uid = (value: string) => ({ vr: "UI", Value: [value] });
  const sequence = (...items: unknown[]) => ({ vr: "SQ", Value: items });
  const reference = (sopInstanceUid: string, sopClassUid = secondaryCapture) => ({
    "00081150": uid(sopClassUid),
    "00081155": uid(sopInstanceUid),
  });

  it("commits to what it keeps, and says why it does not to the rest", async () => {
    const transactionUid = newUid();
    const absent = newUid();
    const asked = sequence(
      reference(first.sopInstanceUid),
      reference(second.sopInstanceUid, ctImage),
      reference(absent),
    );
    const response = await request(transactionUid, { "00081199": asked });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "application/dicom+json");
    const result = {
      "00081199": sequence(reference(first.sopInstanceUid)),
      "00081198": sequence(
        { ...reference(second.sopInstanceUid, ctImage), "00081197": { vr: "US", Value: [0x0119] } },
        { ...reference(absent), "00081197": { vr: "US", Value: [0x0112] } },
      ),
    };
    assert.deepEqual(await response.json(), result);
    const again = await check(transactionUid);
    assert.equal(again.status, 200);
    assert.deepEqual(await again.json(), result);
  });

  it("takes and answers XML as well", async () => {
    const item = `<DicomAttribute tag="00081150" vr="UI" keyword="ReferencedSOPClassUID"><Value number="1">${secondaryCapture}</Value></DicomAttribute>
      <DicomAttribute tag="00081155" vr="UI" keyword="ReferencedSOPInstanceUID"><Value number="1">${first.sopInstanceUid}</Value></DicomAttribute>`;
    const body = `<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM"><DicomAttribute tag="00081199" vr="SQ" keyword="ReferencedSOPSequence"><Item number="1">${item}</Item></DicomAttribute></NativeDicomModel>`;
    const headers = { "Content-Type": "application/dicom+xml", Accept: "application/dicom+xml" };
    const ask = (text: string) =>
      fetch(`${server.url}/dicom-web/commitment-requests/${newUid()}`, { method: "POST", headers, body: text });
    const response = await ask(body);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "application/dicom+xml");
    const answer = await response.text();
    assert.match(answer, /keyword="ReferencedSOPSequence"/);
    assert.ok(answer.includes(first.sopInstanceUid) && !answer.includes("FailedSOPSequence"));
    assert.equal((await ask("<nonsense/>")).status, 400);
  });

  it("answers a request by studies likewise", async () => {
    const study = (file: InstanceFile, seriesInstanceUid = file.seriesInstanceUid, extra = {}) =>
      sequence({
        "0020000D": uid(file.studyInstanceUid),
        "00081115": sequence({
          "0020000E": uid(seriesInstanceUid),
          "00081112": sequence({
            "00081150": uid(secondaryCapture),
            "0008114A": sequence({ "00081155": uid(file.sopInstanceUid), ...extra }),
          }),
        }),
      });
    const right = await request(newUid(), { "00081110": study(first) });
    assert.deepEqual(await right.json(), { "00081110": study(first) });
    const wrongSeries = await request(newUid(), { "00081110": study(first, second.seriesInstanceUid) });
    assert.deepEqual(await wrongSeries.json(), {
      "0008119B": study(first, second.seriesInstanceUid, { "00081197": { vr: "US", Value: [0x0112] } }),
    });
  });

  it("does not commit to an instance whose bytes are gone", async () => {
    const file = instanceFile();
    const headers = { "Content-Type": "application/dicom" };
    await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body: file.bytes });
    const row = await server.knex("instance").where({ sop_instance_uid: file.sopInstanceUid }).first("blob_key");
    await rm(path.join(server.objectFolder, row.blob_key));
    const response = await request(newUid(), { "00081199": sequence(reference(file.sopInstanceUid)) });
    const failed = { ...reference(file.sopInstanceUid), "00081197": { vr: "US", Value: [0x0110] } };
    assert.deepEqual(await response.json(), { "00081198": sequence(failed) });
  });

  it("refuses a Transaction UID that is in use with 409, and does not know others", async () => {
    const transactionUid = newUid();
    const dataSet = { "00081199": sequence(reference(first.sopInstanceUid)) };
    assert.equal((await request(transactionUid, dataSet)).status, 200);
    assert.equal((await request(transactionUid, dataSet)).status, 409);
    assert.equal((await check(newUid())).status, 404);
  });

  it("says that a result is gone when it has been forgotten", async () => {
    const transactionUid = newUid();
    await request(transactionUid, { "00081199": sequence(reference(first.sopInstanceUid)) });
    await server.knex("commitment").where({ transaction_uid: transactionUid }).update({ result: null });
    assert.equal((await check(transactionUid)).status, 410);
  });

  it("answers 202 while a request is being worked on", async () => {
    const transactionUid = newUid();
    const asked = { form: "instances", references: [] };
    await server.knex("commitment").insert({ transaction_uid: transactionUid, request: JSON.stringify(asked) });
    const response = await check(transactionUid);
    assert.equal(response.status, 202);
    assert.equal(response.headers.get("retry-after"), "5");
    assert.equal(await response.text(), "");
  });

  it("lets the background finish what a process left", async () => {
    const transactionUid = newUid();
    const asked = { form: "instances", references: [{ sopClassUid: ctImage, sopInstanceUid: first.sopInstanceUid }] };
    const row = { transaction_uid: transactionUid, request: JSON.stringify(asked), created_at: "2024-01-01" };
    await server.knex("commitment").insert(row);
    const { commitments } = createCatalog(server.knex);
    const use = createCommitment({ stat: async () => undefined }, { commitments });
    await use.finishAbandonedCommitments();
    const response = await check(transactionUid);
    assert.equal(response.status, 200);
    const failed = { ...reference(first.sopInstanceUid, ctImage), "00081197": { vr: "US", Value: [0x0119] } };
    assert.deepEqual(await response.json(), { "00081198": sequence(failed) });
  });

  it("refuses what is no request with 400 or 415, naming the place", async () => {
    const cases: readonly (readonly [unknown, RegExp])[] = [
      [{}, /one of ReferencedSOPSequence/],
      [{ "00081199": sequence(), "00081110": sequence() }, /one of ReferencedSOPSequence/],
      [{ "00081199": sequence() }, /00081199/],
      [{ "00081199": sequence({ "00081150": uid("x") }) }, /00081150/],
      ["{", /not JSON/],
      ["[]", /DICOM JSON/],
      ["7", /DICOM JSON/],
    ];
    for (const [dataSet, reason] of cases) {
      const response = await request(newUid(), dataSet);
      assert.equal(response.status, 400, JSON.stringify(dataSet));
      assert.match(await response.text(), reason);
    }
    assert.equal((await request(newUid(), "x", "text/plain")).status, 415);
    assert.equal((await request("abc", {})).status, 400);
  });
});
