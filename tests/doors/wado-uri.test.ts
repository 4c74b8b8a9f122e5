/** URI Service (PS3.18 9) through the web door. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { newUid } from "../../server/dicom/uid.ts";
import { element, encapsulated, syntaxUid } from "../support/dicom-writer.ts";
import { type ImageFile, imageFile, nativeImage, pixelAttributes } from "../support/images.ts";
import { multipartBody, multipartType } from "../support/instances.ts";
import { jpeg } from "../support/jpeg.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("GET /wado", () => {
  let server: TestServer;
  const pdf = Buffer.from("%PDF-1.7 small");
  const frames = [jpeg({ jfif: true }), jpeg({ jfif: true })].map((bytes, index) =>
    Buffer.concat([bytes, Buffer.alloc(2 + index * 2, index)]),
  );
  const files = {
    native: nativeImage(2),
    photo: imageFile(syntaxUid.jpegBaseline, pixelAttributes(2, 2, 2, "YBR_FULL_422"), [encapsulated([], frames)]),
    pdf: imageFile(syntaxUid.explicitLittle, { "00080016": ["UI", "1.2.840.10008.5.1.4.1.1.104.1"] }, [
      element(0x00420011, "OB", pdf),
    ]),
  } satisfies Record<string, ImageFile>;

  before(async () => {
    server = await startTestServer();
    const body = multipartBody(Object.values(files).map(({ bytes }) => bytes));
    const headers = { "Content-Type": multipartType };
    const stored = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body });
    assert.equal(stored.status, 200, await stored.text());
  });
  after(() => server.stop());

  function uidsOf({ path }: ImageFile) {
    const [, studyUID = "", , seriesUID = "", , objectUID = ""] = path.replace("/dicom-web/", "").split("/");
    return { requestType: "WADO", studyUID, seriesUID, objectUID };
  }

  function ask(query: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>> = {}) {
    return fetch(`${server.url}/wado?${new URLSearchParams(query).toString()}`, { headers });
  }

  async function refused(query: Readonly<Record<string, string>>, status: number, reason: RegExp): Promise<void> {
    const response = await ask(query);
    assert.equal(response.status, status, JSON.stringify(query));
    assert.equal(response.headers.get("content-type"), "application/problem+json");
    assert.match(await response.text(), reason);
  }

  it("gives the stored instance as application/dicom, with ranges and validators", async () => {
    const query = { ...uidsOf(files.native), contentType: "application/dicom" };
    const response = await ask(query);
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type") ?? "", /^application\/dicom; transfer-syntax=/);
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(files.native.bytes));
    const etag = response.headers.get("etag") ?? "";
    assert.equal((await ask(query, { "If-None-Match": etag })).status, 304);
    const range = await ask(query, { Range: "bytes=128-131" });
    assert.equal(range.status, 206);
    assert.equal(await range.text(), "DICM");
  });

  it("gives it in the transfer syntax that it is stored in, and no other yet", async () => {
    const query = { ...uidsOf(files.photo), contentType: "application/dicom" };
    assert.equal((await ask({ ...query, transferSyntax: syntaxUid.jpegBaseline })).status, 200);
    await refused({ ...query, transferSyntax: syntaxUid.explicitLittle }, 406, /1\.2\.840\.10008\.1\.2\.4\.50/);
  });

  it("renders what needs no work on pixels: a document, and one frame", async () => {
    const document = await ask(uidsOf(files.pdf));
    assert.equal(document.headers.get("content-type"), "application/pdf");
    assert.ok(Buffer.from(await document.arrayBuffer()).equals(pdf));
    for (const [frameNumber, expected] of [frames[0], frames[1]].entries()) {
      const query = { ...uidsOf(files.photo), contentType: "image/jpeg", frameNumber: `${frameNumber + 1}` };
      const image = await ask(query);
      assert.equal(image.headers.get("content-type"), "image/jpeg");
      assert.ok(expected && Buffer.from(await image.arrayBuffer()).equals(expected));
    }
    const first = Buffer.from(await (await ask(uidsOf(files.photo))).arrayBuffer());
    assert.ok(frames[0] && first.equals(frames[0]));
  });

  it("gives the instance to those that take it in place of an image", async () => {
    const response = await ask({ ...uidsOf(files.native), contentType: "image/jpeg, application/dicom;q=0.5" });
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(files.native.bytes));
  });

  it("says what cannot be rendered yet, and what is not there", async () => {
    await refused(uidsOf(files.native), 406, /render/);
    await refused({ ...uidsOf(files.photo), windowCenter: "40", windowWidth: "400" }, 406, /window/);
    await refused({ ...uidsOf(files.photo), region: "0,0,0.5,0.5" }, 406, /region/);
    await refused({ ...uidsOf(files.photo), frameNumber: "3" }, 400, /frameNumber.*2 frames/);
    await refused({ ...uidsOf(files.photo), objectUID: newUid() }, 404, /instance/);
  });

  it("refuses a malformed request, naming the parameter", async () => {
    const dicom = { ...uidsOf(files.photo), contentType: "application/dicom" };
    await refused({ ...uidsOf(files.photo), objectUID: "" }, 400, /objectUID/);
    const { requestType, studyUID, seriesUID } = dicom;
    await refused({ requestType, studyUID, seriesUID }, 400, /objectUID is missing/);
    await refused({}, 400, /is missing/);
    await refused({ ...dicom, requestType: "RENDER" }, 400, /requestType/);
    await refused({ ...dicom, studyUID: "../1" }, 400, /studyUID/);
    await refused({ ...dicom, frameNumber: "1" }, 400, /frameNumber/);
    await refused({ ...dicom, anonymize: "yes" }, 400, /anonymize/);
    for (const [name, value] of Object.entries({
      frameNumber: "0",
      rows: "1e9",
      region: "0,0,2,1",
      imageQuality: "101",
      annotation: "all",
      windowWidth: "wide",
      transferSyntax: "x",
    })) {
      await refused({ ...uidsOf(files.photo), [name]: value }, 400, new RegExp(name));
    }
    await refused({ ...uidsOf(files.photo), windowCenter: "40" }, 400, /windowWidth/);
    await refused({ ...uidsOf(files.photo), region: "0.5,0,0.5,1" }, 400, /region/);
    await refused({ ...uidsOf(files.photo), presentationUID: newUid() }, 400, /presentationSeriesUID/);
  });
});
