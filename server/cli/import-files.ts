/** Finds the files to import and makes an Instance of each that is one. */
import { createReadStream } from "node:fs";
import { lstat, open, readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import { type HeaderScan, scanHeader } from "./import-header.ts";
import { InstanceUnreadable, type Identifiers, type Instance } from "./import-instance.ts";
import { forEachParallel } from "./import-parallel.ts";

const mediaStorageDirectory = "1.2.840.10008.1.3.10";
/** Enough for nearly every header; a header with more before its UIDs is read again up to the second limit. */
const firstReadBytes = 8 * 1024;
const longestReadBytes = 256 * 1024;
/** A file up to this size is read in one go, a larger one streamed. */
const wholeReadBytes = 1024 * 1024;

/** A path that leads to nothing to send, and why: a phrase without a final full stop. */
export interface LeftOut {
  readonly name: string;
  readonly reason: string;
}

/** What the paths of one import hold. */
export interface FoundFiles {
  /** Files that may be instances, in order. */
  readonly instances: Instance[];
  /** Files that cannot be stored. */
  readonly unusable: LeftOut[];
  /** Number of files and folders left out because their names begin with a dot. */
  hidden: number;
  /** Number of DICOMDIR files left out: a directory of instances, not an instance. */
  dicomdirs: number;
}

interface FoundPath {
  readonly path: string;
  readonly byteLength: number;
}

/** A system error as a phrase without path. */
function phrase(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "no such file or folder";
  if (code === "EACCES" || code === "EPERM") return "it may not be read";
  return typeof code === "string" ? `it cannot be read (${code})` : "it cannot be read";
}

/** Walks folders in the order of their names. Follows symbolic links, and visits no folder or file twice. */
class Walk {
  readonly files: FoundPath[] = [];
  readonly unusable: LeftOut[] = [];
  hidden = 0;
  readonly #seen = new Set<string>();

  async visit(path: string): Promise<void> {
    try {
      const real = await realpath(path);
      if (this.#seen.has(real)) return;
      this.#seen.add(real);
      const info = await stat(real);
      if (info.isDirectory()) await this.#visitFolder(path);
      else if (info.isFile()) this.files.push({ path, byteLength: info.size });
      else this.unusable.push({ name: path, reason: "not a regular file" });
    } catch (error) {
      this.unusable.push({ name: path, reason: phrase(error) });
    }
  }

  async #visitFolder(folder: string): Promise<void> {
    for (const name of (await readdir(folder)).sort()) {
      if (name.startsWith(".")) this.hidden += 1;
      else await this.visit(join(folder, name));
    }
  }
}

async function readStart(path: string, byteLength: number): Promise<Buffer> {
  const handle = await open(path);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(byteLength), 0, byteLength, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/**
 * What the header of a file says; undefined when it is obviously not DICOM. Reads 8 KiB, and up to 256 KiB where the UIDs
 * come later than that. Rejects with the system's error when the file cannot be read.
 */
export async function readHeader(path: string): Promise<HeaderScan | undefined> {
  const start = await readStart(path, firstReadBytes);
  const first = await scanHeader(start);
  const more = first !== undefined && !first.complete && start.length === firstReadBytes;
  return more ? scanHeader(await readStart(path, longestReadBytes)) : first;
}

/** The identifiers in the header of a file, or "dicomdir"; undefined and rejects as `readHeader`. */
export async function readIdentifiers(path: string): Promise<Identifiers | "dicomdir" | undefined> {
  const scan = await readHeader(path);
  if (scan === undefined) return undefined;
  const sopClassUid = scan.mediaStorageSopClassUid ?? scan.identifiers.sopClassUid;
  return sopClassUid === mediaStorageDirectory ? "dicomdir" : scan.identifiers;
}

/** A file as an instance: small ones are read in one go, large ones streamed. */
export function fileInstance(path: string, byteLength: number, identifiers: Identifiers): Instance {
  const instance: Instance = {
    name: path,
    byteLength,
    identifiers,
    async *open() {
      try {
        if (byteLength <= wholeReadBytes) yield await readFile(path);
        else yield* createReadStream(path, { highWaterMark: 256 * 1024 });
      } catch (error) {
        throw new InstanceUnreadable(instance, phrase(error), { cause: error });
      }
    },
  };
  return instance;
}

/** Whether a path leads to a file that says of itself that it is a DICOMDIR; a name alone says nothing. */
async function isDicomdir(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile() && (await readIdentifiers(path)) === "dicomdir";
  } catch {
    // The walk meets the same error, and reports it.
    return false;
  }
}

/**
 * Where to look for what a named path stands for: a DICOMDIR for the folder of its file-set (PS3.10 8.6), which for a
 * symbolic link is the folder of the file that it leads to; anything else for itself.
 */
async function placeOf(path: string): Promise<string> {
  if (basename(path).toUpperCase() !== "DICOMDIR" || !(await isDicomdir(path))) return path;
  return dirname((await lstat(path)).isSymbolicLink() ? await realpath(path) : path);
}

/** Walks `paths`, files and folders, and reads the header of every file, `width` at a time. Never throws for a file. */
export async function findFiles(paths: readonly string[], width: number): Promise<FoundFiles> {
  const walk = new Walk();
  for (const path of paths) await walk.visit(await placeOf(path));
  const found: FoundFiles = { instances: [], unusable: walk.unusable, hidden: walk.hidden, dicomdirs: 0 };
  const byPosition: Instance[] = [];
  await forEachParallel(walk.files.entries(), width, async ([position, { path, byteLength }]) => {
    try {
      const identifiers = await readIdentifiers(path);
      if (identifiers === "dicomdir") found.dicomdirs += 1;
      else if (identifiers !== undefined) byPosition[position] = fileInstance(path, byteLength, identifiers);
      else found.unusable.push({ name: path, reason: byteLength === 0 ? "an empty file" : "not a DICOM file" });
    } catch (error) {
      found.unusable.push({ name: path, reason: phrase(error) });
    }
  });
  for (const instance of byPosition) if (instance !== undefined) found.instances.push(instance);
  return found;
}
