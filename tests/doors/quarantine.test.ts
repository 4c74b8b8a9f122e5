/** QUARANTINE and /api/quarantine: what cannot be stored for its content is kept whole, listed, tried again and purged. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import request from "supertest";
import { z } from "zod";
import { first, items, type JsonDataSet, toDataSet } from "../support/dicom-json.ts";
import { instanceFile, multipartBody, multipartType } from "../support/instances.ts";
import { rawRequest } from "../support/raw-http.ts";
import { relatedBody } from "../support/related.ts";
import { freshBucket, s3Requirement, startS3 } from "../support/s3.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const file = z
  .object({
    id: z.number(),
    reason: z.string(),
    detail: z.string(),
    byteLength: z.number(),
    sha256: z.string(),
    count: z.number(),
    retries: z.number(),
  })
  .loose();
const page = z.object({ files: z.array(file), next: z.number().nullable() });

async function start(t: TestContext, settings: Readonly<Record<string, string>> = {}): Promise<TestServer> {
  const server = await startTestServer({ QUARANTINE: "true", ...settings });
  t.after(() => server.stop());
  return server;
}

async function store(server: TestServer, status: number, ...files: readonly Buffer[]): Promise<JsonDataSet> {
  const body = multipartBody(files);
  const answer = await request(server.url).post("/dicom-web/studies").set("Content-Type", multipartType).send(body);
  assert.equal(answer.status, status, answer.text);
  return toDataSet(JSON.parse(answer.text));
}

async function list(server: TestServer, query = "") {
  const { body } = await request(server.url).get(`/api/quarantine?${query}`).expect(200);
  return page.parse(body);
}

async function contentOf(server: TestServer, id: number | undefined): Promise<Buffer> {
  const answer = await fetch(`${server.url}/api/quarantine/${id}/content`);
  assert.equal(answer.status, 200);
  return Buffer.from(await answer.arrayBuffer());
}

/** Reasons and comments of the instances that were not stored. */
function failures(answer: JsonDataSet): { readonly reason: unknown; readonly comments: unknown[] }[] {
  return [...items(answer, "00081198"), ...items(answer, "0008119A")].map((item) => ({
    reason: first(item, "00081197"),
    comments: items(item, "00741048").map((comment) => first(comment, "00000902")),
  }));
}

async function objects(server: TestServer): Promise<string[]> {
  const entries = await readdir(server.objectFolder, { recursive: true, withFileTypes: true });
  const kept = entries.filter((entry) => entry.isFile());
  const keys = kept.map(({ parentPath, name }) => path.relative(server.objectFolder, path.join(parentPath, name)));
  return keys.filter((key) => !key.startsWith("tmp/"));
}

const garbage = (length: number) => Buffer.concat([Buffer.from("no DICOM at all "), randomBytes(length)]);

describe("QUARANTINE", () => {
  it("is off: what is refused leaves nothing", async (t) => {
    const server = await start(t, { QUARANTINE: "false" });
    const [failed] = failures(await store(server, 409, garbage(100)));
    assert.equal(failed?.comments.length, 1);
    assert.deepEqual(await list(server), { files: [], next: null });
    assert.deepEqual(await objects(server), []);
  });

  it("keeps what cannot be stored, whole, with its reason, and says so in the failure", async (t) => {
    const server = await start(t);
    const good = instanceFile();
    const cut = instanceFile();
    const truncated = cut.bytes.subarray(0, cut.bytes.length - 9);
    const nameless = instanceFile({ StudyInstanceUID: "" });
    const bodies = [garbage(5000), good.bytes, truncated, nameless.bytes];
    const failed = failures(await store(server, 202, ...bodies));
    const { files, next } = await list(server);
    assert.equal(next, null);
    const byPart = files.sort((a, b) => Number(a["part"]) - Number(b["part"]));
    assert.deepEqual(
      byPart.map(({ reason, part, origin, count }) => [reason, part, origin, count]),
      [
        ["not-dicom", 1, "dicomweb", 1],
        ["truncated-dicom", 3, "dicomweb", 1],
        ["missing-identifier", 4, "dicomweb", 1],
      ],
    );
    for (const { id, detail, sha256, byteLength, part } of byPart) {
      const sent = bodies[Number(part) - 1];
      assert.ok(sent);
      assert.deepEqual(await contentOf(server, id), sent);
      assert.deepEqual([byteLength, sha256], [sent.length, createHash("sha256").update(sent).digest("hex")]);
      const told = failed.find(({ comments }) => comments[0] === detail);
      assert.deepEqual(told?.comments[1], `The file is kept in quarantine under the number ${id}.`);
    }
    assert.deepEqual(
      [byPart[1]?.["sopInstanceUid"], byPart[1]?.["studyInstanceUid"]],
      [cut.sopInstanceUid, cut.studyInstanceUid],
    );
    const kept = await objects(server);
    assert.equal(kept.filter((key) => key.startsWith("quarantine/")).length, 3);
    assert.equal(kept.length, 4, "and the one that was stored");
    assert.equal((await server.knex("sweep").select()).length, 0);
  });

  it("knows the name of a file that its sender gave", async (t) => {
    const server = await start(t);
    await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", "application/dicom")
      .set("Content-Disposition", 'attachment; filename="IM 0001.dcm"')
      .send(garbage(10))
      .expect(409);
    const part = {
      headers: { "Content-Type": "application/dicom", "Content-Location": "disc/IM2" },
      body: garbage(10),
    };
    const { contentType, body } = relatedBody([part], "application/dicom");
    await request(server.url).post("/dicom-web/studies").set("Content-Type", contentType).send(body).expect(409);
    const { files } = await list(server);
    assert.deepEqual(
      files.map(({ name }) => name),
      ["disc/IM2", "IM 0001.dcm"],
    );
  });

  it("keeps the same bytes once, however many servers they come to at the same time", async (t) => {
    const one = await start(t);
    const two = await start(t, one.shared);
    const bytes = garbage(200_000);
    await Promise.all(Array.from({ length: 12 }, (_, turn) => store(turn % 2 === 0 ? one : two, 409, bytes)));
    const { files } = await list(two);
    assert.deepEqual(
      files.map(({ count }) => count),
      [12],
    );
    assert.equal((await objects(one)).length, 1);
    assert.deepEqual(await contentOf(two, files[0]?.id), bytes);
  });

  it("keeps nothing of a body that did not arrive, and nothing that is whole but not wanted here", async (t) => {
    const server = await start(t);
    const bytes = garbage(100_000);
    const head = `POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Type: application/dicom\r\nContent-Length: ${bytes.length + 1}\r\n\r\n`;
    await rawRequest(server.url, [head, bytes], 300);
    const open = multipartBody([bytes]).subarray(0, -20);
    await request(server.url).post("/dicom-web/studies").set("Content-Type", multipartType).send(open).expect(400);
    const stored = instanceFile();
    await store(server, 200, stored.bytes);
    const other = `/dicom-web/studies/${instanceFile().studyInstanceUid}`;
    const type = "application/dicom";
    await request(server.url).post(other).set("Content-Type", type).send(stored.bytes).expect(409);
    const { studyInstanceUid: StudyInstanceUID, seriesInstanceUid: SeriesInstanceUID, sopInstanceUid } = stored;
    const different = { StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID: sopInstanceUid, InstanceNumber: 7 };
    await store(server, 409, instanceFile(different).bytes);
    await request(server.url).post("/dicom-web/studies").set("Content-Type", type).send(Buffer.alloc(0)).expect(409);
    assert.deepEqual(await list(server), { files: [], next: null });
    assert.equal((await objects(server)).length, 1);
  });
});

describe("/api/quarantine", () => {
  it("tries again: what can be stored now leaves quarantine, the rest stays with what is wrong", async (t) => {
    const server = await start(t);
    const mended = instanceFile();
    await store(server, 409, garbage(300), mended.bytes.subarray(0, 400));
    const { files } = await list(server);
    const [mendable] = files.filter(({ reason }) => reason === "truncated-dicom");
    const [hopeless] = files.filter(({ reason }) => reason === "not-dicom");
    const still = await request(server.url).post(`/api/quarantine/${hopeless?.id}/retry`).expect(409);
    assert.equal(still.body.code, "not-dicom");
    const { body } = await request(server.url).get(`/api/quarantine/${hopeless?.id}`).expect(200);
    assert.deepEqual([body.retries, body.count, typeof body.retriedAt], [1, 1, "string"]);
    // As if a newer version could read it.
    const row: { blob_key: string } | undefined = await server.knex("quarantine").where({ id: mendable?.id }).first();
    await writeFile(path.join(server.objectFolder, row?.blob_key ?? ""), mended.bytes);
    const stored = await request(server.url).post(`/api/quarantine/${mendable?.id}/retry`).expect(200);
    assert.deepEqual([stored.body.status, stored.body.sopInstanceUid], ["stored", mended.sopInstanceUid]);
    await request(server.url).get(`/api/quarantine/${mendable?.id}`).expect(404);
    const found = await fetch(`${server.url}/dicom-web/studies/${mended.studyInstanceUid}/metadata`);
    assert.equal(found.status, 200);
    assert.deepEqual(
      (await list(server)).files.map(({ id }) => id),
      [hopeless?.id],
    );
    assert.equal((await objects(server)).filter((key) => key.startsWith("quarantine/")).length, 1);
  });

  it("lists by reason, door and age, page by page, and purges the same way", async (t) => {
    const server = await start(t);
    const cut = () => instanceFile().bytes.subarray(0, 400);
    await store(server, 409, garbage(10), cut(), garbage(11), cut());
    const reasons = async (query: string) => (await list(server, query)).files.map(({ reason }) => reason);
    assert.deepEqual(await reasons("reason=not-dicom"), ["not-dicom", "not-dicom"]);
    assert.equal((await reasons("origin=dicomweb")).length, 4);
    assert.equal((await reasons("origin=dimse")).length, 0);
    assert.equal((await reasons("olderThan=2020-01-01T00:00:00Z")).length, 0);
    const firstPage = await list(server, "limit=3");
    const secondPage = await list(server, `limit=3&before=${firstPage.next}`);
    assert.deepEqual([firstPage.files.length, secondPage.files.length, secondPage.next], [3, 1, null]);
    const purge = (query: string) => request(server.url).delete(`/api/quarantine?${query}`).expect(200);
    assert.deepEqual((await purge("olderThan=2020-01-01T00:00:00Z")).body, { purged: 0 });
    assert.deepEqual((await purge("reason=not-dicom")).body, { purged: 2 });
    for (const query of ["older=2020-01-01T00:00:00Z", "limit=1", "reason=not-dicom&id=1", "olderThan="]) {
      await request(server.url).delete(`/api/quarantine?${query}`).expect(400);
    }
    const [one] = (await list(server)).files;
    await request(server.url).delete(`/api/quarantine/${one?.id}`).expect(204);
    await request(server.url).delete(`/api/quarantine/${one?.id}`).expect(404);
    assert.equal((await objects(server)).length, 1);
    assert.deepEqual((await purge("")).body, { purged: 1 });
    assert.deepEqual(await objects(server), []);
  });

  it("gives parts of the bytes, as a download that no browser shows", async (t) => {
    const server = await start(t);
    const bytes = garbage(1000);
    await store(server, 409, bytes);
    const [kept] = (await list(server)).files;
    const answer = await fetch(`${server.url}/api/quarantine/${kept?.id}/content`, { headers: { Range: "bytes=5-9" } });
    assert.equal(answer.status, 206);
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), bytes.subarray(5, 10));
    assert.deepEqual(
      ["content-type", "content-disposition", "x-content-type-options"].map((name) => answer.headers.get(name)),
      ["application/octet-stream", `attachment; filename="quarantine-${kept?.id}.dcm"`, "nosniff"],
    );
  });

  it("answers what it cannot do with a problem document", async (t) => {
    const server = await start(t);
    for (const query of ["limit=0", "before=x", "reason=ugly", "olderThan=yesterday"]) {
      const { body } = await request(server.url).get(`/api/quarantine?${query}`).expect(400);
      assert.match(body.detail, new RegExp(`^${query.split("=")[0]} `), query);
    }
    const { body } = await request(server.url).get("/api/quarantine/99").expect(404);
    assert.equal(body.code, "no-such-quarantined");
    await request(server.url).get("/api/quarantine/99/content").expect(404);
    await request(server.url).post("/api/quarantine/99/retry").expect(404);
    await request(server.url).delete("/api/quarantine/99").expect(404);
    await request(server.url).get("/api/quarantine/x").expect(400);
    await request(server.url).delete("/api/quarantine?reason=ugly").expect(400);
  });
});

describe("the limits of quarantine", () => {
  it("let go what came longest ago, and pass over what is larger than all of it", async (t) => {
    const server = await start(t, { QUARANTINE_MAX_MB: "1" });
    const bodies = [1, 2, 3].map(() => garbage(400_000));
    for (const body of bodies) await store(server, 409, body);
    assert.deepEqual((await list(server)).files.length, 2);
    assert.deepEqual(await contentOf(server, (await list(server)).files[0]?.id), bodies[2]);
    const [failed] = failures(await store(server, 409, garbage(2 ** 20)));
    assert.equal(failed?.comments.length, 1, "it does not say that it is kept");
    assert.deepEqual((await list(server)).files.length, 2);
    const swept: string[] = await server.knex("sweep").pluck("blob_key");
    assert.equal(swept.length, 1);
    assert.deepEqual((await objects(server)).filter((key) => !swept.includes(key)).length, 2);
  });

  it("let go what is older than it may be", async (t) => {
    const server = await start(t, { QUARANTINE_KEEP_DAYS: "2" });
    await store(server, 409, garbage(10));
    await server.knex("quarantine").update({ last_at: server.knex.raw("now() - interval '49 hours'") });
    await store(server, 409, garbage(20));
    assert.equal((await list(server)).files.length, 1);
  });
});

describe("quarantine on S3", s3Requirement(), () => {
  it("keeps a file of several parts whole, and gives it back", async (t) => {
    const s3 = await startS3();
    t.after(() => s3.stop());
    const { endpoint, accessKey, secretKey } = s3;
    const server = await start(t, {
      S3_ENDPOINT: endpoint,
      S3_BUCKET: freshBucket(),
      S3_ACCESS_KEY: accessKey,
      S3_SECRET_KEY: secretKey,
    });
    const pixels = randomBytes(18 * 2 ** 20);
    const whole = instanceFile({
      PixelData: pixels.buffer.slice(pixels.byteOffset, pixels.byteOffset + pixels.length),
    });
    const bytes = whole.bytes.subarray(0, -1000);
    await store(server, 409, bytes, garbage(50));
    const { files } = await list(server, "reason=truncated-dicom");
    assert.deepEqual(
      files.map(({ byteLength }) => byteLength),
      [bytes.length],
    );
    assert.ok((await contentOf(server, files[0]?.id)).equals(bytes));
    await request(server.url).delete("/api/quarantine").expect(200);
    assert.deepEqual(await server.knex("sweep").pluck("blob_key"), []);
  });
});
