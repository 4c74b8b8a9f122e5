/** HEAD: the status and the headers of GET at every address, without the body. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { pathParameters } from "../../server/http/openapi.ts";
import { routes } from "../../server/http/routes.ts";
import { instanceFile } from "../support/instances.ts";
import { rawRequest } from "../support/raw-http.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("HEAD", () => {
  let server: TestServer;
  const file = instanceFile();

  before(async () => {
    server = await startTestServer();
    const headers = { "Content-Type": "application/dicom" };
    await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body: file.bytes });
  });
  after(() => server.stop());

  for (const route of routes.filter(({ method }) => method === "GET")) {
    it(`of ${route.path} is as GET, without the body`, async () => {
      const examples = Object.fromEntries(pathParameters(route).map(({ name, example }) => [name, String(example)]));
      const { studyInstanceUid: study, seriesInstanceUid: series, sopInstanceUid: instance } = file;
      const values: Readonly<Record<string, string>> = { ...examples, study, series, instance };
      const path = route.path.replaceAll(/[:*](\w+)/g, (_, name: string) => values[name] ?? name);
      const ask = (method: string) =>
        rawRequest(server.url, [`${method} ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`]);
      const [got, headed] = [await ask("GET"), await ask("HEAD")];
      assert.equal(headed.status, got.status);
      assert.equal(headed.body, "");
      const boundary = /boundary=\S+/;
      const type = ({ headers }: typeof got) => headers.get("content-type")?.replace(boundary, "");
      assert.equal(type(headed), type(got));
      for (const name of ["etag", "last-modified", "cache-control", "vary", "accept-ranges", "allow", "location"]) {
        assert.equal(headed.headers.get(name), got.headers.get(name), name);
      }
      const length = headed.headers.get("content-length");
      if (length !== undefined) assert.equal(length, got.headers.get("content-length"));
    });
  }
});
