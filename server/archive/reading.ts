/** One pass over the bytes of a file: hash and scan while they are passed on, and the description behind the last. */
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
  /** Scanned, and not described yet. */
  #file: ScannedFile | undefined;
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

  /** The bytes. Throws before the end when they are nothing that can be read or kept, so that nothing is. */
  async *chunks(): AsyncGenerator<Buffer> {
    for await (const chunk of this.#body) {
      this.#hash.update(chunk);
      this.#byteLength += chunk.length;
      if (this.#fault) this.#unlessKept(this.#fault);
      else {
        // Mostly there is nothing to wait for, and a chunk passes several that do not.
        const pending = this.#read(chunk) ?? this.#memory.growTo(this.#scan.held);
        if (pending) await pending;
      }
      yield chunk;
    }
    if (this.#fault) return;
    try {
      this.#file = await this.#scan.end();
      this.#identifiers = identifiersForResponse(this.#file.dataSet);
    } catch (thrown) {
      this.#note(thrown);
    }
  }

  /** Nothing is read behind a fault, but for its length. A promise when there is something to wait for. */
  #read(chunk: Buffer): Promise<void> | undefined {
    try {
      return this.#scan.push(chunk)?.then(
        () => this.#memory.growTo(this.#scan.held),
        (thrown: unknown) => this.#note(thrown),
      );
    } catch (thrown) {
      this.#note(thrown);
      return undefined;
    }
  }

  #note(thrown: unknown): void {
    this.#fault = toArchiveError(thrown);
    this.#unlessKept(this.#fault);
  }

  #unlessKept(fault: ArchiveError): void {
    if (!this.#keeps(fault, this.#byteLength)) throw fault;
  }

  /**
   * Describes the file, once: when it is asked for, since its last bytes may be on their way to the disk meanwhile.
   * Throws like `chunks`.
   */
  #finish(): void {
    const file = this.#file;
    if (!file) return;
    this.#file = undefined;
    try {
      this.#described = { value: this.#describe(file) };
    } catch (thrown) {
      this.#note(thrown);
    }
  }

  /**
   * Why the file cannot be stored, though its bytes were read to their end, and what could be read of it.
   * @throws ArchiveError when it is not to be kept
   */
  fault(): { readonly error: ArchiveError; readonly read: Pick<ScannedFile, "meta" | "dataSet"> } | undefined {
    this.#finish();
    return this.#fault && { error: this.#fault, read: this.#scan.soFar() };
  }

  /** To be called when nothing is needed of it any more: others may wait for the memory of its header. */
  end(): void {
    this.#file = undefined;
    this.#described = undefined;
    this.#memory.release();
  }

  /** What `describe` gave; the bytes have been read to their end. @throws ArchiveError what `describe` throws */
  described(): Described {
    this.#finish();
    if (!this.#described) throw this.#fault ?? new Error("the body was not read to its end");
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
