/** The bytes of a data set on their way from the socket to whoever reads them: bounded, and dropped when nobody does. */

/** Bytes that may lie unread before the socket is to pause: the peer waits, and memory stays bounded. */
const mostUnread = 512 * 1024;

/** Pieces that may lie unread: tiny ones cost more memory than their bytes. */
const mostPieces = 4096;

/** A queue of bytes with one reader. */
export class FragmentStream implements AsyncIterable<Buffer> {
  readonly #onRoom: () => void;
  #queue: Buffer[] = [];
  #unread = 0;
  #state: "open" | "ended" | "dropped" = "open";
  #fault: Error | undefined;
  #wake: (() => void) | undefined;
  #whenReceived: (() => void) | undefined;
  #isReceived = false;

  /** @param onRoom called when a stream that was full is not so any more */
  constructor(onRoom: () => void) {
    this.#onRoom = onRoom;
  }

  /** Whether the socket is to pause. */
  get isFull(): boolean {
    return this.#unread > mostUnread || this.#queue.length > mostPieces;
  }

  /** More bytes came. */
  push(bytes: Buffer): void {
    if (this.#state !== "open" || bytes.length === 0) return;
    this.#queue.push(bytes);
    this.#unread += bytes.length;
    this.#wake?.();
  }

  /** The data set has come to its end. */
  end(): void {
    if (this.#state === "open") this.#state = "ended";
    this.#wake?.();
    this.#whenReceived?.();
    this.#whenReceived = undefined;
    this.#isReceived = true;
  }

  /** Resolves when the last byte has come, read or not, or nothing will come any more. */
  async received(): Promise<void> {
    if (this.#isReceived) return;
    await new Promise<void>((resolve) => {
      this.#whenReceived = resolve;
    });
  }

  /** Nothing more will come: the reader gets the error, unless everything was there. */
  fail(error: Error): void {
    if (this.#state === "open") this.#fault = error;
    this.end();
  }

  /** Nobody reads (any more): what is there and what comes is let go. */
  drop(): void {
    const wasFull = this.isFull;
    this.#state = "dropped";
    this.#queue = [];
    this.#unread = 0;
    if (wasFull) this.#onRoom();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        const bytes = this.#take();
        if (bytes) yield bytes;
        else if (this.#fault) throw this.#fault;
        else if (this.#state !== "open") return;
        else await this.#more();
      }
    } finally {
      this.drop();
    }
  }

  #take(): Buffer | undefined {
    const wasFull = this.isFull;
    const bytes = this.#queue.shift();
    if (!bytes) return undefined;
    this.#unread -= bytes.length;
    if (wasFull && !this.isFull) this.#onRoom();
    return bytes;
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }
}
