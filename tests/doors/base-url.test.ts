/** The URLs in answers, behind proxies of all manners and for clients that make headers up. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import request from "supertest";
import { first, toDataSets } from "../support/dicom-json.ts";
import { instanceFile, type InstanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

/** Headers of a request, and what the URLs of the answer begin with; undefined: with what the client has called. */
const cases: readonly (readonly [Readonly<Record<string, string>>, string | undefined])[] = [
  [{}, undefined],
  [{ Host: "pacs.example" }, "http://pacs.example"],
  [{ Host: "[::1]:8080" }, "http://[::1]:8080"],
  [{ "X-Forwarded-Proto": "https", "X-Forwarded-Host": "pacs.example" }, "https://pacs.example"],
  [{ "X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "pacs.example, inner:80" }, "https://pacs.example"],
  [{ "X-Forwarded-Host": "pacs.example", "X-Forwarded-Port": "8443" }, "http://pacs.example:8443"],
  [{ "X-Forwarded-Host": "pacs.example:9000", "X-Forwarded-Port": "8443" }, "http://pacs.example:9000"],
  [{ Host: "pacs.example", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443" }, "https://pacs.example"],
  [{ Host: "pacs.example", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "80" }, "https://pacs.example"],
  [{ Host: "pacs.example", "X-Forwarded-Prefix": "/imaging/west" }, "http://pacs.example/imaging/west"],
  [{ Host: "pacs.example", "X-Forwarded-Prefix": "/imaging/" }, "http://pacs.example/imaging"],
  [{ Forwarded: "for=192.0.2.60;proto=https;host=pacs.example" }, "https://pacs.example"],
  [{ Forwarded: 'Proto=HTTPS; Host="pacs.example:8443", proto=http;host=inner' }, "https://pacs.example:8443"],
  [{ Forwarded: "host=one.example", "X-Forwarded-Host": "two.example" }, "http://one.example"],
  // Malformed: passed over.
  [{ Host: "pacs.example", "X-Forwarded-Host": "evil.example/path" }, "http://pacs.example"],
  [{ Host: "pacs.example", "X-Forwarded-Host": "user@evil.example" }, "http://pacs.example"],
  [{ Host: "pacs.example", "X-Forwarded-Host": '"><script>' }, "http://pacs.example"],
  [{ Host: "pacs.example", "X-Forwarded-Host": "evil.example:99999" }, "http://pacs.example"],
  [{ Host: "pacs.example", "X-Forwarded-Proto": "javascript" }, "http://pacs.example"],
  [{ Host: "pacs.example", "X-Forwarded-Port": "0" }, "http://pacs.example"],
  [{ Host: "pacs.example", "X-Forwarded-Prefix": "/../admin" }, "http://pacs.example"],
  [{ Host: "pacs.example", "X-Forwarded-Prefix": "//evil.example" }, "http://pacs.example"],
  [{ Host: "pacs.example", Forwarded: "host=evil.example;host=worse.example" }, "http://pacs.example"],
  [{ Host: "pacs.example", Forwarded: 'host="evil.example' }, "http://pacs.example"],
];

describe("URLs in answers", () => {
  let server: TestServer;
  let file: InstanceFile;

  before(async () => {
    server = await startTestServer();
    file = instanceFile();
    await store(server, file);
  });
  after(() => server.stop());

  function store(to: TestServer, { bytes }: InstanceFile, headers: Readonly<Record<string, string>> = {}) {
    return request(to.url)
      .post("/dicom-web/studies")
      .set({ ...headers, "Content-Type": "application/dicom" })
      .send(bytes)
      .expect(200);
  }

  async function retrieveUrl(of: TestServer, headers: Readonly<Record<string, string>>): Promise<unknown> {
    const response = await request(of.url).get("/dicom-web/studies").set(headers);
    assert.equal(response.status, 200, response.text);
    return first(toDataSets(JSON.parse(response.text))[0], "00081190");
  }

  for (const [headers, base] of cases) {
    it(`begin with ${base ?? "the address called"} for ${JSON.stringify(headers)}`, async () => {
      const expected = `${base ?? server.url}/dicom-web/studies/${file.studyInstanceUid}`;
      assert.equal(await retrieveUrl(server, headers), expected);
    });
  }

  it("are the same in every kind of answer", async () => {
    const proxy = { "X-Forwarded-Proto": "https", "X-Forwarded-Host": "pacs.example", "X-Forwarded-Prefix": "/a" };
    const root = `https://pacs.example/a/dicom-web/studies/${file.studyInstanceUid}`;
    const stored = await store(server, file, proxy);
    assert.ok(stored.text.includes(`"${root}/series/${file.seriesInstanceUid}`), stored.text);
    const ofStudy = `/dicom-web/studies/${file.studyInstanceUid}`;
    const metadata = await request(server.url).get(`${ofStudy}/metadata`).set(proxy);
    assert.match(metadata.text, new RegExp(`"BulkDataURI":"${root}/`));
    const own = await request(server.url).get(`${ofStudy}/metadata`);
    assert.match(own.text, new RegExp(`"BulkDataURI":"${server.url}/`));
    assert.notEqual(own.headers["etag"], metadata.headers["etag"]);
    const study = await fetch(`${server.url}${ofStudy}`, { headers: proxy });
    assert.match(await study.text(), new RegExp(`Content-Location: ${root}/series/`));
  });

  it("are those of PUBLIC_URL, and of the request with TRUST_PROXY=false", async () => {
    const headers = { Host: "inner.example", "X-Forwarded-Host": "evil.example", Forwarded: "host=evil.example" };
    for (const [settings, base] of [
      [{ PUBLIC_URL: "https://pacs.example/west/" }, "https://pacs.example/west"],
      [{ TRUST_PROXY: "false" }, "http://inner.example"],
    ] as const) {
      const other = await startTestServer(settings);
      const own = instanceFile();
      await store(other, own);
      assert.equal(await retrieveUrl(other, headers), `${base}/dicom-web/studies/${own.studyInstanceUid}`);
      await other.stop();
    }
  });

  it("are not made of a Host that is none", async () => {
    for (const host of ["evil.example/path", "a b", '"><script>', "user@evil.example", "evil.example:99999", "-"]) {
      const response = await request(server.url).get("/dicom-web/studies").set("Host", host);
      assert.deepEqual([response.status, response.type], [400, "application/problem+json"], host);
      assert.match(response.text, /Host header/);
    }
  });
});
