/** How an object gets into a local folder: written and synced under another name, then given its key, then that synced. */
import { randomBytes, randomUUID } from "node:crypto";
import { close, closeSync, fdatasync, open, rename, rm, unlink, writev } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { inGroups } from "./blocks.ts";
import { assertKey, type Blobs, keyFor } from "./blobs.ts";
import { folderMaker, syncFolder, writing } from "./disk.ts";
import { codeOf } from "./error-code.ts";
import { SharedSync } from "./shared-sync.ts";

/** Chunks of the body are gathered to this many bytes, and written in one call. */
const writeLength = 1024 * 1024;

/** Chunks in one call: IOV_MAX of Linux is 1,024. */
const chunksAtOnce = 512;

/** Objects that follow one another into the same folder. */
const objectsInTurn = 64;

/** By descriptor: a FileHandle costs a fifth of the processor's time of such a file more. */
const disk = {
  open: promisify(open),
  writev: promisify(writev),
  fdatasync: promisify(fdatasync),
  close: promisify(close),
  rename: promisify(rename),
  unlink: promisify(unlink),
  rm: promisify(rm),
};

/**
 * The `put` of a store in `folder`, which writes drafts into `temporary`. Objects that are put at the same time mostly
 * come to lie in the same of 256 folders, and share its sync.
 */
export function filePut(folder: string, temporary: string): Blobs["put"] {
  const makeFolder = folderMaker(folder);
  const names = new SharedSync(syncFolder);
  const nextFolder = foldersInTurn();
  return async (body, { key: wanted, metadata, signal } = {}) => {
    if (wanted !== undefined) assertKey(wanted);
    const draft = path.join(temporary, randomUUID());
    try {
      const byteLength = await write(draft, body, signal);
      const key = wanted ?? keyFor(metadata?.(), nextFolder());
      const file = path.join(folder, key);
      await writing(async () => {
        await makeFolder(path.dirname(file));
        await publish(draft, file, names).catch(async (error: unknown) => {
          if (codeOf(error) !== "ENOENT") throw error;
          // Somebody has removed the folder, perhaps since it was empty.
          await makeFolder(path.dirname(file), true);
          await publish(draft, file, names);
        });
      });
      return { key, byteLength, modifiedAt: new Date() };
    } catch (error) {
      // Harmless when it fails: what is left in tmp/ has no key and is swept later.
      await disk.rm(draft, { force: true }).catch(() => undefined);
      throw error;
    }
  };
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

/** Writes and syncs `file`; gives its length. An error of the body passes as it is, one of the disk is translated. */
async function write(file: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Promise<number> {
  const gathered = inGroups(body, writeLength, chunksAtOnce, signal);
  let descriptor: number | undefined;
  let position = 0;
  try {
    for await (const chunks of gathered) {
      descriptor ??= await writing(() => disk.open(file, "wx", 0o600));
      position += await writeFully(descriptor, chunks, position);
    }
    const written = (descriptor ??= await writing(() => disk.open(file, "wx", 0o600)));
    await writing(() => disk.fdatasync(written));
    descriptor = undefined;
    // There is nothing left to write, so this takes less time than to hand it to a thread.
    closeSync(written);
    return position;
  } finally {
    // Not waited for: the failure has been told.
    if (descriptor !== undefined) disk.close(descriptor).catch(() => undefined);
  }
}

/** Writes all of `chunks` from `position` on, though one call may take less; gives their length. */
async function writeFully(descriptor: number, chunks: readonly Uint8Array[], position: number): Promise<number> {
  const total = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let left = [...chunks];
  let written = 0;
  while (written < total) {
    const { bytesWritten } = await writing(() => disk.writev(descriptor, left, position + written));
    written += bytesWritten;
    if (written < total) left = withoutFirst(left, bytesWritten);
  }
  return total;
}

/** `chunks` without their first `count` bytes. */
function withoutFirst(chunks: readonly Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  return chunks.flatMap((chunk) => {
    const rest = chunk.subarray(Math.min(skip, chunk.byteLength));
    skip -= chunk.byteLength - rest.byteLength;
    return rest.byteLength > 0 ? [rest] : [];
  });
}

/** Gives the finished file its key, and makes the name durable. */
async function publish(draft: string, file: string, names: SharedSync): Promise<void> {
  await disk.rename(draft, file);
  try {
    await names.sync(path.dirname(file));
  } catch (error) {
    await disk.unlink(file).catch(() => undefined);
    throw error;
  }
}
