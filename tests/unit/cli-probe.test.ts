/** Tests of the probe: what is no DICOMweb server is told by one sentence, before anything is sent to it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { demoCommand } from "../../server/cli/demo.ts";
import { importCommand } from "../../server/cli/import.ts";
import { NoDicomWeb } from "../../server/cli/import-probe.ts";
import { ServerGone, StowClient } from "../../server/cli/stow-client.ts";
import { instanceFile } from "../support/instances.ts";

const dicomJson = { "content-type": "application/dicom+json" };
const study = JSON.stringify([{ "0020000D": { vr: "UI", Value: ["1.2"] } }]);

async function listen(t: TestContext, server: Server): Promise<URL> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return new URL(`http://127.0.0.1:${address.port}/dicom-web`);
}

function probe(t: TestContext, url: URL, withinMs: number): Promise<void> {
  const retry = { attempts: 4, firstPauseMs: 1, silenceMs: 60_000 };
  const client = new StowClient({ url, connections: 1, retry });
  t.after(() => client.close());
  return client.probe(withinMs);
}

type Answer = readonly [status: number, headers: Readonly<Record<string, string>>, body: string];

const unfit: readonly (readonly [answer: Answer, reason: string])[] = [
  [[404, {}, "Not Found"], "404"],
  [[404, dicomJson, "[]"], "404"],
  [[200, { "content-type": "text/html; charset=utf-8" }, "<!doctype html>"], "text/html that is no DICOM JSON"],
  [[200, {}, "hello"], "what is no DICOM JSON"],
  [[200, { "content-type": "application/json" }, '{"studies":[]}'], "application/json that is no DICOM JSON"],
  [[200, { "content-type": "application/json" }, '[{"id":1}]'], "application/json that is no DICOM JSON"],
  [[200, { "content-type": "application/json" }, "[1]"], "application/json that is no DICOM JSON"],
  [[301, { location: "https://pacs.example/" }, ""], "301, to https://pacs.example/"],
  [[502, {}, "Bad Gateway"], "502, again and again"],
];

const fit: readonly Answer[] = [
  [200, dicomJson, study],
  [200, { "content-type": "application/json" }, "[]"],
  [200, dicomJson, ""],
  [200, { "content-type": 'multipart/related; type="application/dicom+xml"' }, "--x--"],
  [204, {}, ""],
  ...[400, 401, 403, 405, 406, 429, 501].map((status): Answer => [status, {}, "no"]),
];

describe("the probe of import and demo", () => {
  for (const [[status, headers, body], reason] of unfit) {
    it(`stops at ${reason}`, async (t) => {
      const url = await listen(
        t,
        createServer((_request, response) => response.writeHead(status, headers).end(body)),
      );
      await assert.rejects(
        probe(t, url, 5000),
        (error) => error instanceof NoDicomWeb && error.message === `it answers a search with ${reason}`,
      );
    });
  }

  it("takes a server that answers matches, none, or refuses the search alone", async (t) => {
    for (const [status, headers, body] of fit) {
      const url = await listen(
        t,
        createServer((_request, response) => response.writeHead(status, headers).end(body)),
      );
      await assert.doesNotReject(probe(t, url, 5000), `${status} ${body}`);
    }
  });

  const silent: readonly (readonly [name: string, serve: (response: ServerResponse) => void])[] = [
    ["never answers", () => undefined],
    ["never ends its answer", (response) => response.writeHead(200, dicomJson).write("[")],
    ["drips", (response) => void setInterval(() => response.write(" "), 20).unref()],
  ];
  for (const [name, serve] of silent) {
    it(`gives up on a server that ${name}, and asks once`, async (t) => {
      let requests = 0;
      const server = createServer((_request, response) => {
        requests += 1;
        serve(response);
      });
      const late = (error: unknown) => error instanceof ServerGone && error.message === "no answer in time";
      await assert.rejects(probe(t, await listen(t, server), 150), late);
      assert.equal(requests, 1);
    });
  }

  it("gives up on what accepts and says nothing, and on what speaks another protocol", async (t) => {
    const mute = await listen(
      t,
      createTcpServer(() => undefined),
    );
    await assert.rejects(probe(t, mute, 150), { name: "ServerGone", message: "no answer in time" });
    const ssh = await listen(
      t,
      createTcpServer((socket) => void socket.on("error", () => undefined).write("SSH-2.0-OpenSSH_9.6\r\n")),
    );
    await assert.rejects(probe(t, ssh, 5000), { name: "ServerGone", message: "what it answers is no HTTP" });
  });

  it("ends at the first store when nothing at all is stored", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "noctis-probe-"));
    t.after(() => rm(folder, { recursive: true }));
    for (const name of Array.from({ length: 40 }, (_, index) => `${index}`)) {
      await writeFile(join(folder, name), instanceFile().bytes);
    }
    for (const status of [401, 404, 405, 501]) {
      let stores = 0;
      const server = createServer((request, response) => {
        if (request.method === "POST") stores += 1;
        request.resume().on("end", () => response.writeHead(request.method === "POST" ? status : 400).end());
      });
      const url = await listen(t, server);
      const error = t.mock.method(console, "error", () => undefined);
      assert.equal(await importCommand.run([folder, "--url", url.href]), 1);
      const [found, sentence, ...more] = error.mock.calls.map(({ arguments: said }) => String(said[0]));
      assert.deepEqual([found, more], ["Found 40 DICOM files.", []]);
      assert.match(sentence ?? "", new RegExp(`^Nothing can be .*: it answers a store with ${status}\\.`));
      assert.ok(stores <= 4, `${stores} stores`);
      error.mock.restore();
    }
  });

  it("ends both commands with one sentence and no request more", async (t) => {
    const seen: string[] = [];
    const server = createServer((request, response) => {
      seen.push(`${request.method} ${request.url}`);
      response.writeHead(404).end();
    });
    const url = (await listen(t, server)).origin;
    const error = t.mock.method(console, "error", () => undefined);
    const log = t.mock.method(console, "log", () => undefined);
    for (const run of [importCommand.run([import.meta.filename, "--url", url]), demoCommand.run(["--url", url])]) {
      assert.equal(await run, 1);
    }
    const sentence = `Nothing can be stored at ${url}/: it answers a search with 404. Name the root of a DICOMweb server by --url http://HOST:PORT/dicom-web.`;
    assert.deepEqual(
      error.mock.calls.map(({ arguments: said }) => said),
      [[sentence], [sentence]],
    );
    assert.equal(log.mock.callCount(), 0);
    assert.deepEqual(seen, ["GET /studies?limit=1", "GET /studies?limit=1"]);
  });
});
