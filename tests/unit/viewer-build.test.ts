/** Which files of the OHIF package become the viewer, how its page is cleaned, and what app-config.js says. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import vm from "node:vm";
import { makeAppConfig } from "../../ohif-config/app-config.ts";
import {
  cleanIndex,
  contentTypeOf,
  hasContentHash,
  inlineScriptHashes,
  isKept,
} from "../../ohif-config/package-files.ts";
import { repaired } from "../../ohif-config/repairs.ts";

describe("the viewer's build", () => {
  it("keeps what the viewer needs, and the licence", () => {
    for (const kept of [
      "package/LICENSE",
      "package/dist/index.html",
      "package/dist/app.bundle.0f6159c501addfe9.js",
      "package/dist/5130ccb17e3f3f5b.wasm",
      "package/dist/dicom-microscopy-viewer/dataLoader.worker.min.js",
      "package/dist/assets/favicon.ico",
      "package/dist/assets/images/CT-Bone.png",
    ]) {
      assert.equal(isKept(kept), true, kept);
    }
  });

  it("drops what is for other hosts, and what lies outside dist", () => {
    for (const gone of [
      "package/package.json",
      "package/dist/app-config.js",
      "package/dist/sw.js",
      "package/dist/init-service-worker.js",
      "package/dist/ort/ort-wasm-simd-threaded.wasm",
      "package/dist/app.bundle.0f6159c501addfe9.js.map",
      "package/dist/assets/apple-touch-icon.png",
      "other/dist/index.html",
    ]) {
      assert.equal(isKept(gone), false, gone);
    }
  });

  it("knows hashed names from plain ones", () => {
    assert.equal(hasContentHash("5130ccb17e3f3f5b.wasm"), true);
    assert.equal(hasContentHash("8097.bundle.8ae6404ba94890a0.js"), true);
    assert.equal(hasContentHash("app.bundle.css"), false);
    assert.equal(hasContentHash("dicom-microscopy-viewer/dicomiccwasm.wasm"), false);
  });

  it("refuses a file whose content type it does not know", () => {
    assert.equal(contentTypeOf("a.wasm"), "application/wasm");
    assert.throws(() => contentTypeOf("a.exe"), /content type/);
  });

  it("takes the tags of dropped files out of the page, and leaves the others", () => {
    const page =
      '<meta name="msapplication-TileImage" content="/assets/tile.png"><meta name="a" content="b">' +
      '<link rel="manifest" href="/manifest.json"><link rel="icon" href="/assets/favicon.ico">' +
      '<script rel="preload" as="script" src="/app-config.js"></script>' +
      '<script type="module" src="/init-service-worker.js"></script><script defer src="/app.js"></script>';
    assert.equal(
      cleanIndex(page, new Set(["assets/favicon.ico", "app.js"])),
      '<meta name="a" content="b"><link rel="icon" href="/assets/favicon.ico">' +
        '<script rel="preload" as="script" src="/app-config.js"></script><script defer src="/app.js"></script>',
    );
  });

  it("hashes inline scripts, and only those", () => {
    const page = '<script>let a = "</b>"</script><script src="/a.js"></script><script>b()</script>';
    assert.deepEqual(inlineScriptHashes(page), [hashOf('let a = "</b>"'), hashOf("b()")]);
  });

  it("repairs what stands exactly once, and refuses a build where it does not", async () => {
    const build: Readonly<Record<string, string>> = { "a.js": "x.y[0] + 1", "b.js": "x.z", "c.css": "x.y[0]" };
    const repair = (find: string) =>
      repaired(Object.keys(build), async (name) => build[name] ?? "", [{ files: /\.js$/, find, replace: "$&" }]);
    assert.deepEqual([...(await repair("y[0]"))], [["a.js", "x.$& + 1"]]);
    await assert.rejects(repair("x."), /2 times/);
    await assert.rejects(repair("absent"), /0 times/);
  });
});

describe("app-config.js", () => {
  it("gives one data source on the own origin, and names no foreign host", () => {
    const text = makeAppConfig({ dicomWebRoot: "/dicom-web", queryLimit: 50, uploadEnabled: false });
    assert.doesNotMatch(text, /https?:/);
    const { config } = runScript(text);
    const [source, ...others] = config.dataSources;
    assert.deepEqual(others, []);
    assert.equal(source?.sourceName, config.defaultDataSourceName);
    assert.equal(source?.configuration["wadoRoot"], "/dicom-web");
    assert.equal(source?.configuration["wadoUriRoot"], "/wado");
    assert.equal(source?.configuration["queryLimit"], 50);
    assert.equal(source?.configuration["dicomUploadEnabled"], false);
  });

  it("carries any title without harm", () => {
    const title = `</script><script>"'\\ \u2028 Łódź`;
    const text = makeAppConfig({ dicomWebRoot: "/dicom-web", title });
    assert.doesNotMatch(text, /<|\u2028/);
    assert.equal(runScript(text).title, title);
  });

  it("refuses a root on another host", () => {
    for (const root of ["https://pacs.example/dicom-web", "//pacs.example", "dicom-web", "/dicom-web/", ""]) {
      assert.throws(() => makeAppConfig({ dicomWebRoot: root }), /is not a path/, root);
    }
  });
});

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}

interface ConfigOfTest {
  readonly defaultDataSourceName: string;
  readonly dataSources: readonly { sourceName: string; configuration: Record<string, unknown> }[];
}

/** Runs the script as a browser would, and gives what it set. */
function runScript(text: string): { title: string; config: ConfigOfTest } {
  const page: { window: { config?: ConfigOfTest }; document: { title: string } } = {
    window: {},
    document: { title: "" },
  };
  vm.runInNewContext(text, page);
  assert.ok(page.window.config);
  return { title: page.document.title, config: page.window.config };
}
