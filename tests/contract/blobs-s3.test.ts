/** Blobs in an S3 bucket: the contract on a real server, and what only a network can do wrong. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { after, before, describe, it } from "node:test";
import { ArchiveError } from "../../server/errors.ts";
import { openS3Blobs } from "../../storage/blobs-s3.ts";
import { freshKey } from "../../storage/blobs.ts";
import { freshBucket, s3Requirement, startS3, type TestS3 } from "../support/s3.ts";
import { clientOf } from "../support/s3-client.ts";
import { blobContract } from "./blobs.ts";

blobContract(
  "S3",
  async () => {
    const s3 = await startS3();
    return { blobs: await openS3Blobs({ ...s3, bucket: freshBucket() }), keepsUids: true, end: s3.stop };
  },
  s3Requirement(),
);

blobContract(
  "S3 behind a cache",
  async () => {
    const s3 = await startS3();
    const blobs = await openS3Blobs({ ...s3, bucket: freshBucket(), cacheBytes: 64_000_000 });
    return { blobs, keepsUids: true, end: s3.stop };
  },
  s3Requirement(),
);

describe("blobs: S3 only", s3Requirement(), () => {
  let s3: TestS3;
  before(async () => {
    s3 = await startS3();
  });
  after(() => s3.stop());

  it("makes the bucket when it is missing, also when several do so at once", async () => {
    const bucket = freshBucket();
    const all = await Promise.all(Array.from({ length: 4 }, () => openS3Blobs({ ...s3, bucket })));
    for (const blobs of all) {
      await blobs.check();
      await blobs.close();
    }
  });

  it("says in one sentence that the keys are wrong", async () => {
    await unavailable(
      openS3Blobs({ ...s3, bucket: freshBucket(), secretKey: "wrong-secret" }),
      /refuses the access key/,
    );
    await unavailable(openS3Blobs({ ...s3, bucket: freshBucket(), accessKey: "nobody" }), /refuses the access key/);
  });

  it("says in one sentence that the bucket's name is none", async () => {
    await unavailable(openS3Blobs({ ...s3, bucket: "No Bucket!" }), /S3_BUCKET/);
  });

  it("leaves no upload behind when a large body breaks", async () => {
    const bucket = freshBucket();
    const blobs = await openS3Blobs({ ...s3, bucket });
    await assert.rejects(blobs.put(brokenBody(20 * 1024 * 1024)), /broke/);
    const client = clientOf(s3);
    assert.deepEqual(await client.listIncompleteUploads(bucket, "", true).toArray(), []);
    await blobs.close();
  });

  it("lists nothing but its objects", async () => {
    const bucket = freshBucket();
    const blobs = await openS3Blobs({ ...s3, bucket });
    for (const name of ["tmp/young", "README.TXT"]) await clientOf(s3).putObject(bucket, name, "x");
    for await (const entry of blobs.list()) assert.fail(entry.key);
    await blobs.close();
  });

  it("lists more than one page", async () => {
    const blobs = await openS3Blobs({ ...s3, bucket: freshBucket() });
    const keys = Array.from({ length: 1010 }, freshKey);
    for (let start = 0; start < keys.length; start += 101) {
      await Promise.all(keys.slice(start, start + 101).map((key) => blobs.put(oneChunk("x"), { key })));
    }
    const found: string[] = [];
    for await (const entry of blobs.list()) found.push(entry.key);
    assert.deepEqual(found.sort(), keys.sort());
    await blobs.remove(keys);
    for await (const entry of blobs.list()) assert.fail(entry.key);
    await blobs.close();
  });

  it("keeps nothing whose bytes are not those of the hash when they arrive", async () => {
    const blobs = await openS3Blobs({ ...s3, bucket: freshBucket() });
    const key = freshKey();
    await unavailable(
      blobs.put(oneChunk("bytes"), { key, metadata: () => ({ sha256: "0".repeat(64) }) }),
      /does not work/,
    );
    assert.equal(await blobs.stat(key), undefined);
    await blobs.close();
  });

  it("survives a gateway that is killed and comes back", async (t) => {
    if (s3.killGateway === undefined || s3.startGateway === undefined) return t.skip("the server is not ours");
    const blobs = await openS3Blobs({ ...s3, bucket: freshBucket() });
    const { key } = await blobs.put(oneChunk("bytes"));
    await s3.killGateway();
    await unavailable(blobs.check(), /refuses the connection/);
    await s3.startGateway();
    assert.equal((await blobs.read(key, { offset: 0, length: 5 })).toString(), "bytes");
    await blobs.close();
  });
});

describe("blobs: S3 without a server", () => {
  it("says in one sentence that the connection is refused", async () => {
    const server = createServer();
    const endpoint = await listen(server);
    await close(server);
    await unavailable(open(endpoint), /refuses the connection/);
  });

  it("says in one sentence that the endpoint is no URL", async () => {
    await unavailable(open("minio:9000"), /S3_ENDPOINT/);
  });

  it("tries again after a failure that passes, and lets go of the sockets of failures", async (t) => {
    let requests = 0;
    const server = createServer((request, response) => {
      requests += 1;
      request.resume();
      if (request.method === "HEAD") return response.writeHead(200).end();
      if (requests % 3 === 0) return request.socket.destroy();
      return response.writeHead(503).end("overloaded ".repeat(10_000));
    });
    const endpoint = await listen(server);
    t.after(() => close(server));
    const blobs = await open(endpoint);
    requests = 0;
    await unavailable(blobs.read(freshKey(), { offset: 0, length: 1 }), /does not work|reset/);
    assert.equal(requests, 4);
    await blobs.close();
  });

  it("reports a body that breaks off", async (t) => {
    const server = createServer((request, response) => {
      if (request.method === "HEAD") return response.writeHead(200).end();
      response.writeHead(200, { "content-length": 1000 }).write("some");
      setTimeout(() => request.socket.destroy(), 20);
      return undefined;
    });
    const endpoint = await listen(server);
    t.after(() => close(server));
    const blobs = await open(endpoint);
    const stream = await blobs.get(freshKey());
    await unavailable(stream.toArray(), /object store/);
    await blobs.close();
  });
});

async function open(endpoint: string) {
  return openS3Blobs({ endpoint, bucket: "noctis", accessKey: "key", secretKey: "secret" });
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return `http://127.0.0.1:${address.port}`;
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

async function unavailable(promise: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof ArchiveError, String(error));
    assert.equal(error.code, "storage-unavailable");
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /wrong-secret|127\.0\.0\.1/);
    return true;
  });
}

async function* brokenBody(length: number): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(length);
  throw new Error("the body broke");
}

async function* oneChunk(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
