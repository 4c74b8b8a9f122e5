/** Non-Patient Instance Service (PS3.18 12) through the web door. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { newUid } from "../../server/dicom/uid.ts";
import { first, items, toDataSet } from "../support/dicom-json.ts";
import { instanceFile, multipartBody, multipartType } from "../support/instances.ts";
import { colorPalette, palette } from "../support/palettes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("non-patient instances", () => {
  let server: TestServer;
  const hot = palette("HOT_IRON");
  const pet = palette("PET", { ContentDate: "20240506" });

  before(async () => {
    server = await startTestServer();
    for (const { bytes } of [hot, pet]) assert.equal((await post("color-palettes", bytes)).status, 200);
  });
  after(() => server.stop());

  function post(resource: string, body: Buffer<ArrayBuffer>, contentType = "application/dicom", accept = "*/*") {
    const headers = { "Content-Type": contentType, Accept: accept };
    return fetch(`${server.url}/dicom-web/${resource}`, { method: "POST", headers, body });
  }

  function get(resource: string, accept = "*/*", headers = {}) {
    return fetch(`${server.url}/dicom-web/${resource}`, { headers: { Accept: accept, ...headers } });
  }

  async function objects(): Promise<number> {
    const entries = await readdir(server.objectFolder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).length;
  }

  async function labels(query: string): Promise<unknown[]> {
    const response = await get(`color-palettes?${query}`);
    assert.equal(response.status, 200, query);
    const found: unknown = await response.json();
    assert.ok(Array.isArray(found));
    return found.map((answer) => first(toDataSet(answer), "00700080"));
  }

  it("answers a store with a reference and a URL, where the file is", async () => {
    const stored = palette("SPRING");
    const response = await post(`color-palettes/${stored.uid}`, stored.bytes);
    assert.equal(response.status, 200);
    const [item] = items(toDataSet(await response.json()), "00081199");
    assert.equal(first(item, "00081150"), colorPalette);
    const url = String(first(item, "00081190"));
    assert.equal(url, `${server.url}/dicom-web/color-palettes/${stored.uid}`);
    const file = await fetch(url, { headers: { Accept: "application/dicom" } });
    assert.equal(file.headers.get("content-type"), "application/dicom; transfer-syntax=1.2.840.10008.1.2.1");
    assert.ok(Buffer.from(await file.arrayBuffer()).equals(stored.bytes));
  });

  it("keeps what is there: the same bytes are a success, others are refused", async () => {
    const count = await objects();
    assert.equal((await post("color-palettes", hot.bytes)).status, 200);
    const other = palette("OTHER", { SOPInstanceUID: hot.uid });
    const response = await post("color-palettes", other.bytes);
    assert.equal(response.status, 409);
    const [failed] = items(toDataSet(await response.json()), "00081198");
    assert.equal(first(failed, "00081155"), hot.uid);
    assert.equal(first(failed, "00081197"), 0x0111);
    assert.equal(await objects(), count);
  });

  it("are told where to go when they are stored as instances of a patient", async () => {
    const response = await post("studies", hot.bytes);
    assert.equal(response.status, 409);
    assert.match(await response.text(), /color-palettes/);
  });

  it("refuses what does not belong, alone", async () => {
    const count = await objects();
    const { bytes } = instanceFile();
    assert.equal((await post("color-palettes", bytes)).status, 409);
    assert.equal((await post("hanging-protocols", hot.bytes)).status, 409);
    assert.equal((await post(`color-palettes/${newUid()}`, palette("X").bytes)).status, 409);
    assert.equal((await post("color-palettes", Buffer.from("no file"))).status, 409);
    assert.equal((await post("color-palettes", Buffer.from("{}"), "application/dicom+json")).status, 415);
    assert.equal(await objects(), count);
    const some = await post("color-palettes", multipartBody([bytes, palette("SOME").bytes]), multipartType);
    assert.equal(some.status, 200);
    assert.equal(items(toDataSet(await some.json()), "00081198").length, 1);
  });

  it("finds them by every kind of key", async () => {
    assert.deepEqual(await labels("ContentLabel=PET"), ["PET"]);
    assert.deepEqual(await labels("ContentLabel=HOT*"), ["HOT_IRON"]);
    assert.deepEqual(await labels("00080023=20240501-"), ["PET"]);
    assert.deepEqual(await labels(`SOPInstanceUID=${hot.uid},${pet.uid}`), ["HOT_IRON", "PET"]);
    assert.deepEqual(await labels("ContentCreatorName=maler*&limit=1&offset=1"), ["PET"]);
    assert.deepEqual(await labels("ContentLabel=absent"), []);
    assert.deepEqual(await (await get("hanging-protocols")).json(), []);
  });

  it("leads on by a link, and counts", async () => {
    const seen: unknown[] = [];
    let url: string | undefined = `${server.url}/dicom-web/color-palettes?limit=1&count=true&includefield=ContentLabel`;
    let total = "";
    while (url !== undefined && seen.length < 20) {
      const response: Response = await fetch(url);
      const found: unknown = await response.json();
      assert.ok(Array.isArray(found) && found.length === 1);
      const dataSet = toDataSet(found[0]);
      assert.equal(dataSet["00281201"], undefined, "tables are answered when they are asked for");
      seen.push(first(dataSet, "00080018"));
      total = response.headers.get("x-total-count") ?? "";
      url = /^<([^>]*)>; rel="next"$/.exec(response.headers.get("link") ?? "")?.[1];
    }
    assert.equal(new Set(seen).size, seen.length);
    assert.equal(total, `${seen.length}`);
    for (const query of ["orderby=ContentLabel", "cursor=x"]) {
      assert.equal((await get(`color-palettes?${query}`)).status, 400, query);
    }
    const fuzzy = await get("color-palettes?ContentCreatorName=Maler*&fuzzymatching=true");
    assert.match(fuzzy.headers.get("warning") ?? "", /literal/);
  });

  it("are deleted for good, and their bytes are swept", async () => {
    const gone = palette("GONE");
    const path = `color-palettes/${gone.uid}`;
    assert.equal((await post("color-palettes", gone.bytes)).status, 200);
    const remove = () => fetch(`${server.url}/dicom-web/${path}`, { method: "DELETE" });
    const row = await server.knex("non_patient_instance").where({ sop_instance_uid: gone.uid }).first("blob_key");
    assert.equal((await remove()).status, 204);
    assert.equal((await get(path)).status, 404);
    assert.equal((await remove()).status, 404);
    const swept = await server.knex("sweep").where({ blob_key: row.blob_key });
    assert.equal(swept.length, 1);
  });

  it("refuses a malformed search, naming the parameter", async () => {
    for (const query of ["NoSuchKeyword=1", "ContentDate=yesterday", "limit=x", "SOPInstanceUID=abc"]) {
      const response = await get(`color-palettes?${query}`);
      assert.equal(response.status, 400, query);
      assert.match(await response.text(), new RegExp(query.split("=", 1)[0] ?? ""));
    }
  });

  it("retrieves one as JSON, XML and a file, with its bulk data", async () => {
    const response = await get(`color-palettes/${hot.uid}`);
    assert.equal(response.headers.get("content-type"), "application/dicom+json");
    const found: unknown = await response.json();
    assert.ok(Array.isArray(found));
    const dataSet = toDataSet(found[0]);
    assert.equal(first(dataSet, "00700080"), "HOT_IRON");
    const uri = `${server.url}/dicom-web/color-palettes/${hot.uid}/bulkdata/00281201`;
    assert.equal(dataSet["00281201"]?.["BulkDataURI"], uri);
    const value = Buffer.from(await (await fetch(uri)).arrayBuffer());
    assert.equal(value.length, 4096);
    assert.equal(value[252], 1);
    const xml = await get(`color-palettes/${hot.uid}`, "application/dicom+xml");
    assert.match(await xml.text(), /keyword="ContentLabel".*HOT_IRON/s);
    const part = await get(`color-palettes/${hot.uid}`, 'multipart/related; type="application/dicom"');
    assert.ok(Buffer.from(await part.arrayBuffer()).includes(hot.bytes));
    const range = await get(`color-palettes/${hot.uid}`, "application/dicom", { Range: "bytes=128-131" });
    assert.equal(range.status, 206);
    assert.equal(await range.text(), "DICM");
    assert.equal((await get(`color-palettes/${hot.uid}`, "image/png")).status, 406);
  });

  it("does not know others, nor one of another category", async () => {
    assert.equal((await get(`color-palettes/${newUid()}`)).status, 404);
    assert.equal((await get(`hanging-protocols/${hot.uid}`)).status, 404);
    assert.equal((await get("color-palettes/x")).status, 400);
    assert.equal((await get(`color-palettes/${hot.uid}/bulkdata/00100010`)).status, 404);
  });
});
