/** Representations of searches: JSON or XML by Accept, entity tags and 304, HEAD. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { instanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const xml = 'multipart/related; type="application/dicom+xml"';

describe("representations of a search", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
    await store("Doe^Jane<&>", "20240102");
    await store("Roe^Rita", "20230102");
  });
  after(() => server.stop());

  async function store(name: string, date: string): Promise<void> {
    const { bytes: body } = instanceFile({ PatientName: name, StudyDate: date });
    const headers = { "Content-Type": "application/dicom" };
    assert.equal((await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body })).status, 200);
  }

  function get(path: string, headers: Readonly<Record<string, string>> = {}, method = "GET"): Promise<Response> {
    return fetch(`${server.url}/dicom-web/${path}`, { headers, method });
  }

  async function parts(response: Response): Promise<string[]> {
    const boundary = /boundary=(\S+)/.exec(response.headers.get("content-type") ?? "")?.[1];
    assert.ok(boundary);
    const [, ...pieces] = `\r\n${await response.text()}`.split(`\r\n--${boundary}`);
    assert.equal(pieces.pop(), "--\r\n");
    return pieces;
  }

  it("gives a Native DICOM Model document a match as multipart", async () => {
    for (const path of ["studies", "series", "instances", "patients"]) {
      const response = await get(`${path}?orderby=PatientName`, { Accept: xml });
      assert.equal(response.status, 200);
      assert.match(response.headers.get("content-type") ?? "", /^multipart\/related; type="application\/dicom\+xml"; /);
      const documents = path === "patients" ? 1 : 2;
      const found = await parts(response);
      assert.equal(found.length, documents, path);
      for (const part of found) {
        assert.match(
          part,
          /^\r\nContent-Type: application\/dicom\+xml\r\n(.+\r\n)*\r\n<\?xml version="1.0" encoding="UTF-8"\?>\s*<NativeDicomModel /,
        );
        assert.match(part, /<DicomAttribute tag="00100020" vr="LO" keyword="PatientID"><Value number="1">TEST-1</);
      }
    }
    const [first] = await parts(await get("studies", { Accept: xml }));
    assert.match(first ?? "", /<GivenName>Jane&lt;&amp;&gt;<\/GivenName>/);
  });

  it("gives no part where nothing matches, and [] as JSON, with 200 (CP-2473)", async () => {
    const none = await get("studies?PatientID=nobody", { Accept: xml });
    assert.equal(none.status, 200);
    assert.deepEqual(await parts(none), []);
    const json = await get("studies?PatientID=nobody");
    assert.deepEqual([json.status, await json.text()], [200, "[]"]);
  });

  it("chooses by Accept and its weights, and by the accept parameter", async () => {
    const json = "application/dicom+json";
    const cases = [
      ["*/*", json],
      [json, json],
      ["application/json", "application/json"],
      ["application/dicom+xml", "multipart/related"],
      [`${xml}, ${json};q=0.5`, "multipart/related"],
      [`${xml};q=0.5, ${json}`, json],
      [`${xml};q=0, */*;q=0.1`, json],
      ["multipart/related; type=application/dicom+xml", "multipart/related"],
    ] as const;
    for (const [accept, type] of cases) {
      const response = await get("studies", { Accept: accept });
      assert.ok(
        response.headers.get("content-type")?.startsWith(type),
        `${accept}: ${response.headers.get("content-type")}`,
      );
      await response.arrayBuffer();
    }
    const byParameter = await get(`studies?accept=${encodeURIComponent(xml)}`, { Accept: json });
    assert.match(byParameter.headers.get("content-type") ?? "", /^multipart/);
    await byParameter.arrayBuffer();
    const refused = await get("studies", { Accept: "text/html" });
    assert.equal(refused.status, 406);
    assert.match(await refused.text(), /application\/dicom\+json.*application\/dicom\+xml/);
  });

  it("answers 304 while the matches are the same, and not after a store", async () => {
    for (const accept of ["application/dicom+json", xml]) {
      const response = await get("studies?limit=10", { Accept: accept });
      await response.arrayBuffer();
      const etag = response.headers.get("etag") ?? assert.fail("no entity tag");
      assert.match(etag, /^W\//);
      assert.equal(response.headers.get("vary")?.toLowerCase().includes("accept"), true);
      const again = await get("studies?limit=10", { Accept: accept, "If-None-Match": etag });
      assert.equal(again.status, 304);
      assert.equal(again.headers.get("etag"), etag);
      const other = accept === xml ? "application/dicom+json" : xml;
      assert.equal((await get("studies?limit=10", { Accept: other, "If-None-Match": etag })).status, 200);
      await store("New^One", "20250101");
      assert.equal((await get("studies?limit=10", { Accept: accept, "If-None-Match": etag })).status, 200);
    }
  });

  it("tags the same matches otherwise when the headers say more", async () => {
    const tagOf = async (path: string) => (await get(path)).headers.get("etag");
    const before304 = await tagOf("studies?limit=1&orderby=-StudyDate");
    assert.equal(await tagOf("studies?limit=1&orderby=-StudyDate"), before304);
    assert.notEqual(await tagOf("studies?limit=1&orderby=-StudyDate&count=true"), before304);
  });

  it("answers HEAD as GET without the body", async () => {
    for (const path of ["studies", "patients", "series?limit=1&count=true", "instances?offset=9"]) {
      const [got, headed] = [await get(path), await get(path, {}, "HEAD")];
      assert.equal(headed.status, 200);
      assert.equal(await headed.text(), "");
      await got.arrayBuffer();
      for (const name of ["content-type", "content-length", "etag", "link", "warning", "x-total-count", "vary"]) {
        assert.equal(headed.headers.get(name), got.headers.get(name), `${path} ${name}`);
      }
    }
    assert.equal((await get("studies?limit=-1", {}, "HEAD")).status, 400);
  });
});
