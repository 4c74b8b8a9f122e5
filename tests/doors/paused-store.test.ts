/** An object store that stands still in the middle of 16 uploads: nothing is lost, little is held, and all goes on. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { peakMemory, startProcess } from "../support/process.ts";
import { freshBucket, s3Requirement, startS3, type TestS3 } from "../support/s3.ts";
import { type MadeBody, nativeInstance, post } from "../support/traffic.ts";

const mebibyte = 2 ** 20;
const clients = 16;
const megabytes = 24;

/** A body that can be sent again. */
type Kept = MadeBody & { readonly pieces: readonly Buffer[] };

describe("an object store that stands still", s3Requirement(), () => {
  let database: TestDatabase;
  let folder = "";
  let s3: TestS3;

  before(async () => {
    database = await testDatabase();
    folder = await mkdtemp(path.join(tmpdir(), "noctis-paused-"));
    s3 = await startS3();
  });
  after(async () => {
    await s3.stop();
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  /** A server on the store, which may be silent for `seconds`, and uploads of 16 clients to it, whose store is paused. */
  async function pausedUploads(t: TestContext, seconds: string) {
    const server = startProcess({
      DATABASE_URL: database.url,
      DATA_DIR: folder,
      S3_ENDPOINT: s3.endpoint,
      S3_BUCKET: freshBucket(),
      S3_ACCESS_KEY: s3.accessKey,
      S3_SECRET_KEY: s3.secretKey,
      S3_TIMEOUT: seconds,
    });
    t.after(async () => {
      s3.resumeGateway?.();
      server.kill("SIGTERM");
      await server.ended;
    });
    const url = await server.listening;
    const bodies = Array.from({ length: clients }, (): Kept => {
      const body = nativeInstance(megabytes);
      return { ...body, pieces: [...body.pieces] };
    });
    const sent = bodies.map(() => 0);
    const { promise: underWay, resolve } = Promise.withResolvers<void>();
    const answers = bodies.map((body, client) =>
      post(url, body, {
        pieceLength: 256 * 1024,
        onSent: (bytes) => {
          sent[client] = bytes;
          if (total(sent) > 60 * mebibyte) resolve();
        },
      }),
    );
    await underWay;
    s3.pauseGateway?.();
    return { server, url, bodies, sent, answers };
  }

  async function assertStored(url: string, bodies: readonly Kept[]): Promise<void> {
    for (const { studyInstanceUid, seriesInstanceUid, sopInstanceUid, pieces } of bodies) {
      const instance = `/dicom-web/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`;
      const response = await fetch(`${url}${instance}`, {
        headers: { Accept: "application/dicom; transfer-syntax=*" },
      });
      assert.equal(response.status, 200);
      const [sent, stored] = [createHash("sha256"), createHash("sha256")];
      for (const piece of pieces) sent.update(piece);
      for await (const chunk of response.body ?? []) stored.update(chunk);
      assert.equal(stored.digest("hex"), sent.digest("hex"));
    }
  }

  it("for less than S3_TIMEOUT: the clients wait, and every upload ends as it should", async (t) => {
    if (!s3.pauseGateway) return t.skip("the server is not ours");
    const { server, url, bodies, sent, answers } = await pausedUploads(t, "60");
    for (let earlier = -1; earlier !== total(sent); await sleep(500)) earlier = total(sent);
    assert.ok(total(sent) < 0.75 * clients * megabytes * mebibyte, "the clients stand still, too");
    const peak = await peakMemory(server.pid);
    t.diagnostic(`${Math.round(total(sent) / mebibyte)} MB sent, ${Math.round(peak / mebibyte)} MB at the peak`);
    assert.ok(peak < 450 * mebibyte, `${peak} bytes at the peak`);
    s3.resumeGateway?.();
    assert.deepEqual(new Set(await Promise.all(answers)), new Set([200]));
    await assertStored(url, bodies);
  });

  it("for longer: the clients are told, nothing of them is there, and the next try is stored", async (t) => {
    if (!s3.pauseGateway) return t.skip("the server is not ours");
    const { url, bodies, answers } = await pausedUploads(t, "1");
    const statuses = await Promise.all(answers);
    const told = (status: number) => bodies.filter((_, client) => statuses[client] === status);
    assert.equal(told(200).length + told(503).length, clients, statuses.join(" "));
    assert.ok(told(503).length > 0);
    for (const { sopInstanceUid } of told(503))
      assert.deepEqual(await database.knex("instance").where("sop_instance_uid", sopInstanceUid), []);
    s3.resumeGateway?.();
    const again = await Promise.all(told(503).map((body) => post(url, body)));
    assert.deepEqual(new Set(again), new Set([200]));
    await assertStored(url, bodies);
  });
});

function total(sent: readonly number[]): number {
  return sent.reduce((sum, bytes) => sum + bytes, 0);
}
