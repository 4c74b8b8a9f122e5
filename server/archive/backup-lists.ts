/** Lists of the objects that snapshots need: read folder by folder, so that memory holds one folder of them at most. */
import type { Blobs } from "../../storage/blobs.ts";
import { ArchiveError } from "../errors.ts";
import type { SnapshotFile } from "./backup-layout.ts";
import { readCompressed } from "./backup-target.ts";

/** An object that a snapshot needs. */
export interface NeededObject {
  readonly key: string;
  /** In hexadecimal. */
  readonly sha256: string;
  readonly byteLength: number;
}

/** The needed objects of one folder: the part of their keys up to the last slash. */
export interface NeededFolder {
  readonly folder: string;
  readonly objects: readonly NeededObject[];
}

const linePattern = /^([0-9a-z/-]+)\t([0-9a-f]{64})\t(\d+)$/;

/** The part of a key up to its last slash, with it. */
export function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf("/") + 1);
}

/** The folders of one list in ascending order. @throws ArchiveError `backup-damaged` */
export async function* readFolders(target: Blobs, list: SnapshotFile): AsyncGenerator<NeededFolder, void, undefined> {
  let folder: string | undefined;
  let objects: NeededObject[] = [];
  for await (const lines of linesOf(readCompressed(target, list))) {
    for (const line of lines) {
      const object = parseLine(line);
      const next = folderOf(object.key);
      if (folder !== undefined && next !== folder) {
        if (next < folder) throw malformed();
        yield { folder, objects };
        objects = [];
      }
      folder = next;
      objects.push(object);
    }
  }
  if (folder !== undefined) yield { folder, objects };
}

/** The folders of several lists in ascending order, each with the objects of all of them, each once. */
export async function* mergeFolders(
  lists: readonly AsyncGenerator<NeededFolder, void, undefined>[],
): AsyncGenerator<NeededFolder, void, undefined> {
  const heads = await Promise.all(lists.map(async (list) => ({ list, head: await nextOf(list) })));
  try {
    while (true) {
      const folders = heads.flatMap(({ head }) => (head === undefined ? [] : [head.folder])).sort();
      const [folder] = folders;
      if (folder === undefined) return;
      const objects = new Map<string, NeededObject>();
      for (const at of heads) {
        if (at.head?.folder !== folder) continue;
        for (const object of at.head.objects) objects.set(object.key, object);
        at.head = await nextOf(at.list);
      }
      yield { folder, objects: [...objects.values()] };
    }
  } finally {
    await Promise.all(lists.map((list) => list.return()));
  }
}

async function nextOf(list: AsyncGenerator<NeededFolder, void, undefined>): Promise<NeededFolder | undefined> {
  const next = await list.next();
  return next.done === true ? undefined : next.value;
}

function parseLine(line: string): NeededObject {
  const [, key, sha256, bytes] = linePattern.exec(line) ?? [];
  if (key === undefined || sha256 === undefined) throw malformed();
  return { key, sha256, byteLength: Number(bytes) };
}

function malformed(): ArchiveError {
  return new ArchiveError("backup-damaged", "The list of objects of a snapshot is malformed.");
}

/** Whole lines, as many at once as a chunk has. */
export async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<string[], void, undefined> {
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + chunk.toString("latin1")).split("\n");
    rest = lines.pop() ?? "";
    if (lines.length > 0) yield lines;
  }
  if (rest !== "") yield [rest];
}
