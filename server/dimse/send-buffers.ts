/** Memory for instances on their way out: buffers of one length that are used again, few enough for the whole process. */

/** Length of each, in bytes: most images fit. */
export const sendBufferLength = 2 ** 20;

/** Of all that is sent at a time: who gets none sends in small pieces. */
const mostTaken = 64;

/** Kept for the next that is sent. Memory that is new each time costs more than the sending. */
const mostIdle = 16;

const idle: Buffer[] = [];
let taken = 0;

/** What one sender has taken. */
export class SendBuffers {
  readonly #taken = new Set<Buffer>();

  /** One more; undefined when there are too many. */
  take(): Buffer | undefined {
    if (taken === mostTaken) return undefined;
    const buffer = idle.pop() ?? Buffer.allocUnsafeSlow(sendBufferLength);
    taken += 1;
    this.#taken.add(buffer);
    return buffer;
  }

  /** It is free again: neither read into nor written from any more. */
  giveBack(buffer: Buffer): void {
    if (!this.#taken.delete(buffer)) return;
    taken -= 1;
    if (idle.length < mostIdle) idle.push(buffer);
  }

  /** Nobody waits for what is still taken, but it may still be read into, or written from: nobody gets it again. */
  end(): void {
    taken -= this.#taken.size;
    this.#taken.clear();
  }
}
