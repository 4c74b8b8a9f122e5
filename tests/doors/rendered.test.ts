/** Rendered resources and thumbnails: documents, videos, JPEG frames as they are stored, and what is refused. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { newUid } from "../../server/dicom/uid.ts";
import { element, encapsulated, syntaxUid } from "../support/dicom-writer.ts";
import { type ImageFile, imageFile, nativeImage, pixelAttributes } from "../support/images.ts";
import { multipartBody, multipartType } from "../support/instances.ts";
import { jpeg } from "../support/jpeg.ts";
import { partsOf } from "../support/parts.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const classOf = (last: number) => ({ "00080016": ["UI", `1.2.840.10008.5.1.4.1.1.104.${last}`] }) as const;
const mpeg4Uid = "1.2.840.10008.1.2.4.102";

describe("GET of rendered resources and thumbnails", () => {
  let server: TestServer;
  const pdf = Buffer.concat([Buffer.from("%PDF-1.7\n"), Buffer.alloc(3000, 0x20), Buffer.from("%%EOF")]);
  const frames = [jpeg({ jfif: true }), jpeg({ jfif: true })].map((bytes, index) =>
    Buffer.concat([bytes, Buffer.alloc(6 + index * 2, index)]),
  );
  const movie = Buffer.concat([Buffer.from("\0\0\0\x20ftypisom", "latin1"), Buffer.alloc(5000, 1)]);
  const color = { study: newUid(), series: newUid() };

  const document = (last: number, bytes: Buffer, more = {}) =>
    imageFile(syntaxUid.explicitLittle, { ...classOf(last), ...more }, [element(0x00420011, "OB", bytes)]);
  const video = (bytes: Buffer) =>
    imageFile(mpeg4Uid, pixelAttributes(2, 2, 50, "YBR_PARTIAL_420"), [encapsulated([], [bytes])]);
  const photo = (photometric: string, fragments: readonly Buffer[], more = {}, uids = {}) =>
    imageFile(
      syntaxUid.jpegBaseline,
      { ...pixelAttributes(2, 2, fragments.length, photometric), ...more },
      [encapsulated([], fragments)],
      uids,
    );

  const files = {
    // An odd length, made even: the byte behind the document is no part of it.
    pdf: document(1, Buffer.concat([pdf, Buffer.alloc(pdf.length % 2)]), { "00420015": ["UL", [pdf.length]] }),
    small: document(1, Buffer.from("%PDF-1.7 small")),
    cda: document(2, Buffer.from("<ClinicalDocument/> ")),
    stl: document(3, Buffer.alloc(2000, 3)),
    mp4: video(movie),
    bare: video(Buffer.concat([Buffer.from("0000000167", "hex"), Buffer.alloc(2001)])),
    photo: photo("YBR_FULL_422", frames, {}, color),
    one: photo("YBR_FULL_422", frames.slice(0, 1), { "00200013": ["IS", "9"] }, color),
    wrong: photo("RGB", frames),
    gray: photo("MONOCHROME2", [jpeg({ ids: [1] })]),
    windowed: photo("MONOCHROME2", [jpeg({ ids: [1] })], { "00281050": ["DS", "40"], "00281051": ["DS", "80"] }),
    native: nativeImage(2),
    report: imageFile(syntaxUid.explicitLittle, {}, [element(0x00400000, "UL", [4])], color),
  } satisfies Record<string, ImageFile>;

  before(async () => {
    server = await startTestServer();
    const body = multipartBody(Object.values(files).map(({ bytes }) => bytes));
    const headers = { "Content-Type": multipartType };
    const stored = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body });
    assert.equal(stored.status, 200, await stored.text());
  });
  after(() => server.stop());

  function ask(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return fetch(server.url + path, { headers });
  }

  async function bytesOf(response: Response, status = 200): Promise<Buffer> {
    const bytes = Buffer.from(await response.arrayBuffer());
    assert.equal(response.status, status, bytes.toString("latin1", 0, 300));
    return bytes;
  }

  it("sends documents as what they are, without padding, and so that they can do no harm", async () => {
    const cases = [
      [files.pdf, "application/pdf", pdf],
      [files.small, "application/pdf", Buffer.from("%PDF-1.7 small")],
      [files.cda, "text/xml", Buffer.from("<ClinicalDocument/> ")],
      [files.stl, "model/stl", Buffer.alloc(2000, 3)],
    ] as const;
    for (const [{ path }, mediaType, bytes] of cases) {
      const response = await ask(`${path}/rendered`, { accept: "text/html,application/xhtml+xml,*/*;q=0.8" });
      assert.deepEqual(await bytesOf(response), bytes);
      assert.equal(response.headers.get("content-type"), mediaType);
      assert.equal(response.headers.get("content-security-policy"), "default-src 'none'; sandbox");
      assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    }
    const range = await ask(`${files.pdf.path}/rendered`, { range: "bytes=-5" });
    assert.equal((await bytesOf(range, 206)).toString(), "%%EOF");
  });

  it("sends a video whose container a browser knows, in ranges", async () => {
    const response = await ask(`${files.mp4.path}/rendered`, { range: "bytes=0-", accept: "*/*" });
    assert.deepEqual(await bytesOf(response, 206), movie);
    assert.equal(response.headers.get("content-type"), "video/mp4");
    assert.equal(response.headers.get("content-range"), `bytes 0-${movie.length - 1}/${movie.length}`);
    const bare = await ask(`${files.bare.path}/rendered`);
    assert.equal(bare.status, 406);
    assert.match(await bare.text(), /cannot-render/);
    assert.equal((await ask(`${files.mp4.path}/rendered?viewport=10,10`)).status, 406);
  });

  it("sends JPEG frames as they are stored: one alone, several as parts", async () => {
    const alone = await ask(`${files.photo.path}/frames/2/rendered`, { accept: "image/*" });
    assert.deepEqual(await bytesOf(alone), frames[1]);
    assert.equal(alone.headers.get("content-type"), "image/jpeg");
    assert.deepEqual(await bytesOf(await ask(`${files.one.path}/rendered`)), frames[0]);
    for (const end of ["/frames/1,2/rendered", "/rendered"]) {
      const parts = await partsOf(await ask(files.photo.path + end));
      assert.deepEqual(
        parts.map(({ bytes }) => bytes),
        frames,
      );
      assert.equal(parts[1]?.location, `${server.url}${files.photo.path}/frames/2/rendered`);
    }
    const jpegAlone = await ask(`${files.photo.path}/rendered`, { accept: "image/jpeg" });
    assert.equal(jpegAlone.status, 406);
    assert.match(await jpegAlone.text(), /multipart\/related; type=\\"image\/jpeg\\"/);
    const [etag, other] = await Promise.all(
      ["1", "2"].map(async (n) => (await ask(`${files.photo.path}/frames/${n}/rendered`)).headers.get("etag")),
    );
    assert.notEqual(etag, other);
  });

  it("sends a series and a study: all that can be shown, and nothing when an image cannot", async () => {
    const series = files.photo.path.replace(/\/instances.*/, "");
    const study = series.replace(/\/series.*/, "");
    assert.equal((await partsOf(await ask(`${series}/rendered`))).length, 3);
    assert.equal((await partsOf(await ask(`${study}/rendered`))).length, 3);
    assert.equal((await ask(`${series}/rendered`, { accept: "image/png" })).status, 406);
    const native = files.native.path.replace(/\/instances.*/, "");
    assert.equal((await ask(`${native}/rendered`)).status, 406);
  });

  it("passes gray values only where no window changes them, and colors only where the stream says the same", async () => {
    assert.equal((await ask(`${files.gray.path}/rendered`)).status, 200);
    for (const [{ path }, reason] of [
      [files.windowed, /need a window/],
      [files.wrong, /would be taken for YBR_FULL/],
      [files.native, /stored as Explicit VR Little Endian/],
      [files.report, /no image, video or document/],
    ] as const) {
      const response = await ask(`${path}/rendered`);
      assert.equal(response.status, 406);
      const problem: unknown = await response.json();
      assert.match(JSON.stringify(problem), reason);
      assert.match(JSON.stringify(problem), /"code":"cannot-render"/);
    }
  });

  it("sends a thumbnail of each level, one image", async () => {
    const series = files.photo.path.replace(/\/instances.*/, "");
    for (const path of [series.replace(/\/series.*/, ""), series, files.photo.path, `${files.photo.path}/frames/1`]) {
      const response = await ask(`${path}/thumbnail`, { accept: "image/jpeg" });
      assert.equal((await bytesOf(response)).toString("hex", 0, 2), "ffd8", path);
      assert.equal(response.headers.get("content-type"), "image/jpeg");
    }
    assert.equal((await ask(`${series}/thumbnail?viewport=256,256`)).status, 406);
    assert.equal((await ask(`${files.photo.path}/frames/1,2/thumbnail`)).status, 400);
    assert.equal((await ask(`${files.pdf.path}/thumbnail`)).status, 406);
    assert.equal((await ask(`${files.native.path}/thumbnail`)).status, 406);
  });

  it("answers 400 to a parameter that is none, naming it, and 406 to one that asks for pixel work", async () => {
    const wrong = {
      viewport: ["10", "10,0", "10,10,1", "99999,10", "a,b", "10,10,0,0,0,5", "10,10,-1,0,5,5", "10,10,1,1,1,1,1"],
      window: ["40", "40,80", "40,0,linear", "40,80,cubic", "x,80,linear", "1e999,1,linear"],
      quality: ["0", "101", "1.5", "high"],
      annotation: ["", "name", "patient,,technique"],
      iccprofile: ["maybe", ""],
    };
    for (const [name, values] of Object.entries(wrong)) {
      for (const value of values) {
        const response = await ask(`${files.photo.path}/rendered?${name}=${encodeURIComponent(value)}`);
        assert.equal(response.status, 400, `${name}=${value}`);
        assert.match(await response.text(), new RegExp(`"detail":"${name} is not `), `${name}=${value}`);
      }
    }
    const twice = await ask(`${files.photo.path}/rendered?quality=5&quality=6`);
    assert.equal(twice.status, 400);
    assert.equal((await ask(`${files.photo.path}/thumbnail?viewport=10,10,0,0,5,5`)).status, 400);
    const right = ["viewport=10,10", "viewport=10,10,,,-5,5.5", "window=40,80.5,linear-exact", "quality=90"];
    for (const query of [...right, "annotation=patient,technique", "iccprofile=srgb"]) {
      const response = await ask(`${files.photo.path}/frames/1/rendered?${query}`);
      assert.equal(response.status, 406, query);
      assert.match(await response.text(), new RegExp(`${query.replace(/=.*/, "")} asks for one`), query);
    }
    assert.equal((await ask(`${files.photo.path}/frames/1/rendered?iccprofile=no`)).status, 200);
    assert.equal((await ask(`${files.pdf.path}/rendered?viewport=10,10`)).status, 200);
  });

  it("answers 404 to what is absent, and 400 to no frame", async () => {
    assert.equal((await ask(`/dicom-web/studies/${newUid()}/rendered`)).status, 404);
    assert.equal((await ask(`/dicom-web/studies/${newUid()}/thumbnail`)).status, 404);
    assert.equal((await ask(`${files.photo.path}/frames/3/rendered`)).status, 404);
    assert.equal((await ask(`${files.photo.path}/frames/0/rendered`)).status, 400);
    assert.equal((await ask(`${files.mp4.path}/frames/1/rendered`)).status, 406);
  });
});
