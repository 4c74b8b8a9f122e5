/** One pass over the bytes of a file: hash, scan and description, all done when its last byte has been passed on. */
import { createHash } from "node:crypto";
import { Part10Scan, type ScannedFile } from "../dicom/part10.ts";
import { identifiersForResponse } from "./describe.ts";
import { HeaderMemory } from "./header-memory.ts";

/** A file on its way to the object store. `Described` is what becomes of its scan. */
export class Reading<Described> {
  readonly #body: AsyncIterable<Buffer>;
  readonly #describe: (file: ScannedFile) => Described;
  readonly #hash = createHash("sha256");
  readonly #memory = new HeaderMemory();
  #sha256: Buffer | undefined;
  #described: { readonly value: Described } | undefined;
  #identifiers: ReturnType<typeof identifiersForResponse> = {};

  /** @param describe throws when the file cannot be stored */
  constructor(body: AsyncIterable<Buffer>, describe: (file: ScannedFile) => Described) {
    this.#body = body;
    this.#describe = describe;
  }

  /** The bytes. Throws before the end when they are nothing that can be stored, so that nothing is kept. */
  async *chunks(): AsyncGenerator<Buffer> {
    const scan = new Part10Scan();
    for await (const chunk of this.#body) {
      this.#hash.update(chunk);
      await scan.push(chunk);
      await this.#memory.growTo(scan.held);
      yield chunk;
    }
    const file = await scan.end();
    this.#identifiers = identifiersForResponse(file.dataSet);
    this.#described = { value: this.#describe(file) };
  }

  /** To be called when nothing is needed of it any more: others may wait for the memory of its header. */
  end(): void {
    this.#described = undefined;
    this.#memory.release();
  }

  /** What `describe` gave; the bytes have been read to their end. */
  described(): Described {
    if (!this.#described) throw new Error("the body was not read to its end");
    return this.#described.value;
  }

  /** Those of the file, once it has been scanned: for the response to one that is refused. */
  identifiersSoFar(): ReturnType<typeof identifiersForResponse> {
    return this.#identifiers;
  }

  /** Of all bytes, which have been read to their end. */
  sha256(): Buffer {
    return (this.#sha256 ??= this.#hash.digest());
  }
}
