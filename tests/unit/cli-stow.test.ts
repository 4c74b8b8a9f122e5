/** Tests of the STOW client and of the skip logic against a real HTTP server that stores in memory. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, it } from "node:test";

import { type Identifiers, InstanceUnreadable, type Instance, type Outcome } from "../../server/cli/import-instance.ts";
import { storeAll } from "../../server/cli/import-store.ts";
import { ServerGone, StowClient } from "../../server/cli/stow-client.ts";

const retry = { attempts: 4, firstPauseMs: 5, silenceMs: 2000 };

/** A DICOM file in implicit VR without preamble; `size` bytes of padding follow the UIDs. */
function file(seriesUid: string, uid: string, size = 0): Buffer {
  const values: [number, number, string][] = [
    [0x0008, 0x0016, "1.2.840.10008.5.1.4.1.1.7"],
    [0x0008, 0x0018, uid],
    [0x0020, 0x000d, "1.2"],
    [0x0020, 0x000e, seriesUid],
  ];
  const elements = values.map(([group, element, value]) => {
    const content = Buffer.from(value.length % 2 === 0 ? value : `${value}\0`);
    const head = Buffer.alloc(8);
    head.writeUInt16LE(group, 0);
    head.writeUInt16LE(element, 2);
    head.writeUInt32LE(content.length, 4);
    return Buffer.concat([head, content]);
  });
  return Buffer.concat([...elements, Buffer.alloc(size)]);
}

/** The UIDs of a file as `file` writes them: four elements, 8 bytes of header each. */
function uidsOf(bytes: Buffer): Required<Omit<Identifiers, "transferSyntaxUid">> {
  const uids: string[] = [];
  for (let at = 0; uids.length < 4;) {
    const end = at + 8 + bytes.readUInt32LE(at + 4);
    uids.push(bytes.toString("latin1", at + 8, end).replace("\0", ""));
    at = end;
  }
  const [sopClassUid = "", sopInstanceUid = "", studyInstanceUid = "", seriesInstanceUid = ""] = uids;
  return { sopClassUid, sopInstanceUid, studyInstanceUid, seriesInstanceUid };
}

function instance(bytes: Buffer, byteLength = bytes.length): Instance {
  const identifiers = uidsOf(bytes);
  return {
    name: identifiers.sopInstanceUid,
    byteLength,
    identifiers,
    async *open() {
      yield bytes;
    },
  };
}

function series(count: number): Instance[] {
  return Array.from({ length: count }, (_, index) => instance(file("1.2.1", `1.2.1.${index + 1}`, 100)));
}

/** One request as the peer saw it. */
interface Seen {
  readonly method: string;
  readonly url: string;
  readonly parts: Buffer[];
}

type Answer = (seen: Seen, response: ServerResponse) => boolean;

/** An archive in memory. `intercept` may answer a request itself by returning true. */
class Peer {
  readonly seen: Seen[] = [];
  readonly held = new Map<string, Buffer>();
  connections = 0;
  pageSize = 1000;
  intercept: Answer = () => false;
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  async start(): Promise<URL> {
    this.#server.on("connection", () => (this.connections += 1));
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return new URL(`http://127.0.0.1:${portOf(this.#server)}/dicom-web`);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  posts(): Seen[] {
    return this.seen.filter(({ method }) => method === "POST");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    const seen = { method: request.method ?? "", url: request.url ?? "", parts: parts(request, body) };
    this.seen.push(seen);
    if (this.intercept(seen, response)) return;
    if (seen.method === "GET") this.#search(seen, response);
    else this.#store(seen, response);
  }

  #search({ url }: Seen, response: ServerResponse): void {
    const offset = Number(new URL(url, "http://peer").searchParams.get("offset") ?? 0);
    const wanted = /series\/([^/]+)\/instances/u.exec(url)?.[1];
    const all = [...this.held.values()].flatMap((bytes) => {
      const { seriesInstanceUid, sopInstanceUid } = uidsOf(bytes);
      return seriesInstanceUid === wanted ? [{ "00080018": { vr: "UI", Value: [sopInstanceUid] } }] : [];
    });
    json(response, 200, all.slice(offset, offset + this.pageSize));
  }

  #store({ parts: files }: Seen, response: ServerResponse): void {
    const good: object[] = [];
    const bad: object[] = [];
    for (const bytes of files) {
      const uid = uidsOf(bytes).sopInstanceUid;
      const other = this.held.get(uid);
      const item = { "00081155": { vr: "UI", Value: [uid] } };
      if (other !== undefined && !other.equals(bytes)) bad.push({ ...item, "00081197": { vr: "US", Value: [0x0111] } });
      else good.push(item);
      if (other === undefined) this.held.set(uid, bytes);
    }
    const status = bad.length === 0 ? 200 : good.length === 0 ? 409 : 202;
    json(response, status, storeResponse(good, bad));
  }
}

function portOf(server: Server): number {
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}

/** The whole body; what came of it when the client breaks off. */
async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(request, "close");
  return Buffer.concat(chunks);
}

function storeResponse(good: object[], bad: object[]): object {
  return {
    ...(good.length > 0 && { "00081199": { vr: "SQ", Value: good } }),
    ...(bad.length > 0 && { "00081198": { vr: "SQ", Value: bad } }),
  };
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/dicom+json" }).end(JSON.stringify(value));
}

function parts(request: IncomingMessage, body: Buffer): Buffer[] {
  const boundary = /boundary=([^;]+)/u.exec(request.headers["content-type"] ?? "")?.[1];
  if (boundary === undefined) return [];
  const sections = body.toString("latin1").split(`--${boundary}`).slice(1, -1);
  return sections.map((section) => Buffer.from(section.slice(section.indexOf("\r\n\r\n") + 4, -2), "latin1"));
}

function kinds(outcomes: Iterable<Outcome>): string[] {
  return [...outcomes].map((outcome) => (outcome.kind === "not-stored" ? outcome.reason : outcome.kind));
}

describe("STOW client", () => {
  let peer = new Peer();
  let client: StowClient;
  beforeEach(async () => {
    peer = new Peer();
    client = new StowClient({ url: await peer.start(), connections: 4, retry });
  });
  afterEach(async () => {
    client.close();
    await peer.stop();
  });

  it("sends several instances in one request, bit-exact, over one kept connection", async () => {
    const files = series(3);
    assert.deepEqual(kinds(await client.store(files)), ["stored", "stored", "stored"]);
    await client.store(files);
    assert.equal(peer.posts().length, 2);
    assert.equal(peer.connections, 1);
    assert.deepEqual(peer.posts()[0]?.parts[1], file("1.2.1", "1.2.1.2", 100));
  });

  it("tries again while the server is busy, after the pause that it asks for", async () => {
    let busy = 2;
    peer.intercept = (_seen, response) => {
      if (busy === 0) return false;
      busy -= 1;
      response.writeHead(busy === 0 ? 429 : 503, { "retry-after": "0" }).end();
      return true;
    };
    const total = series(2).reduce((sum, { byteLength }) => sum + byteLength, 0);
    const counted = { now: 0, most: 0 };
    const outcomes = await client.store(series(2), (delta) => {
      counted.now += delta;
      counted.most = Math.max(counted.most, counted.now);
    });
    assert.deepEqual(kinds(outcomes), ["stored", "stored"]);
    assert.equal(peer.posts().length, 3);
    assert.deepEqual(counted, { now: total, most: total });
  });

  it("tries again when the connection breaks", async () => {
    let broken = 2;
    peer.intercept = (_seen, response) => {
      if (broken === 0) return false;
      broken -= 1;
      response.destroy();
      return true;
    };
    assert.deepEqual(kinds(await client.store(series(2))), ["stored", "stored"]);
  });

  it("does not repeat what will not change, and reports the server's words", async () => {
    peer.intercept = (_seen, response) => {
      json(response, 415, { title: "Unsupported media type", detail: "Only PDF today." });
      return true;
    };
    assert.deepEqual(kinds(await client.store(series(1))), ["the server answered 415: Only PDF today."]);
    assert.equal(peer.posts().length, 1);
  });

  it("sends singly what a refused request held, so that one bad instance fails alone", async () => {
    peer.intercept = ({ parts: files }, response) => {
      if (!files.some((bytes) => bytes.includes("1.2.1.2"))) return false;
      json(response, 400, { title: "Bad" });
      return true;
    };
    let counted = 0;
    const outcomes = await client.store(series(3), (delta) => (counted += delta));
    assert.deepEqual(kinds(outcomes), ["stored", "the server answered 400: Bad", "stored"]);
    assert.equal(peer.posts().length, 4);
    assert.equal(
      counted,
      series(3).reduce((sum, { byteLength }) => sum + byteLength, 0),
    );
  });

  it("sends singly what the answer leaves in doubt, and nothing else", async () => {
    peer.intercept = ({ parts: files }, response) => {
      if (files.length === 1) return false;
      const uids = files.map((bytes) => uidsOf(bytes).sopInstanceUid);
      const named = uids
        .filter((uid) => !/[23]$/u.test(uid))
        .map((uid) => ({ "00081155": { vr: "UI", Value: [uid] } }));
      json(response, 202, storeResponse(named, []));
      return true;
    };
    assert.deepEqual(kinds(await client.store(series(4))), ["stored", "stored", "stored", "stored"]);
    assert.deepEqual(
      peer.posts().map(({ parts: files }) => files.length),
      [4, 1, 1],
    );
  });

  it("takes an answer that comes before the whole body is sent", async () => {
    peer.intercept = () => true;
    const early = createServer((_request, response) => {
      response.writeHead(413, { connection: "close", "content-type": "text/plain" }).end("Too large");
    });
    early.listen(0, "127.0.0.1");
    await once(early, "listening");
    const url = new URL(`http://127.0.0.1:${portOf(early)}/`);
    const other = new StowClient({ url, connections: 1, retry });
    let pulled = 0;
    const endless: Instance = {
      ...instance(file("1.2.1", "1.2.1.1"), 2 ** 31),
      async *open() {
        for (; pulled < 2 ** 15; pulled += 1) yield Buffer.alloc(65_536);
      },
    };
    assert.deepEqual(kinds(await other.store([endless])), ["the server answered 413: Too large"]);
    assert.ok(pulled < 2000, `stopped after ${pulled} chunks`);
    other.close();
    early.closeAllConnections();
    early.close();
  });

  it("lets an instance that cannot be read fail alone", async () => {
    const [one, two, three] = series(3);
    assert.ok(one && two && three);
    const broken: Instance = {
      ...two,
      // oxlint-disable-next-line require-yield -- it fails before its first byte
      async *open() {
        throw new InstanceUnreadable(broken, "it may not be read");
      },
    };
    const shrunk = { ...three, byteLength: three.byteLength + 5 };
    assert.deepEqual(kinds(await client.store([one, broken])), ["stored", "it may not be read"]);
    assert.deepEqual(kinds(await client.store([one, shrunk])), ["stored", "the file changed while it was read"]);
  });

  it("tells an instance that breaks its connection from a server that is gone", async () => {
    peer.intercept = ({ method }, response) => {
      if (method === "GET") return false;
      response.destroy();
      return true;
    };
    const [outcome] = kinds(await client.store(series(1)));
    assert.match(outcome ?? "", /^sending it failed, though the server answers: /u);
    peer.seen.length = 0;
    peer.intercept = (_seen, response) => {
      response.destroy();
      return true;
    };
    await assert.rejects(client.store(series(2)), ServerGone);
    assert.equal(peer.posts().length, retry.attempts, "does not go on singly");
    await peer.stop();
    await assert.rejects(client.store(series(1)), ServerGone);
    await assert.rejects(client.greet(), ServerGone);
  });

  it("reads every page of a search, however short", async () => {
    await client.store(series(7));
    peer.pageSize = 3;
    const wanted = new Set(["1.2.1.99"]);
    assert.equal((await client.heldInstances("1.2", "1.2.1", wanted))?.size, 7);
    const before = peer.seen.length;
    await client.heldInstances("1.2", "1.2.1", new Set(["1.2.1.2"]));
    assert.equal(peer.seen.length, before + 1, "stops once it knows enough");
  });

  it("ends when a server ignores the offset, and knows when a server cannot be asked", async () => {
    peer.intercept = ({ url }, response) => {
      json(response, url.includes("/9.9/") ? 501 : 200, [{ "00080018": { vr: "UI", Value: ["1.2.1.1"] } }]);
      return true;
    };
    assert.equal((await client.heldInstances("1.2", "1.2.1", new Set(["7"])))?.size, 1);
    assert.equal(await client.heldInstances("1.2", "9.9", new Set(["7"])), undefined);
  });

  describe("storing many", () => {
    it("sends what is missing and skips what is there", async () => {
      const all = series(40);
      assert.deepEqual(new Set(kinds((await storeAll(all, { client, connections: 4 })).values())), new Set(["stored"]));
      assert.equal(peer.held.size, 40);
      peer.held.delete("1.2.1.17");
      const posts = peer.posts().length;
      const again = kinds((await storeAll(all, { client, connections: 4 })).values());
      assert.equal(again.filter((kind) => kind === "already-there").length, 39);
      assert.deepEqual(
        peer
          .posts()
          .slice(posts)
          .map(({ parts: files }) => files.length),
        [1],
      );
    });

    it("asks once a series", async () => {
      const all = [...series(20), instance(file("1.2.2", "1.2.2.1"))];
      await storeAll(all, { client, connections: 4 });
      const searches = peer.seen.filter(({ method }) => method === "GET");
      assert.equal(searches.length, 2);
      assert.match(
        searches[0]?.url ?? "",
        /^\/dicom-web\/studies\/1\.2\/series\/1\.2\.1\/instances\?includefield=00080018&/u,
      );
    });

    it("never skips silently the second of two files with one UID", async () => {
      const first = instance(file("1.2.1", "1.2.1.1", 10));
      const second = instance(file("1.2.1", "1.2.1.1", 20));
      for (const run of ["first run", "second run"]) {
        const outcomes = await storeAll([first, second], { client, connections: 4 });
        assert.deepEqual(
          kinds([first, second].flatMap((one) => outcomes.get(one) ?? [])),
          ["stored", "Duplicate SOP Instance (0111)"],
          run,
        );
      }
    });

    it("sends everything to a server that cannot be asked", async () => {
      peer.intercept = ({ method }, response) => {
        if (method === "GET") response.writeHead(400).end();
        return method === "GET";
      };
      const outcomes = await storeAll(series(3), { client, connections: 2 });
      assert.deepEqual(kinds(outcomes.values()), ["stored", "stored", "stored"]);
    });

    it("reports what was not sent when the server goes away", async () => {
      const all = series(64);
      peer.intercept = ({ method }) => {
        if (method !== "POST" || peer.held.size < 16) return false;
        void peer.stop();
        return true;
      };
      const outcomes = await storeAll(all, { client, connections: 1 });
      assert.equal(outcomes.size, 64);
      const reasons = kinds(outcomes.values());
      assert.equal(reasons.filter((reason) => reason === "stored").length, 16);
      assert.equal(reasons.filter((reason) => reason.startsWith("not sent: the server is gone, ")).length, 48);
    });

    it("counts every file and every byte once", async () => {
      const total = { files: 0, bytes: 0 };
      const done = { files: 0, bytes: 0 };
      const all = series(33);
      await storeAll(all, {
        client,
        connections: 3,
        onStart: (files, bytes) => Object.assign(total, { files, bytes }),
        onProgress: (files, bytes) => {
          done.files += files;
          done.bytes += bytes;
        },
      });
      assert.deepEqual(done, total);
      assert.equal(total.files, 33);
    });
  });
});
