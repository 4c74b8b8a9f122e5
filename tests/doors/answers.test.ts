/** The server's own resources: real answers fit what OpenAPI says of them, and bodies are refused in plain words. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import request from "supertest";
import { routes } from "../../server/http/routes.ts";
import { instanceFile } from "../support/instances.ts";
import { startReceiver } from "../support/receiver.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("the server's own resources", () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  const post = (path: string, body: object) => request(server.url).post(path).send(body);

  /** Asks, and holds the answer against the schema of its route: a member too many or too few is a fault. */
  async function fits(method: "get" | "post", pattern: string, path: string, body?: object, status = 200) {
    const route = routes.find((one) => one.method === method.toUpperCase() && one.path === pattern);
    const { responseSchema } = route ?? {};
    assert.ok(responseSchema, `${pattern} has no schema`);
    const answer = await request(server.url)[method](path).send(body).expect(status);
    responseSchema.parse(JSON.parse(answer.text));
    return answer.body;
  }

  it("answer what their schemas say", async (t) => {
    const receiver = await startReceiver();
    t.after(() => receiver.close());
    const events = ["create", "delete"];
    const filter = { origin: "dicomweb" };
    const { id } = await fits("post", "/api/webhooks", "/api/webhooks", { url: receiver.url, events, filter }, 201);
    await fits("post", "/api/webhooks", "/api/webhooks", { url: receiver.url }, 201);
    const tags = [
      { path: "KVP", level: "instance" },
      { path: "00191001", vr: "LO", privateCreator: "ACME", level: "series" },
    ];
    await fits("post", "/api/query-tags", "/api/query-tags", tags, 202);
    const file = instanceFile();
    const store = request(server.url).post("/dicom-web/studies").set("Content-Type", "application/dicom");
    await store.send(file.bytes).expect(200);
    await fits("get", "/api/query-tags", "/api/query-tags");
    await fits("get", "/api/query-tags/:tag", "/api/query-tags/KVP");
    await fits("get", "/api/query-tags/:tag/errors", "/api/query-tags/KVP/errors");

    const series = `/dicom-web/studies/${file.studyInstanceUid}/series/${file.seriesInstanceUid}`;
    await request(server.url).delete(series).expect(204);
    const { removals } = await fits("get", "/api/removed", "/api/removed");
    assert.equal(removals.length, 1);
    const restore = `/api/removed/${removals[0].id}/restore`;
    assert.equal((await fits("post", "/api/removed/:removal/restore", restore)).restored, 1);
    assert.equal((await fits("get", "/api/changes", "/api/changes")).changes.length, 3);
    await fits("get", "/api/webhooks", "/api/webhooks");
    await fits("get", "/api/webhooks/:webhook", `/api/webhooks/${id}`);
    for (let look = 0; look < 100 && receiver.received.length < 2; look += 1) await sleep(50);
    const path = `/api/webhooks/${id}/deliveries`;
    const { deliveries } = await fits("get", "/api/webhooks/:webhook/deliveries", path);
    assert.ok(deliveries.length > 0);
  });

  it("are described with a schema for every body of JSON, and a sentence for every member", async () => {
    const { text } = await request(server.url).get("/api/openapi.json").expect(200);
    assert.doesNotMatch(text, /"application\/json":\{"schema":\{\}\}/);
    const at = /"at":\{[^}]*"format":"date-time"/;
    assert.match(text, at);
    for (const sentence of [
      "Counts from 1, without gaps, but for the one that each restore from a backup leaves.",
      "Not told before.",
      "Until when it can be restored.",
    ]) {
      assert.ok(text.includes(sentence), sentence);
    }
  });

  it("refuse a body in words that name the member", async () => {
    const url = "http://localhost/hook";
    const cases: readonly (readonly [path: string, body: object, words: string])[] = [
      ["/api/webhooks", {}, "url is missing."],
      ["/api/webhooks", [], "it is not an object."],
      ["/api/webhooks", { url: 7 }, "url is not a text."],
      ["/api/webhooks", { url, events: [] }, "events is an empty list."],
      ["/api/webhooks", { url, events: "create" }, "events is not a list."],
      ["/api/webhooks", { url, events: ["store"] }, "events[1] is none of create, update, delete, restore."],
      ["/api/webhooks", { url, colour: 1 }, 'it has the member "colour", which is not taken.'],
      ["/api/webhooks", { url, secret: "short" }, "secret has fewer than 16 characters."],
      ["/api/webhooks", { url, since: -1 }, "since is below 0."],
      ["/api/webhooks", { url, since: 1.5 }, "since is not a whole number."],
      ["/api/webhooks", { url, filter: { origin: 7 } }, "filter.origin is neither a text nor a list."],
      ["/api/webhooks", { url, filter: { origin: [] } }, "filter.origin is an empty list."],
      ["/api/webhooks", { url, filter: { patient: "x" } }, 'filter has the member "patient", which is not taken.'],
      ["/api/webhooks", { url: "ftp://x" }, "url is not of the form http://host:port/path or https://host:port/path,"],
      ["/api/query-tags", {}, "path is missing."],
      ["/api/query-tags", [{ path: "KVP" }], "[1].level is missing."],
      ["/api/query-tags", { path: "KVP", level: "patient" }, "level is none of study, series, instance."],
      ["/api/query-tags", [], "it names no tag."],
      ["/api/zip", {}, "resources is missing."],
      ["/api/zip", { resources: [] }, "resources is an empty list."],
      ["/api/zip", { resources: [1] }, "resources[1] is not a text."],
      ["/api/zip", { resources: ["studies/1.2"], dicomdir: 1 }, "dicomdir is not true or false."],
    ];
    for (const [path, body, words] of cases) {
      const { detail } = (await post(path, body).expect(400)).body;
      assert.ok(detail.startsWith(`The body is not what this request takes: ${words}`), `${detail} for ${words}`);
    }
  });
});
