/** DUPLICATES: what happens when UIDs are stored again, in one request and in two, and nothing is lost. */
import assert from "node:assert/strict";
import { readdir, rm, truncate, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { describe, it, type TestContext } from "node:test";
import request from "supertest";
import { z } from "zod";
import { first, items, type JsonDataSet, toDataSet, toDataSets } from "../support/dicom-json.ts";
import { instanceFile, type InstanceFile, multipartBody, multipartType } from "../support/instances.ts";
import { startTestServer } from "../support/server.ts";

const duplicateSopInstance = 0x0111;
const coercion = 0xb000;

const removals = z.object({
  removals: z.array(z.object({ id: z.number(), why: z.string(), sopInstanceUid: z.string() }).loose()),
});

/** The same UIDs with other bytes: another instance number and patient's name. */
function altered(file: InstanceFile, number: number): InstanceFile {
  const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = file;
  return instanceFile({
    StudyInstanceUID: studyInstanceUid,
    SeriesInstanceUID: seriesInstanceUid,
    SOPInstanceUID: sopInstanceUid,
    InstanceNumber: number,
    PatientName: `Corrected^Name${number}`,
  });
}

async function start(t: TestContext, policy: string) {
  const server = await startTestServer({ DUPLICATES: policy });
  t.after(() => server.stop());

  async function store(status: number, ...files: readonly InstanceFile[]): Promise<JsonDataSet> {
    const body = multipartBody(files.map(({ bytes }) => bytes));
    const answer = await request(server.url).post("/dicom-web/studies").set("Content-Type", multipartType).send(body);
    assert.equal(answer.status, status, answer.text);
    return toDataSet(JSON.parse(answer.text));
  }

  /** The files of the object store. */
  async function objectFiles(): Promise<string[]> {
    const entries = await readdir(server.objectFolder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  }

  /** The bytes that are current. */
  async function current({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: InstanceFile): Promise<Buffer> {
    const path = `/dicom-web/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`;
    const answer = await fetch(server.url + path, { headers: { Accept: "application/dicom" } });
    return Buffer.from(await answer.arrayBuffer());
  }

  async function changes() {
    const { body } = await request(server.url).get("/api/changes?limit=1000").expect(200);
    return z
      .object({ changes: z.array(z.object({ action: z.string() })) })
      .parse(body)
      .changes.map((one) => one.action);
  }

  const objects = async () => (await objectFiles()).length;

  async function replaced() {
    const { body } = await request(server.url).get("/api/removed").expect(200);
    return removals.parse(body).removals;
  }

  async function study(file: InstanceFile): Promise<JsonDataSet | undefined> {
    const path = `/dicom-web/studies?StudyInstanceUID=${file.studyInstanceUid}`;
    const { text } = await request(server.url).get(path).expect(200);
    return toDataSets(JSON.parse(text))[0];
  }

  return { server, store, current, changes, objectFiles, objects, replaced, study };
}

/** Reason and words of the first failure. */
function failure(answer: JsonDataSet): { reason: unknown; comment: string } {
  const [failed] = items(answer, "00081198");
  return { reason: first(failed, "00081197"), comment: commentOf(failed) };
}

function commentOf(item: JsonDataSet | undefined): string {
  return item ? String(first(items(item, "00741048")[0], "00000902")) : "";
}

describe("DUPLICATES", () => {
  it("keep: identical bytes are a success, others are refused with the policy's name, and what was there stays", async (t) => {
    const { store, current, changes, objects } = await start(t, "keep");
    const file = instanceFile();
    await store(200, file);
    await store(200, file, file);
    const refused = failure(await store(409, altered(file, 2)));
    assert.equal(refused.reason, duplicateSopInstance);
    assert.match(refused.comment, /DUPLICATES=keep/);
    const fresh = instanceFile();
    const partly = failure(await store(202, fresh, altered(fresh, 3)));
    assert.equal(partly.reason, duplicateSopInstance);
    assert.deepEqual(await current(file), file.bytes);
    assert.deepEqual(await changes(), ["create", "create"]);
    assert.equal(await objects(), 2);
  });

  for (const policy of ["keep", "replace"]) {
    it(`${policy}: identical bytes mend the object that is missing, cut short, or known to be damaged`, async (t) => {
      const { server, store, current, objectFiles } = await start(t, policy);
      const file = instanceFile();
      await store(200, file);
      const [object = ""] = await objectFiles();
      await rm(object);
      await store(200, file);
      assert.deepEqual(await current(file), file.bytes);
      await truncate(object, 200);
      await store(200, file);
      assert.deepEqual(await current(file), file.bytes);
      await writeFile(object, Buffer.alloc(file.bytes.byteLength, 7));
      const key = relative(server.objectFolder, object);
      await server.knex("integrity_fault").insert({ blob_key: key, kind: "wrong-sha256", detail: "It is rotten." });
      await store(200, file);
      assert.deepEqual(await current(file), file.bytes);
      assert.equal((await server.knex("integrity_fault").whereNull("resolved_at")).length, 0);
      assert.deepEqual(await objectFiles(), [object]);
    });
  }

  for (const policy of ["keep", "replace"]) {
    it(`${policy}: the same data set with other file meta information is identical, in the same transfer syntax`, async (t) => {
      const { store, current, changes, objects } = await start(t, policy);
      const file = instanceFile();
      await store(200, file);
      // A file without a preamble begins with its file meta information.
      const { bytes } = file;
      const otherPreamble = Buffer.concat([Buffer.alloc(128, 1), bytes.subarray(128)]);
      const warned = async (again: Buffer<ArrayBuffer>) => {
        const [stored] = items(await store(200, { ...file, bytes: again }), "00081199");
        return first(stored, "00081196") !== undefined;
      };
      assert.deepEqual([await warned(otherPreamble), await warned(bytes.subarray(132))], [false, true]);
      assert.deepEqual([await current(file), await changes(), await objects()], [bytes, ["create"], 1]);
      const otherSyntax = Buffer.from(bytes);
      otherSyntax.write("1.2.840.10008.1.2.5\0", bytes.indexOf("1.2.840.10008.1.2.1\0"), "latin1");
      const altogether = { ...file, bytes: otherSyntax };
      if (policy === "keep") assert.equal(failure(await store(409, altogether)).reason, duplicateSopInstance);
      else await store(200, altogether);
      assert.deepEqual(await current(file), policy === "keep" ? bytes : otherSyntax);
    });
  }

  it("reject: identical bytes fail, too", async (t) => {
    const { store, current, changes, objects } = await start(t, "reject");
    const file = instanceFile();
    await store(200, file);
    for (const again of [file, altered(file, 2)]) {
      const refused = failure(await store(409, again));
      assert.equal(refused.reason, duplicateSopInstance);
      assert.match(refused.comment, /DUPLICATES=reject/);
    }
    const fresh = instanceFile();
    assert.equal(items(await store(202, fresh, fresh), "00081198").length, 1);
    assert.deepEqual(await current(file), file.bytes);
    assert.deepEqual(await changes(), ["create", "create"]);
    assert.equal(await objects(), 2);
  });

  it("replace: other bytes become current, with a warning, and what was there can be restored", async (t) => {
    const { server, store, current, changes, objects, replaced, study } = await start(t, "replace");
    const file = instanceFile();
    await store(200, file);
    await store(200, file);
    const metadata = `/dicom-web/studies/${file.studyInstanceUid}/metadata`;
    const earlier = await request(server.url).get(metadata).expect(200);
    const newer = altered(file, 2);
    const [stored] = items(await store(200, newer), "00081199");
    assert.equal(first(stored, "00081196"), coercion);
    assert.match(commentOf(stored), /DUPLICATES=replace/);
    assert.deepEqual(await current(file), newer.bytes);
    const later = await request(server.url).get(metadata).expect(200);
    assert.notEqual(later.headers["etag"], earlier.headers["etag"]);
    const found = await study(file);
    assert.equal(first(found, "00201208"), 1);
    assert.deepEqual(first(found, "00100010"), { Alphabetic: "Corrected^Name2" });
    assert.deepEqual(await changes(), ["create", "update"]);
    assert.equal(await objects(), 2);

    const [removal] = await replaced();
    assert.deepEqual([removal?.why, removal?.sopInstanceUid], ["replaced", file.sopInstanceUid]);
    const { body } = await request(server.url).post(`/api/removed/${removal?.id}/restore`).expect(200);
    assert.deepEqual(body, { restored: 1, stillRemoved: [] });
    assert.deepEqual(await current(file), file.bytes);
    assert.deepEqual(first(await study(file), "00100010"), { Alphabetic: "Test^Patient" });
    const [swapped] = await replaced();
    await request(server.url).post(`/api/removed/${swapped?.id}/restore`).expect(200);
    assert.deepEqual(await current(file), newer.bytes);
    assert.deepEqual(await changes(), ["create", "update", "update", "update"]);
    assert.equal(await objects(), 2);
  });

  it("replace: of the parts of one request one is current, and none is lost", async (t) => {
    const { store, current, replaced, objects, study } = await start(t, "replace");
    const file = instanceFile();
    const files = [file, ...[2, 3, 4, 5].map((number) => altered(file, number))];
    await store(200, ...files);
    const last = await current(file);
    assert.ok(files.some(({ bytes }) => bytes.equals(last)));
    assert.equal((await replaced()).length, 4);
    assert.equal(await objects(), 5);
    assert.equal(first(await study(file), "00201208"), 1);
  });

  it("replace: stores of the same instance at once neither fail nor lose one", async (t) => {
    const { store, replaced, objects, study } = await start(t, "replace");
    const file = instanceFile();
    const files = Array.from({ length: 12 }, (_, number) => altered(file, number + 1));
    await Promise.all(files.map((one) => store(200, one)));
    assert.equal((await replaced()).length, 11);
    assert.equal(await objects(), 12);
    assert.equal(first(await study(file), "00201208"), 1);
  });

  it("replace: only the instance that describes the study changes whose it is, and another patient is told of", async (t) => {
    const { store, study } = await start(t, "replace");
    const file = instanceFile({ PatientID: "A" });
    const uids = { StudyInstanceUID: file.studyInstanceUid, SeriesInstanceUID: file.seriesInstanceUid };
    const second = instanceFile({ ...uids, PatientID: "A" });
    await store(200, file);
    await store(200, second);
    const ofOther = (of: InstanceFile) => instanceFile({ ...uids, SOPInstanceUID: of.sopInstanceUid, PatientID: "B" });
    const [stored] = items(await store(200, ofOther(second)), "00081199");
    assert.match(JSON.stringify(stored), /PatientID \(0010,0020\) differs/);
    assert.equal(first(await study(file), "00100020"), "A");
    const [again] = items(await store(200, ofOther(file)), "00081199");
    assert.match(JSON.stringify(again), /PatientID \(0010,0020\) differs/);
    assert.equal(first(await study(file), "00100020"), "B");
  });
});
