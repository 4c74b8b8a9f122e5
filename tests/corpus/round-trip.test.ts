/** Every readable file of the corpus: stored, back bit-exact, its metadata and its frames as independent readers see them. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { readMultipart } from "../../server/http/multipart-reader.ts";
import { parseMediaType } from "../../server/http/media-type.ts";
import { atOnce } from "../support/at-once.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { differences } from "./compare-json.ts";
import { type CorpusFile, directories, readableInstances } from "./files.ts";
import { framesOf } from "./reference-frames.ts";
import { jsonModel, readByDcmtk } from "./reference-json.ts";

/** Metadata of files that DCMTK itself reads otherwise, with the reason. */
const readOtherwise: Readonly<Record<string, RegExp>> = {
  // Decimal strings padded with NUL, which DCMTK takes as no number.
  "sc/d_clunie_rle_frags.dcm": /^(00280030|00281052|00281053) is/,
};

interface Stored {
  readonly file: CorpusFile;
  readonly server: TestServer;
  /** RetrieveURL of the instance. */
  readonly url: string;
}

describe("every readable file of the corpus", requirement("corpus", "dcmtk"), () => {
  const servers: TestServer[] = [];
  const stored: Stored[] = [];
  const refused: CorpusFile[] = [];
  let folder = "";

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "noctis-corpus-"));
    for (const file of await readableInstances()) {
      // Kept by resources of their own, which refuse to be studies.
      if (file.name.startsWith("nonpatient/")) continue;
      const found = await storeSomewhere(servers, file);
      if (found) stored.push(found);
      else refused.push(file);
    }
  });
  after(async () => {
    for (const server of servers) await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it("is stored, or refused because it has no UIDs, as DCMTK finds too", async (t) => {
    t.diagnostic(`${stored.length} files stored, in ${servers.length} archives since some share their UIDs`);
    t.diagnostic(`${refused.length} files refused: ${refused.map(({ name }) => name).join(", ")}`);
    assert.ok(stored.length > 230);
    for (const file of refused) {
      const { json } = await readByDcmtk(file.path, folder);
      const identified = ["00080018", "0020000D", "0020000E"].every((tag) => json[tag]?.Value !== undefined);
      assert.equal(identified, false, file.name);
    }
  });

  it("comes back bit-exact", async () => {
    for (const { file, url } of stored) {
      const response = await fetch(url, { headers: { Accept: "application/dicom" } });
      assert.equal(response.status, 200, file.name);
      assert.equal(sha256(Buffer.from(await response.arrayBuffer())), file.sha256, file.name);
    }
  });

  it("has the metadata that DCMTK reads", async (t) => {
    const faults: string[] = [];
    let withoutText = 0;
    await atOnce(stored, async ({ file, url }) => {
      const response = await fetch(`${url}/metadata`);
      const [metadata] = jsonModel.array().parse(await response.json());
      const reference = await readByDcmtk(file.path, folder).catch((error) => assert.fail(`${file.name}: ${error}`));
      if (!reference.textIsComparable) withoutText += 1;
      const found = await differences(metadata ?? {}, reference, fetchBytes);
      const unexplained = found.filter((fault) => !readOtherwise[file.name]?.test(fault));
      faults.push(...unexplained.map((fault) => `${file.name}: ${fault}`));
    });
    t.diagnostic(`${stored.length} compared; of ${withoutText} DCMTK cannot convert the text, which was left out`);
    assert.deepEqual(faults, []);
  });

  it("has the frames that are in the file", async (t) => {
    let [files, frames] = [0, 0];
    for (const { file, url } of stored) {
      // A video is one stream: its frames are not told apart (PS3.5 8.2.5 to 8.2.9).
      if (file.name.startsWith("video/")) continue;
      const expected = framesOf(await readFile(file.path), file);
      if (!expected) continue;
      const numbers = expected.map((_, index) => index + 1);
      const received = await fetchFrames(`${url}/frames/${numbers.join(",")}`);
      assert.equal(received.length, expected.length, file.name);
      for (const [index, frame] of expected.entries()) {
        assert.ok(received[index]?.equals(frame), `${file.name}: frame ${index + 1}`);
      }
      const last = await fetchFrames(`${url}/frames/${numbers.length}`);
      assert.ok(last[0]?.equals(expected.at(-1) ?? Buffer.alloc(0)), `${file.name}: the last frame alone`);
      const beyond = await fetch(`${url}/frames/${numbers.length + 1}`);
      assert.equal(beyond.status, 404, file.name);
      files += 1;
      frames += expected.length;
    }
    t.diagnostic(`${frames} frames of ${files} files compared`);
    assert.ok(files > 200);
  });

  it("is not a DICOMDIR, which is refused with the reason", async () => {
    const [server] = servers;
    for (const file of await directories()) {
      const response = await post(server?.url ?? "", await readFile(file.path));
      assert.equal(response.status, 409, file.name);
      assert.match(await response.text(), /00041220|SOPClassUID|SOPInstanceUID|DirectoryRecordSequence/, file.name);
    }
  });
});

/**
 * Stores in the first archive that does not hold another instance of the same UIDs; the corpus has variants of files.
 * Undefined when the file is refused for want of a UID.
 */
async function storeSomewhere(servers: TestServer[], file: CorpusFile): Promise<Stored | undefined> {
  const bytes = await readFile(file.path);
  for (let index = 0; ; index += 1) {
    const server = (servers[index] ??= await startTestServer());
    const response = await post(server.url, bytes);
    const text = await response.text();
    if (response.status === 409 && text.includes("Other content")) continue;
    if (response.status === 409 && /UID \(0[0-9A-F]{3},0[0-9A-F]{3}\) is missing/.test(text)) return undefined;
    assert.equal(response.status, 200, `${file.name}: ${text}`);
    const [answer] = jsonModel.array().parse([JSON.parse(text)]);
    const [item] = jsonModel.array().parse(answer?.["00081199"]?.Value);
    return { file, server, url: String(item?.["00081190"]?.Value?.[0]) };
  }
}

function post(server: string, bytes: Buffer<ArrayBuffer>): Promise<Response> {
  return fetch(`${server}/dicom-web/studies`, {
    method: "POST",
    headers: { "Content-Type": "application/dicom" },
    body: bytes,
  });
}

async function fetchBytes(url: string): Promise<Buffer> {
  const response = await fetch(url, { headers: { Accept: "application/octet-stream" } });
  assert.equal(response.status, 200, url);
  return Buffer.from(await response.arrayBuffer());
}

async function fetchFrames(url: string): Promise<Buffer[]> {
  const response = await fetch(url);
  assert.equal(response.status, 200, url);
  assert.ok(response.body);
  const boundary = parseMediaType(response.headers.get("content-type") ?? "")?.params.get("boundary") ?? "";
  const frames: Buffer[] = [];
  for await (const part of readMultipart(response.body, boundary)) {
    assert.match(part.headers.get("content-type") ?? "", /transfer-syntax=/);
    const chunks: Uint8Array[] = [];
    for await (const chunk of part.body) chunks.push(chunk);
    frames.push(Buffer.concat(chunks));
  }
  return frames;
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
