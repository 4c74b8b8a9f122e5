/** Puts parts of a request aside until they are wanted: small ones in memory, others in the object store. */
import { type Blobs, freshKey } from "../../storage/blobs.ts";
import type { RemovalCatalog } from "../../storage/catalog-removals.ts";
import type { ByteSource } from "../dicom/part10-writer.ts";

/** Bytes of a part above which it goes to the object store. */
const largestInMemory = 64 * 1024;
/** Bytes of all parts of one request that are kept in memory. */
const mostInMemory = 4 * 2 ** 20;

/** No request takes as long as that: what is still there then was left by a process that died. */
const hoursKept = 24;

/** The list of the sweep, which removes what a process that died left. */
export type SweepList = Pick<RemovalCatalog, "sweepLater" | "swept">;

/**
 * The parts of one request. The keys of those in the object store are on the list of the sweep before their objects
 * exist, and leave it when these are gone.
 */
export class Spool {
  readonly #blobs: Blobs;
  readonly #list: SweepList;
  readonly #keys: string[] = [];
  #inMemory = 0;

  constructor(blobs: Blobs, list: SweepList) {
    this.#blobs = blobs;
    this.#list = list;
  }

  /** Reads `body` to its end. @throws ArchiveError of the object store, and what `body` throws */
  async add(body: AsyncIterable<Uint8Array>): Promise<ByteSource> {
    const chunks = body[Symbol.asyncIterator]();
    const start: Buffer[] = [];
    let length = 0;
    while (length <= largestInMemory) {
      const next = await chunks.next();
      if (next.done === true) return this.#remember(Buffer.concat(start));
      // A view would keep, or share, the chunk that it came with.
      start.push(Buffer.from(next.value));
      length += next.value.length;
    }
    return this.#putAside(start, chunks);
  }

  /** Removes what was put aside. */
  async clear(): Promise<void> {
    if (this.#keys.length === 0) return;
    await this.#blobs.remove(this.#keys);
    await this.#list.swept(this.#keys);
  }

  #remember(bytes: Buffer): ByteSource | Promise<ByteSource> {
    if (this.#inMemory + bytes.length > mostInMemory) return this.#putAside([bytes]);
    this.#inMemory += bytes.length;
    return {
      byteLength: bytes.length,
      async *bytes(offset = 0, length = bytes.length) {
        yield bytes.subarray(offset, offset + length);
      },
    };
  }

  async #putAside(start: readonly Buffer[], rest?: AsyncIterator<Uint8Array>): Promise<ByteSource> {
    const key = freshKey("spool");
    await this.#list.sweepLater([key], hoursKept);
    this.#keys.push(key);
    const { byteLength } = await this.#blobs.put(following(start, rest), { key });
    const blobs = this.#blobs;
    return {
      byteLength,
      async *bytes(offset = 0, length = byteLength) {
        if (length > 0) yield* await blobs.get(key, { offset, length });
      },
    };
  }
}

async function* following(start: readonly Buffer[], rest?: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* start;
  if (rest) yield* { [Symbol.asyncIterator]: () => rest };
}
