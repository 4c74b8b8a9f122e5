/** Instances asked for in explicit VR little endian that are stored in another native transfer syntax. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { newUid } from "../../server/dicom/uid.ts";
import { element, encapsulated, syntaxUid } from "../support/dicom-writer.ts";
import { type ImageFile, imageFile, nativeImage, pixelAttributes } from "../support/images.ts";
import { multipartBody, multipartType } from "../support/instances.ts";
import { jpeg } from "../support/jpeg.ts";
import { partsOf } from "../support/parts.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const named = `application/dicom; transfer-syntax=${syntaxUid.explicitLittle}`;
const related = `multipart/related; type="application/dicom"; transfer-syntax=${syntaxUid.explicitLittle}`;

describe("GET of an instance in another native transfer syntax", () => {
  let server: TestServer;
  const uids = { study: newUid(), series: newUid() };
  const words = element(0x7fe00010, "OW", [1, 2, 0x0304, 0xffff]);
  const deep = { ...pixelAttributes(2, 2, 1, "MONOCHROME2"), "00280100": ["US", [16]] } as const;
  const files = {
    implicit: imageFile(syntaxUid.implicitLittle, deep, [words], uids),
    big: imageFile(syntaxUid.explicitBig, deep, [words], uids),
    deflated: imageFile(syntaxUid.deflated, deep, [words], uids),
    explicit: imageFile(syntaxUid.explicitLittle, deep, [words], uids),
    jpeg: imageFile(syntaxUid.jpegBaseline, pixelAttributes(2, 2, 1), [encapsulated([], [jpeg({ jfif: true })])]),
    one: nativeImage(1),
  } satisfies Record<string, ImageFile>;
  /** What every one of the first four ends with. */
  const pixels = Buffer.from("e07f10004f57000008000000010002000403ffff", "hex");

  before(async () => {
    server = await startTestServer();
    const body = multipartBody(Object.values(files).map(({ bytes }) => bytes));
    const headers = { "Content-Type": multipartType };
    const stored = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body });
    assert.equal(stored.status, 200, await stored.text());
  });
  after(() => server.stop());

  const ask = (path: string, accept: string, headers = {}) =>
    fetch(server.url + path, { headers: { Accept: accept, ...headers } });

  it("is made when it is named, and is the same each time", async () => {
    for (const name of ["implicit", "big", "deflated"] as const) {
      const response = await ask(files[name].path, named);
      assert.equal(response.status, 200, name);
      assert.equal(response.headers.get("content-type"), named);
      const bytes = Buffer.from(await response.arrayBuffer());
      assert.ok(bytes.subarray(-pixels.length).equals(pixels), name);
      const etag = response.headers.get("etag") ?? "";
      const stored = await ask(files[name].path, "application/dicom");
      assert.notEqual(stored.headers.get("etag"), etag);
      const part = await ask(
        files[name].path,
        `multipart/related; type="application/dicom"; transfer-syntax=${syntaxUid.explicitLittle}`,
      );
      assert.notEqual(part.headers.get("etag"), etag, "a cache that holds both asks by both tags");
      await part.arrayBuffer();
      assert.ok(Buffer.from(await stored.arrayBuffer()).equals(files[name].bytes), name);
      assert.equal((await ask(files[name].path, named, { "If-None-Match": etag })).status, 304);
    }
  });

  it("is not made of what is stored so", async () => {
    const response = await ask(files.explicit.path, named);
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(files.explicit.bytes));
    assert.equal(response.headers.get("accept-ranges"), "bytes");
  });

  it("makes a series of one transfer syntax", async () => {
    const found = await partsOf(await ask(`/dicom-web/studies/${uids.study}`, related));
    assert.equal(found.length, 4);
    for (const { contentType, bytes } of found) {
      assert.equal(contentType, named);
      assert.ok(bytes.subarray(-pixels.length).equals(pixels));
    }
  });

  it("leaves each as it is stored where any will do", async () => {
    const found = await partsOf(
      await ask(`/dicom-web/studies/${uids.study}`, 'multipart/related; type="application/dicom"'),
    );
    assert.equal(new Set(found.map(({ contentType }) => contentType)).size, 4);
  });

  it("is refused of compressed pixels, with what there is", async () => {
    const response = await ask(files.jpeg.path, named);
    assert.equal(response.status, 406);
    assert.match(await response.text(), /1\.2\.840\.10008\.1\.2\.4\.50/);
  });

  it("comes by the URI Service, too", async () => {
    const [, , , studyUID = "", , seriesUID = "", , objectUID = ""] = files.big.path.split("/");
    const query = { requestType: "WADO", studyUID, seriesUID, objectUID, contentType: "application/dicom" };
    const search = new URLSearchParams({ ...query, transferSyntax: syntaxUid.explicitLittle });
    const response = await ask(`/wado?${search.toString()}`, "*/*");
    assert.equal(response.headers.get("content-type"), named);
    assert.ok(
      Buffer.from(await response.arrayBuffer())
        .subarray(-pixels.length)
        .equals(pixels),
    );
  });
});
