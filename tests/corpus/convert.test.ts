/** Instances of the corpus in other native transfer syntaxes, sent in explicit VR little endian: DCMTK reads the same. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { first, items, toDataSet } from "../support/dicom-json.ts";
import { multipartBody, multipartType } from "../support/instances.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { type CorpusFile, readableInstances } from "./files.ts";
import { framesOf } from "./reference-frames.ts";
import { readByDcmtk } from "./reference-json.ts";

const explicitLittle = "1.2.840.10008.1.2.1";
const others = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"];

describe("conversion to explicit VR little endian", requirement("corpus", "dcmtk"), () => {
  let server: TestServer;
  let folder: string;
  const stored: { readonly file: CorpusFile; readonly url: string }[] = [];

  before(async () => {
    server = await startTestServer();
    folder = await mkdtemp(path.join(tmpdir(), "noctis-convert-"));
    for (const file of await readableInstances()) {
      if (!others.includes(file.transferSyntaxUid)) continue;
      const body = multipartBody([await readFile(file.path)]);
      const headers = { "Content-Type": multipartType };
      const response = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body });
      // Files that share their UIDs with others, or have none, are tested elsewhere.
      if (response.status !== 200) continue;
      const [item] = items(toDataSet(await response.json()), "00081199");
      stored.push({ file, url: String(first(item, "00081190")) });
    }
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function converted(url: string): Promise<Buffer> {
    const accept = `application/dicom; transfer-syntax=${explicitLittle}`;
    const response = await fetch(url, { headers: { Accept: accept } });
    assert.equal(response.status, 200, url);
    assert.equal(response.headers.get("content-type"), accept);
    return Buffer.from(await response.arrayBuffer());
  }

  it("keeps every element, and every pixel", async (t) => {
    const counts = new Map<string, number>();
    for (const { file, url } of stored) {
      const bytes = await converted(url);
      const copy = path.join(folder, "converted.dcm");
      await writeFile(copy, bytes);
      const [before_, after_] = [await readByDcmtk(file.path, folder), await readByDcmtk(copy, folder)];
      assert.deepEqual(after_.json, before_.json, file.name);
      const [expected, found] = [
        framesOf(await readFile(file.path), file),
        framesOf(bytes, { ...file, path: copy, transferSyntaxUid: explicitLittle }),
      ];
      assert.equal(found?.length, expected?.length, file.name);
      for (const [index, frame] of (expected ?? []).entries()) {
        assert.ok(found?.[index]?.equals(frame), `${file.name}: frame ${index + 1}`);
      }
      counts.set(file.transferSyntaxUid, (counts.get(file.transferSyntaxUid) ?? 0) + 1);
    }
    t.diagnostic(JSON.stringify([...counts]));
    assert.equal(counts.size, others.length);
  });
});
