/** Files of a backup: what goes wrong at either end is told as it is, once. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { putCompressed, readCompressed } from "../../server/archive/backup-target.ts";
import { ArchiveError } from "../../server/errors.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import { freshFolder, keysOf } from "../support/backups.ts";

const megabyte = Buffer.alloc(2 ** 20, "row\n");

async function* megabytes(count: number, fault?: Error) {
  for (let index = 0; index < count; index += 1) yield megabyte;
  if (fault) throw fault;
}

describe("files of a backup", () => {
  it("come back as they were", async (t) => {
    const target = await openFileBlobs({ folder: await freshFolder(t) });
    const file = await putCompressed(target, "a/b", megabytes(20));
    assert.ok(file.byteLength < 2 ** 20);
    let length = 0;
    for await (const chunk of readCompressed(target, file)) length += chunk.byteLength;
    assert.equal(length, 20 * 2 ** 20);
    const other = { ...file, sha256: "0".repeat(64) };
    const read = async () => {
      for await (const _ of readCompressed(target, other));
    };
    await assert.rejects(read(), { code: "backup-damaged" });
  });

  for (const count of [0, 1, 20]) {
    it(`leave nothing when their source fails after ${count} MB, nor an error that nobody awaits`, async (t) => {
      const target = await openFileBlobs({ folder: await freshFolder(t) });
      const fault = new ArchiveError("database-unavailable", "The database does not answer.");
      await assert.rejects(putCompressed(target, "a/b", megabytes(count, fault)), fault);
      // The target is slow to see it: what is not awaited by then would end the process.
      const slow = {
        ...target,
        put: async (...[body, options]: Parameters<typeof target.put>) => {
          const iterator = body[Symbol.asyncIterator]();
          const first = await iterator.next().catch((error: unknown) => error);
          await sleep(20);
          if (first === fault) throw fault;
          return target.put({ [Symbol.asyncIterator]: () => iterator }, options);
        },
      };
      await assert.rejects(putCompressed(slow, "a/c", megabytes(count, fault)), fault);
      assert.deepEqual(await keysOf(target), []);
    });
  }

  it("tell that the target is full", async (t) => {
    const target = await openFileBlobs({ folder: await freshFolder(t) });
    const full = {
      ...target,
      put: async (...[body]: Parameters<typeof target.put>) => {
        for await (const _ of body) throw new ArchiveError("storage-full", "The disk of the archive is full.");
        throw new Error("the body was empty");
      },
    };
    const expected = { code: "storage-full", message: "The target of the backup is full." };
    await assert.rejects(putCompressed(full, "a/b", megabytes(20)), expected);
  });
});
