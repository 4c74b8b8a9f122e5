/** The process: start, stop, crash, and two of them. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { instanceFile } from "../support/instances.ts";
import { testDatabase } from "../support/postgres.ts";
import { type ServerProcess, startProcess } from "../support/process.ts";

describe("the server process", () => {
  let folder = "";

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "noctis-process-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("keeps what it acknowledged over kill -9, and refuses a second server on its data folder", async (t) => {
    const settings = { DATA_DIR: path.join(folder, "embedded") };
    const file = instanceFile();
    const killed = start(t, settings);
    assert.equal(await store(await killed.listening, file.bytes), 200);
    const second = await start(t, settings).ended;
    assert.equal(second.status, 1);
    assert.match(second.stderr, /^Another Noctis server .*\n$/);
    killed.kill("SIGKILL");
    assert.equal((await killed.ended).status, "SIGKILL");
    const url = await start(t, settings).listening;
    assert.equal(await finds(url, file.studyInstanceUid), true);
  });

  it("ends a request under way when it is told to stop, and at once when told twice", async (t) => {
    const database = await testDatabase();
    t.after(() => database.drop());
    const settings = { DATABASE_URL: database.url, DATA_DIR: path.join(folder, "stop") };
    const file = instanceFile();
    const server = start(t, settings);
    const answer = await slowStore(await server.listening, file.bytes, () => server.kill("SIGTERM"));
    assert.equal(answer, 200);
    assert.equal((await server.ended).status, 0);

    const stuck = start(t, settings);
    const broken = slowStore(await stuck.listening, file.bytes, async () => {
      stuck.kill("SIGTERM");
      await sleep(100);
      stuck.kill("SIGTERM");
      await stuck.ended;
    });
    await assert.rejects(broken);
    assert.equal((await stuck.ended).status, 1);
  });

  it("shares one database and one folder with another process from the first moment", async (t) => {
    const database = await testDatabase("empty");
    t.after(() => database.drop());
    const settings = { DATABASE_URL: database.url, DATA_DIR: path.join(folder, "shared") };
    const [one, other] = [start(t, settings), start(t, settings)];
    const urls = await Promise.all([one.listening, other.listening]);
    const file = instanceFile();
    assert.equal(await store(urls[0], file.bytes), 200);
    assert.equal(await finds(urls[1], file.studyInstanceUid), true);
    assert.equal(await store(urls[1], file.bytes), 200);
  });

  it("says in one sentence what it cannot have", async (t) => {
    const taken = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    t.after(() => taken.close());
    const address = taken.address();
    const port = address !== null && typeof address === "object" ? String(address.port) : "";
    const database = await testDatabase();
    t.after(() => database.drop());
    const cases: readonly (readonly [settings: Readonly<Record<string, string>>, sentence: RegExp])[] = [
      [
        { DATABASE_URL: "postgresql://u:secret@127.0.0.1:1/none" },
        /^The database 127\.0\.0\.1:1\/none refuses the connection\.\n$/,
      ],
      [
        { DATABASE_URL: database.url, HTTP_PORT: port },
        /^The server cannot listen on 127\.0\.0\.1:\d+: another program uses that port\.\n$/,
      ],
      [
        { HTTP_PORT: "web", LOG_LEVEL: "loud" },
        /^These settings are not understood:\n {2}HTTP_PORT: .*\n {2}LOG_LEVEL: .*\n$/,
      ],
    ];
    for (const [settings, sentence] of cases) {
      const { status, stderr } = await start(t, { DATA_DIR: path.join(folder, "cannot"), ...settings }).ended;
      assert.equal(status, 1);
      assert.match(stderr, sentence);
      assert.doesNotMatch(stderr, /secret/);
    }
  });
});

/** A server that is gone when the test is. */
function start(t: TestContext, settings: Readonly<Record<string, string>>): ServerProcess {
  const server = startProcess(settings);
  t.after(async () => {
    server.kill("SIGTERM");
    await server.ended;
  });
  return server;
}

async function store(url: string, bytes: Buffer<ArrayBuffer>): Promise<number> {
  const headers = { "Content-Type": "application/dicom" };
  return (await fetch(`${url}/dicom-web/studies`, { method: "POST", headers, body: bytes })).status;
}

async function finds(url: string, studyInstanceUid: string): Promise<boolean> {
  const response = await fetch(`${url}/dicom-web/studies?StudyInstanceUID=${studyInstanceUid}`);
  const found: unknown = await response.json();
  return Array.isArray(found) && found.length === 1;
}

/** Sends half of the file, runs `between`, sends the rest; resolves with the status. */
function slowStore(url: string, bytes: Buffer, between: () => void | Promise<void>): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Type": "application/dicom", "Content-Length": bytes.length };
    const sending = httpRequest(`${url}/dicom-web/studies`, { method: "POST", headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sending.on("error", reject);
    sending.write(bytes.subarray(0, bytes.length / 2), () => {
      void (async () => {
        await sleep(100);
        await between();
        await sleep(200);
        sending.end(bytes.subarray(bytes.length / 2));
      })();
    });
  });
}
