/** A file while it is written, under a name of its own: opened beside the first bytes, synced and closed at the end. */
import { close, closeSync, fdatasync, open, rm, writev } from "node:fs";
import { promisify } from "node:util";
import { pulled } from "./blocks.ts";
import { writing } from "./disk.ts";

/** Bytes that are worth a call: fewer wait for more. */
const leastLength = 128 * 1024;

/** Bytes that are gathered while others are written, at most. */
const mostLength = 1024 * 1024;

/** Chunks in one call: IOV_MAX of Linux is 1,024. */
const chunksAtOnce = 512;

/** By descriptor: a FileHandle costs a fifth of the processor's time of such a file more. */
const disk = {
  open: promisify(open),
  writev: promisify(writev),
  fdatasync: promisify(fdatasync),
  close: promisify(close),
  rm: promisify(rm),
};

/** One draft. What the disk throws becomes an ArchiveError. */
export class DraftFile {
  readonly file: string;
  byteLength = 0;
  #opening: Promise<number> | undefined;
  #lastWrite: Promise<void> | undefined;
  #isWriting = false;

  /** @param file does not exist */
  constructor(file: string) {
    this.file = file;
  }

  /**
   * Takes the bytes of `body`, whose last ones are on their way to the file then: `written` tells when they are there.
   * One call after the other writes what has come during the last one, so that few bytes are left when the body ends.
   * What the body throws, and the reason of the signal, are rethrown as they are; the body is closed unless it ended.
   */
  async fill(body: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Promise<void> {
    let group: Uint8Array[] = [];
    let gathered = 0;
    for await (const chunk of signal ? pulled(body, signal) : body) {
      void this.#open();
      group.push(chunk);
      gathered += chunk.byteLength;
      const isMuch = gathered >= mostLength || group.length >= chunksAtOnce;
      if (!isMuch && (this.#isWriting || gathered < leastLength)) continue;
      // Throws also what went wrong with the last one.
      await this.#lastWrite;
      this.#begin(group, gathered);
      [group, gathered] = [[], 0];
    }
    await this.#lastWrite;
    this.#begin(group, gathered);
  }

  /** Resolves when the bytes are in the file, if not yet on the disk. */
  async written(): Promise<void> {
    await this.#lastWrite;
  }

  /** Makes the bytes durable and closes the file, whatever its name is now. */
  async sync(): Promise<void> {
    const descriptor = await this.#open();
    await writing(() => disk.fdatasync(descriptor));
    this.#opening = undefined;
    // There is nothing left to write, so this takes less time than to hand it to a thread.
    closeSync(descriptor);
  }

  /** Removes what is left of it under its own name. Harmless when that fails: it has no key and is swept later. */
  async discard(): Promise<void> {
    await this.#lastWrite?.catch(() => undefined);
    const descriptor = await this.#opening?.catch(() => undefined);
    if (descriptor !== undefined) await disk.close(descriptor).catch(() => undefined);
    await disk.rm(this.file, { force: true }).catch(() => undefined);
  }

  #open(): Promise<number> {
    if (this.#opening) return this.#opening;
    this.#opening = writing(() => disk.open(this.file, "wx", 0o600));
    // Thrown where it is waited for.
    this.#opening.catch(() => undefined);
    return this.#opening;
  }

  #begin(chunks: readonly Uint8Array[], length: number): void {
    this.#isWriting = true;
    this.#lastWrite = this.#write(chunks, length).finally(() => {
      this.#isWriting = false;
    });
    // Who waits for it is told; who gives up has another reason.
    this.#lastWrite.catch(() => undefined);
  }

  /** Writes all of `chunks`, though one call may take less. */
  async #write(chunks: readonly Uint8Array[], length: number): Promise<void> {
    const descriptor = await this.#open();
    const begin = this.byteLength;
    let left = [...chunks];
    let written = 0;
    while (written < length) {
      const { bytesWritten } = await writing(() => disk.writev(descriptor, left, begin + written));
      written += bytesWritten;
      if (written < length) left = withoutFirst(left, bytesWritten);
    }
    this.byteLength = begin + length;
  }
}

/** `chunks` without their first `count` bytes. */
function withoutFirst(chunks: readonly Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  return chunks.flatMap((chunk) => {
    const rest = chunk.subarray(Math.min(skip, chunk.byteLength));
    skip -= chunk.byteLength - rest.byteLength;
    return rest.byteLength > 0 ? [rest] : [];
  });
}
