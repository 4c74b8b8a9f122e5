/** STOW-RS as a client: what servers answer, or do not answer, is told of each instance as it is. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { describe, it, type TestContext } from "node:test";
import type { SendableInstance, SentInstance } from "../../server/archive/job-runners.ts";
import { sendByStow } from "../../server/archive/send-stow.ts";
import { ArchiveError } from "../../server/errors.ts";

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** A server that reads each request whole and answers as the test says; `early` answers before that. */
async function startServer(t: TestContext, answer: Answer, early?: Answer): Promise<string> {
  const server = createServer((request, response) => {
    if (early) return early(request, response, "");
    let body = "";
    request.setEncoding("latin1").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => answer(request, response, body));
    return undefined;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("a TCP server has a port");
  return `http://127.0.0.1:${address.port}/dicom-web`;
}

function instance(sopInstanceUid: string, file = `file ${sopInstanceUid}`): SendableInstance {
  const bytes = Buffer.from(file);
  return {
    studyInstanceUid: "1.1",
    seriesInstanceUid: "1.2",
    sopInstanceUid,
    sopClassUid: "1.3",
    transferSyntaxUid: "1.4",
    byteLength: bytes.length,
    dataSet: () => bytesOf(bytes),
    file: () => bytesOf(bytes),
  };
}

async function* bytesOf(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

async function sent(
  url: string,
  instances: readonly SendableInstance[],
  { silence = 60_000, headers = {} }: { silence?: number; headers?: Record<string, string> } = {},
): Promise<SentInstance[]> {
  const selected = {
    kinds: [],
    async *[Symbol.asyncIterator]() {
      yield* instances;
    },
  };
  const peer = { kind: "dicomweb", name: "WEB", url, headers } as const;
  const all: SentInstance[] = [];
  const { signal } = new AbortController();
  for await (const outcome of sendByStow(peer, selected, { signal }, { silence })) all.push(outcome);
  return all;
}

const item = (uid: string, more: object = {}) => ({ "00081155": { vr: "UI", Value: [uid] }, ...more });
const reason = (code: number) => ({ "00081197": { vr: "US", Value: [code] } });
const sequence = (...items: readonly object[]) => ({ vr: "SQ", Value: items });

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "Content-Type": "application/dicom+json" }).end(JSON.stringify(body));
}

const plainOf = (outcomes: readonly SentInstance[]) =>
  outcomes.map(({ sopInstanceUid, status, code }) => [sopInstanceUid, status ?? code]);

describe("sending by STOW-RS", () => {
  it("sends whole files in one request with what the server asks for, and tells the outcome of each", async (t) => {
    const bodies: string[] = [];
    const url = await startServer(t, ({ url: target, headers }, response, body) => {
      bodies.push(body);
      assert.equal(target, "/dicom-web/studies");
      assert.equal(headers.authorization, "Bearer secret");
      assert.match(headers["content-type"] ?? "", /^multipart\/related; type="application\/dicom"; boundary=/);
      assert.equal(Number(headers["content-length"]), body.length);
      json(response, 202, {
        "00081199": sequence(item("1"), item("2", { "00081196": { vr: "US", Value: [0xb000] } })),
        "00081198": sequence(
          item("3", {
            ...reason(0xa900),
            "00741048": sequence({ "00000902": { vr: "LO", Value: ["It is another study's."] } }),
          }),
        ),
      });
    });
    const outcomes = await sent(url, [instance("3"), instance("1"), instance("2")], {
      headers: { Authorization: "Bearer secret" },
    });
    assert.deepEqual(plainOf(outcomes), [
      ["3", 0xa900],
      ["1", 0],
      ["2", 0xb000],
    ]);
    assert.equal(outcomes[0]?.comment, "It is another study's.");
    assert.equal(bodies.length, 1);
    const parts = bodies[0]?.split("\r\n--").map((part) => part.split("\r\n\r\n")[1]) ?? [];
    assert.deepEqual(parts, ["file 3", "file 1", "file 2", undefined]);
  });

  it("takes the word of a server that says 200 and nothing else, or says it in XML", async (t) => {
    for (const type of ["application/dicom+xml", ""]) {
      const url = await startServer(t, (_request, response) =>
        response.writeHead(200, { "Content-Type": type }).end(type === "" ? "" : "<NativeDicomModel/>"),
      );
      assert.deepEqual(plainOf(await sent(url, [instance("1"), instance("2")])), [
        ["1", 0],
        ["2", 0],
      ]);
    }
  });

  it("takes a failure for one, also when the server refuses all (409), or names no UID", async (t) => {
    const url = await startServer(t, (_request, response) =>
      json(response, 409, { "0008119A": sequence(reason(0xc000)) }),
    );
    assert.deepEqual(plainOf(await sent(url, [instance("1"), instance("2")])), [
      ["1", 0xc000],
      ["2", 0xc000],
    ]);
  });

  it("asks again singly what an answer to many leaves open: one that is too large takes no other with it", async (t) => {
    const url = await startServer(t, (_request, response, body) => {
      if (body.includes("file 2")) return void response.writeHead(413).end();
      return json(response, 200, { "00081199": sequence(item(body.includes("file 1") ? "1" : "3")) });
    });
    const outcomes = await sent(url, [instance("1"), instance("2"), instance("3")]);
    assert.deepEqual(plainOf(outcomes), [
      ["1", 0],
      ["2", "peer-failed"],
      ["3", 0],
    ]);
    assert.equal(outcomes[1]?.comment, "The server answered 413.");
  });

  for (const [status, code] of [
    [401, "association-rejected"],
    [403, "association-rejected"],
    [404, "association-rejected"],
    [429, "peer-silent"],
    [500, "peer-silent"],
    [503, "peer-silent"],
  ] as const) {
    it(`takes ${status} for a fault of the server as a whole`, async (t) => {
      let requests = 0;
      const url = await startServer(t, (_request, response) => {
        requests += 1;
        response.writeHead(status, { "Content-Type": "application/problem+json" }).end('{"detail":"Not now."}');
      });
      const outcomes = await sent(url, [instance("1"), instance("2")]);
      assert.deepEqual(plainOf(outcomes), [
        ["1", code],
        ["2", code],
      ]);
      assert.equal(outcomes[0]?.comment, `The server answered ${status}: Not now.`);
      // Once more, singly, where one instance may be what it chokes on; then no further.
      assert.equal(requests, code === "peer-silent" ? 2 : 1);
    });
  }

  it("never takes for success what does not say so", async (t) => {
    const answers: readonly Answer[] = [
      (_request, response) => json(response, 200, { "00081199": sequence(item("4711")) }),
      (_request, response) => response.writeHead(200).end("<html>Welcome</html>"),
      (_request, response) => response.writeHead(302, { Location: "/login" }).end(),
      (_request, response) => response.writeHead(200).end("[".repeat(2 ** 20 + 1)),
    ];
    for (const answer of answers) {
      const [outcome, ...others] = await sent(await startServer(t, answer), [instance("1")]);
      assert.equal(outcome?.status, undefined);
      assert.notEqual(outcome?.code, undefined);
      assert.equal(others.length, 0);
    }
  });

  it("tells a server that is not there, is silent, or hangs up", async (t) => {
    const silent = await startServer(t, () => undefined);
    assert.deepEqual(plainOf(await sent(silent, [instance("1")], { silence: 100 })), [["1", "peer-silent"]]);
    const abrupt = await startServer(t, ({ socket }) => socket.destroy());
    assert.deepEqual(plainOf(await sent(abrupt, [instance("1")])), [["1", "association-aborted"]]);
    const closed = createServer();
    closed.listen(0, "127.0.0.1");
    await once(closed, "listening");
    const address = closed.address();
    closed.close();
    const port = typeof address === "object" ? address?.port : 0;
    assert.deepEqual(plainOf(await sent(`http://127.0.0.1:${port}`, [instance("1")])), [["1", "peer-unreachable"]]);
  });

  it("listens to a server that answers before it has read the body", async (t) => {
    const url = await startServer(
      t,
      () => undefined,
      (_request, response) => response.writeHead(401, { Connection: "close" }).end(),
    );
    const large = instance("1", "x".repeat(8 * 2 ** 20));
    assert.deepEqual(plainOf(await sent(url, [large])), [["1", "association-rejected"]]);
  });

  it("leaves out an instance whose bytes are missing, and sends the others", async (t) => {
    const url = await startServer(t, (_request, response, body) =>
      json(response, 200, { "00081199": sequence(item(body.includes("file 1") ? "1" : "3")) }),
    );
    const missing: SendableInstance = {
      ...instance("2"),
      file: () => ({
        [Symbol.asyncIterator]: () => ({
          next: () => Promise.reject(new ArchiveError("no-such-blob", "The stored bytes of the instance are missing.")),
        }),
      }),
    };
    assert.deepEqual(plainOf(await sent(url, [instance("1"), missing, instance("3")])), [
      ["1", 0],
      ["2", "no-such-blob"],
      ["3", 0],
    ]);
  });
});
