/** Blobs in an S3 bucket: guards against what the client of `minio` 8.0.7 does wrong, and bounds of memory and time. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, it } from "node:test";
import { ArchiveError } from "../../server/errors.ts";
import { openS3Blobs } from "../../storage/blobs-s3.ts";
import { freshKey } from "../../storage/blobs.ts";
import { type S3Answer, startFakeS3 } from "../support/fake-s3.ts";
import { freshBucket, s3Requirement, startS3 } from "../support/s3.ts";
import { clientOf } from "../support/s3-client.ts";

const mebibyte = 1024 * 1024;
const partLength = 8 * mebibyte;

/** A body of zeros, the same chunk again and again: its parts are identical. */
async function* zeros(byteLength: number): AsyncGenerator<Uint8Array> {
  const chunk = Buffer.alloc(64 * 1024);
  for (let left = byteLength; left > 0; left -= chunk.byteLength) yield chunk.subarray(0, left);
}

async function fake(byteLength: number, answer?: S3Answer, silence = 30_000) {
  const server = await startFakeS3(byteLength, answer);
  const { endpoint, calls } = server;
  const blobs = await openS3Blobs({ endpoint, bucket: "noctis", accessKey: "key", secretKey: "secret", silence });
  const stop = async () => {
    await blobs.close();
    await server.stop();
  };
  return { blobs, calls, stop };
}

async function failsWith(put: Promise<unknown>, sentence: RegExp): Promise<void> {
  await assert.rejects(put, (error) => {
    assert.ok(error instanceof ArchiveError, String(error));
    assert.equal(error.code, "storage-unavailable");
    assert.match(error.message, sentence);
    return true;
  });
}

describe("blobs: S3, interrupted uploads", s3Requirement(), () => {
  it("takes nothing of an interrupted upload of the same key into the object", async (t) => {
    const s3 = await startS3();
    t.after(s3.stop);
    const bucket = freshBucket();
    const blobs = await openS3Blobs({ ...s3, bucket });
    const client = clientOf(s3);
    const key = freshKey();
    const uploadID = await client.initiateNewMultipartUpload(bucket, key, {});
    for (const partNumber of [2, 3, 4]) {
      const part = { bucketName: bucket, objectName: key, uploadID, partNumber, headers: {} };
      await client.uploadPart(part, Buffer.alloc(partLength));
    }
    const byteLength = 5 * partLength + 7;
    assert.equal((await blobs.put(zeros(byteLength), { key })).byteLength, byteLength);
    assert.equal((await blobs.stat(key))?.byteLength, byteLength);
    assert.equal((await client.statObject(bucket, key)).size, byteLength);
    await blobs.close();
  });

  it("aborts uploads that were left, when they are old enough", async (t) => {
    const s3 = await startS3();
    t.after(s3.stop);
    const bucket = freshBucket();
    const blobs = await openS3Blobs({ ...s3, bucket });
    const client = clientOf(s3);
    for (let count = 0; count < 3; count += 1) await client.initiateNewMultipartUpload(bucket, freshKey(), {});
    await client.initiateNewMultipartUpload(bucket, "Somebody Else's", {});
    assert.equal(await blobs.removeLeftovers(new Date(Date.now() - 60_000)), 0);
    assert.equal(await blobs.removeLeftovers(new Date(Date.now() + 60_000)), 3);
    const left: { key: string }[] = await client.listIncompleteUploads(bucket, "", true).toArray();
    assert.deepEqual(
      left.map(({ key }) => key),
      ["Somebody Else's"],
    );
    await blobs.close();
  });
});

describe("blobs: S3, guards", () => {
  it("does not take an object for stored that has other bytes than were sent", async (t) => {
    const { blobs, calls, stop } = await fake(2 * partLength);
    t.after(stop);
    await failsWith(blobs.put(zeros(3 * partLength)), /another number of bytes/);
    assert.deepEqual(calls.slice(-3), ["head", "abort", "remove"]);
  });

  it("does not complete an upload a second time when the answer was lost", async (t) => {
    const { blobs, calls, stop } = await fake(0, (call, request) =>
      call === "complete" ? request.socket.destroy() : undefined,
    );
    t.after(stop);
    await failsWith(blobs.put(zeros(2 * partLength)), /broke/);
    assert.equal(calls.filter((call) => call === "complete").length, 1);
    assert.deepEqual(calls.slice(-2), ["abort", "remove"]);
  });

  it("sends a part again when the connection broke", async (t) => {
    let parts = 0;
    const { blobs, calls, stop } = await fake(2 * partLength, (call, request) => {
      if (call !== "part") return undefined;
      parts += 1;
      return parts === 2 ? request.socket.destroy() : undefined;
    });
    t.after(stop);
    await blobs.put(zeros(2 * partLength));
    assert.deepEqual(
      calls.filter((call) => call === "part" || call === "complete"),
      ["part", "part", "part", "complete"],
    );
  });

  for (const [byteLength, silent] of [
    [100, "put"],
    [2 * partLength, "begin"],
    [2 * partLength, "part"],
    [2 * partLength, "complete"],
  ] as const) {
    it(`settles when the store never answers a ${silent}`, async (t) => {
      const { blobs, calls, stop } = await fake(byteLength, (call) => (call === silent ? "nothing" : undefined), 200);
      t.after(stop);
      const late = sleep(10_000, undefined, { ref: false }).then(() => assert.fail("it never settles"));
      await failsWith(Promise.race([blobs.put(zeros(byteLength)), late]), /does not answer in time/);
      assert.equal(calls.filter((call) => call === silent).length, 1, "it is not waited for twice");
    });
  }

  it("holds no more than its budget of 64 bodies at once, and stores all of them", async (t) => {
    const held: (() => void)[] = [];
    let isSlow = true;
    const byteLength = partLength;
    const { blobs, stop } = await fake(byteLength, (call, request, response) => {
      if (call !== "part" || !isSlow) return undefined;
      const release = () => response.writeHead(200, { etag: "e" }).end();
      request.resume().on("end", () => (isSlow ? held.push(release) : release()));
      return "later";
    });
    t.after(stop);
    let pulled = 0;
    async function* counted() {
      for await (const chunk of zeros(byteLength)) {
        pulled += chunk.byteLength;
        yield chunk;
      }
    }
    const puts = Promise.all(Array.from({ length: 64 }, () => blobs.put(counted())));
    let before = -1;
    const isMoving = () => pulled !== before || pulled < 64 * mebibyte;
    while (isMoving()) {
      before = pulled;
      await sleep(500);
    }
    t.diagnostic(`${Math.round(pulled / mebibyte)} MiB`);
    assert.ok(pulled <= 100 * mebibyte, `${pulled} bytes are held`);
    isSlow = false;
    for (const release of held) release();
    assert.equal((await puts).length, 64);
  });
});
