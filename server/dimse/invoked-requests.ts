/** Requests that this side has sent, and the responses that come to them (PS3.7 C.4, 7.5.1). */
import { ArchiveError } from "../errors.ts";
import type { IncomingMessage } from "./association.ts";
import type { BegunMessage } from "./message-assembler.ts";
import { isPending } from "./status.ts";
import { TimeLimit } from "./time-limit.ts";

interface Invoked {
  readonly responses: IncomingMessage[];
  isEnded: boolean;
  fault: Error | undefined;
  wake: () => void;
  readonly limit: TimeLimit;
}

/** The requests under way, by message id. */
export class InvokedRequests {
  readonly #invoked = new Map<number, Invoked>();
  readonly #timeout: number;
  readonly #onSilence: (error: Error) => void;
  readonly #onRoom: () => void;
  #lastMessageId = 0;
  #unread = 0;

  /**
   * @param timeout milliseconds that a peer may take to the next response
   * @param onSilence called when it took longer
   * @param onRoom called when a response was taken that lay unread
   */
  constructor(timeout: number, onSilence: (error: Error) => void, onRoom: () => void) {
    this.#timeout = timeout;
    this.#onSilence = onSilence;
    this.#onRoom = onRoom;
  }

  /** Requests without a final response. */
  get size(): number {
    return this.#invoked.size;
  }

  /** Responses that nobody has taken yet. */
  get unread(): number {
    return this.#unread;
  }

  /** A message id that no request under way has: 1 to 65535. */
  nextMessageId(): number {
    do this.#lastMessageId = (this.#lastMessageId % 0xffff) + 1;
    while (this.#invoked.has(this.#lastMessageId));
    return this.#lastMessageId;
  }

  /** A request is about to be sent; the responses are to be read to the last. */
  begin(messageId: number): AsyncGenerator<IncomingMessage> {
    const invoked: Invoked = {
      responses: [],
      isEnded: false,
      fault: undefined,
      wake: () => undefined,
      limit: new TimeLimit(this.#timeout, () => {
        this.#onSilence(new ArchiveError("peer-silent", "The peer did not respond to a request in time."));
      }),
    };
    this.#invoked.set(messageId, invoked);
    return this.#read(messageId, invoked);
  }

  /** The request has been sent: from now on the peer has its time, however long the data set took. */
  sent(messageId: number): void {
    this.#invoked.get(messageId)?.limit.start();
  }

  /** The peer has its time anew: it waited for this side, as in a C-GET, whose instances it sends as requests. */
  restart(): void {
    for (const { limit } of this.#invoked.values()) limit.restart();
  }

  /** A request was not sent after all. */
  forget(messageId: number): void {
    this.#invoked.get(messageId)?.limit.stop();
    this.#invoked.delete(messageId);
  }

  /** A response came; false when nobody asked for it. */
  deliver(message: BegunMessage): boolean {
    const { messageIdBeingRespondedTo = 0, status = 0 } = message.command;
    const invoked = this.#invoked.get(messageIdBeingRespondedTo);
    if (!invoked) return false;
    invoked.responses.push(message);
    this.#unread += 1;
    if (isPending(status)) invoked.limit.start();
    else {
      invoked.isEnded = true;
      this.forget(messageIdBeingRespondedTo);
    }
    invoked.wake();
    return true;
  }

  /** The association has ended: whoever waits gets `error`. */
  fail(error: Error): void {
    for (const [messageId, invoked] of this.#invoked) {
      this.forget(messageId);
      invoked.fault = error;
      invoked.wake();
    }
  }

  async *#read(messageId: number, invoked: Invoked): AsyncGenerator<IncomingMessage> {
    try {
      for (;;) {
        const response = invoked.responses.shift();
        if (response) {
          this.#unread -= 1;
          this.#onRoom();
          yield response;
        } else if (invoked.isEnded) return;
        else if (invoked.fault) throw invoked.fault;
        else await new Promise<void>((resolve) => void (invoked.wake = resolve));
      }
    } finally {
      this.#unread -= invoked.responses.length;
      invoked.responses.length = 0;
      this.forget(messageId);
    }
  }
}
