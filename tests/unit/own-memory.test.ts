/** What is kept holds no more memory than its bytes. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Catalog } from "../../storage/catalog.ts";
import type { InstanceRow } from "../../storage/catalog-read.ts";
import { createLocate } from "../../server/archive/locate.ts";
import { newUid } from "../../server/dicom/uid.ts";
import { inOwnMemory } from "../../server/own-memory.ts";

describe("bytes in memory of their own", () => {
  it("are all parts, one after the other, in nothing larger", () => {
    const bytes = inOwnMemory(Buffer.from("one "), Buffer.from("two"));
    assert.equal(bytes.toString(), "one two");
    assert.equal(bytes.buffer.byteLength, 7);
    assert.equal(inOwnMemory().length, 0);
  });

  it("are those of the rows that are kept for the frames that will be asked for", async () => {
    const uids = { studyInstanceUid: newUid(), seriesInstanceUid: newUid(), sopInstanceUid: newUid() };
    const row: InstanceRow = {
      id: 1,
      seriesId: 1,
      ...uids,
      transferSyntaxUid: "1.2.840.10008.1.2.1",
      sopClassUid: "1.2.840.10008.5.1.4.1.1.2",
      blobKey: "00/1",
      byteLength: 10,
      sha256: Buffer.from("0".repeat(32)),
      dataSetOffset: 0,
      frameTable: null,
      createdAt: new Date(),
    };
    const catalog: Pick<Catalog, "findInstances" | "presentInstances"> = {
      findInstances: async function* () {
        yield row;
      },
      presentInstances: async (ids) => ids,
    };
    assert.ok(row.sha256.buffer.byteLength > 32, "Node shares the memory of small buffers");
    const located = await createLocate(catalog)(uids);
    assert.equal(located.row.sha256.buffer.byteLength, 32);
    assert.deepEqual(located.row.sha256, row.sha256);
  });
});
