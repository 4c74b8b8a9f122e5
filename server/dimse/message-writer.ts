/** Writes messages into a socket: cut into PDVs that the peer takes, with as few writes as it fits, at the peer's pace. */
import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { OutgoingMessage } from "./association.ts";
import { encodeCommand } from "./command.ts";
import { dataTransferHeader } from "./pdu-writer.ts";

/** Bytes of a PDV item in front of its fragment: length, presentation context id, message control header. */
const itemOverhead = 6;

/** Longest P-DATA-TF PDU that is sent to a peer that takes any. */
const longestUnasked = 128 * 1024;

/** A message of at most so many bytes is copied into one piece: one segment on the wire, and cheaper than many. */
const inOnePiece = 16 * 1024;

/** Fragments that are made at a time: of an image for a peer that takes tiny PDUs there are very many. */
const mostFragments = 512;

/** One message after another into one socket. */
export class MessageWriter {
  readonly #socket: Socket;
  readonly #fragmentLength: number;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;
  #isCorked = false;
  #drained: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

  /** @param maximumLength longest P-DATA-TF PDU that the peer takes, in bytes behind its first six; 0 for any */
  constructor(socket: Socket, maximumLength: number) {
    this.#socket = socket;
    const length = maximumLength === 0 ? longestUnasked : Math.min(maximumLength, longestUnasked);
    // Fragments but the last are of even length (PS3.8 E.2).
    this.#fragmentLength = Math.max(2, (length - itemOverhead) & ~1);
    socket.on("drain", () => this.#onDrain());
    socket.on("close", () => this.#onDrain());
  }

  /** Whether the connection has been closed, or its last word written. */
  get #takesNoMore(): boolean {
    return this.#socket.writableEnded || this.#socket.destroyed;
  }

  /** Whether something waits to be taken by the peer. */
  get isBlocked(): boolean {
    return this.#socket.writableLength > 0;
  }

  /**
   * Sends a message behind those that are being sent. Resolves when the socket takes more; throws what reading the data
   * set throws, after which the association is of no use.
   */
  async send(message: OutgoingMessage): Promise<void> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    this.#waiting += 1;
    try {
      if (this.#waiting > 1) await before;
      await this.#write(message);
    } finally {
      this.#waiting -= 1;
      resolve();
    }
  }

  async #write({ context: { id }, command, dataSet }: OutgoingMessage): Promise<void> {
    const pieces = this.#fragments(id, true, encodeCommand(command, dataSet !== undefined), true);
    if (dataSet === undefined) return this.#put(pieces);
    if (Buffer.isBuffer(dataSet)) return this.#putData(id, pieces, dataSet, true);
    // One piece is held back, since the last fragment has to say so.
    let held: Buffer = Buffer.alloc(0);
    for await (const bytes of dataSet) {
      const whole = held.length & ~1;
      if (whole > 0) await this.#putData(id, pieces, held.subarray(0, whole), false);
      else if (pieces.length > 0) await this.#put(pieces.splice(0));
      held = whole === held.length ? bytes : Buffer.concat([held.subarray(whole), bytes]);
      if (this.#takesNoMore) return;
    }
    await this.#putData(id, pieces, held, true);
  }

  /** Writes `pieces`, which it takes, and `bytes` of a data set, in several goes where they make very many fragments. */
  async #putData(contextId: number, pieces: Buffer[], bytes: Buffer, isLast: boolean): Promise<void> {
    const most = this.#fragmentLength * mostFragments;
    let at = 0;
    for (; bytes.length - at > most; at += most) {
      pieces.push(...this.#fragments(contextId, false, bytes.subarray(at, at + most), false));
      await this.#put(pieces.splice(0));
      if (this.#takesNoMore) return;
      await nextTurn();
    }
    pieces.push(...this.#fragments(contextId, false, bytes.subarray(at), isLast));
    await this.#put(pieces.splice(0));
  }

  /** P-DATA-TF PDUs of one PDV each, as header and slice. */
  #fragments(contextId: number, isCommand: boolean, bytes: Buffer, isLast: boolean): Buffer[] {
    const pieces: Buffer[] = [];
    let at = 0;
    do {
      const length = Math.min(this.#fragmentLength, bytes.length - at);
      const ends = at + length === bytes.length;
      pieces.push(dataTransferHeader({ contextId, isCommand, isLast: isLast && ends, length }));
      if (length > 0) pieces.push(bytes.subarray(at, at + length));
      at += length;
    } while (at < bytes.length);
    return pieces;
  }

  async #put(pieces: readonly Buffer[]): Promise<void> {
    // A write behind the end would destroy the socket, and an A-ABORT that is on its way with it.
    if (this.#takesNoMore) return;
    const socket = this.#socket;
    const length = pieces.reduce((sum, { length: each }) => sum + each, 0);
    if (length <= inOnePiece) {
      this.#corkForNow();
      socket.write(Buffer.concat(pieces, length));
    } else {
      socket.cork();
      for (const piece of pieces) socket.write(piece);
      socket.uncork();
    }
    if (!socket.writableNeedDrain || socket.destroyed) return;
    this.#drained ??= Promise.withResolvers<void>();
    await this.#drained.promise;
  }

  /** Small messages that are sent one right behind the other, as the last match and the end of a search are, go at once. */
  #corkForNow(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#socket.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      this.#socket.uncork();
    });
  }

  #onDrain(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }
}
