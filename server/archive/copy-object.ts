/** Copies an object between two stores, and keeps the copy only when its bytes have the SHA-256 that they should have. */
import { createHash } from "node:crypto";
import type { BlobMetadata, Blobs } from "../../storage/blobs.ts";
import { ArchiveError } from "../errors.ts";

/** Where an object lies. */
export interface ObjectPlace {
  readonly blobs: Blobs;
  readonly key: string;
  /** As what its errors are told; default: as they are. */
  readonly errorOf?: (error: unknown) => unknown;
}

/** What a copy came to; `missing` and `wrong-bytes` are of the source, and leave the destination as it was. */
export type CopyOutcome = "copied" | "missing" | "wrong-bytes";

/** The source failed; the destination is well. */
class SourceFault extends Error {
  override readonly name = "SourceFault";
}

/**
 * Copies one. Throws what goes wrong with the destination, and what may pass of the source (`storage-unavailable`).
 * @param metadata what the copy says of itself; its SHA-256 is what the bytes must have
 */
export async function copyObject(
  from: ObjectPlace,
  to: ObjectPlace,
  metadata: BlobMetadata,
  signal?: AbortSignal,
): Promise<CopyOutcome> {
  const body = async function* () {
    const hash = createHash("sha256");
    try {
      for await (const chunk of await from.blobs.get(from.key)) {
        const bytes: Buffer = chunk;
        hash.update(bytes);
        yield bytes;
      }
    } catch (cause) {
      throw new SourceFault("the source of a copy failed", { cause });
    }
    if (hash.digest("hex") !== metadata.sha256) throw new SourceFault("the source of a copy has other bytes");
  };
  try {
    await to.blobs.put(body(), { key: to.key, metadata: () => metadata, ...(signal && { signal }) });
    return "copied";
  } catch (error) {
    if (!(error instanceof SourceFault)) throw to.errorOf?.(error) ?? error;
    if (error.cause === undefined) return "wrong-bytes";
    if (error.cause instanceof ArchiveError && error.cause.code === "no-such-blob") return "missing";
    throw from.errorOf?.(error.cause) ?? error.cause;
  }
}

/** Whether the bytes of an object have this SHA-256. @throws ArchiveError `storage-unavailable` */
export async function checkObject(
  { blobs, key }: ObjectPlace,
  sha256: string,
): Promise<"right" | "missing" | "wrong-bytes"> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of await blobs.get(key)) {
      const bytes: Buffer = chunk;
      hash.update(bytes);
    }
  } catch (error) {
    if (error instanceof ArchiveError && error.code === "no-such-blob") return "missing";
    throw error;
  }
  return hash.digest("hex") === sha256 ? "right" : "wrong-bytes";
}
