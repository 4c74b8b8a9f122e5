/** An object without a row becomes one: through the same description as a store, under the key that it has. */
import type { BlobEntry, Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import { ArchiveError } from "../errors.ts";
import { describe } from "./describe.ts";
import { Reading } from "./reading.ts";
import { objectBytes } from "./stored-bytes.ts";
import { read } from "./verify-object.ts";

/** What became of it: it has a row; a row has the same bytes already; it stays as it is, and why. */
export type Adopted = { readonly status: "indexed" | "redundant" } | { readonly status: "kept"; readonly why: string };

export type Adopt = (entry: BlobEntry, signal: AbortSignal) => Promise<Adopted>;

/** Makes it. @throws ArchiveError when the store or the database does not work */
export function createAdopt(blobs: Blobs, { commit, integrity }: Pick<Catalog, "commit" | "integrity">): Adopt {
  return async ({ key, byteLength }, signal) => {
    const reading = new Reading(objectBytes(blobs, key), describe);
    try {
      for await (const chunk of reading.chunks()) if (chunk.byteLength > 0) signal.throwIfAborted();
    } catch (error) {
      if (!(error instanceof ArchiveError) || error.answer.httpStatus >= 500) throw error;
      return { status: "kept", why: `It is nothing that can be indexed: ${error.message}` };
    }
    const { identifiers, record } = reading.described();
    const sha256 = reading.sha256();
    const held = await integrity.heldBySopInstance([identifiers.sopInstanceUid]);
    const same = held.filter((row) => row.sha256.equals(sha256));
    for (const row of same) if (!(await read(blobs, row, { signal }))) return { status: "redundant" };
    if (same.length > 0) return { status: "kept", why: "It has the bytes of an instance whose own object is damaged." };
    if (await integrity.wasDeleted(identifiers.sopInstanceUid, sha256)) {
      return { status: "kept", why: "It is an instance that was deleted." };
    }
    const [outcome] = await commit([{ ...record({ blobKey: key, byteLength, sha256 }), origin: "verify" }]);
    if (outcome?.status === "committed") return { status: "indexed" };
    return { status: "kept", why: "Another instance with the same UIDs is stored." };
  };
}
