/** Pages of other origins: what a browser lets them do. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, describe, it } from "node:test";
import request from "supertest";
import { startBrowser } from "../support/browser.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const viewer = "https://viewer.example";
const asked = "authorization,range,accept,content-type,if-none-match";

function preflight(server: TestServer, origin: string) {
  return request(server.url)
    .options("/dicom-web/studies")
    .set({ Origin: origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked });
}

describe("CORS", () => {
  let listed: TestServer;
  let open: TestServer;
  let closed: TestServer;

  before(async () => {
    listed = await startTestServer({
      CORS_ORIGINS: `${viewer}, http://localhost:3000`,
      CORS_EXPOSE_HEADERS: "ETag,X-A",
    });
    open = await startTestServer({ CORS_ORIGINS: "*" });
    closed = await startTestServer();
  });
  after(() => Promise.all([listed, open, closed].map((server) => server.stop())));

  it("answers a preflight with 204, the methods and the headers asked for", async () => {
    const { status, headers } = await preflight(listed, viewer);
    assert.equal(status, 204);
    assert.equal(headers["access-control-allow-origin"], viewer);
    assert.equal(headers["access-control-allow-credentials"], "true");
    assert.equal(headers["access-control-allow-headers"], asked);
    assert.match(headers["access-control-allow-methods"] ?? "", /GET.*POST.*PUT.*DELETE/);
    assert.equal(headers["access-control-max-age"], "3600");
    assert.match(headers["vary"] ?? "", /Origin/);
  });

  it("lets a listed origin read the answer and its headers, also of an error", async () => {
    for (const [path, status] of [
      ["/dicom-web/studies", 200],
      ["/dicom-web/studies?limit=x", 400],
      ["/dicom-web/nothing", 404],
      ["/health/live", 200],
    ] as const) {
      const response = await request(listed.url).get(path).set("Origin", viewer);
      assert.equal(response.status, status);
      assert.equal(response.headers["access-control-allow-origin"], viewer, path);
      assert.equal(response.headers["access-control-allow-credentials"], "true");
      assert.equal(response.headers["access-control-expose-headers"], "ETag,X-A");
      assert.equal(response.headers["cross-origin-resource-policy"], "cross-origin");
    }
  });

  it("keeps caches apart by origin and by what the handler varies on", async () => {
    for (const origin of [viewer, "https://evil.example", ""]) {
      const { headers } = await request(listed.url).get("/dicom-web/studies").set("Origin", origin);
      assert.match(headers["vary"] ?? "", /Origin/);
      assert.match(headers["vary"] ?? "", /Accept/);
    }
  });

  it("gives an origin that is not listed nothing, also one that only begins or ends like it", async () => {
    for (const origin of ["https://evil.example", `${viewer}.evil.example`, "http://viewer.example", "null", "*"]) {
      const got = await request(listed.url).get("/dicom-web/studies").set("Origin", origin);
      assert.equal(got.headers["access-control-allow-origin"], undefined, origin);
      assert.equal((await preflight(listed, origin)).headers["access-control-allow-origin"], undefined, origin);
    }
  });

  it("takes any origin with a star, and then no credentials", async () => {
    for (const { headers } of [
      await preflight(open, "https://any.example"),
      await request(open.url).get("/dicom-web/studies").set("Origin", "https://any.example"),
    ]) {
      assert.equal(headers["access-control-allow-origin"], "*");
      assert.equal(headers["access-control-allow-credentials"], undefined);
    }
    const { headers } = await request(open.url).get("/dicom-web/studies").set("Origin", "https://any.example");
    for (const name of ["ETag", "Link", "Warning", "Content-Range", "Content-Length", "Accept-Ranges"]) {
      assert.ok(headers["access-control-expose-headers"]?.split(",").includes(name), name);
    }
  });

  it("says nothing when no origin is set, and keeps bytes from other origins", async () => {
    const { headers } = await request(closed.url).get("/dicom-web/studies").set("Origin", viewer);
    assert.equal(headers["access-control-allow-origin"], undefined);
    assert.doesNotMatch(headers["vary"] ?? "", /Origin/);
    assert.equal(headers["cross-origin-resource-policy"], "same-origin");
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["referrer-policy"], "no-referrer");
    assert.match(headers["content-security-policy"] ?? "", /default-src 'none'/);
  });

  it("lets pages of other origins change nothing, unless they are listed", async () => {
    for (const site of ["cross-site", "same-site"]) {
      const from = (server: TestServer, origin: string) =>
        request(server.url).post("/api/removed/1/restore").set({ Origin: origin, "Sec-Fetch-Site": site });
      const refused = await from(listed, "https://evil.example");
      assert.equal(refused.status, 403);
      assert.equal(refused.body.code, "foreign-page");
      assert.equal((await from(closed, viewer)).status, 403);
      assert.equal((await from(listed, viewer)).status, 404);
      assert.equal((await from(open, "https://any.example")).status, 404);
      const read = await request(closed.url).get("/dicom-web/studies").set("Sec-Fetch-Site", site);
      assert.equal(read.status, 200);
    }
    const restore = (headers: Readonly<Record<string, string>>) =>
      request(closed.url).post("/api/removed/1/restore").set(headers);
    assert.equal((await restore({ "Sec-Fetch-Site": "same-origin", Origin: closed.url })).status, 404);
    assert.equal((await restore({ Origin: closed.url })).status, 404);
    assert.equal(
      (
        await restore({
          Origin: "https://pacs.example",
          "X-Forwarded-Proto": "https",
          "X-Forwarded-Host": "pacs.example",
        })
      ).status,
      404,
    );
    for (const origin of ["http://evil.example", "null", `${closed.url}0`]) {
      assert.equal((await restore({ Origin: origin })).status, 403, origin);
    }
    const untyped = await fetch(`${closed.url}/api/webhooks`, { method: "POST", body: new Blob(["{}"]) });
    assert.equal(untyped.status, 415);
  });

  it("lets a page of a listed origin do what viewers do, in a real browser", requirement("chromium"), async () => {
    const pages = createServer((_request, response) => response.end("<!doctype html><title>A viewer</title>"));
    pages.listen(0, "127.0.0.1");
    await once(pages, "listening");
    const address = pages.address();
    assert.ok(address !== null && typeof address === "object");
    const origin = `http://127.0.0.1:${address.port}`;
    const allowing = await startTestServer({ CORS_ORIGINS: origin });
    const browser = await startBrowser(origin);
    try {
      await browser.page.goto(origin);
      const script = (url: string) => `(async () => {
        const headers = { Authorization: "Bearer x", Range: "bytes=0-3", Accept: "application/dicom+json" };
        const got = await fetch("${url}/dicom-web/studies?count=true", { headers, credentials: "include" });
        const failed = await fetch("${url}/dicom-web/studies?limit=x", { headers });
        return [got.status, got.headers.get("X-Total-Count"), await got.text(), failed.status, (await failed.json()).code];
      })()`;
      assert.deepEqual(await browser.page.evaluate(script(allowing.url)), [200, "0", "[]", 400, "invalid-query"]);
      await assert.rejects(browser.page.evaluate(script(listed.url)), /Failed to fetch/);
    } finally {
      await browser.stop();
      await allowing.stop();
      pages.close();
    }
  });
});
