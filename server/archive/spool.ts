/** Puts parts of a request aside until they are wanted: small ones in memory, others in the object store. */
import { type Blobs, freshKey } from "../../storage/blobs.ts";
import type { ByteSource } from "../dicom/part10-writer.ts";

/** Bytes of a part above which it goes to the object store. */
const largestInMemory = 64 * 1024;
/** Bytes of all parts of one request that are kept in memory. */
const mostInMemory = 4 * 2 ** 20;

/**
 * The parts of one request. Those in the object store lie under fresh keys that no row names, so that after a crash
 * they are orphans like any other, which the sweep removes.
 */
export class Spool {
  readonly #blobs: Blobs;
  readonly #keys: string[] = [];
  #inMemory = 0;

  constructor(blobs: Blobs) {
    this.#blobs = blobs;
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
    if (this.#keys.length > 0) await this.#blobs.remove(this.#keys);
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
    const key = freshKey();
    const { byteLength } = await this.#blobs.put(key, following(start, rest));
    this.#keys.push(key);
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
