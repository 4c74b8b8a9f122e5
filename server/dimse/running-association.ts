/** An association over one connection: messages in and out, requests performed and invoked, and its time limits. */
import type { Socket } from "node:net";
import type { ArchiveError } from "../errors.ts";
import { acceptedContexts } from "./accepted-contexts.ts";
import type { AcceptedContext, Association, IncomingMessage, OutgoingMessage, Service } from "./association.ts";
import { type Command, commandFields, responseBit } from "./command.ts";
import type { AssociationTimeouts } from "./connect.ts";
import { Dispatch } from "./dispatch.ts";
import { InvokedRequests } from "./invoked-requests.ts";
import { type BegunMessage, MessageAssembler } from "./message-assembler.ts";
import { MessageWriter } from "./message-writer.ts";
import { abortReasons, type AssociateAccept, type AssociateRequest, type DataFragment, PduFault } from "./pdu.ts";
import { countOperation, type OperationCounts } from "./operation-counts.ts";
import { statusKind } from "./status-words.ts";
import type { UpperLayer } from "./upper-layer.ts";
import type { EndKind } from "./upper-layer-user.ts";

/** Responses that may lie unread before the socket is to pause. */
const mostUnread = 64;

export interface AssociationOptions {
  readonly socket: Socket;
  readonly upperLayer: UpperLayer;
  readonly request: AssociateRequest;
  readonly accept: AssociateAccept;
  readonly side: "requestor" | "acceptor";
  readonly services: ReadonlyMap<number, Service>;
  readonly timeouts: AssociationTimeouts;
  readonly onFault: (error: unknown, command: Command, association: Association) => void;
}

let lastId = 0;

/** What happened on an association so far. */
interface AssociationCounts {
  /** Requests of the peer, by operation. */
  readonly performed: OperationCounts;
  /** Those of them that were answered with a failure. */
  failed: number;
  /** Requests to the peer, by operation. */
  readonly invoked: OperationCounts;
}

/** One association, from its acceptance to its end. */
export class RunningAssociation implements Association {
  readonly id: number;
  readonly request: AssociateRequest;
  readonly accept: AssociateAccept;
  readonly remoteAddress: string;
  readonly contexts: ReadonlyMap<number, AcceptedContext>;
  readonly maximumInvoked: number;
  readonly counts: AssociationCounts = { performed: {}, failed: 0, invoked: {} };
  readonly #begun = performance.now();
  readonly #ended = new AbortController();
  readonly #socket: Socket;
  readonly #upperLayer: UpperLayer;
  readonly #timeouts: AssociationTimeouts;
  readonly #assembler: MessageAssembler;
  readonly #writer: MessageWriter;
  readonly #invoked: InvokedRequests;
  readonly #dispatch: Dispatch;
  #watchdog: NodeJS.Timeout | undefined;
  /** When bytes came last, or something else went on. */
  #lastProgress = performance.now();
  /** When the peer took bytes last, and how many it had taken in all. */
  #lastTaken = performance.now();
  #taken = 0;

  constructor({ socket, upperLayer, request, accept, side, services, timeouts, onFault }: AssociationOptions) {
    lastId += 1;
    this.id = lastId;
    this.request = request;
    this.accept = accept;
    this.remoteAddress = socket.remoteAddress ?? "";
    this.contexts = acceptedContexts(request, accept, side);
    this.maximumInvoked = windowOf(accept, side);
    this.#socket = socket;
    this.#upperLayer = upperLayer;
    this.#timeouts = timeouts;
    const resume = () => upperLayer.resume();
    this.#assembler = new MessageAssembler(this.contexts, (message) => this.#onMessage(message), resume);
    const peer = side === "requestor" ? accept : request;
    this.#writer = new MessageWriter(socket, peer.userInformation.maximumLength);
    const onSilence = ({ message }: Error) => {
      // In a C-GET that this side asks for, the peer sends requests before it responds: while one is performed, it is the
      // peer who waits. In one that this side performs, it is this side.
      if (side === "requestor" && this.#dispatch.size > 0) this.#invoked.restart();
      else upperLayer.abort(message, "timeout");
    };
    this.#invoked = new InvokedRequests(timeouts.dimse, onSilence, resume);
    this.#dispatch = new Dispatch({
      association: this,
      send: (message) => {
        if (statusKind(message.command.status ?? 0) === "failure") this.counts.failed += 1;
        return this.send(message);
      },
      services,
      onFault: (error, command) => onFault(error, command, this),
      onRoom: () => {
        this.onProgress();
        if (side === "requestor") this.#invoked.restart();
        resume();
      },
    });
    this.#watch();
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Bytes on the connection, both ways, and the age of the association. */
  get traffic() {
    const { bytesRead: bytesReceived, bytesWritten: bytesSent } = this.#socket;
    return { bytesReceived, bytesSent, seconds: Math.round(performance.now() - this.#begun) / 1000 };
  }

  /** Whether nothing is being performed or invoked. */
  get isIdle(): boolean {
    return this.#dispatch.size === 0 && this.#invoked.size === 0 && !this.#assembler.isWithinMessage;
  }

  nextMessageId(): number {
    return this.#invoked.nextMessageId();
  }

  async send(message: OutgoingMessage): Promise<void> {
    this.#throwIfEnded();
    // The peer's time to take it begins now, however long this side was at it; unless it owes more already.
    if (!this.#writer.isBlocked) this.#lastTaken = performance.now();
    try {
      await this.#writer.send(message);
    } catch (error) {
      // Half a message is on its way: nothing that follows could be understood.
      this.#upperLayer.abort("A message could not be sent to its end.");
      throw error;
    }
    this.#throwIfEnded();
  }

  async *invoke(message: OutgoingMessage): AsyncGenerator<IncomingMessage> {
    this.#throwIfEnded();
    const { messageId = this.nextMessageId() } = message.command;
    const responses = this.#invoked.begin(messageId);
    countOperation(this.counts.invoked, message.command.commandField);
    try {
      await this.send({ ...message, command: { ...message.command, messageId } });
    } catch (error) {
      this.#invoked.forget(messageId);
      throw error;
    }
    this.#invoked.sent(messageId);
    yield* responses;
  }

  async cancel(context: AcceptedContext, messageId: number): Promise<void> {
    const command = { commandField: commandFields.cCancelRequest, messageIdBeingRespondedTo: messageId };
    await this.send({ context, command });
  }

  async release(): Promise<void> {
    if (!this.ended.aborted) this.#upperLayer.release();
    await this.#upperLayer.closed;
  }

  async abort(): Promise<void> {
    this.#upperLayer.abort("This side aborted the association.");
    await this.#upperLayer.closed;
  }

  /** Resolves when no request of the peer is being performed. */
  idle(): Promise<void> {
    return this.#dispatch.idle();
  }

  /** @throws PduFault when the fragment does not go on with what has come */
  onFragment(fragment: DataFragment): void {
    this.#assembler.push(fragment);
  }

  onProgress(): void {
    this.#lastProgress = performance.now();
  }

  isFull(): boolean {
    return this.#assembler.isFull || this.#dispatch.isFull || this.#invoked.unread > mostUnread;
  }

  /**
   * The peer wants to release: it may, as soon as nothing is being performed.
   * @throws PduFault when it has sent a message in part
   */
  onRelease(): void {
    if (this.#assembler.isWithinMessage) {
      throw new PduFault(abortReasons.unexpectedPdu, "The peer released the association within a message.");
    }
    void this.#dispatch.idle().then(() => this.#upperLayer.releaseResponse());
  }

  onEnd(error: ArchiveError, _how: EndKind): void {
    clearTimeout(this.#watchdog);
    this.#ended.abort(error);
    this.#assembler.fail(error);
    this.#invoked.fail(error);
    this.#dispatch.end(error);
  }

  #onMessage(message: BegunMessage): void {
    const { command } = message;
    if (command.commandField === commandFields.cCancelRequest) {
      this.#dispatch.cancel(command.messageIdBeingRespondedTo ?? 0);
      message.dataSet?.drop();
    } else if ((command.commandField & responseBit) === 0) {
      countOperation(this.counts.performed, command.commandField);
      this.#dispatch.begin(message);
    } else if (!this.#invoked.deliver(message)) {
      throw new PduFault(abortReasons.unexpectedParameter, "A response came that nobody asked for.");
    }
  }

  #throwIfEnded(): void {
    if (this.ended.aborted) throw this.ended.reason;
  }

  /** Looks when the limit that holds at the moment could be over. */
  #watch(wait = Math.min(this.#timeouts.dimse, this.#timeouts.idle)): void {
    this.#watchdog = setTimeout(() => this.#look(), Math.max(wait, 1));
  }

  #look(isSecond = false): void {
    if (this.ended.aborted) return;
    // Bytes that the peer took count as progress.
    const taken = this.#socket.bytesWritten - this.#socket.writableLength;
    if (taken !== this.#taken) this.#lastTaken = performance.now();
    this.#taken = taken;
    const limit = this.#limit();
    const left = limit.milliseconds - (performance.now() - limit.since);
    if (left > 0) this.#watch(Math.min(left, this.#timeouts.dimse));
    else if (isSecond) this.#upperLayer.abort(limit.sentence, "timeout");
    // This process may have been too busy to look: what has arrived is looked at before immediates run.
    else setImmediate(() => this.#look(true));
  }

  /** Which time limit holds, by what is waited for. */
  #limit(): { readonly milliseconds: number; readonly since: number; readonly sentence: string } {
    const { dimse, idle } = this.#timeouts;
    if (this.#writer.isBlocked) {
      // What it sends meanwhile does not excuse it.
      return { milliseconds: dimse, since: this.#lastTaken, sentence: "The peer does not read what it is sent." };
    }
    const since = Math.max(this.#lastProgress, this.#lastTaken);
    if ((this.#assembler.isWithinMessage || this.#upperLayer.isWithinPdu) && !this.isFull()) {
      return { milliseconds: dimse, since, sentence: "The peer has sent a message in part, and no more." };
    }
    if (this.#dispatch.size > 0 || this.#invoked.size > 0) {
      return { milliseconds: Number.POSITIVE_INFINITY, since, sentence: "" };
    }
    return { milliseconds: idle, since, sentence: "The association was idle for too long." };
  }
}

/** Operations that this side may have under way at the peer (PS3.7 D.3.3.3). */
function windowOf({ userInformation }: AssociateAccept, side: "requestor" | "acceptor"): number {
  const window = userInformation.operationsWindow;
  if (!window) return 1;
  // "Invoked" is of the requestor, "performed" is what the acceptor invokes.
  const number = side === "requestor" ? window.maximumInvoked : window.maximumPerformed;
  return number === 0 ? Number.POSITIVE_INFINITY : number;
}
