/** A queue of incoming chunks that is read from the front; "not enough yet" is a value, and no byte is copied twice. */

export class ByteQueue {
  #chunks: Buffer[] = [];
  #buffered = 0;
  #skip = 0;
  #wanted = 0;
  #position: number;

  /** @param position offset of the first byte that will be pushed */
  constructor(position = 0) {
    this.#position = position;
  }

  /** Offset of the next byte to be taken. */
  get position(): number {
    return this.#position;
  }

  /** Bytes that are there. */
  get buffered(): number {
    return this.#buffered;
  }

  /** Bytes still to be skipped that have not come yet. */
  get missing(): number {
    return this.#skip;
  }

  /** Adds a chunk. Returns whether the last unmet `peek` can be met now, so that readers need not try in vain. */
  push(chunk: Buffer): boolean {
    const skipped = Math.min(this.#skip, chunk.length);
    this.#skip -= skipped;
    this.#position += skipped;
    if (skipped < chunk.length) {
      this.#chunks.push(skipped ? chunk.subarray(skipped) : chunk);
      this.#buffered += chunk.length - skipped;
    }
    return this.#buffered >= this.#wanted;
  }

  /** A view that begins with the next `length` bytes (and may hold more); undefined when they are not all there. */
  peek(length: number): Buffer | undefined {
    if (this.#buffered < length) {
      this.#wanted = length;
      return undefined;
    }
    const [first] = this.#chunks;
    if (first && first.length >= length) return first;
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }

  /** Takes `length` bytes; undefined when they are not all there. */
  take(length: number): Buffer | undefined {
    const view = this.peek(length);
    if (!view) return undefined;
    this.skip(length);
    return view.subarray(0, length);
  }

  /** Passes over `length` bytes, there or not. */
  skip(length: number): void {
    this.#wanted = 0;
    let rest = length;
    while (rest > 0) {
      const [first] = this.#chunks;
      if (!first) break;
      const step = Math.min(rest, first.length);
      if (step === first.length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(step);
      rest -= step;
    }
    this.#buffered -= length - rest;
    this.#position += length - rest;
    this.#skip = rest;
  }

  /** Everything that is there; leaves the queue empty. */
  drain(): Buffer {
    return this.take(this.#buffered) ?? Buffer.alloc(0);
  }
}
