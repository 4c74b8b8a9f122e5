/** Blobs in a local folder: one file an object, durable before `put` resolves. */
import { randomUUID } from "node:crypto";
import { open, type FileHandle, mkdir, readdir, rename, rm, stat, statfs, unlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { callbackify } from "node:util";
import { ArchiveError } from "../server/errors.ts";
import { inGroups } from "./blocks.ts";
import { assertKey, isKey, keyFor, metadataOfKey, noSuchBlob, privatePrefix } from "./blobs.ts";
import type { BlobEntry, Blobs, ByteRange } from "./blobs.ts";

/** Size of one read, in bytes. */
const blockLength = 256 * 1024;

/** Chunks of the body are gathered to this many bytes, and written in one call. */
const writeLength = 1024 * 1024;

/** Chunks in one call: IOV_MAX of Linux is 1,024. */
const chunksAtOnce = 512;

/** How many objects are removed at a time. */
const removalsAtOnce = 16;

/**
 * Opens (and makes, when absent) the folder. Throws `storage-unavailable` when it cannot be written.
 * A put writes to `tmp/` and renames the finished file to its key, so nothing half written has a key. Keys are fresh and
 * never used twice, so no name is taken; those of objects whose hash is known tell it, which is all the metadata kept.
 */
export async function openFileBlobs(options: { readonly folder: string }): Promise<Blobs> {
  const folder = path.resolve(options.folder);
  const temporary = path.join(folder, privatePrefix);
  await onDisk(async () => {
    const first = await mkdir(temporary, { recursive: true, mode: 0o700 });
    if (first !== undefined) await syncParents(first, temporary);
  });
  const makeFolder = folderMaker(folder);
  const fileOf = (key: string) => {
    assertKey(key);
    return path.join(folder, key);
  };

  return {
    put: async (body, { key: wanted, metadata, signal } = {}) => {
      if (wanted !== undefined) assertKey(wanted);
      const draft = path.join(temporary, randomUUID());
      try {
        const byteLength = await write(draft, body, signal);
        const key = wanted ?? keyFor(metadata?.());
        const file = fileOf(key);
        await onDisk(async () => {
          await makeFolder(path.dirname(file));
          await publish(draft, file);
        });
        return { key, byteLength, modifiedAt: new Date() };
      } catch (error) {
        // Harmless when it fails: what is left in tmp/ has no key and is swept later.
        await rm(draft, { force: true }).catch(() => undefined);
        throw error;
      }
    },
    get: async (key, range) => openStream(fileOf(key), range),
    read: async (key, range) => readRange(fileOf(key), range),
    stat: async (key) => describe(key, fileOf(key)),
    remove: async (keys) => {
      const files = keys.map(fileOf);
      for (let start = 0; start < files.length; start += removalsAtOnce) {
        const some = files.slice(start, start + removalsAtOnce);
        await onDisk(() => Promise.all(some.map((file) => rm(file, { force: true }))));
      }
    },
    list: (prefix = "") => walk(folder, "", prefix),
    removeLeftovers: (before) => onDisk(() => removeStale(temporary, before)),
    space: () =>
      onDisk(async () => {
        const { bsize, blocks, bavail } = await statfs(folder);
        return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
      }),
    check: async () => {
      const file = path.join(temporary, randomUUID());
      try {
        await onDisk(() => writeFile(file, "check"));
      } finally {
        // On a full disk the file is made, and stays empty.
        await rm(file, { force: true }).catch(() => undefined);
      }
    },
    close: async () => undefined,
  };
}

/** Writes and syncs `file`; gives its length. An error of the body passes as it is, one of the disk is translated. */
async function write(file: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Promise<number> {
  const gathered = inGroups(body, writeLength, chunksAtOnce, signal);
  let handle: FileHandle | undefined;
  let position = 0;
  try {
    for await (const chunks of gathered) {
      handle ??= await onDisk(() => open(file, "wx", 0o600));
      position += await writeFully(handle, chunks, position);
    }
    handle ??= await onDisk(() => open(file, "wx", 0o600));
    await syncData(handle);
    return position;
  } finally {
    await handle?.close().catch(() => undefined);
  }
}

async function syncData(handle: FileHandle): Promise<void> {
  await onDisk(() => handle.datasync());
}

/** Writes all of `chunks` from `position` on, though one call may take less; gives their length. */
async function writeFully(handle: FileHandle, chunks: readonly Uint8Array[], position: number): Promise<number> {
  const total = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let left = [...chunks];
  let written = 0;
  while (written < total) {
    const { bytesWritten } = await onDisk(() => handle.writev(left, position + written));
    written += bytesWritten;
    left = withoutFirst(left, bytesWritten);
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
async function publish(draft: string, file: string): Promise<void> {
  await rename(draft, file);
  try {
    await syncFolder(path.dirname(file));
  } catch (error) {
    await unlink(file).catch(() => undefined);
    throw error;
  }
}

/**
 * Makes the folders between `root` and a file and syncs their parents, once each a process: another process may have
 * made one and died before it synced.
 */
function folderMaker(root: string): (folder: string) => Promise<void> {
  const made = new Set([root]);
  return async function make(folder: string): Promise<void> {
    if (made.has(folder)) return;
    const parent = path.dirname(folder);
    await make(parent);
    await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
      if (codeOf(error) !== "EEXIST") throw error;
    });
    await syncFolder(parent);
    made.add(folder);
  };
}

/** Makes the names of new folders durable: of `first` and of every one between it and `last`. */
async function syncParents(first: string, last: string): Promise<void> {
  for (let made = path.resolve(last); ; made = path.dirname(made)) {
    await syncFolder(path.dirname(made));
    if (made === path.resolve(first)) return;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Opens the file and checks that it holds `range`; gives the range as it will be read. */
async function openAt(file: string, range?: ByteRange): Promise<{ handle: FileHandle; range: ByteRange }> {
  const handle = await onDisk(() => open(file, "r"));
  try {
    const { size } = await onDisk(() => handle.stat());
    const whole = range ?? { offset: 0, length: size };
    if (whole.offset + whole.length > size) throw noSuchBlob();
    return { handle, range: whole };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function readRange(file: string, wanted: ByteRange): Promise<Buffer> {
  const { handle, range } = await openAt(file, wanted);
  try {
    const bytes = Buffer.allocUnsafe(range.length);
    let filled = 0;
    while (filled < range.length) {
      const offset = filled;
      const { bytesRead } = await onDisk(() =>
        handle.read(bytes, offset, range.length - offset, range.offset + offset),
      );
      if (bytesRead === 0) throw noSuchBlob();
      filled += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

async function openStream(file: string, wanted?: ByteRange): Promise<Readable> {
  const { handle, range } = await openAt(file, wanted);
  let position = range.offset;
  const end = range.offset + range.length;
  const readBlock = async (): Promise<Buffer | null> => {
    if (position >= end) return null;
    const bytes = Buffer.allocUnsafe(Math.min(blockLength, end - position));
    const { bytesRead } = await onDisk(() => handle.read(bytes, 0, bytes.byteLength, position));
    if (bytesRead === 0) throw noSuchBlob();
    position += bytesRead;
    return bytes.subarray(0, bytesRead);
  };
  const closeThen = callbackify(() => handle.close());
  return new Readable({
    highWaterMark: blockLength,
    read() {
      readBlock().then(
        (block) => this.push(block),
        (error: Error) => this.destroy(error),
      );
    },
    destroy(error, done) {
      closeThen(() => done(error));
    },
  });
}

async function describe(key: string, file: string): Promise<BlobEntry | undefined> {
  const found = await onDisk(() => statOrUndefined(file));
  if (found?.isFile() !== true) return undefined;
  return { key, byteLength: found.size, modifiedAt: found.mtime, metadata: metadataOfKey(key) };
}

/** Every object under `base` (a key prefix that ends in "/", or nothing); folders that cannot match are not opened. */
async function* walk(folder: string, base: string, prefix: string): AsyncGenerator<BlobEntry, void, undefined> {
  for (const entry of await onDisk(() => readdir(path.join(folder, base), { withFileTypes: true }))) {
    const name = base + entry.name;
    if (entry.isDirectory() && couldHold(`${name}/`, prefix)) yield* walk(folder, `${name}/`, prefix);
    if (!entry.isFile() || !name.startsWith(prefix) || !isKey(name)) continue;
    const found = await describe(name, path.join(folder, name));
    if (found !== undefined) yield found;
  }
}

function couldHold(base: string, prefix: string): boolean {
  return base !== privatePrefix && (base.startsWith(prefix) || prefix.startsWith(base));
}

async function removeStale(temporary: string, before: Date): Promise<number> {
  let removed = 0;
  for (const name of await readdir(temporary)) {
    const file = path.join(temporary, name);
    const found = await statOrUndefined(file);
    if (found === undefined || found.mtime >= before) continue;
    await rm(file, { force: true });
    removed += 1;
  }
  return removed;
}

async function statOrUndefined(file: string) {
  return stat(file).catch((error: unknown) => {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(error))) return undefined;
    throw error;
  });
}

/** Runs an operation of the file system; what it throws becomes an ArchiveError. */
async function onDisk<Result>(operation: () => Promise<Result>): Promise<Result> {
  try {
    return await operation();
  } catch (error) {
    if (error instanceof ArchiveError) throw error;
    const code = codeOf(error);
    if (code === "ENOENT") throw noSuchBlob(error);
    if (code === "ENOSPC" || code === "EDQUOT") {
      throw new ArchiveError("storage-full", "The disk of the archive is full.", { cause: error });
    }
    const cannot = ["EROFS", "EACCES", "EPERM"].includes(code) ? "refuses access" : "does not work";
    throw new ArchiveError("storage-unavailable", `The folder of the archive ${cannot}.`, { cause: error });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
