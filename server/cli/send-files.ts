/** Files as instances to be sent over DIMSE: their headers are read for the plan, their data sets when their turn comes. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { dataSetBytes } from "../archive/convert.ts";
import type { SelectedInstance, SelectedInstances } from "../archive/selection.ts";
import type { ReadableBlobs } from "../archive/stored-bytes.ts";
import { findFiles, type FoundFiles, type LeftOut, readHeader } from "./import-files.ts";
import { forEachParallel } from "./import-parallel.ts";

/** What paths hold that can be sent. */
export interface FilesToSend extends Omit<FoundFiles, "instances" | "unusable"> {
  readonly selected: SelectedInstances;
  readonly count: number;
  readonly unusable: readonly LeftOut[];
  /** The file of an instance; all of them where several have its UID. */
  readonly nameOf: (sopInstanceUid: string) => string;
}

/** Files by their path, as far as the bytes of an instance are read. */
const files: ReadableBlobs = {
  get: async (path, range) =>
    createReadStream(path, {
      highWaterMark: 256 * 1024,
      ...(range && { start: range.offset, end: range.offset + range.length - 1 }),
    }),
  read: async (path, { offset, length }) => {
    const handle = await open(path);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
      if (bytesRead < length) throw new Error("the file has become shorter");
      return buffer;
    } finally {
      await handle.close();
    }
  },
};

/** Walks `paths` and reads the header of every file, `width` at a time. Never throws for a file. */
export async function findFilesToSend(paths: readonly string[], width: number): Promise<FilesToSend> {
  const { instances, unusable, ...left } = await findFiles(paths, width);
  const leftOut = [...unusable];
  const byPosition: SelectedInstance[] = [];
  const names = new Map<string, readonly string[]>();
  await forEachParallel(instances.entries(), width, async ([position, { name, byteLength }]) => {
    const instance = await instanceOf(name, byteLength).catch(() => "it cannot be read");
    if (typeof instance === "string") {
      leftOut.push({ name, reason: instance });
      return;
    }
    byPosition[position] = instance;
    names.set(instance.sopInstanceUid, [...(names.get(instance.sopInstanceUid) ?? []), name]);
  });
  const all = Object.values(byPosition);
  return {
    ...left,
    unusable: leftOut,
    count: all.length,
    nameOf: (sopInstanceUid) => names.get(sopInstanceUid)?.toSorted().join(" or ") ?? sopInstanceUid,
    selected: {
      kinds: kindsOf(all),
      async *[Symbol.asyncIterator]() {
        yield* all;
      },
    },
  };
}

/** The instance, or why it cannot be sent: a phrase without a final full stop. */
async function instanceOf(path: string, byteLength: number): Promise<SelectedInstance | string> {
  const header = await readHeader(path);
  if (!header) return "not a DICOM file";
  const { identifiers, dataSetOffset, transferSyntaxUid, mediaStorageSopClassUid } = header;
  const { sopInstanceUid, studyInstanceUid = "", seriesInstanceUid = "" } = identifiers;
  const sopClassUid = identifiers.sopClassUid ?? mediaStorageSopClassUid;
  if (sopClassUid === undefined) return "it has no SOP Class UID";
  if (sopInstanceUid === undefined) return "it has no SOP Instance UID";
  if (transferSyntaxUid === undefined) return "its transfer syntax is not known";
  const place = { blobKey: path, dataSetOffset, byteLength, transferSyntaxUid };
  return {
    studyInstanceUid,
    seriesInstanceUid,
    sopInstanceUid,
    sopClassUid,
    transferSyntaxUid,
    byteLength,
    dataSet: (syntax) => dataSetBytes(files, place, syntax),
  };
}

function kindsOf(instances: readonly SelectedInstance[]): SelectedInstances["kinds"] {
  const groups = Map.groupBy(instances, (one) => `${one.sopClassUid} ${one.transferSyntaxUid}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (!first) return [];
    const { sopClassUid, transferSyntaxUid } = first;
    return [{ sopClassUid, transferSyntaxUid, count: group.length }];
  });
}
