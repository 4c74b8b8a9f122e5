/** Storage that stalls, and clients that go away: what has been accepted stays bounded, and nothing is left. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import type { RequestListener, Server } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createArchive } from "../../server/archive/archive.ts";
import { createWebDoor } from "../../server/http/app.ts";
import { createListener } from "../../server/http/listener.ts";
import { createLog } from "../../server/log.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import type { Blobs } from "../../storage/blobs.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { manyInstances, nativeInstance, post } from "../support/traffic.ts";

const mebibyte = 2 ** 20;
const dying = Number(process.env["TEST_ROUNDS"] ?? 60);

describe("back-pressure", () => {
  let database: TestDatabase;
  let folder = "";

  before(async () => {
    database = await testDatabase();
    folder = await mkdtemp(path.join(tmpdir(), "noctis-pressure-"));
  });
  after(async () => {
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  /** A web door whose connections may be idle for 400 ms, over `blobs`. */
  async function openDoor(t: TestContext, blobs: Blobs) {
    const log = createLog("silent");
    const archive = createArchive({ blobs, catalog: createCatalog(database.knex), log });
    const handle = createWebDoor({ archive, log, baseUrl: { publicUrl: undefined, trustProxy: false } }).callback();
    return listening(t, (request, response) => void handle(request, response));
  }

  async function listening(t: TestContext, handle: RequestListener): Promise<{ url: string; server: Server }> {
    const server = createListener(handle, { idle: 400 }).listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    return { url: `http://127.0.0.1:${address.port}`, server };
  }

  it("pauses the clients while the object store stalls, ends none of them, and goes on with it", async (t) => {
    const real = await openFileBlobs({ folder });
    const gate = Promise.withResolvers<void>();
    async function* stalled(body: AsyncIterable<Uint8Array>) {
      let passed = 0;
      for await (const chunk of body) {
        passed += chunk.length;
        if (passed > mebibyte) await gate.promise;
        yield chunk;
      }
    }
    const { url } = await openDoor(t, { ...real, put: (body, options) => real.put(stalled(body), options) });
    const accepted = [0, 0, 0, 0];
    const answers = accepted.map((_, client) =>
      post(url, nativeInstance(40), {
        pieceLength: 64 * 1024,
        onSent: (bytes) => {
          accepted[client] = bytes;
        },
      }),
    );
    let earlier = -1;
    while (earlier !== Math.min(...accepted) || earlier === 0) {
      earlier = Math.min(...accepted);
      // Longer than a connection may be idle.
      await sleep(1000);
    }
    // What the system holds of a connection on loopback is a few megabytes.
    assert.ok(Math.max(...accepted) < 16 * mebibyte, `${Math.max(...accepted)} bytes of one client were taken`);
    gate.resolve();
    assert.deepEqual(await Promise.all(answers), [200, 200, 200, 200]);
  });

  it("ends a client that is silent itself", async (t) => {
    const { url, server } = await openDoor(t, await openFileBlobs({ folder }));
    const answer = post(url, nativeInstance(3), { pieceLength: mebibyte, pause: 5000 });
    assert.equal(await answer, 0);
    assert.equal(await connections(server), 0);
  });

  it(`frees everything of clients that go away, ${dying} times`, async (t) => {
    const objects = path.join(folder, "dying");
    const { url, server } = await openDoor(t, await openFileBlobs({ folder: objects }));
    const rows = await database.knex("instance").count({ count: "*" }).first();
    for (let done = 0; done < dying; done += 10) {
      const sent = Array.from({ length: 10 }, (_, index) =>
        index % 2 === 0
          ? post(url, nativeInstance(8), { dieAfter: (1 + (index % 7)) * mebibyte, pieceLength: 64 * 1024 })
          : post(url, manyInstances(1, 3000), { dieAfter: 200_000 * (1 + index), pieceLength: 10_000 }),
      );
      assert.deepEqual(new Set(await Promise.all(sent)), new Set([0]));
    }
    const left = async () => {
      const entries = await readdir(objects, { recursive: true, withFileTypes: true });
      return entries.filter((entry) => entry.isFile()).length + (await connections(server));
    };
    for (let tries = 0; tries < 100 && (await left()) > 0; tries += 1) await sleep(50);
    assert.equal(await left(), 0, "neither a file nor a connection");
    assert.deepEqual(await database.knex("instance").count({ count: "*" }).first(), rows);
  });
});

async function connections(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}
