/** The retrieve transaction: instances, metadata, frames and bulk data, and what is refused. */
import assert from "node:assert/strict";
import { readdir, readlink, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import request from "supertest";
import { first, toDataSets } from "../support/dicom-json.ts";
import { instanceFile, type InstanceFile, multipartBody, multipartType } from "../support/instances.ts";
import { partsOf, type ReceivedPart } from "../support/parts.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("GET of studies, series, instances, metadata, frames and bulk data", () => {
  let server: TestServer;
  let one: InstanceFile;
  let other: InstanceFile;
  const overlay = Uint8Array.from({ length: 3000 }, (_, index) => index % 251);

  before(async () => {
    server = await startTestServer();
    one = instanceFile({ InstanceNumber: 2, ICCProfile: overlay.buffer });
    const { studyInstanceUid, seriesInstanceUid } = one;
    const uids = { StudyInstanceUID: studyInstanceUid, SeriesInstanceUID: seriesInstanceUid };
    other = instanceFile({
      ...uids,
      InstanceNumber: 1,
      NumberOfFrames: 2,
      PixelData: Uint8Array.from({ length: 32 }, (_, i) => i).buffer,
    });
    const stored = await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", multipartType)
      .send(multipartBody([one.bytes, other.bytes]));
    assert.equal(stored.status, 200, stored.text);
  });
  after(() => server.stop());

  const studyPath = () => `/dicom-web/studies/${one.studyInstanceUid}`;
  const seriesPath = () => `${studyPath()}/series/${one.seriesInstanceUid}`;
  const instancePath = (file = one) => `${seriesPath()}/instances/${file.sopInstanceUid}`;

  async function parts(path: string, accept?: string): Promise<ReceivedPart[]> {
    const response = await fetch(server.url + path, accept === undefined ? {} : { headers: { Accept: accept } });
    return partsOf(response);
  }

  it("sends a study and a series as parts in instance order, an instance also alone", async () => {
    for (const path of [studyPath(), seriesPath()]) {
      const found = await parts(path, 'multipart/related; type="application/dicom"; transfer-syntax=*');
      assert.deepEqual(
        found.map(({ bytes }) => bytes),
        [other.bytes, one.bytes],
      );
      assert.equal(found[0]?.contentType, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1");
      assert.equal(found[0]?.location, server.url + instancePath(other));
    }
    assert.deepEqual(
      (await parts(instancePath())).map(({ bytes }) => bytes),
      [one.bytes],
    );
    const alone = await request(server.url).get(instancePath()).set("Accept", "application/dicom").buffer().expect(200);
    assert.equal(alone.headers["content-length"], String(one.bytes.length));
  });

  it("refuses a transfer syntax that is not stored, and says which is", async () => {
    const response = await request(server.url)
      .get(instancePath())
      .set("Accept", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50")
      .expect(406);
    assert.match(response.text, /1\.2\.840\.10008\.1\.2\.1\b/);
    await request(server.url).get(studyPath()).set("Accept", "application/dicom").expect(406);
  });

  it("refuses a series of which one instance is not in the transfer syntax asked for, rather than leave it out", async () => {
    const { bytes, studyInstanceUid: study, seriesInstanceUid: series } = instanceFile({ InstanceNumber: 1 });
    const uids = { StudyInstanceUID: study, SeriesInstanceUID: series, InstanceNumber: 2 };
    // The same length, so that only the transfer syntax changes: explicit VR little endian under another name.
    const named = Buffer.from(instanceFile(uids).bytes);
    named.write("1.2.840.10008.1.2.9", named.indexOf("1.2.840.10008.1.2.1"));
    for (const body of [bytes, named]) {
      await request(server.url)
        .post("/dicom-web/studies")
        .set("Content-Type", "application/dicom")
        .send(body)
        .expect(200);
    }
    const path = `/dicom-web/studies/${study}/series/${series}`;
    const asking = (syntax: string) => `multipart/related; type="application/dicom"; transfer-syntax=${syntax}`;
    await request(server.url).get(path).set("Accept", asking("1.2.840.10008.1.2.1")).expect(406);
    await request(server.url).get(path).set("Accept", asking("1.2.840.10008.1.2.9")).expect(406);
    assert.equal((await parts(path, asking("*"))).length, 2);
    const both = `${asking("1.2.840.10008.1.2.1")}, ${asking("1.2.840.10008.1.2.9")}`;
    assert.equal((await parts(path, both)).length, 2);
  });

  it("sends metadata at each level, with an ETag that changes with the series", async () => {
    for (const [path, count] of [
      [studyPath(), 2],
      [seriesPath(), 2],
      [instancePath(), 1],
    ] as const) {
      const response = await request(server.url).get(`${path}/metadata`).expect(200);
      assert.equal(toDataSets(JSON.parse(response.text)).length, count, path);
    }
    const fresh = await request(server.url).get(`${seriesPath()}/metadata`);
    const etag = fresh.headers["etag"] ?? "";
    await request(server.url).get(`${seriesPath()}/metadata`).set("If-None-Match", etag).expect(304);
    const { studyInstanceUid, seriesInstanceUid } = one;
    const third = instanceFile({
      StudyInstanceUID: studyInstanceUid,
      SeriesInstanceUID: seriesInstanceUid,
      InstanceNumber: 3,
    });
    await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", "application/dicom")
      .send(third.bytes)
      .expect(200);
    const changed = await request(server.url).get(`${seriesPath()}/metadata`).set("If-None-Match", etag).expect(200);
    assert.equal(toDataSets(JSON.parse(changed.text)).length, 3);
  });

  it("sends metadata as XML, one document an instance, compressed where the client takes it", async () => {
    const documents = await parts(`${seriesPath()}/metadata`, 'multipart/related; type="application/dicom+xml"');
    assert.equal(documents.length, 3);
    for (const { contentType, bytes } of documents) {
      assert.equal(contentType, "application/dicom+xml");
      assert.match(
        bytes.toString(),
        /^<\?xml version="1.0" encoding="UTF-8"\?>\n<NativeDicomModel .*<\/NativeDicomModel>\n$/s,
      );
    }
    const alone = await fetch(`${server.url}${instancePath()}/metadata`, {
      headers: { Accept: "application/dicom+xml" },
    });
    assert.equal(alone.headers.get("content-type"), "application/dicom+xml");
    assert.match(await alone.text(), /keyword="PatientName"><PersonName number="1"><Alphabetic><FamilyName>Test</);
    const refused = await request(server.url).get(`${seriesPath()}/metadata`).set("Accept", "application/dicom+xml");
    assert.equal(refused.status, 406);
    assert.match(refused.text, /application\/dicom\+json.*multipart\/related; type=\\"application\/dicom\+xml\\"/);
  });

  it("puts long binary values behind a BulkDataURI that can be fetched, single and multipart", async () => {
    const response = await request(server.url).get(`${instancePath()}/metadata`).expect(200);
    const [metadata] = toDataSets(JSON.parse(response.text));
    const uri = String(metadata?.["00282000"]?.["BulkDataURI"]);
    assert.equal(uri, `${server.url}${instancePath()}/bulkdata/00282000`);
    const value = await fetch(uri);
    assert.equal(value.headers.get("content-type"), "application/octet-stream");
    assert.equal(value.headers.get("vary"), "Accept");
    assert.deepEqual(Buffer.from(await value.arrayBuffer()), Buffer.from(overlay));
    const path = uri.slice(server.url.length);
    const [part] = await parts(path, 'multipart/related; type="application/octet-stream"');
    assert.deepEqual(part?.bytes, Buffer.from(overlay));
    assert.equal(first(metadata, "00083002"), "1.2.840.10008.1.2.1");
    await request(server.url).get(`${instancePath()}/bulkdata/7FE00010`).expect(200);
    await request(server.url).get(`${instancePath()}/bulkdata/00100010`).expect(404);
    await request(server.url).get(`${instancePath()}/bulkdata/..%2F..%2Fetc`).expect(400);
  });

  it("sends frames in the order asked for, one alone as a single part when asked", async () => {
    const frames = await parts(
      `${instancePath(other)}/frames/2,1`,
      "multipart/related; type=application/octet-stream; transfer-syntax=*",
    );
    assert.deepEqual(
      frames.map(({ bytes }) => bytes[0]),
      [16, 0],
    );
    assert.equal(frames[0]?.contentType, "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1");
    const single = await fetch(`${server.url}${instancePath(other)}/frames/2`, {
      headers: { Accept: "application/octet-stream" },
    });
    assert.equal(single.headers.get("content-type"), "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1");
    assert.equal((await single.arrayBuffer()).byteLength, 16);
    // A browser keeps frames for long, and asks for them in several types.
    assert.equal(single.headers.get("vary"), "Accept");
    await request(server.url)
      .get(`${instancePath(other)}/frames/1`)
      .set("Accept", "image/jpeg")
      .expect(406);
  });

  it("answers 404 to what is absent and 400 to what is no UID, frame or path, with a problem document", async () => {
    const absent = instanceFile();
    const cases: readonly (readonly [path: string, status: number])[] = [
      [`/dicom-web/studies/${absent.studyInstanceUid}`, 404],
      [`${studyPath()}/series/${absent.seriesInstanceUid}`, 404],
      [`${seriesPath()}/instances/${absent.sopInstanceUid}`, 404],
      [`${seriesPath()}/instances/${absent.sopInstanceUid}/metadata`, 404],
      [`/dicom-web/studies/${absent.studyInstanceUid}/series/${one.seriesInstanceUid}/metadata`, 404],
      [`${instancePath(other)}/frames/3`, 404],
      [`${instancePath(other)}/frames/1000000000`, 400],
      [`${instancePath(other)}/frames/0`, 400],
      [`${instancePath(other)}/frames/1,x`, 400],
      ["/dicom-web/studies/1.2.letters/metadata", 400],
      ["/dicom-web/studies/..%2F..%2Fetc%2Fpasswd", 400],
      ["/dicom-web/nothing", 404],
      ["/dicom-web/studies/%E0%A4%A", 400],
    ];
    for (const [path, status] of cases) {
      const response = await request(server.url).get(path);
      assert.equal(response.status, status, `${path}: ${response.text}`);
      assert.match(response.headers["content-type"] ?? "", /^application\/problem\+json/, path);
      assert.doesNotMatch(response.text, /node_modules|\bat \/|select |\.ts:/, path);
    }
  });

  it(
    "keeps no file open for a client that goes away, or that asks by HEAD",
    { skip: process.platform !== "linux" && "needs /proc: run on Linux" },
    async () => {
      const openFiles = async () => {
        const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ""));
        return (await Promise.all(links)).filter((file) => file.startsWith(server.objectFolder)).length;
      };
      for (let round = 0; round < 40; round += 1) {
        const gone = new AbortController();
        const path = round % 2 === 0 ? seriesPath() : instancePath();
        const asked = fetch(server.url + path, {
          signal: gone.signal,
          headers: { Accept: round % 2 === 0 ? "*/*" : "application/dicom" },
        });
        setTimeout(() => gone.abort(), round % 7);
        await asked.then((response) => response.arrayBuffer()).catch(() => undefined);
        await request(server.url).head(instancePath()).set("Accept", "application/dicom").expect(200);
      }
      await sleep(100);
      assert.equal(await openFiles(), 0);
    },
  );

  it("answers 500 with a problem document when the bytes of an instance are gone", async () => {
    const lost = instanceFile();
    await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", "application/dicom")
      .send(lost.bytes)
      .expect(200);
    const [row]: { blob_key: string }[] = await server.knex("instance").where("sop_instance_uid", lost.sopInstanceUid);
    await rm(join(server.objectFolder, row?.blob_key ?? ""));
    const series = `/dicom-web/studies/${lost.studyInstanceUid}/series/${lost.seriesInstanceUid}`;
    for (const at of [
      series,
      `${series}/instances/${lost.sopInstanceUid}`,
      `${series}/instances/${lost.sopInstanceUid}/frames/1`,
    ]) {
      const response = await request(server.url).get(at).expect(500);
      assert.equal(JSON.parse(response.text).code, "no-such-blob", at);
    }
  });

  it("sends no instance as if it were whole whose bytes were cut short", async () => {
    const cut = instanceFile();
    await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", "application/dicom")
      .send(cut.bytes)
      .expect(200);
    const [row]: { blob_key: string }[] = await server.knex("instance").where("sop_instance_uid", cut.sopInstanceUid);
    await truncate(join(server.objectFolder, row?.blob_key ?? ""), cut.bytes.length - 2);
    const series = `/dicom-web/studies/${cut.studyInstanceUid}/series/${cut.seriesInstanceUid}`;
    for (const at of [series, `${series}/instances/${cut.sopInstanceUid}`]) {
      const response = await request(server.url).get(at).expect(500);
      assert.equal(JSON.parse(response.text).code, "no-such-blob", at);
    }
  });

  it("answers HEAD as GET without a body", async () => {
    const response = await request(server.url).head(instancePath()).set("Accept", "application/dicom").expect(200);
    assert.equal(response.headers["content-length"], String(one.bytes.length));
  });
});
