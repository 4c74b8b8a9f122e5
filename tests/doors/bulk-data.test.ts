/** Bulk data and pixel data of a study, a series and an instance: all of it, each part with its address. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { newUid } from "../../server/dicom/uid.ts";
import { element, encapsulated, syntaxUid } from "../support/dicom-writer.ts";
import { type ImageFile, imageFile, nativeImage, pixelAttributes } from "../support/images.ts";
import { multipartBody, multipartType } from "../support/instances.ts";
import { partsOf } from "../support/parts.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("GET of all bulk data and of pixel data", () => {
  let server: TestServer;
  let native: ImageFile;
  let rle: ImageFile;
  let bare: ImageFile;
  const profile = Buffer.alloc(2000, 7);
  const fragments = [Buffer.from("first frame!"), Buffer.from("frame two...")];

  before(async () => {
    server = await startTestServer();
    const uids = { study: newUid(), series: newUid() };
    native = nativeImage(3, syntaxUid.explicitLittle, uids);
    const attributes = { ...pixelAttributes(2, 2, 2), "00200013": ["IS", "9"], "00282000": ["OB", profile] } as const;
    rle = imageFile(syntaxUid.rle, attributes, [encapsulated([], fragments)], uids);
    bare = imageFile(syntaxUid.explicitLittle, {}, [element(0x00400000, "UL", [4])]);
    const body = multipartBody([native.bytes, rle.bytes, bare.bytes]);
    const headers = { "Content-Type": multipartType };
    const stored = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body });
    assert.equal(stored.status, 200, await stored.text());
  });
  after(() => server.stop());

  const seriesPath = () => native.path.replace(/\/instances.*/, "");
  const studyPath = () => native.path.replace(/\/series.*/, "");

  function ask(path: string, accept = "*/*"): Promise<Response> {
    return fetch(server.url + path, { headers: { accept } });
  }

  it("sends every value of the level, with its media type and where it is alone", async () => {
    for (const path of [studyPath(), seriesPath()]) {
      const parts = await partsOf(await ask(`${path}/bulkdata`, 'multipart/related; type="application/octet-stream"'));
      assert.deepEqual(
        parts.map(({ location, bytes }) => [location, bytes.length]),
        [
          [`${server.url}${rle.path}/bulkdata/00282000`, 2000],
          [`${server.url}${rle.path}/frames/1`, 12],
          [`${server.url}${rle.path}/frames/2`, 12],
          [`${server.url}${native.path}/bulkdata/7FE00010`, 12],
        ],
      );
      assert.deepEqual(
        parts.map(({ contentType }) => contentType),
        [
          "application/octet-stream",
          `application/octet-stream; transfer-syntax=${syntaxUid.rle}`,
          `application/octet-stream; transfer-syntax=${syntaxUid.rle}`,
          "application/octet-stream",
        ],
      );
      for (const { location = "", bytes } of parts) {
        const alone = await fetch(location, { headers: { accept: "application/octet-stream" } });
        assert.deepEqual(Buffer.from(await alone.arrayBuffer()), bytes, location);
      }
    }
  });

  it("sends pixel data alone, in the media type of its transfer syntax where that is asked for", async () => {
    const parts = await partsOf(await ask(`${rle.path}/pixeldata`, 'multipart/related; type="image/dicom-rle"'));
    assert.deepEqual(
      parts.map(({ bytes }) => bytes),
      fragments,
    );
    assert.equal(parts[0]?.contentType, `image/dicom-rle; transfer-syntax=${syntaxUid.rle}`);
    assert.equal((await partsOf(await ask(`${seriesPath()}/pixeldata`))).length, 3);
    assert.equal((await partsOf(await ask(`${studyPath()}/pixeldata`))).length, 3);
    const [pixels] = await partsOf(await ask(`${native.path}/pixeldata`));
    assert.deepEqual([...(pixels?.bytes ?? [])], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  it("refuses to leave out what Accept does not take, and names what there is", async () => {
    const refused = await ask(`${seriesPath()}/pixeldata`, 'multipart/related; type="image/dicom-rle"');
    assert.equal(refused.status, 406);
    const text = await refused.text();
    assert.match(text, /image\/dicom-rle.*1\.2\.840\.10008\.1\.2\.5/);
    assert.match(text, /application\/octet-stream.*1\.2\.840\.10008\.1\.2\.1\b/);
    assert.equal((await ask(`${rle.path}/bulkdata`, 'multipart/related; type="image/dicom-rle"')).status, 406);
    assert.equal((await ask(`${native.path}/bulkdata`, "application/octet-stream")).status, 406);
  });

  it("answers 404 where there is none, and where there is nothing at all", async () => {
    for (const path of ["bulkdata", "pixeldata"]) {
      const none = await ask(`${bare.path}/${path}`);
      assert.equal(none.status, 404);
      const words = path === "bulkdata" ? /The instance has no bulk data: its metadata hold/ : /has no pixel data/;
      assert.match(await none.text(), words);
      assert.equal((await ask(`/dicom-web/studies/${newUid()}/${path}`)).status, 404);
      assert.equal((await ask(`/dicom-web/studies/1.2.x/${path}`)).status, 400);
    }
  });

  it("answers 304 while nothing of the level changed", async () => {
    const first = await ask(`${studyPath()}/bulkdata`);
    await first.arrayBuffer();
    const etag = first.headers.get("etag") ?? "";
    const again = await fetch(`${server.url}${studyPath()}/bulkdata`, { headers: { "if-none-match": etag } });
    assert.equal(again.status, 304);
  });
});
