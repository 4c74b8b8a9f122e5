/** /api/integrity: what a verification found, told by the server. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { createArchive } from "../../server/archive/archive.ts";
import { faultsAnswer, integrityAnswer } from "../../server/http/answers-integrity.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { instanceFile, type InstanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("the integrity of the archive", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  async function get(target: string): Promise<unknown> {
    const response = await fetch(`${server.url}${target}`);
    assert.equal(response.status, 200, target);
    return response.json();
  }

  /** What `noctis verify --quick` does. */
  async function verify(): Promise<void> {
    const blobs = await openFileBlobs({ folder: server.objectFolder });
    const silent = () => undefined;
    const log = { debug: silent, info: silent, warn: silent, error: silent };
    const archive = createArchive({ blobs, catalog: createCatalog(server.knex), log });
    const look = { sample: 0, deep: false, parallel: 4, patience: 1, signal: new AbortController().signal };
    const orphans = { repair: "report", graceHours: 24, keepHours: 0, restart: false } as const;
    assert.ok(await archive.integrity.verify({ ...look, ...orphans, kind: "command" }));
  }

  async function store(file: InstanceFile): Promise<string> {
    const headers = { "Content-Type": "application/dicom" };
    const response = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body: file.bytes });
    assert.equal(response.status, 200);
    const row = await server.knex("instance").where("sop_instance_uid", file.sopInstanceUid).first("blob_key");
    return path.join(server.objectFolder, row.blob_key);
  }

  it("tells what there is to tell before anything was verified", async () => {
    assert.deepEqual(await get("/api/integrity"), {
      openFaults: {},
      everyDays: 30,
      running: null,
      lastFinished: null,
      lastCommand: null,
    });
    assert.deepEqual(await get("/api/integrity/faults"), { faults: [], next: null });
  });

  it("tells the faults by page, kind, study and state, until they are right again", async () => {
    const files = [instanceFile(), instanceFile(), instanceFile()];
    const stored = await Promise.all(files.map(async (file) => ({ file, object: await store(file) })));
    for (const { object } of stored) await writeFile(object, "short");
    await verify();
    const status = integrityAnswer.parse(await get("/api/integrity"));
    assert.deepEqual([status.openFaults, status.lastCommand?.percent], [{ "wrong-size": 3 }, 100]);
    const first = faultsAnswer.parse(await get("/api/integrity/faults?limit=2"));
    const second = faultsAnswer.parse(await get(`/api/integrity/faults?limit=2&after=${first.next}`));
    assert.deepEqual([first.faults.length, second.faults.length, second.next], [2, 1, null]);
    const [one] = files;
    assert.ok(one);
    const ofStudy = faultsAnswer.parse(await get(`/api/integrity/faults?study=${one.studyInstanceUid}`));
    assert.deepEqual(
      ofStudy.faults.map((fault) => [fault.kind, fault.seriesInstanceUid, fault.sopInstanceUid, fault.resolvedAt]),
      [["wrong-size", one.seriesInstanceUid, one.sopInstanceUid, null]],
    );
    assert.deepEqual(await get("/api/integrity/faults?kind=missing"), { faults: [], next: null });
    for (const { file, object } of stored) await writeFile(object, file.bytes);
    await verify();
    assert.deepEqual(integrityAnswer.parse(await get("/api/integrity")).openFaults, {});
    const resolved = faultsAnswer.parse(await get("/api/integrity/faults?state=resolved"));
    assert.equal(resolved.faults.filter(({ resolution }) => resolution !== null).length, 3);
  });
});
