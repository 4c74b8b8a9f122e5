/** An association as services and requestors see it: contexts, messages in, messages out (PS3.8, PS3.7). */
import type { Command } from "./command.ts";
import type { AssociateAccept, AssociateRequest } from "./pdu.ts";

/** A presentation context that both sides agreed on. */
export interface AcceptedContext {
  readonly id: number;
  readonly abstractSyntaxUid: string;
  readonly transferSyntaxUid: string;
  /** Whether the side of this process may invoke operations of this SOP class. */
  readonly mayInvoke: boolean;
  /** Whether it may perform them. */
  readonly mayPerform: boolean;
}

/** A message to be sent. */
export interface OutgoingMessage {
  readonly context: AcceptedContext;
  /** Without Command Data Set Type, which follows from `dataSet`, and group length. */
  readonly command: Command;
  /** In the transfer syntax of the context. */
  readonly dataSet?: Buffer | AsyncIterable<Buffer> | undefined;
}

/** A message that came. `dataSet` has to be read to its end, or left alone: what is not read is passed over. */
export interface IncomingMessage {
  readonly context: AcceptedContext;
  readonly command: Command;
  /** The data set's bytes in the transfer syntax of the context; undefined when the message has none. */
  readonly dataSet: AsyncIterable<Buffer> | undefined;
}

/** What a response says beside what it repeats of the request. */
export type ResponseFields = Omit<
  Command,
  "commandField" | "messageId" | "messageIdBeingRespondedTo" | "hasDataSet"
> & { readonly status: number };

/** A request that a service is to perform. */
export interface IncomingRequest extends IncomingMessage {
  readonly association: Association;
  /** Aborts when the peer cancels this request (C-CANCEL-RQ), and when the association ends. */
  readonly signal: AbortSignal;
  /** Whether it was a C-CANCEL-RQ that aborted `signal`. */
  readonly isCancelled: () => boolean;
  /**
   * Sends a response of the kind of the request: message id and SOP class (and instance) are repeated from it.
   * Resolves when the socket takes more.
   */
  readonly respond: (fields: ResponseFields, dataSet?: Buffer) => Promise<void>;
}

/**
 * Performs requests of one kind. It sends every response itself; when it throws, the error's DIMSE status is sent as the
 * last response. It is called as soon as the command set is there, and may run while others run.
 */
export type Service = (request: IncomingRequest) => Promise<void>;

/** An association that is established. */
export interface Association {
  /** Unique in this process; for the log. */
  readonly id: number;
  readonly request: AssociateRequest;
  readonly accept: AssociateAccept;
  /** Address of the peer, without port. */
  readonly remoteAddress: string;
  /** By presentation context id. */
  readonly contexts: ReadonlyMap<number, AcceptedContext>;
  /** Operations that may be under way at the peer at a time (PS3.7 D.3.3.3); 1 unless negotiated, Infinity for any. */
  readonly maximumInvoked: number;
  /** Aborts when the association has ended, in whatever way; the reason is an Error that says how. */
  readonly ended: AbortSignal;

  /** A message id that no request under way has. */
  nextMessageId(): number;
  /** Sends one message whole; messages sent at the same time come one after the other. Resolves when the socket takes more. */
  send(message: OutgoingMessage): Promise<void>;
  /**
   * Sends a request and gives its responses as they come, until one whose status is not pending (PS3.7 C.4). No response
   * for the time limit, and the end of the association, throw. Ending the iteration early sends no C-CANCEL-RQ.
   */
  invoke(message: OutgoingMessage): AsyncIterable<IncomingMessage>;
  /** Cancels a C-FIND, C-MOVE or C-GET request under way (PS3.7 9.3.2.3). */
  cancel(context: AcceptedContext, messageId: number): Promise<void>;
  /** Ends it in good order (A-RELEASE); resolves when the connection is closed. */
  release(): Promise<void>;
  /** Ends it at once (A-ABORT); resolves when the connection is closed. */
  abort(): Promise<void>;
}
