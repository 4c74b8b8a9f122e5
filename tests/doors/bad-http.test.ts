/** What is no request, or one that no client sends: an answer in words all the same, at once, and a server that stays. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { createListener } from "../../server/http/listener.ts";
import { rawRequest } from "../support/raw-http.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const get = (target: string, ...headers: readonly string[]) =>
  ["GET " + target + " HTTP/1.1", "Host: a", ...headers, "Connection: close", "", ""].join("\r\n");
const post = (body: string, ...headers: readonly string[]) =>
  ["POST /dicom-web/studies HTTP/1.1", "Host: a", "Content-Type: application/dicom", ...headers, "", body].join("\r\n");

const studies = "/dicom-web/studies";
const many = (count: number, of: (index: number) => string, separator: string) =>
  Array.from({ length: count }, (_, index) => of(index)).join(separator);

/** What is sent, the status, and the code of the problem. */
const cases: Readonly<Record<string, readonly [request: string, status: number, code: string]>> = {
  "a header of 1 MB": [get(studies, `X-Long: ${"a".repeat(1 << 20)}`), 431, "headers-too-long"],
  "10,000 headers": [get(studies, ...many(10_000, (at) => `X-${at}: 1`, "\n").split("\n")), 431, "headers-too-long"],
  "an address of 1 MB": [get(`/dicom-web/${"a".repeat(1 << 20)}`), 431, "headers-too-long"],
  "an address of 60 kB": [get(`${studies}/${"1".repeat(60_000)}`), 400, "invalid-uid"],
  "10,000 parameters": [get(`${studies}?${many(10_000, () => "a", "&")}`), 400, "invalid-query"],
  "1,000 media ranges": [get(studies, `Accept: ${many(1000, (at) => `a/${at}`, ", ")}`), 400, "invalid-request"],
  "no HTTP": ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "invalid-request"],
  "a request line without a target": ["GET\r\n\r\n", 400, "invalid-request"],
  "a version that there is none of": ["GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400, "invalid-request"],
  "a header without a colon": ["GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400, "invalid-request"],
  "a header with a NUL": [get(studies, "X-A: a\0b"), 400, "invalid-request"],
  "no Host": [`GET ${studies} HTTP/1.1\r\nConnection: close\r\n\r\n`, 400, "invalid-request"],
  "two Hosts": [get(studies, "Host: b"), 400, "invalid-request"],
  "a method of nobody": ["FROB /dicom-web/studies HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method-not-allowed"],
  CONNECT: ["CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method-not-allowed"],
  "TRACE of a resource": [get(studies).replace("GET", "TRACE"), 405, "method-not-allowed"],
  "TRACE of nothing": [get("/nothing").replace("GET", "TRACE"), 404, "no-such-resource"],
  PATCH: [get(studies).replace("GET", "PATCH"), 405, "method-not-allowed"],
  "an expectation": [post("", "Expect: wonders", "Content-Length: 0"), 417, "expectation-failed"],
  "a percent sign alone in the path": [get(`${studies}/%ZZ`), 400, "invalid-request"],
  "NUL in the path": [get(`${studies}/1.2%00.3`), 400, "invalid-request"],
  "NUL where no route is": [get("/%00"), 400, "invalid-request"],
  "a percent sign alone in the query": [get(`${studies}?PatientID=%ZZ`), 400, "invalid-request"],
  "Latin-1 in the query": [get(`${studies}?PatientName=M%FCller`), 400, "invalid-request"],
  "NUL in the query": [get(`${studies}?PatientID=a%00b`), 400, "invalid-request"],
  "a way out by dots": [get("/dicom-web/../../etc/passwd"), 404, "no-such-resource"],
  "a way out by encoded dots": [get("/dicom-web/%2e%2e/%2e%2e/etc/passwd"), 404, "no-such-resource"],
  "a way out in a UID": [get(`${studies}/..%2f..%2fetc%2fpasswd`), 400, "invalid-uid"],
  "a way out by backslashes": [get(`${studies}/..\\..\\etc\\passwd`), 400, "invalid-uid"],
  "two lengths": [post("a", "Content-Length: 1", "Content-Length: 2"), 400, "invalid-request"],
  "a length and chunks": [post("0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked"), 400, "invalid-request"],
  "a length of letters": [post("a", "Content-Length: one"), 400, "invalid-request"],
  "a negative length": [post("a", "Content-Length: -1"), 400, "invalid-request"],
  "a chunk whose size is none": [post("zz\r\na\r\n", "Transfer-Encoding: chunked"), 400, "invalid-request"],
  "a chunk extension of 64 kB": [
    post(`1;${"e".repeat(65_536)}\r\na\r\n0\r\n\r\n`, "Transfer-Encoding: chunked"),
    413,
    "content-too-large",
  ],
};

describe("what is no good request", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  for (const [name, [request, status, code]] of Object.entries(cases)) {
    it(`is answered with ${status} for ${name}`, async (t) => {
      const answer = await rawRequest(server.url, [request]);
      t.diagnostic(`${Math.round(answer.elapsed)} ms`);
      assert.deepEqual([answer.status, answer.headers.get("content-type")], [status, "application/problem+json"]);
      const document: unknown = JSON.parse(answer.body);
      assert.ok(typeof document === "object" && document !== null && "code" in document && "detail" in document);
      assert.equal(document.code, code);
      assert.doesNotMatch(answer.body, /\/etc|\.ts|select|HPE_/i);
      assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
      if (status === 405) assert.match(answer.headers.get("allow") ?? "", /GET/);
      // The machine may be busy: what is meant is 100 ms.
      assert.ok(answer.elapsed < 2000, `${answer.elapsed} ms`);
    });
  }

  it("names the parameter that is malformed", async () => {
    const { body } = await rawRequest(server.url, [get(`${studies}?limit=1&PatientID=%ZZ`)]);
    assert.match(body, /PatientID/);
  });

  it("is answered when it follows a good one on the same connection", async () => {
    const good = `GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n`;
    const { status, body } = await rawRequest(server.url, [good, "nonsense\r\n\r\n"]);
    assert.equal(status, 200);
    assert.match(body, /"status":"live".*HTTP\/1\.1 400 .*"code":"invalid-request"/s);
  });

  it("is answered for more bytes than Content-Length says: the first request, then the rest as none", async () => {
    const { status, body } = await rawRequest(server.url, [post("abcdefgh\r\n\r\n", "Content-Length: 4")]);
    assert.ok(status === 409 || status === 400, `${status}`);
    assert.match(body, /HTTP\/1\.1 400 /);
  });

  it("does not keep the server from answering HTTP/1.0, which has no Host", async () => {
    const { status } = await rawRequest(server.url, ["GET /dicom-web/studies HTTP/1.0\r\n\r\n"]);
    assert.equal(status, 200);
  });

  it("is not OPTIONS of the server as a whole", async () => {
    const { status, headers } = await rawRequest(server.url, ["OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"], 300);
    assert.deepEqual([status, headers.get("allow")], [204, "GET, HEAD, POST, PUT, DELETE, OPTIONS"]);
  });

  it("leaves a server that answers", async () => {
    assert.equal((await fetch(`${server.url}/health/ready`)).status, 200);
    assert.equal((await fetch(`${server.url}${studies}`)).status, 200);
  });
});

describe("a client that sends its headers byte by byte", () => {
  it("is answered with 408 when the time is over", async () => {
    const listener = createListener(() => undefined, { headersTimeout: 200, connectionsCheckingInterval: 50 });
    listener.listen(0, "127.0.0.1");
    await once(listener, "listening");
    const address = listener.address();
    assert.ok(address !== null && typeof address === "object");
    const answer = await rawRequest(`http://127.0.0.1:${address.port}`, ["GET / HTTP/1.1\r\nX-A:"]);
    assert.equal(answer.status, 408);
    assert.match(answer.body, /"code":"request-timeout"/);
    const closed = once(listener, "close");
    listener.close();
    listener.closeAllConnections();
    await closed;
  });
});
