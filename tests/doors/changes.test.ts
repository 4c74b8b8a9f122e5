/** GET /api/changes: what a client that keeps up with the archive sees. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, it } from "node:test";
import request from "supertest";
import { z } from "zod";
import { instanceFile, type InstanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const pageSchema = z.object({
  changes: z.array(
    z.strictObject({
      sequence: z.number(),
      action: z.string(),
      studyInstanceUid: z.string(),
      seriesInstanceUid: z.string(),
      sopInstanceUid: z.string(),
      sopClassUid: z.string(),
      sha256: z.string(),
      at: z.iso.datetime(),
      origin: z.string().nullable(),
    }),
  ),
  next: z.number(),
  more: z.boolean(),
});

describe("GET /api/changes", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  async function store(file: InstanceFile): Promise<void> {
    const post = request(server.url).post("/dicom-web/studies").set("Content-Type", "application/dicom");
    await post.send(file.bytes).expect(200);
  }

  async function read(query: string) {
    const response = await request(server.url).get(`/api/changes?${query}`).expect(200);
    return pageSchema.parse(response.body);
  }

  it("tells of a store, a deletion and a restore, in pages", async () => {
    const start = (await read("since=latest")).next;
    const file = instanceFile();
    await store(file);
    await store(file);
    await request(server.url).delete(`/dicom-web/studies/${file.studyInstanceUid}`).expect(204);
    const { body } = await request(server.url).get("/api/removed?limit=1").expect(200);
    await request(server.url).post(`/api/removed/${body.removals[0].id}/restore`).expect(200);
    const all = await read(`since=${start}`);
    assert.deepEqual(
      all.changes.map(({ sequence, action, origin }) => [sequence - start, action, origin]),
      [
        [1, "create", "dicomweb"],
        [2, "delete", "dicomweb"],
        [3, "restore", "api"],
      ],
    );
    for (const change of all.changes) {
      assert.equal(change.sopInstanceUid, file.sopInstanceUid);
      assert.equal(change.sha256, createHash("sha256").update(file.bytes).digest("hex"));
    }
    const first = await read(`since=${start}&limit=2`);
    assert.deepEqual([first.changes.length, first.next, first.more], [2, start + 2, true]);
    const second = await read(`since=${first.next}&limit=2`);
    assert.deepEqual([second.changes.length, second.next, second.more], [1, start + 3, false]);
    assert.deepEqual(await read(`since=${second.next}`), { changes: [], next: start + 3, more: false });
  });

  it("waits for a change when it is asked to", async () => {
    const { next } = await read("since=latest");
    const begun = Date.now();
    assert.deepEqual((await read(`since=${next}&wait=1`)).changes, []);
    assert.ok(Date.now() - begun >= 950);
    const waiting = read(`since=${next}&wait=20`);
    const file = instanceFile();
    await store(file);
    assert.deepEqual(
      (await waiting).changes.map(({ sopInstanceUid }) => sopInstanceUid),
      [file.sopInstanceUid],
    );
    assert.ok(Date.now() - begun < 10_000);
  });

  it("refuses what is malformed, naming the parameter", async () => {
    for (const query of ["since=-1", "since=x", "limit=0", "limit=1001", "wait=21", "wait=x", "since=1&since=2"]) {
      const { body } = await request(server.url).get(`/api/changes?${query}`).expect(400);
      assert.match(body.detail, new RegExp(`^${query.split("=")[0]} `));
    }
  });

  it("says that what was asked for is no longer kept, and where to go on", async () => {
    await store(instanceFile());
    const { next } = await read("since=latest");
    await server.knex("change").delete();
    await server.knex("change_counter").update({ last_forgotten: next });
    const { body } = await request(server.url).get("/api/changes").expect(410);
    assert.equal(body.code, "changes-gone");
    assert.ok(body.detail.includes(`since=${next}`));
    assert.deepEqual(await read(`since=${next}`), { changes: [], next, more: false });
  });
});
