/** Hands requests that come to the services that perform them, and their responses to the association. */
import { toArchiveError } from "../errors.ts";
import type { AcceptedContext, Association, IncomingRequest, OutgoingMessage, Service } from "./association.ts";
import { type Command, commandFields, responseBit } from "./command.ts";
import type { BegunMessage } from "./message-assembler.ts";
import { isPending, statuses } from "./status.ts";

/** Requests of one association that are performed at a time; more wait in the socket. */
export const mostAtOnce = 16;

/** What the dispatch needs of its association. */
export interface DispatchOptions {
  readonly association: Association;
  readonly send: (message: OutgoingMessage) => Promise<void>;
  readonly services: ReadonlyMap<number, Service>;
  /** Called with what a service threw. */
  readonly onFault: (error: unknown, command: Command) => void;
  /** Called when a request was performed. */
  readonly onRoom: () => void;
}

/** The requests of one association that are being performed. */
export class Dispatch {
  readonly #options: DispatchOptions;
  readonly #running = new Map<number, { readonly controller: AbortController; cancelled: boolean }>();
  /** Last responses that are owed, or that the socket has not taken yet. */
  #unsent = 0;
  #whenIdle: (() => void)[] = [];

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  /** Requests being performed, or whose last response is still to be sent. */
  get size(): number {
    return this.#running.size + this.#unsent;
  }

  /** Whether no more can be taken on. A peer that keeps to its window can still cancel what it has asked for. */
  get isFull(): boolean {
    return this.size > mostAtOnce;
  }

  /** Resolves when no request is being performed, and every response is sent. */
  async idle(): Promise<void> {
    if (this.size === 0) return;
    await new Promise<void>((resolve) => void this.#whenIdle.push(resolve));
  }

  /** A request came. */
  begin(message: BegunMessage): void {
    const { messageId = 0, commandField } = message.command;
    const { services } = this.#options;
    const service = services.get(commandField);
    if (this.#running.has(messageId)) return this.#refuse(message, statuses.duplicateInvocation);
    if (!service) return this.#refuse(message, statuses.unrecognizedOperation);
    if (!isPerformed(message.context, commandField)) return this.#refuse(message, statuses.sopClassNotSupported);
    void this.#perform(service, message, messageId);
  }

  /** The peer cancels a request; one that has ended already is not there (PS3.7 9.3.2.3). */
  cancel(messageId: number): void {
    const running = this.#running.get(messageId);
    if (!running) return;
    running.cancelled = true;
    running.controller.abort();
  }

  /** The association has ended. */
  end(error: Error): void {
    for (const { controller } of this.#running.values()) controller.abort(error);
  }

  async #perform(service: Service, message: BegunMessage, messageId: number): Promise<void> {
    const running = { controller: new AbortController(), cancelled: false };
    this.#running.set(messageId, running);
    const { association, onFault } = this.#options;
    const state = { answered: false };
    const respond: IncomingRequest["respond"] = async (fields, dataSet) => {
      if (isPending(fields.status)) return this.#send(message, fields, dataSet);
      state.answered = true;
      await this.#received(message);
      const sent = this.#sendLast(message, fields, dataSet);
      // The message id is free for the peer as soon as it has the response.
      this.#end(messageId, running);
      await sent;
    };
    try {
      const { context, command, dataSet } = message;
      const { signal } = running.controller;
      await service({ association, context, command, dataSet, signal, isCancelled: () => running.cancelled, respond });
      if (!state.answered) throw new Error("a service ended without a response");
    } catch (error) {
      if (association.ended.aborted) return;
      onFault(error, message.command);
      const { answer, message: errorComment } = toArchiveError(error);
      if (!state.answered) await respond({ status: answer.dimseStatus, errorComment }).catch(() => undefined);
    } finally {
      message.dataSet?.drop();
      this.#end(messageId, running);
    }
  }

  #end(messageId: number, running: object): void {
    if (this.#running.get(messageId) !== running) return;
    this.#running.delete(messageId);
    this.#onLess();
  }

  #onLess(): void {
    this.#options.onRoom();
    if (this.size > 0) return;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #refuse(message: BegunMessage, status: number): void {
    const refused = this.#owed(async () => {
      await this.#received(message);
      await this.#send(message, { status });
    });
    void refused.catch(() => undefined);
  }

  #sendLast(message: BegunMessage, fields: Omit<Command, "commandField">, dataSet?: Buffer): Promise<void> {
    return this.#owed(() => this.#send(message, fields, dataSet));
  }

  /** Until it is sent, the peer is owed a response, and cannot release. */
  async #owed(send: () => Promise<void>): Promise<void> {
    this.#unsent += 1;
    try {
      await send();
    } finally {
      this.#unsent -= 1;
      this.#onLess();
    }
  }

  /** A response comes behind the whole request. */
  async #received({ dataSet }: BegunMessage): Promise<void> {
    if (!dataSet) return;
    dataSet.drop();
    await dataSet.received();
  }

  #send({ context, command }: BegunMessage, fields: Omit<Command, "commandField">, dataSet?: Buffer): Promise<void> {
    const response = {
      affectedSopClassUid: command.affectedSopClassUid ?? command.requestedSopClassUid,
      affectedSopInstanceUid: command.affectedSopInstanceUid ?? command.requestedSopInstanceUid,
      ...fields,
      commandField: command.commandField | responseBit,
      messageIdBeingRespondedTo: command.messageId ?? 0,
    };
    return this.#options.send({ context, command: response, dataSet });
  }
}

/** N-EVENT-REPORT is performed by the side that is SCU of the SOP class, everything else by its SCP. */
function isPerformed(context: AcceptedContext, commandField: number): boolean {
  return commandField === commandFields.nEventReportRequest ? context.mayInvoke : context.mayPerform;
}
