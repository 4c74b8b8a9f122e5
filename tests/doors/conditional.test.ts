/** ETag, Last-Modified and HEAD on every resource that is retrieved, and that what is removed is not shown again. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { instanceFile, type InstanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("conditional GET and HEAD", () => {
  let server: TestServer;
  let file: InstanceFile;

  before(async () => {
    server = await startTestServer();
    file = instanceFile({ ICCProfile: new ArrayBuffer(3000) });
    await store(file);
    for (const column of ["study.updated_at", "series.updated_at", "instance.created_at"]) {
      const [table = "", name = ""] = column.split(".");
      await server.knex(table).update({ [name]: server.knex.raw("?? - interval '10 seconds'", [name]) });
    }
  });
  after(() => server.stop());

  const series = () => `/dicom-web/studies/${file.studyInstanceUid}/series/${file.seriesInstanceUid}`;
  const instance = () => `${series()}/instances/${file.sopInstanceUid}`;

  async function store({ bytes }: InstanceFile): Promise<void> {
    const headers = { "Content-Type": "application/dicom" };
    const stored = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body: bytes });
    assert.equal(stored.status, 200);
  }

  function ask(path: string, headers: Readonly<Record<string, string>> = {}, method = "GET"): Promise<Response> {
    return fetch(server.url + path, { method, headers });
  }

  /** Every retrieve resource, with an Accept for it. */
  const resources = (): readonly (readonly [path: string, accept: string])[] => [
    [`/dicom-web/studies/${file.studyInstanceUid}`, "*/*"],
    [series(), "*/*"],
    [instance(), "application/dicom"],
    [instance(), 'multipart/related; type="application/dicom"'],
    [`/dicom-web/studies/${file.studyInstanceUid}/metadata`, "application/dicom+json"],
    [`${series()}/metadata`, 'multipart/related; type="application/dicom+xml"'],
    [`${instance()}/metadata`, "application/dicom+json"],
    [`${instance()}/frames/1`, "application/octet-stream"],
    [`${instance()}/frames/1`, 'multipart/related; type="application/octet-stream"'],
    [`${instance()}/bulkdata/00282000`, "application/octet-stream"],
    [`${instance()}/bulkdata/00282000`, 'multipart/related; type="application/octet-stream"'],
  ];

  it("answers 304 without a body to whoever has it, by tag and by date", async () => {
    for (const [path, accept] of resources()) {
      const first = await ask(path, { accept });
      await first.arrayBuffer();
      const etag = first.headers.get("etag") ?? "";
      const lastModified = first.headers.get("last-modified") ?? "";
      assert.match(etag, /^(W\/)?"[\w-]+"$/, path);
      assert.ok(Math.abs(Date.now() - Date.parse(lastModified)) < 60_000, `${path}: ${lastModified}`);
      for (const condition of [{ "if-none-match": etag }, { "if-modified-since": lastModified }]) {
        const again = await ask(path, { accept, ...condition });
        assert.equal(again.status, 304, path);
        assert.equal(await again.text(), "");
        assert.equal(again.headers.get("etag"), etag);
        assert.equal(again.headers.get("last-modified"), lastModified);
        assert.equal(again.headers.get("cache-control"), first.headers.get("cache-control"));
        assert.equal(again.headers.get("vary"), first.headers.get("vary"));
        assert.equal(again.headers.get("content-type"), null);
      }
    }
  });

  it("gives bytes a strong tag, and another to each media type", async () => {
    const tags = await Promise.all(
      resources()
        .slice(2)
        .map(async ([path, accept]) => (await ask(path, { accept }, "HEAD")).headers.get("etag")),
    );
    assert.equal(new Set(tags).size, tags.length);
    for (const [index, [, accept]] of resources().slice(2).entries()) {
      const isBytes = accept === "application/dicom" || accept === "application/octet-stream";
      assert.equal(tags[index]?.startsWith("W/"), !isBytes, accept);
    }
  });

  it("answers 412 to a condition that is not met", async () => {
    const headers = { accept: "application/dicom", "if-match": '"another"' };
    const refused = await ask(instance(), headers);
    assert.equal(refused.status, 412);
    assert.equal(refused.headers.get("content-type"), "application/problem+json");
    assert.match(await refused.text(), /precondition-failed/);
    const old = { accept: "application/dicom", "if-unmodified-since": "Sat, 01 Jan 2000 00:00:00 GMT" };
    assert.equal((await ask(instance(), old)).status, 412);
  });

  it("answers HEAD with the headers of GET", async () => {
    for (const [path, accept] of resources()) {
      const [got, head] = [await ask(path, { accept }), await ask(path, { accept }, "HEAD")];
      const body = await got.arrayBuffer();
      assert.equal(head.status, 200, path);
      assert.equal((await head.arrayBuffer()).byteLength, 0);
      const plain = (response: Response) =>
        [...response.headers]
          .filter(([name]) => !["date", "connection", "keep-alive", "transfer-encoding"].includes(name))
          .map(([name, value]) => `${name}: ${value.replace(/boundary=.*/, "")}`);
      assert.deepEqual(plain(head), plain(got), path);
      const length = got.headers.get("content-length");
      // Of a compressed answer the length is not that of what fetch gives.
      if (length !== null && !got.headers.has("content-encoding")) assert.equal(Number(length), body.byteLength, path);
    }
    const search = await ask(`/dicom-web/studies?StudyInstanceUID=${file.studyInstanceUid}`, {}, "HEAD");
    assert.equal(search.status, 200);
    assert.equal((await ask(`${series()}/instances/1.2.3`, {}, "HEAD")).status, 404);
  });

  it("gives a series another tag when an instance comes in", async () => {
    const etag = (await ask(series(), {}, "HEAD")).headers.get("etag") ?? "";
    await store(instanceFile({ StudyInstanceUID: file.studyInstanceUid, SeriesInstanceUID: file.seriesInstanceUid }));
    const changed = await ask(series(), { "if-none-match": etag });
    assert.equal(changed.status, 200);
    await changed.arrayBuffer();
  });

  it("does not take a series for unchanged that was changed twice in a second", async () => {
    const first = instanceFile();
    await store(first);
    const path = `/dicom-web/studies/${first.studyInstanceUid}/series/${first.seriesInstanceUid}`;
    const date = (await ask(path, {}, "HEAD")).headers.get("last-modified") ?? "";
    await store(instanceFile({ StudyInstanceUID: first.studyInstanceUid, SeriesInstanceUID: first.seriesInstanceUid }));
    assert.equal((await ask(path, { "if-modified-since": date }, "HEAD")).status, 200);
  });

  it("does not take a study for unchanged that has lost its newest series", async () => {
    const [kept, lost] = [instanceFile(), instanceFile()];
    const study = `/dicom-web/studies/${kept.studyInstanceUid}`;
    await store(kept);
    await store(instanceFile({ StudyInstanceUID: kept.studyInstanceUid, SeriesInstanceUID: lost.seriesInstanceUid }));
    const minute = server.knex.raw("now() - interval '1 minute'");
    for (const table of ["study", "series"]) await server.knex(table).update({ updated_at: minute });
    const date = (await ask(study, {}, "HEAD")).headers.get("last-modified") ?? "";
    assert.equal((await ask(study, { "if-modified-since": date }, "HEAD")).status, 304);
    assert.equal((await ask(`${study}/series/${lost.seriesInstanceUid}`, {}, "DELETE")).status, 204);
    for (const path of [study, `${study}/metadata`]) {
      assert.equal((await ask(path, { "if-modified-since": date }, "HEAD")).status, 200, path);
    }
  });

  it("shows nothing of an instance whose row another process removed, though it was just shown", async () => {
    const gone = instanceFile({ ICCProfile: new ArrayBuffer(3000) });
    await store(gone);
    const path = `/dicom-web/studies/${gone.studyInstanceUid}/series/${gone.seriesInstanceUid}/instances/${gone.sopInstanceUid}`;
    const paths = ["", "/metadata", "/frames/1", "/bulkdata/00282000", "/bulkdata/7FE00010"].map((end) => path + end);
    for (const at of paths.slice(0, -1)) assert.equal((await ask(at, {}, "HEAD")).status, 200, at);
    await server.knex("instance").where("sop_instance_uid", gone.sopInstanceUid).delete();
    for (const at of paths) {
      const answer = await ask(at, { "if-none-match": "*" });
      assert.equal(answer.status, 404, at);
      await answer.arrayBuffer();
    }
  });
});
