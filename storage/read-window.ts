/** A run of bytes of one object on its way into memory: readers get theirs as soon as these have come. */
import type { Readable } from "node:stream";
import { noSuchBlob } from "./blobs.ts";

/** Bytes of an object that are being sent. */
export interface Arriving {
  readonly stream: Readable;
  /** How many are sent: fewer than were asked for when the object ends before. */
  readonly length: number;
}

/** The bytes did not all come. What did come is right, and who waits for more may ask again. */
export class WindowBroke extends Error {
  override readonly name = "WindowBroke";
}

interface Waiting {
  /** Bytes of the window that must be there. */
  readonly needed: number;
  readonly resolve: (bytes: Buffer) => void;
  readonly reject: (error: unknown) => void;
}

/** The bytes from `start` on, `length` of them unless the object ends before. */
export class ReadWindow {
  readonly key: string;
  readonly start: number;
  #bytes: Buffer = Buffer.alloc(0);
  #length: number;
  #filled = 0;
  #fault: { readonly error: unknown } | undefined;
  #isOpen = false;
  #waiting: Waiting[] = [];

  constructor(key: string, start: number, length: number) {
    this.key = key;
    this.start = start;
    this.#length = length;
  }

  /** Bytes that it will have, as far as is known. */
  get length(): number {
    return this.#length;
  }

  /** Whether the byte at `offset` of the object lies in it, or less than `gap` bytes behind it. */
  isNear(offset: number, gap: number): boolean {
    return offset >= this.start && offset <= this.start + this.#length + gap;
  }

  /** Fills it; never rejects, its readers do. Tells whether all bytes have come. */
  async fill(arrive: () => Promise<Arriving>): Promise<boolean> {
    try {
      const { stream, length } = await arrive();
      this.#bytes = Buffer.allocUnsafe(length);
      this.#length = length;
      this.#isOpen = true;
      this.#serve();
      for await (const chunk of stream) {
        if (!Buffer.isBuffer(chunk)) throw new TypeError("a stream of bytes yields buffers");
        this.#filled += chunk.copy(this.#bytes, this.#filled);
        this.#serve();
      }
      if (this.#filled < length) throw new WindowBroke("the bytes ended too early");
    } catch (error) {
      // Before the first byte the store says what is wrong; later only that it broke off.
      this.#fault = { error: this.#isOpen ? new WindowBroke("the bytes broke off", { cause: error }) : error };
    }
    this.#serve();
    return this.#fault === undefined;
  }

  /**
   * A copy of `length` bytes from `offset` of the object on, which lie within what was asked for.
   * @throws ArchiveError `no-such-blob` when the object ends before, what opening it threw, WindowBroke
   */
  async read(offset: number, length: number): Promise<Buffer> {
    const from = offset - this.start;
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      this.#waiting.push({ needed: from + length, resolve, reject });
      this.#serve();
    });
    return Buffer.from(bytes.subarray(from, from + length));
  }

  #serve(): void {
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((one) => !this.#isServed(one));
  }

  #isServed({ needed, resolve, reject }: Waiting): boolean {
    if (this.#isOpen && needed > this.#length) reject(noSuchBlob());
    else if (this.#isOpen && needed <= this.#filled) resolve(this.#bytes);
    else if (this.#fault) reject(this.#fault.error);
    else return false;
    return true;
  }
}
