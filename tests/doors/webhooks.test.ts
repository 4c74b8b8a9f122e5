/** Webhooks: added, told of changes with a signature, listed without their secret, removed. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import request from "supertest";
import { z } from "zod";
import { instanceFile, type InstanceFile } from "../support/instances.ts";
import { type Received, startReceiver } from "../support/receiver.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const bodySchema = z.strictObject({
  webhook: z.string(),
  changes: z.array(z.object({ sequence: z.number(), action: z.string(), sopInstanceUid: z.string() }).loose()),
});

describe("/api/webhooks", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  async function store(file: InstanceFile = instanceFile()): Promise<InstanceFile> {
    const post = request(server.url).post("/dicom-web/studies").set("Content-Type", "application/dicom");
    await post.send(file.bytes).expect(200);
    return file;
  }

  const add = (webhook: object) => request(server.url).post("/api/webhooks").send(webhook);

  /** What was told, once `count` changes have been. */
  async function told(received: readonly Received[], count: number) {
    const changes = () => received.flatMap(({ body }) => bodySchema.parse(JSON.parse(body)).changes);
    for (let look = 0; look < 200 && changes().length < count; look += 1) await sleep(50);
    assert.ok(changes().length >= count, `${count} changes were not told in time`);
    return changes();
  }

  it("tells of changes in order, signed by the secret, with UIDs and no patient", async (t) => {
    const receiver = await startReceiver();
    t.after(() => receiver.close());
    const { body: webhook } = await add({ url: `${receiver.url}/hook?a=b` }).expect(201);
    assert.match(webhook.secret, /^whsec_[\w-]{43}$/);
    const file = await store();
    await request(server.url).delete(`/dicom-web/studies/${file.studyInstanceUid}`).expect(204);
    const changes = await told(receiver.received, 2);
    assert.deepEqual(
      changes.map(({ action, sopInstanceUid }) => [action, sopInstanceUid]),
      [
        ["create", file.sopInstanceUid],
        ["delete", file.sopInstanceUid],
      ],
    );
    for (const { path, headers, body } of receiver.received) {
      assert.equal(path, "/hook?a=b");
      assert.equal(headers["content-type"], "application/json");
      const [, time = "", signature] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers["noctis-signature"])) ?? [];
      assert.ok(Math.abs(Number(time) - Date.now() / 1000) < 30);
      assert.equal(signature, createHmac("sha256", webhook.secret).update(`${time}.${body}`).digest("hex"));
      assert.doesNotMatch(body, /Test\^Patient|TEST-1/);
    }
    await request(server.url).delete(`/api/webhooks/${webhook.id}`).expect(204);
  });

  it("tells again what was not taken, in order, and shows the attempts", async (t) => {
    let refusals = 1;
    const receiver = await startReceiver(() => (refusals-- > 0 ? 500 : 204));
    t.after(() => receiver.close());
    const { body: webhook } = await add({ url: receiver.url, secret: "a secret of the operator" }).expect(201);
    const files = [await store(), await store()];
    const deliveries = `/api/webhooks/${webhook.id}/deliveries`;
    for (let look = 0; look < 300; look += 1) {
      const { body } = await request(server.url).get(deliveries).expect(200);
      if (body.deliveries.some((one: { fault: string | null }) => one.fault === null)) break;
      await sleep(50);
    }
    const taken = receiver.received.slice(1).flatMap(({ body }) => bodySchema.parse(JSON.parse(body)).changes);
    assert.deepEqual(
      taken.map(({ sopInstanceUid }) => sopInstanceUid),
      files.map(({ sopInstanceUid }) => sopInstanceUid),
    );
    const { body } = await request(server.url).get(deliveries).expect(200);
    const attempts = body.deliveries.toReversed();
    assert.deepEqual(
      attempts.slice(0, 2).map(({ attempt, status }: { attempt: number; status: number }) => [attempt, status]),
      [
        [1, 500],
        [2, 204],
      ],
    );
    assert.equal(attempts[0].fault, "The address answered 500.");
    await request(server.url).delete(`/api/webhooks/${webhook.id}`).expect(204);
  });

  it("tells only what was asked for, from where it was asked", async (t) => {
    const receiver = await startReceiver();
    t.after(() => receiver.close());
    const { body: latest } = await request(server.url).get("/api/changes?since=latest").expect(200);
    const wanted = await store();
    await store();
    await request(server.url).delete(`/dicom-web/studies/${wanted.studyInstanceUid}`).expect(204);
    const filter = { studyInstanceUid: wanted.studyInstanceUid };
    const asked = { url: receiver.url, events: ["delete"], filter, since: latest.next };
    const { body: webhook } = await add(asked).expect(201);
    const changes = await told(receiver.received, 1);
    assert.deepEqual(
      changes.map(({ action, sopInstanceUid }) => [action, sopInstanceUid]),
      [["delete", wanted.sopInstanceUid]],
    );
    await request(server.url).delete(`/api/webhooks/${webhook.id}`).expect(204);
  });

  it("follows no redirect", async (t) => {
    const elsewhere = await startReceiver();
    const receiver = await startReceiver(() => ({ status: 307, location: elsewhere.url }));
    t.after(() => Promise.all([receiver.close(), elsewhere.close()]));
    const { body: webhook } = await add({ url: receiver.url }).expect(201);
    await store();
    await told(receiver.received, 1);
    await sleep(100);
    assert.equal(elsewhere.received.length, 0);
    await request(server.url).delete(`/api/webhooks/${webhook.id}`).expect(204);
  });

  it("shows a secret once, and lists, finds and removes", async () => {
    const { body: webhook, headers } = await add({ url: "http://127.0.0.1:9/x", secret: "0123456789abcdef" }).expect(
      201,
    );
    assert.equal(webhook.secret, "0123456789abcdef");
    const path = `/api/webhooks/${webhook.id}`;
    assert.equal(headers["location"], path);
    const one = await request(server.url).get(path).expect(200);
    const list = await request(server.url).get("/api/webhooks").expect(200);
    assert.deepEqual(list.body.webhooks, [one.body]);
    for (const { text } of [one, list]) assert.doesNotMatch(text, /0123456789abcdef|secret/);
    await request(server.url).delete(path).expect(204);
    for (const gone of [path, `${path}/deliveries`]) {
      const { body } = await request(server.url).get(gone).expect(404);
      assert.equal(body.code, "no-such-webhook");
    }
    await request(server.url).delete(path).expect(404);
  });

  it("refuses what it cannot use, naming it", async () => {
    const cases: readonly (readonly [webhook: object, named: RegExp])[] = [
      [{}, /url/],
      [{ url: "ftp://127.0.0.1/" }, /url/],
      [{ url: "file:///etc/passwd" }, /url/],
      [{ url: "http://user:password@127.0.0.1/" }, /url/],
      [{ url: "http://127.0.0.1/", secret: "short" }, /secret/],
      [{ url: "http://127.0.0.1/", events: ["explode"] }, /events/],
      [{ url: "http://127.0.0.1/", filter: { patient: "x" } }, /patient/],
      [{ url: "http://127.0.0.1/", since: -1 }, /since/],
      [{ url: "http://127.0.0.1/", other: 1 }, /other/],
    ];
    for (const [webhook, named] of cases) {
      const { body } = await add(webhook).expect(400);
      assert.match(body.detail, named);
      assert.doesNotMatch(body.detail, /password/);
    }
    await request(server.url).get("/api/webhooks/1").expect(400);
    await request(server.url).post("/api/webhooks").set("Content-Type", "text/plain").send("x").expect(415);
  });
});
