/** Whether two objects hold the same data set: file meta information tells of the way of a file, not of what it is. */
import { createHash } from "node:crypto";
import type { Blobs } from "../../storage/blobs.ts";
import { ArchiveError } from "../errors.ts";
import { objectBytes, type StoredPlace } from "./stored-bytes.ts";

/**
 * Whether every byte behind the file meta information is the same, in the same transfer syntax: so the same image that
 * came from two AE titles, or through two doors, is no other one. Both are read only when their lengths are the same.
 * What is missing is the same as nothing. @throws ArchiveError `storage-unavailable`
 */
export async function isSameDataSet(blobs: Pick<Blobs, "get">, one: StoredPlace, other: StoredPlace): Promise<boolean> {
  if (one.transferSyntaxUid !== other.transferSyntaxUid) return false;
  if (one.byteLength - one.dataSetOffset !== other.byteLength - other.dataSetOffset) return false;
  // Both to their end, also when one fails: nothing is left open.
  const hashes = await Promise.allSettled([hashOfDataSet(blobs, one), hashOfDataSet(blobs, other)]);
  const [first, second] = hashes.map((ended) => {
    if (ended.status === "fulfilled") return ended.value;
    const reason: unknown = ended.reason;
    if (reason instanceof ArchiveError && reason.code === "no-such-blob") return undefined;
    throw reason;
  });
  return first !== undefined && second !== undefined && first.equals(second);
}

async function hashOfDataSet(blobs: Pick<Blobs, "get">, place: StoredPlace): Promise<Buffer> {
  const { blobKey, dataSetOffset, byteLength } = place;
  const hash = createHash("sha256");
  const range = { offset: dataSetOffset, length: byteLength - dataSetOffset };
  for await (const chunk of objectBytes(blobs, blobKey, range)) hash.update(chunk);
  return hash.digest();
}
