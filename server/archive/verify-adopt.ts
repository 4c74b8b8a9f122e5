/** An object without a row becomes one, as by a reindex, unless a row has the same bytes already. */
import type { BlobEntry, Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import { textOf } from "../dicom/data-set.ts";
import { Reading } from "./reading.ts";
import { createReindexBatch } from "./reindex-batch.ts";
import { objectBytes } from "./stored-bytes.ts";
import { read } from "./verify-object.ts";

/** What became of it: it has a row, or is gone; a row has the same bytes, unharmed; it stays as it is, and why. */
export type Adopted = { readonly status: "indexed" | "gone" | "redundant" } | { readonly status: "kept"; why: string };

export type Adopt = (entry: BlobEntry, signal: AbortSignal) => Promise<Adopted>;

const sopInstanceUid = 0x00080018;

/** Makes it. @throws ArchiveError when the store or the database does not work */
export function createAdopt(blobs: Blobs, catalog: Catalog): Adopt {
  const indexBatch = createReindexBatch(blobs, catalog);

  async function hasUnharmedTwin(key: string, signal: AbortSignal): Promise<boolean> {
    const reading = new Reading(objectBytes(blobs, key), ({ dataSet }) => textOf(dataSet, sopInstanceUid) ?? "");
    for await (const chunk of reading.chunks()) if (chunk.byteLength > 0) signal.throwIfAborted();
    const held = await catalog.integrity.heldBySopInstance([reading.described()]);
    const sha256 = reading.sha256();
    for (const row of held) {
      if (row.key !== key && row.sha256.equals(sha256) && !(await read(blobs, row, { signal }))) return true;
    }
    return false;
  }

  return async ({ key, byteLength, modifiedAt, metadata }, signal) => {
    const object = { key, byteLength, modifiedAt, sha256: metadata?.sha256 ?? null };
    const { indexed, problems } = await indexBatch([object]);
    const [problem] = problems;
    if (!problem) return { status: indexed > 0 ? "indexed" : "gone" };
    const isCopy = problem.kind === "duplicate" && !problem.isFailure;
    if (isCopy && (await hasUnharmedTwin(key, signal))) return { status: "redundant" };
    return { status: "kept", why: problem.reason };
  };
}
