/** Blobs in a local folder: one file an object, durable before `put` resolves. */
import { randomUUID } from "node:crypto";
import { closeSync, open as openDescriptor, read as readDescriptor } from "node:fs";
import { open, type FileHandle, mkdir, readdir, rm, stat, statfs, writeFile } from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { callbackify, promisify } from "node:util";
import { filePut } from "./blobs-file-put.ts";
import { assertKey, isKey, metadataOfKey, noSuchBlob, privatePrefix } from "./blobs.ts";
import type { BlobEntry, Blobs, ByteRange } from "./blobs.ts";
import { onDisk, syncParents, writing } from "./disk.ts";
import { codeOf } from "./error-code.ts";

/** Size of one read, in bytes. */
const blockLength = 256 * 1024;

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
  const fileOf = (key: string) => {
    assertKey(key);
    return path.join(folder, key);
  };

  return {
    put: filePut(folder, temporary),
    get: async (key, range) => openStream(fileOf(key), range),
    read: async (key, range) => readRange(fileOf(key), range, Buffer.allocUnsafe(range.length)),
    readInto: async (key, range, into) => readRange(fileOf(key), range, into),
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
        await writing(() => writeFile(file, "check"));
      } finally {
        // On a full disk the file is made, and stays empty.
        await rm(file, { force: true }).catch(() => undefined);
      }
    },
    close: async () => undefined,
  };
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

/** By descriptor, and closed at once: a FileHandle costs more of the processor's time, and every thread that is woken. */
const disk = { open: promisify(openDescriptor), read: promisify(readDescriptor) };

async function readRange(file: string, { offset, length }: ByteRange, into: Buffer): Promise<Buffer> {
  // A read of nothing does not tell where the object ends.
  if (length === 0) await (await openAt(file, { offset, length })).handle.close();
  const descriptor = await onDisk(() => disk.open(file, "r"));
  try {
    for (let filled = 0; filled < length;) {
      const at = filled;
      const { bytesRead } = await onDisk(() => disk.read(descriptor, into, at, length - at, offset + at));
      if (bytesRead === 0) throw noSuchBlob();
      filled += bytesRead;
    }
    return into.subarray(0, length);
  } finally {
    closeSync(descriptor);
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
