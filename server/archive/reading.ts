/** One pass over the bytes of a file: hash, scan and description, all done when its last byte has been passed on. */
import { createHash } from "node:crypto";
import { Part10Scan, type ScannedFile } from "../dicom/part10.ts";
import { type ArchiveError, toArchiveError } from "../errors.ts";
import { identifiersForResponse } from "./describe.ts";
import { HeaderMemory } from "./header-memory.ts";

/** Whether a file with this fault, of which so many bytes have come, is passed on to its end all the same. */
export type Keeps = (fault: ArchiveError, byteLength: number) => boolean;

/** A file on its way to the object store. `Described` is what becomes of its scan. */
export class Reading<Described> {
  readonly #body: AsyncIterable<Buffer>;
  readonly #describe: (file: ScannedFile) => Described;
  readonly #hash = createHash("sha256");
  readonly #memory = new HeaderMemory();
  #sha256: Buffer | undefined;
  #described: { readonly value: Described } | undefined;
  #identifiers: ReturnType<typeof identifiersForResponse> = {};
  readonly #keeps: Keeps;
  readonly #scan = new Part10Scan();
  #fault: ArchiveError | undefined;
  #byteLength = 0;

  /**
   * @param describe throws when the file cannot be stored
   * @param keeps default: no file with a fault
   */
  constructor(body: AsyncIterable<Buffer>, describe: (file: ScannedFile) => Described, keeps: Keeps = () => false) {
    this.#body = body;
    this.#describe = describe;
    this.#keeps = keeps;
  }

  /** The bytes. Throws before the end when they are nothing that can be stored or kept, so that nothing is. */
  async *chunks(): AsyncGenerator<Buffer> {
    for await (const chunk of this.#body) {
      this.#hash.update(chunk);
      this.#byteLength += chunk.length;
      await this.#read(() => this.#scan.push(chunk));
      await this.#memory.growTo(this.#scan.held);
      yield chunk;
    }
    await this.#read(async () => {
      const file = await this.#scan.end();
      this.#identifiers = identifiersForResponse(file.dataSet);
      this.#described = { value: this.#describe(file) };
    });
  }

  /** Nothing is read behind a fault, but for its length. */
  async #read(next: () => Promise<void>): Promise<void> {
    if (!this.#fault) {
      try {
        return await next();
      } catch (thrown) {
        this.#fault = toArchiveError(thrown);
      }
    }
    if (!this.#keeps(this.#fault, this.#byteLength)) throw this.#fault;
  }

  /** Why the file cannot be stored, though its bytes were read to their end, and what could be read of it. */
  fault(): { readonly error: ArchiveError; readonly read: Pick<ScannedFile, "meta" | "dataSet"> } | undefined {
    return this.#fault && { error: this.#fault, read: this.#scan.soFar() };
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
