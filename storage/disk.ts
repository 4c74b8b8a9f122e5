/** Operations of the file system, whose failures become ours; and names of folders that must outlive a power cut. */
import { closeSync, fsync, open } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { ArchiveError } from "../server/errors.ts";
import { noSuchBlob } from "./blobs.ts";
import { codeOf } from "./error-code.ts";

/** Runs an operation of the file system; what it throws becomes an ArchiveError. */
export async function onDisk<Result>(operation: () => Promise<Result>): Promise<Result> {
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

/** As `onDisk`, for what writes: that a folder is absent says nothing of the object. */
export async function writing<Result>(operation: () => Promise<Result>): Promise<Result> {
  return onDisk(() =>
    operation().catch((cause: unknown) => {
      if (codeOf(cause) !== "ENOENT") throw cause;
      throw new ArchiveError("storage-unavailable", "The folder of the archive is gone: is its disk mounted?", {
        cause,
      });
    }),
  );
}

/** By descriptor: a FileHandle costs more of the processor's time. */
const disk = { open: promisify(open), fsync: promisify(fsync) };

/** Makes the names in `folder` durable. */
export async function syncFolder(folder: string): Promise<void> {
  const descriptor = await disk.open(folder, "r");
  try {
    await disk.fsync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Makes the names of new folders durable: of `first` and of every one between it and `last`. */
export async function syncParents(first: string, last: string): Promise<void> {
  for (let made = path.resolve(last); ; made = path.dirname(made)) {
    await syncFolder(path.dirname(made));
    if (made === path.resolve(first)) return;
  }
}

/**
 * Makes the folders between `root` and a file and syncs their parents, once each a process: another process may have
 * made one and died before it synced. With `again` it looks anew at what it has made: somebody may have removed it.
 */
export function folderMaker(root: string): (folder: string, again?: boolean) => Promise<void> {
  const made = new Set([root]);
  return async function make(folder: string, again = false): Promise<void> {
    if (again && folder !== root) made.delete(folder);
    if (made.has(folder)) return;
    const parent = path.dirname(folder);
    await make(parent, again);
    await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
      if (codeOf(error) !== "EEXIST") throw error;
    });
    await syncFolder(parent);
    made.add(folder);
  };
}
