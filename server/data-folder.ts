/** DATA_DIR: made when it is missing, and known to be writable before anything is started in it. */
import { access, constants, mkdir } from "node:fs/promises";
import path from "node:path";
import { ArchiveError } from "./errors.ts";

/** Why a folder cannot be had, in words, by what the system says. */
const faults = {
  EACCES: "it may not be written",
  EPERM: "it may not be written",
  EROFS: "it is on a read-only file system",
  ENOENT: "it cannot be made there",
  ENOTDIR: "a file is in the way",
  EEXIST: "a file is in the way",
  ENOSPC: "the disk is full",
} as const;

/** @throws ArchiveError `storage-unavailable`: one sentence that says why */
export async function makeDataFolder(folder: string): Promise<void> {
  try {
    await make(folder);
    await access(`${folder}${path.sep}.`, constants.W_OK | constants.X_OK);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const reason = isFault(code) ? faults[code] : `the system says ${code}`;
    throw unusable(folder, reason, cause);
  }
}

/**
 * What stopped something that works below the folder, in one sentence when that is the disk, by the code of the system or
 * the words of PostgreSQL; otherwise `error` itself.
 */
export function diskFault(folder: string, error: unknown): unknown {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ("code" in cause && cause.code === "EROFS") return unusable(folder, faults.EROFS, error);
    const isFull = ("code" in cause && cause.code === "ENOSPC") || /No space left on device/.test(cause.message);
    if (isFull) return unusable(folder, faults.ENOSPC, error);
  }
  return error;
}

function isFault(code: string): code is keyof typeof faults {
  return Object.hasOwn(faults, code);
}

function unusable(folder: string, reason: string, cause: unknown): ArchiveError {
  const sentence = `The data folder ${folder} (DATA_DIR) cannot be used: ${reason}.`;
  return new ArchiveError("storage-unavailable", sentence, { cause });
}

/** Folder by folder: the recursive mkdir of Node does not end in places such as /proc. */
async function make(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || path.dirname(folder) === folder) throw error;
    const parent = path.dirname(folder);
    await make(parent);
    await mkdir(folder);
  }
}
