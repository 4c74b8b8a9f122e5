/** Byte ranges of instances, bulk data and single frames, however they are stored. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { corpusPath, requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { instanceFile } from "../support/instances.ts";
import { readableInstances } from "../corpus/files.ts";

describe("byte ranges", () => {
  let server: TestServer;
  let path: string;
  let bytes: Buffer;
  const profile = Uint8Array.from({ length: 5000 }, (_, index) => (index * 7) % 256);

  before(async () => {
    server = await startTestServer();
    const file = instanceFile({ ICCProfile: profile.buffer });
    bytes = file.bytes;
    path = await store(file.bytes);
  });
  after(() => server.stop());

  /** Path of the instance below the root. */
  async function store(body: Buffer<ArrayBuffer>): Promise<string> {
    const headers = { "Content-Type": "application/dicom" };
    const stored = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body });
    const text = await stored.text();
    assert.equal(stored.status, 200, text);
    const url = /"00081190":\{"vr":"UR","Value":\["([^"]+\/instances\/[^"]+)"/.exec(text)?.[1] ?? assert.fail(text);
    return url.slice(server.url.length);
  }

  async function ask(at: string, headers: Readonly<Record<string, string>> = {}) {
    const response = await fetch(server.url + at, {
      headers: { accept: "application/dicom, application/*", ...headers },
    });
    const body = Buffer.from(await response.arrayBuffer());
    const header = (name: string) => response.headers.get(name);
    return { status: response.status, header, body };
  }

  it("answers 206 with the range of an instance, and says that it can", async () => {
    assert.equal((await ask(path)).header("accept-ranges"), "bytes");
    const { status, header, body } = await ask(path, { range: "bytes=100-299" });
    assert.equal(status, 206);
    assert.deepEqual(body, bytes.subarray(100, 300));
    assert.equal(header("content-range"), `bytes 100-299/${bytes.length}`);
    assert.equal(header("content-length"), "200");
    assert.match(header("content-type") ?? "", /^application\/dicom; transfer-syntax=/);
    const last = await ask(path, { range: "bytes=-16" });
    assert.deepEqual(last.body, bytes.subarray(-16));
  });

  it("answers several ranges as multipart/byteranges, and too many by the whole", async () => {
    const { status, header, body } = await ask(path, { range: "bytes=0-3,1000-1009" });
    assert.equal(status, 206);
    assert.match(header("content-type") ?? "", /^multipart\/byteranges; boundary=/);
    assert.equal(header("content-length"), String(body.length));
    assert.ok(
      body.includes(Buffer.concat([Buffer.from("\r\n\r\n"), bytes.subarray(1000, 1010), Buffer.from("\r\n--")])),
    );
    assert.ok(body.includes(`Content-Range: bytes 1000-1009/${bytes.length}`));
    const many = Array.from({ length: 40 }, (_, index) => `${index * 120}-${index * 120}`).join(",");
    const whole = await ask(path, { range: `bytes=${many}` });
    assert.equal(whole.status, 200);
    assert.deepEqual(whole.body, bytes);
  });

  it("answers 416 with the length where there is nothing of the range", async () => {
    const { status, header, body } = await ask(path, { range: `bytes=${bytes.length}-` });
    assert.equal(status, 416);
    assert.equal(header("content-range"), `bytes */${bytes.length}`);
    assert.equal(JSON.parse(body.toString()).code, "range-not-satisfiable");
  });

  it("lets a range count only while If-Range names what is there", async () => {
    const etag = (await ask(path)).header("etag") ?? "";
    assert.equal((await ask(path, { range: "bytes=0-3", "if-range": etag })).status, 206);
    assert.equal((await ask(path, { range: "bytes=0-3", "if-range": '"other"' })).status, 200);
    assert.equal((await ask(path, { range: "bytes=0-3", "if-none-match": etag })).status, 304);
  });

  it("answers ranges of bulk data and of one frame, none of a multipart message", async () => {
    const value = await ask(`${path}/bulkdata/00282000`, { range: "bytes=17-2016" });
    assert.deepEqual([value.status, value.body], [206, Buffer.from(profile).subarray(17, 2017)]);
    const frame = await ask(`${path}/frames/1`, { range: "bytes=1-3" });
    assert.deepEqual([frame.status, [...frame.body]], [206, [16, 32, 48]]);
    const multipart = { accept: 'multipart/related; type="application/octet-stream"', range: "bytes=1-3" };
    assert.equal((await ask(`${path}/frames/1`, multipart)).status, 200);
  });

  describe("of the corpus", requirement("corpus"), () => {
    // Big-endian words and floats, one-bit frames, a deflated data set, frames in fragments, RLE.
    const wanted = /1\.2\.840\.10008\.1\.2\.(2|1\.99|5|4\.50)$/;

    it("are the same bytes as those of the whole frame, however it is stored", async (t) => {
      const random = (below: number, seed: string) =>
        createHash("sha256").update(seed).digest().readUInt32LE(0) % below;
      let compared = 0;
      for (const file of await readableInstances()) {
        if (!wanted.test(file.transferSyntaxUid) && !/1bit|liver|single_bit/i.test(file.name)) continue;
        const body = await readFile(corpusPath(file.name));
        const at = await store(body).catch(() => undefined);
        if (at === undefined) continue;
        const whole = await ask(`${at}/frames/1`);
        if (whole.status !== 200) continue;
        for (let round = 0; round < 6; round += 1) {
          const from = random(whole.body.length, `${file.name}${round}`);
          const end = Math.min(whole.body.length - 1, from + random(5000, `${round}${file.name}`));
          const part = await ask(`${at}/frames/1`, { range: `bytes=${from}-${end}` });
          assert.equal(part.status, 206, file.name);
          assert.ok(part.body.equals(whole.body.subarray(from, end + 1)), `${file.name} ${from}-${end}`);
          compared += 1;
        }
      }
      t.diagnostic(`${compared} ranges compared`);
      assert.ok(compared > 50);
    });
  });
});
