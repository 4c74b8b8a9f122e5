/** Memory: what passes through the server, as operators start it, is not held by it. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { peakMemory, type ServerProcess, startProcess } from "../support/process.ts";
import {
  deflatedInstance,
  download,
  encapsulatedInstance,
  type MadeBody,
  metadataAndBulkData,
  nativeInstance,
  post,
} from "../support/traffic.ts";

const mebibyte = 2 ** 20;
const large = 500;
/** Holding one of the large instances, or all of the small ones, shows; what passes through takes less than 300 MB. */
const most = 380 * mebibyte;

const linux = { skip: process.platform !== "linux" && "needs /proc: run on Linux" };

describe("memory under traffic", linux, () => {
  let database: TestDatabase;
  let folder = "";
  let server: ServerProcess;
  let url = "";

  before(async () => {
    database = await testDatabase();
    folder = await mkdtemp(path.join(tmpdir(), "noctis-memory-"));
    server = startProcess({ DATABASE_URL: database.url, DATA_DIR: folder });
    url = await server.listening;
  });
  after(async () => {
    server.kill("SIGTERM");
    await server.ended;
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  const bodies: Readonly<Record<string, () => MadeBody>> = {
    "in native form": () => nativeInstance(large),
    "in fragments": () => encapsulatedInstance(large),
    "in deflated form": () => deflatedInstance(large),
    "as metadata and bulk data": () => metadataAndBulkData(large),
  };
  for (const [form, make] of Object.entries(bodies)) {
    it(`stores an instance of ${large} MB ${form}, and gives it back`, async (t) => {
      const body = make();
      assert.equal(await post(url, body), 200);
      const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = body;
      const instance = `${url}/dicom-web/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`;
      const { status, byteLength } = await download(instance, "application/dicom; transfer-syntax=*");
      assert.equal(status, 200);
      assert.ok(byteLength > (large / 2) * mebibyte, `${byteLength} bytes came back`);
      await assertBounded((line) => t.diagnostic(line));
    });
  }

  it("takes 40 instances of 16 MB at once", async (t) => {
    const statuses = await Promise.all(Array.from({ length: 40 }, () => post(url, nativeInstance(16))));
    assert.deepEqual(new Set(statuses), new Set([200]));
    await assertBounded((line) => t.diagnostic(line));
  });

  async function assertBounded(tell: (line: string) => void): Promise<void> {
    const peak = await peakMemory(server.pid);
    tell(`${Math.round(peak / mebibyte)} MB at the peak so far`);
    assert.ok(peak < most, `${peak} bytes at the peak`);
  }
});
