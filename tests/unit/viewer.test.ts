/** The viewer's middleware over a small made-up build: what it answers, and what it passes on. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";
import Koa from "koa";
import request from "supertest";
import { copyEndings, isWhole, manifestPath, readManifest, viewerFilePath } from "../../ohif-config/build-manifest.ts";
import type { ViewerFile } from "../../ohif-config/build-manifest.ts";
import { createViewer } from "../../server/http/viewer.ts";

const html = "<!doctype html><title>Viewer</title><script>let a</script>";
const script = "console.log('viewer');".repeat(50);
const hashedName = "app.bundle.0123456789abcdef.js";
const appConfig = "window.config = {};\n";

describe("the viewer", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "viewer-"));
  const buildFolder = path.join(folder, "build");
  const serve = (): ReturnType<Koa["callback"]> => callbackOf(buildFolder);

  before(() => writeBuild(buildFolder));
  after(() => rmSync(folder, { recursive: true }));

  for (const page of [
    "/",
    "/viewer?StudyInstanceUIDs=1.2",
    "/viewer/noctis",
    "/viewer/",
    "/segmentation",
    "/notfoundstudy",
  ]) {
    it(`answers ${page} with the page`, async () => {
      const answer = await request(serve()).get(page).set("Accept", "text/html").expect(200);
      assert.equal(answer.text, html);
      assert.equal(answer.headers["content-type"], "text/html; charset=utf-8");
      assert.equal(answer.headers["cache-control"], "no-cache");
    });
  }

  for (const absent of [
    "/absent.js",
    "/viewer/absent.js",
    "/viewer/a/b",
    "/viewers",
    "/dicom-web/studies",
    "/manifest.json",
    "/files/index.html",
    `/${hashedName}.br`,
    "/../manifest.json",
    "/%2e%2e/manifest.json",
    "/..%2fmanifest.json",
    "//manifest.json",
    "/__proto__",
  ]) {
    it(`passes on ${absent}`, async () => {
      const answer = await request(serve()).get(absent).expect(404);
      assert.equal(answer.headers["content-security-policy"], undefined);
    });
  }

  it("passes on what is neither GET nor HEAD, and a page that is asked for as JSON", async () => {
    await request(serve()).post("/").expect(404);
    await request(serve()).delete(`/${hashedName}`).expect(404);
    await request(serve()).get("/").set("Accept", "application/dicom+json").expect(404);
  });

  it("sends the copy that the client takes", async () => {
    const plain = await request(serve()).get(`/${hashedName}`).set("Accept-Encoding", "identity").expect(200);
    assert.equal(plain.headers["content-encoding"], undefined);
    assert.equal(Number(plain.headers["content-length"]), script.length);
    const tags = new Set([plain.headers["etag"]]);
    for (const [accepted, coding] of [
      ["gzip", "gzip"],
      ["gzip, deflate, br, zstd", "br"],
      ["br;q=0, gzip", "gzip"],
    ] as const) {
      const answer = await request(serve()).get(`/${hashedName}`).set("Accept-Encoding", accepted).expect(200);
      assert.equal(answer.headers["content-encoding"], coding);
      assert.equal(answer.headers["vary"], "Accept-Encoding");
      assert.equal(answer.headers["content-type"], "text/javascript; charset=utf-8");
      // superagent undoes gzip, and leaves Brotli as it is
      if (coding === "gzip") assert.equal(answer.text, script);
      tags.add(answer.headers["etag"]);
    }
    assert.equal(tags.size, 3);
  });

  it("lets hashed names be kept for ever, and others be asked for again", async () => {
    const hashed = await request(serve()).get(`/${hashedName}`).expect(200);
    assert.equal(hashed.headers["cache-control"], "public, max-age=31536000, immutable");
    const picture = await request(serve()).get("/assets/a.png").expect(200);
    assert.equal(picture.headers["cache-control"], "no-cache");
    assert.equal(picture.headers["vary"], undefined);
    assert.equal(picture.headers["content-type"], "image/png");
    assert.deepEqual([...picture.body], [1, 2, 3]);
  });

  it("answers 304 for the same bytes only", async () => {
    for (const url of ["/", `/${hashedName}`, "/app-config.js", "/assets/a.png"]) {
      const first = await request(serve()).get(url).expect(200);
      const again = await request(serve()).get(url).set("If-None-Match", String(first.headers["etag"])).expect(304);
      assert.equal(again.text, "");
      await request(serve()).get(url).set("If-None-Match", '"other"').expect(200);
    }
  });

  it("answers HEAD as GET, without the body", async () => {
    const got = await request(serve()).get(`/${hashedName}`).set("Accept-Encoding", "gzip").expect(200);
    const head = await request(serve()).head(`/${hashedName}`).set("Accept-Encoding", "gzip").expect(200);
    for (const name of ["content-length", "content-type", "content-encoding", "etag", "content-security-policy"]) {
      assert.equal(head.headers[name], got.headers[name], name);
    }
    assert.equal(head.text, undefined);
  });

  it("puts its policy on everything it answers", async () => {
    for (const url of ["/", `/${hashedName}`, "/app-config.js", "/viewer"]) {
      const { headers } = await request(serve()).get(url).expect(200);
      const policy = String(headers["content-security-policy"]);
      assert.match(policy, /default-src 'self'; script-src 'self' 'unsafe-eval' 'sha256-[\w+/]{43}='; /);
      assert.match(policy, /connect-src 'self' blob: data:; /);
      assert.doesNotMatch(policy, /script-src[^;]*'unsafe-inline'|\*|https?:/);
      assert.equal(headers["x-content-type-options"], "nosniff");
      assert.equal(headers["x-frame-options"], "SAMEORIGIN");
      assert.equal(headers["referrer-policy"], "same-origin");
    }
  });

  it("serves the configuration it was given", async () => {
    const answer = await request(serve()).get("/app-config.js").expect(200);
    assert.equal(answer.text, appConfig);
    assert.equal(answer.headers["cache-control"], "no-cache");
  });

  it("tells how to install a viewer that is absent, and finds it once it is there", async () => {
    const late = path.join(folder, "late");
    const callback = callbackOf(late);
    const answer = await request(callback).get("/").set("Accept", "text/html").expect(503);
    assert.match(answer.text, /npm run viewer/);
    for (const url of ["/viewer", "/app-config.js", `/${hashedName}`]) await request(callback).get(url).expect(404);
    writeBuild(late);
    await request(callback).get("/").expect(200);
    await request(callback).get(`/${hashedName}`).expect(200);
  });

  it("takes a manifest that is damaged or names a file outside for no build at all", () => {
    const damaged = path.join(folder, "damaged");
    writeBuild(damaged);
    writeFileSync(manifestPath(damaged), "{");
    assert.equal(readManifest(damaged), undefined);
    for (const name of ["../secret", "/secret", "a/../../secret", ".hidden"]) {
      writeManifest(damaged, [{ ...describeFile("a.js", "x"), path: name }]);
      assert.equal(readManifest(damaged), undefined, name);
    }
  });

  it("sees a file that is missing or cut short", () => {
    const cut = path.join(folder, "cut");
    writeBuild(cut);
    const manifest = readManifest(cut);
    assert.ok(manifest);
    assert.equal(isWhole(cut, manifest), true);
    writeFileSync(viewerFilePath(cut, hashedName) + copyEndings.br, "");
    assert.equal(isWhole(cut, manifest), false);
    writeBuild(cut);
    rmSync(viewerFilePath(cut, "assets/a.png"));
    assert.equal(isWhole(cut, manifest), false);
  });
});

function callbackOf(buildFolder: string): ReturnType<Koa["callback"]> {
  const app = new Koa();
  // superagent may close its connection before Koa has seen the end of a stream; Koa would print that.
  app.silent = true;
  app.use(createViewer({ buildFolder, appConfig }));
  return app.callback();
}

function writeBuild(buildFolder: string): void {
  mkdirSync(viewerFilePath(buildFolder, "assets"), { recursive: true });
  writeFileSync(viewerFilePath(buildFolder, "assets/a.png"), Buffer.of(1, 2, 3));
  writeManifest(buildFolder, [
    writeText(buildFolder, "index.html", html),
    writeText(buildFolder, hashedName, script),
    { path: "assets/a.png", contentType: "image/png", sha256: "png", immutable: false, byteLength: 3 },
  ]);
}

function writeText(buildFolder: string, name: string, text: string): ViewerFile {
  const file = viewerFilePath(buildFolder, name);
  writeFileSync(file, text);
  writeFileSync(file + copyEndings.gzip, gzipSync(text));
  writeFileSync(file + copyEndings.br, brotliCompressSync(text));
  return describeFile(name, text);
}

function describeFile(name: string, text: string): ViewerFile {
  return {
    path: name,
    contentType: name.endsWith(".js") ? "text/javascript; charset=utf-8" : "text/html; charset=utf-8",
    sha256: `hash-of-${name}`,
    immutable: name === hashedName,
    byteLength: text.length,
    gzip: gzipSync(text).length,
    brotli: brotliCompressSync(text).length,
  };
}

function writeManifest(buildFolder: string, files: readonly ViewerFile[]): void {
  const inlineScripts = [`sha256-${"A".repeat(43)}=`];
  const manifest = { package: "made-up", version: "1", recipe: 1, inlineScripts, files };
  writeFileSync(manifestPath(buildFolder), JSON.stringify(manifest));
}
