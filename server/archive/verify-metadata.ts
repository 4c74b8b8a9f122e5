/** Whether the bytes of an instance still describe what its row says of them: what a search finds is what is stored. */
import { inflateRawSync } from "node:zlib";
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { HeldObject } from "../../storage/catalog-objects.ts";
import { ArchiveError } from "../errors.ts";
import { describe } from "./describe.ts";
import { Reading } from "./reading.ts";
import { objectBytes } from "./stored-bytes.ts";
import type { Finding, ReadOptions } from "./verify-object.ts";

/** Reads and describes the instance anew. Undefined when the row says the same, or is none of an instance. */
export async function differsFromRow(
  blobs: Blobs,
  { integrity }: Pick<Catalog, "integrity">,
  row: HeldObject,
  { signal, pace }: ReadOptions,
): Promise<Finding | undefined> {
  const described = await integrity.describedAt(row.key);
  if (!described) return undefined;
  const reading = new Reading(objectBytes(blobs, row.key), describe);
  let again: ReturnType<typeof describe>;
  try {
    for await (const chunk of reading.chunks()) {
      signal.throwIfAborted();
      await pace?.(chunk.byteLength);
    }
    again = reading.described();
  } catch (error) {
    if (!(error instanceof ArchiveError) || error.answer.httpStatus >= 500) throw error;
    return difference(`cannot be described any more: ${error.message}`);
  }
  const { identifiers, record } = again;
  const { instance } = record({ blobKey: row.key, byteLength: row.byteLength, sha256: row.sha256 });
  const differing = [
    ["StudyInstanceUID", identifiers.studyInstanceUid === described.studyInstanceUid],
    ["SeriesInstanceUID", identifiers.seriesInstanceUid === described.seriesInstanceUid],
    ["SOPInstanceUID", identifiers.sopInstanceUid === described.sopInstanceUid],
    ["the transfer syntax", instance.transferSyntaxUid === described.transferSyntaxUid],
    ["the place of the data set", instance.dataSetOffset === described.dataSetOffset],
    ["the metadata", inflateRawSync(instance.metadata).equals(inflateRawSync(described.metadata))],
    ["the places of the frames", sameBytes(instance.frameTable, described.frameTable)],
  ].flatMap(([what, same]) => (same === true ? [] : [what]));
  if (differing.length === 0) return undefined;
  return difference(`says otherwise than the catalog: ${differing.join(", ")}.`);
}

function difference(what: string): Finding {
  return { kind: "different-metadata", detail: `The bytes are those that were stored, but the file ${what}` };
}

function sameBytes(one: Buffer | undefined, other: Buffer | null): boolean {
  return one === undefined || other === null ? (one ?? null) === other : one.equals(other);
}
