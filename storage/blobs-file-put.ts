/** How an object gets into a local folder: written under another name, then given its key, and both synced. */
import { randomBytes, randomUUID } from "node:crypto";
import { rename, unlink } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { assertKey, type Blobs, keyFor } from "./blobs.ts";
import { folderMaker, syncFolder, writing } from "./disk.ts";
import { DraftFile } from "./draft-file.ts";
import { codeOf } from "./error-code.ts";
import { SharedSync } from "./shared-sync.ts";

/** Objects that follow one another into the same folder. */
const objectsInTurn = 64;

const disk = { rename: promisify(rename), unlink: promisify(unlink) };

/**
 * The `put` of a store in `folder`, which writes drafts into `temporary`. Objects that are put at the same time mostly
 * come to lie in the same of 256 folders, and share its sync.
 */
export function filePut(folder: string, temporary: string): Blobs["put"] {
  const makeFolder = folderMaker(folder);
  const names = new SharedSync(syncFolder);
  const nextFolder = foldersInTurn();

  /** Gives the draft its key. */
  async function name(draft: DraftFile, file: string): Promise<void> {
    await makeFolder(path.dirname(file));
    await disk.rename(draft.file, file).catch(async (error: unknown) => {
      if (codeOf(error) !== "ENOENT") throw error;
      // Somebody has removed the folder, perhaps since it was empty.
      await makeFolder(path.dirname(file), true);
      await disk.rename(draft.file, file);
    });
  }

  return async (body, { key: wanted, metadata, signal } = {}) => {
    if (wanted !== undefined) assertKey(wanted);
    const draft = new DraftFile(path.join(temporary, randomUUID()));
    try {
      await draft.fill(body, signal);
      // The disk takes the last bytes while their owner makes up its mind about all of them.
      const key = wanted ?? keyFor(metadata?.(), nextFolder());
      const file = path.join(folder, key);
      const syncName = () => writing(() => names.sync(path.dirname(file)));
      await draft.written();
      if (wanted === undefined) {
        // Nobody knows the key before it is answered: bytes and name become durable at the same time.
        await writing(() => name(draft, file));
        await unlessFailed(file, both(draft.sync(), syncName()));
      } else {
        await draft.sync();
        await writing(() => name(draft, file));
        await unlessFailed(file, syncName());
      }
      return { key, byteLength: draft.byteLength, modifiedAt: new Date() };
    } catch (error) {
      await draft.discard();
      throw error;
    }
  };
}

/** What has its key and is not durable must not stay. */
async function unlessFailed(file: string, work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    await disk.unlink(file).catch(() => undefined);
    throw error;
  }
}

/** Resolves when both have; rejects when both have ended and one has failed. */
async function both(one: Promise<unknown>, other: Promise<unknown>): Promise<void> {
  try {
    await Promise.all([one, other]);
  } catch (error) {
    await Promise.allSettled([one, other]);
    throw error;
  }
}

/** Two random hexadecimal digits, the same for some time. */
function foldersInTurn(): () => string {
  let [name, left] = ["", 0];
  return () => {
    if (left === 0) [name, left] = [randomBytes(1).toString("hex"), objectsInTurn];
    left -= 1;
    return name;
  };
}
