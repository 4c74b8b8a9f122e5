/** Content negotiation of retrieval: media types, transfer syntaxes, weights, query parameters, and what is refused. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { newUid } from "../../server/dicom/uid.ts";
import { encapsulated, syntaxUid } from "../support/dicom-writer.ts";
import { imageFile, nativeImage, pixelAttributes } from "../support/images.ts";
import { multipartBody, multipartType } from "../support/instances.ts";
import { partsOf } from "../support/parts.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const { implicitLittle, explicitLittle, explicitBig, deflated, rle } = syntaxUid;
const octets = "application/octet-stream";
const related = (type: string, syntax?: string) =>
  `multipart/related; type="${type}"${syntax === undefined ? "" : `; transfer-syntax=${syntax}`}`;

describe("content negotiation", () => {
  let server: TestServer;
  const mixed = { study: newUid(), series: newUid() };
  const rleImage = (uids = {}) =>
    imageFile(rle, pixelAttributes(2, 2, 2), [encapsulated([], [Buffer.from("one."), Buffer.from("two.")])], uids);
  const files = {
    explicit: nativeImage(2),
    implicit: nativeImage(2, implicitLittle),
    big: nativeImage(2, explicitBig),
    deflated: nativeImage(2, deflated),
    rle: rleImage(),
    mixedNative: nativeImage(1, explicitLittle, mixed),
    mixedRle: rleImage(mixed),
  };
  const mixedSeries = `/dicom-web/studies/${mixed.study}/series/${mixed.series}`;

  before(async () => {
    server = await startTestServer();
    const body = multipartBody(Object.values(files).map(({ bytes }) => bytes));
    const headers = { "Content-Type": multipartType };
    const stored = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body });
    assert.equal(stored.status, 200, await stored.text());
  });
  after(() => server.stop());

  function ask(path: string, accept?: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return fetch(server.url + path, { headers: { ...(accept !== undefined && { accept }), ...headers } });
  }

  async function timed(path: string, accept: string, times: number[]): Promise<[Response, string]> {
    const start = performance.now();
    const response = await ask(path, accept);
    const text = await response.text();
    times.push(performance.now() - start);
    return [response, text];
  }

  /** Status, and the media type: of a multipart message with its `type`, without the boundary. */
  async function answered(path: string, accept?: string): Promise<string> {
    const response = await ask(path, accept);
    await response.arrayBuffer();
    const type = (response.headers.get("content-type") ?? "").replace(/; boundary=.*/, "");
    return response.status === 200 ? type : String(response.status);
  }

  const alone = (type: string, syntax: string) => `${type}; transfer-syntax=${syntax}`;
  const parts = (type: string) => `multipart/related; type="${type}"`;

  it("compresses metadata for those alone who take gzip", async () => {
    const cases = { "gzip;q=0, identity": null, "deflate, gzip;q=0.5": "gzip", gzip: "gzip", br: null, "": null };
    for (const [accepted, coding] of Object.entries(cases)) {
      const answer = await ask(`${mixedSeries}/metadata`, undefined, { "accept-encoding": accepted });
      assert.equal(answer.headers.get("content-encoding"), coding, accepted);
      await answer.arrayBuffer();
    }
  });

  it("chooses how frames are sent by type, weight and transfer syntax", async () => {
    const cases: readonly (readonly [file: keyof typeof files, accept: string | undefined, answer: string])[] = [
      ["explicit", undefined, parts(octets)],
      ["explicit", "*/*", parts(octets)],
      ["explicit", octets, alone(octets, explicitLittle)],
      ["explicit", "application/*", alone(octets, explicitLittle)],
      ["explicit", `multipart/related; type=${octets}; transfer-syntax=*`, parts(octets)],
      ["explicit", related(octets, explicitLittle), parts(octets)],
      ["explicit", related(octets, rle), "406"],
      ["explicit", "image/jpeg", "406"],
      ["explicit", `image/jpeg, ${octets};q=0.1`, alone(octets, explicitLittle)],
      ["explicit", `${octets};q=0, */*`, parts(octets)],
      ["explicit", `${octets};q=0.2, ${related(octets)};q=0.3`, parts(octets)],
      ["explicit", `${octets};q=0.3, ${related(octets)};q=0.2`, alone(octets, explicitLittle)],
      // The file says Implicit VR, and so does its metadata; its pixels are the same in Explicit VR.
      ["implicit", `${octets}; transfer-syntax=${implicitLittle}`, alone(octets, explicitLittle)],
      ["implicit", `${octets}; transfer-syntax=${explicitLittle}`, alone(octets, explicitLittle)],
      ["deflated", `${octets}; transfer-syntax=${deflated}`, alone(octets, explicitLittle)],
      ["explicit", `${octets}; transfer-syntax=${implicitLittle}`, "406"],
      // In little endian, whatever the file has: a client that wants big endian cannot have it.
      ["big", `${octets}; transfer-syntax=${explicitLittle}`, alone(octets, explicitLittle)],
      ["big", `${octets}; transfer-syntax=${explicitBig}`, "406"],
      ["rle", undefined, parts("image/dicom-rle")],
      ["rle", "image/*", alone("image/dicom-rle", rle)],
      ["rle", `image/dicom-rle; transfer-syntax="${rle}"`, alone("image/dicom-rle", rle)],
      ["rle", octets, alone(octets, rle)],
      ["rle", related(octets, explicitLittle), "406"],
      ["rle", related("image/dicom-rle", "*"), parts("image/dicom-rle")],
      ["rle", `multipart/related; type="image/dicom-rle; transfer-syntax=${rle}"`, parts("image/dicom-rle")],
    ];
    for (const [file, accept, answer] of cases) {
      assert.equal(await answered(`${files[file].path}/frames/1`, accept), answer, `${file}: ${accept}`);
    }
  });

  it("names in a 406 every media type that there is, with its transfer syntax", async () => {
    const cases: readonly (readonly [path: string, accept: string, named: readonly string[]])[] = [
      [
        `${files.rle.path}/frames/1`,
        "image/jpeg",
        [related("image/dicom-rle", rle), alone("image/dicom-rle", rle), related(octets, rle), alone(octets, rle)],
      ],
      [files.rle.path, "image/jpeg", [related("application/dicom", rle), alone("application/dicom", rle)]],
      [
        mixedSeries,
        related("application/dicom", rle),
        [related("application/dicom", rle), related("application/dicom", explicitLittle)],
      ],
      [`${files.rle.path}/metadata`, "text/html", ["application/dicom+json", related("application/dicom+xml")]],
      [`${mixedSeries}/pixeldata`, "image/png", [related("image/dicom-rle", rle), related(octets, explicitLittle)]],
    ];
    for (const [path, accept, named] of cases) {
      const response = await ask(path, accept);
      assert.equal(response.status, 406, path);
      const text = JSON.stringify(await response.json()).replaceAll('\\"', '"');
      for (const one of named) assert.ok(text.includes(one), `${one} is not in ${text}`);
    }
  });

  it("sends a mixed series whole, or not at all", async () => {
    const any = await partsOf(await ask(mixedSeries, related("application/dicom", "*")));
    assert.deepEqual(
      any.map(({ contentType }) => contentType).toSorted(),
      [alone("application/dicom", explicitLittle), alone("application/dicom", rle)].toSorted(),
    );
    const both = `${related("application/dicom", rle)}, ${related("application/dicom", explicitLittle)}`;
    assert.equal((await partsOf(await ask(mixedSeries, both))).length, 2);
    assert.equal((await ask(mixedSeries, related("application/dicom", explicitLittle))).status, 406);
  });

  it("takes the accept parameter before the header, its plus sign escaped or not", async () => {
    const path = `${files.rle.path}/metadata`;
    for (const accept of [
      "application/dicom%2Bxml",
      "application/dicom+xml",
      "text/html,application/dicom+xml;q=0.5",
    ]) {
      assert.equal(await answered(`${path}?accept=${accept}`, "application/json"), "application/dicom+xml", accept);
    }
    assert.equal(await answered(`${path}?accept=text/html&accept=application/json`), "application/json");
    assert.equal(await answered(`${path}?accept=text/html`, "application/json"), "406");
    const quoted = encodeURIComponent('multipart/related; type="application/dicom+xml"');
    assert.equal(await answered(`${path}?accept=${quoted}`), parts("application/dicom+xml"));
  });

  it("answers in UTF-8 to every wish for a character set but one that rules it out", async () => {
    const path = `${files.rle.path}/metadata`;
    for (const wish of ["utf-8", "*", "ISO-8859-1", "iso-8859-1, *;q=0, UTF-8;q=0.1", "iso-8859-1;q=0", "utf-8;q=x"]) {
      const response = await ask(path, undefined, { "accept-charset": wish });
      assert.equal(response.status, 200, wish);
      assert.equal((await ask(`${path}?charset=${encodeURIComponent(wish)}`)).status, 200, wish);
    }
    for (const wish of ["utf-8;q=0", "*;q=0", "iso-8859-1, utf-8; Q=0.0"]) {
      const response = await ask(path, undefined, { "accept-charset": wish });
      assert.equal(response.status, 406, wish);
      assert.match(await response.text(), /UTF-8/);
      assert.equal((await ask(`${path}?charset=${encodeURIComponent(wish)}`)).status, 406, wish);
    }
    const overridden = await ask(`${path}?charset=utf-8`, undefined, { "accept-charset": "utf-8;q=0" });
    assert.equal(overridden.status, 200);
  });

  it("says what a list of frames is", async () => {
    for (const list of ["0", "1,,2", "one"]) {
      const answer = await fetch(`${server.url}${files.rle.path}/frames/${list}`);
      assert.equal(answer.status, 400);
      assert.match(await answer.text(), /The frames in the address are not numbers from 1 on, joined by comma\./);
    }
  });

  it("refuses bad input with a problem document, within 100 ms", async () => {
    const ranges = Array.from({ length: 1000 }, (_, index) => `image/x${index};q=0.5`).join(", ");
    const { path } = files.rle;
    const cases: readonly (readonly [path: string, accept: string, status: number])[] = [
      [`${path}/frames/1`, ranges.slice(0, 14_000), 400],
      [`${path}/frames/0`, "*/*", 400],
      [`${path}/frames/1000000000`, "*/*", 400],
      [`${path}/frames/999999999`, "*/*", 404],
      [`${path}/frames/1,,2`, "*/*", 400],
      ["/dicom-web/studies/1.2.abc/metadata", "*/*", 400],
      ["/dicom-web/studies/..%2f..%2fetc%2fpasswd", "*/*", 400],
      [`${path}/bulkdata/..%2f..%2fetc%2fpasswd`, "*/*", 400],
      [`${path}/metadata`, `${'"'.repeat(7000)}/x`, 406],
      [`${path}/metadata`, ";".repeat(14_000), 406],
    ];
    for (const [at, accept, status] of cases) {
      // The least of three: other work on the machine may hold up any one.
      const times: number[] = [];
      let [response, text] = await timed(at, accept, times);
      for (let round = 0; round < 2; round += 1) [response, text] = await timed(at, accept, times);
      const name = `${at.slice(0, 150)} ${accept.slice(0, 20)}`;
      assert.equal(response.headers.get("content-type"), "application/problem+json", name);
      assert.equal(response.status, status, `${name}: ${text.slice(0, 200)}`);
      assert.ok(Math.min(...times) < 100, `${name} took ${times.join(", ")} ms`);
    }
  });
});
