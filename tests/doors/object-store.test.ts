/** An object store in trouble: one clear error from each request, readiness turns red, and all is well again by itself. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { instanceFile } from "../support/instances.ts";
import { freshBucket, s3Requirement, startS3, type TestS3 } from "../support/s3.ts";
import { clientOf } from "../support/s3-client.ts";
import { startTcpProxy, type TcpProxy, type Trouble } from "../support/tcp-proxy.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

/** What a request is answered, when it is a problem. */
interface Answer {
  readonly status: number;
  readonly code: unknown;
  readonly detail: unknown;
}

describe("an object store in trouble", s3Requirement(), () => {
  const bucket = freshBucket();
  const held = instanceFile({ PixelData: new ArrayBuffer(100_000) });
  let s3: TestS3;
  let proxy: TcpProxy;
  let server: TestServer;
  before(async () => {
    s3 = await startS3();
    proxy = await startTcpProxy(s3.endpoint);
    server = await startTestServer({
      S3_ENDPOINT: proxy.url,
      S3_BUCKET: bucket,
      S3_ACCESS_KEY: s3.accessKey,
      S3_SECRET_KEY: s3.secretKey,
      S3_TIMEOUT: "1",
      OBJECT_CACHE_MB: "0",
    });
    assert.equal((await store(held.bytes)).status, 200);
  });
  after(async () => {
    await server.stop();
    await proxy.stop();
    await s3.stop();
  });

  async function ask(path: string, init?: RequestInit): Promise<Answer> {
    const response = await fetch(`${server.url}${path}`, init);
    const text = await response.text();
    if (!response.headers.get("content-type")?.includes("json"))
      return { status: response.status, code: "", detail: "" };
    const body: unknown = JSON.parse(text);
    const problem: object = typeof body === "object" && body !== null ? body : {};
    const code = "code" in problem ? problem.code : undefined;
    return { status: response.status, code, detail: "detail" in problem ? problem.detail : undefined };
  }

  const store = (bytes: Buffer<ArrayBuffer>) =>
    ask("/dicom-web/studies", { method: "POST", headers: { "Content-Type": "application/dicom" }, body: bytes });
  const retrieve = () =>
    ask(
      `/dicom-web/studies/${held.studyInstanceUid}/series/${held.seriesInstanceUid}/instances/${held.sopInstanceUid}/bulkdata/7FE00010`,
    );
  const ready = () => ask("/health/ready");
  const another = () => instanceFile({ PixelData: new ArrayBuffer(100_000) }).bytes;

  async function isWell(): Promise<void> {
    assert.equal((await ready()).status, 200);
    assert.equal((await store(another())).status, 200);
    assert.equal((await retrieve()).status, 200);
  }

  /** `passesChecks`: the few bytes of a check come through. */
  const troubles: readonly { trouble: Trouble; sentence: RegExp; passesChecks?: boolean }[] = [
    { trouble: "refused", sentence: /^The object store refuses the connection\.$/ },
    { trouble: "silent", sentence: /^The object store does not answer in time\.$/ },
    { trouble: "broken request", sentence: /^The connection to the object store broke\.$/, passesChecks: true },
  ];
  for (const { trouble, sentence, passesChecks } of troubles) {
    it(`says that connections are ${trouble}, and recovers`, async () => {
      await isWell();
      await proxy.become(trouble);
      const [stored, retrieved, readied] = await Promise.all([store(another()), retrieve(), ready()]);
      assert.deepEqual({ ...stored, detail: "" }, { status: 503, code: "storage-unavailable", detail: "" });
      assert.match(String(stored.detail), sentence);
      if (passesChecks !== true) {
        for (const answer of [retrieved, readied]) {
          assert.deepEqual({ ...answer, detail: "" }, { status: 503, code: "storage-unavailable", detail: "" });
          assert.match(String(answer.detail), sentence);
        }
      }
      await proxy.become("none");
      await isWell();
    });
  }

  it("says of an answer that breaks off that it did, and never gives less than all as a whole", async () => {
    await proxy.become("broken answer");
    await retrieve().then(
      ({ status }) => assert.equal(status, 503),
      (error: unknown) => assert.ok(error instanceof Error, "the connection to the client breaks, too"),
    );
    await proxy.become("none");
    await isWell();
  });

  it("says that the keys are not valid any more, and recovers", async (t) => {
    if (!s3.administer) return t.skip("the server is not ours");
    await s3.administer("key", "rm", `--access-key=${s3.accessKey}`);
    const sentence = "The object store refuses the access key, the secret key, or what they are allowed to do.";
    const expected = { status: 503, code: "storage-unavailable", detail: sentence };
    assert.deepEqual(await Promise.all([store(another()), retrieve(), ready()]), [expected, expected, expected]);
    const keys = [`--access-key=${s3.accessKey}`, `--secret-key=${s3.secretKey}`];
    await s3.administer("key", "create", "--uid=test", "--key-type=s3", ...keys);
    await isWell();
  });

  it("says that its quota is used up, and recovers", async (t) => {
    if (!s3.administer) return t.skip("the server is not ours");
    const quota = (...args: string[]) => s3.administer?.("quota", ...args, "--quota-scope=user", "--uid=test");
    await quota("set", "--max-size=1", "--max-objects=1");
    await quota("enable");
    const expected = { status: 507, code: "storage-full", detail: "The object store is full." };
    assert.deepEqual(await store(another()), expected);
    assert.deepEqual(await ready(), expected);
    assert.equal((await retrieve()).status, 200);
    await quota("disable");
    await isWell();
  });

  it("says that the bucket is gone, and does not take its objects for gone alone", async () => {
    const client = clientOf(s3);
    const keys: string[] = [];
    for await (const item of client.listObjectsV2(bucket, "", true)) keys.push(String(item.name));
    await client.removeObjects(bucket, keys);
    await client.removeBucket(bucket);
    const sentence = "The bucket of the archive does not exist in the object store.";
    const expected = { status: 503, code: "storage-unavailable", detail: sentence };
    assert.deepEqual(await Promise.all([store(another()), retrieve(), ready()]), [expected, expected, expected]);
    await client.makeBucket(bucket);
    assert.equal((await ready()).status, 200);
    assert.equal((await store(another())).status, 200);
  });
});
