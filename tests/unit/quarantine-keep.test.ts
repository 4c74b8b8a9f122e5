/** Keeping a faulty file when the object store or the database fails on the way: nothing is told to be kept, and nothing stays. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import { createKeep, type KeepCatalog } from "../../server/archive/quarantine-keep.ts";
import { ArchiveError } from "../../server/errors.ts";
import type { BlobEntry, Blobs } from "../../storage/blobs.ts";

const full = new ArchiveError("storage-full", "The storage is full.");
const file = {
  error: new ArchiveError("not-dicom", "The file is not DICOM."),
  blobKey: "3f/held",
  byteLength: 7,
  sha256: Buffer.alloc(32),
  read: { meta: { elements: [], littleEndian: true }, dataSet: { elements: [], littleEndian: true } },
};
const limits = { bytes: 100, files: 10, days: 1 };

/** What is there: keys of objects, and of the list of the sweep. */
function memory(failing: "put" | "add" | "again" | undefined) {
  const objects = new Set([file.blobKey]);
  const listed = new Set<string>();
  const rows: string[] = [];
  const logged: unknown[] = [];
  const blobs: Pick<Blobs, "put" | "get" | "remove"> = {
    put: async (body, options): Promise<BlobEntry> => {
      for await (const _ of body) assert.ok(_);
      if (failing === "put") throw full;
      const key = options?.key ?? "";
      objects.add(key);
      return { key, byteLength: file.byteLength, modifiedAt: new Date() };
    },
    get: async () => Readable.from([Buffer.from("garbage")]),
    remove: async (keys) => keys.forEach((key) => objects.delete(key)),
  };
  const catalog: KeepCatalog = {
    quarantine: {
      again: async () => {
        if (failing === "again") throw full;
        return undefined;
      },
      add: async ({ blobKey }) => {
        if (failing === "add") throw full;
        rows.push(blobKey);
        return { id: rows.length, blobKey };
      },
      evict: async () => 0,
    },
    removals: {
      sweepLater: async (keys) => keys.forEach((key) => listed.add(key)),
      swept: async (keys) => keys.forEach((key) => listed.delete(key)),
    },
  };
  const log = { warn: (fields: object) => void logged.push(fields) };
  return { keep: createKeep(blobs, catalog, log, limits), objects, listed, rows, logged };
}

describe("keeping a file in quarantine", () => {
  it("leaves the object of its row and nothing else", async () => {
    const { keep, objects, listed, rows, logged } = memory(undefined);
    assert.equal(await keep(file, {}), 1);
    assert.deepEqual([...objects], rows);
    assert.match(rows[0] ?? "", /^quarantine\/[0-9a-f]{2}\//);
    assert.deepEqual([listed.size, logged.length], [0, 0]);
  });

  for (const failing of ["again", "put", "add"] as const) {
    it(`tells no number when it fails (${failing}), and what is left is on the list of the sweep`, async () => {
      const { keep, objects, listed, logged } = memory(failing);
      assert.equal(await keep(file, {}), undefined);
      assert.equal(objects.has(file.blobKey), false);
      for (const key of objects) assert.ok(listed.has(key), key);
      assert.deepEqual(logged, [{ err: full, code: "not-dicom" }]);
    });
  }
});
