/** Puts messages together from the fragments of P-DATA-TF PDUs (PS3.7 Annex F, PS3.8 Annex E). */
import type { AcceptedContext, IncomingMessage } from "./association.ts";
import { type Command, CommandFault, decodeCommand, longestCommandSet } from "./command.ts";
import { FragmentStream } from "./fragment-stream.ts";
import { abortReasons, type DataFragment, PduFault } from "./pdu.ts";

/** A message whose command set is whole, and whose data set may still be under way. */
export interface BegunMessage extends IncomingMessage {
  readonly dataSet: FragmentStream | undefined;
}

type ReadCommand = Command & { readonly hasDataSet: boolean };

/** Fragments in, messages out; one message at a time, since fragments of two may not be mixed (PS3.8 E.2). */
export class MessageAssembler {
  readonly #contexts: ReadonlyMap<number, AcceptedContext>;
  readonly #onMessage: (message: BegunMessage) => void;
  readonly #onRoom: () => void;
  #commandPieces: Buffer[] = [];
  #commandLength = 0;
  #context: AcceptedContext | undefined;
  #dataSet: FragmentStream | undefined;

  /**
   * @param onMessage called when the command set of a message is there
   * @param onRoom called when `isFull` is not so any more
   */
  constructor(
    contexts: ReadonlyMap<number, AcceptedContext>,
    onMessage: (message: BegunMessage) => void,
    onRoom: () => void,
  ) {
    this.#contexts = contexts;
    this.#onMessage = onMessage;
    this.#onRoom = onRoom;
  }

  /** Whether whoever reads the data set is behind. */
  get isFull(): boolean {
    return this.#dataSet?.isFull ?? false;
  }

  /** Whether a message has begun and is not whole yet. */
  get isWithinMessage(): boolean {
    return this.#context !== undefined;
  }

  /** @throws PduFault when the fragment does not go on with what has come */
  push({ contextId, isCommand, isLast, bytes }: DataFragment): void {
    if (this.#context && contextId !== this.#context.id) throw mixed();
    const context = this.#context ?? this.#contexts.get(contextId);
    if (!context) {
      throw new PduFault(abortReasons.invalidParameterValue, `Presentation context ${contextId} was not accepted.`);
    }
    this.#context = context;
    if (this.#dataSet) this.#pushData(this.#dataSet, { isCommand, isLast, bytes });
    else this.#pushCommand(context, { isCommand, isLast, bytes });
  }

  /** Nothing more will come: whoever reads a data set gets `error`. */
  fail(error: Error): void {
    this.#dataSet?.fail(error);
  }

  #pushData(dataSet: FragmentStream, { isCommand, isLast, bytes }: Omit<DataFragment, "type" | "contextId">): void {
    if (isCommand) throw mixed();
    dataSet.push(bytes);
    if (!isLast) return;
    this.#dataSet = undefined;
    this.#context = undefined;
    dataSet.end();
  }

  #pushCommand(context: AcceptedContext, { isCommand, isLast, bytes }: Omit<DataFragment, "type" | "contextId">): void {
    if (!isCommand) throw new PduFault(abortReasons.unexpectedParameter, "A data set came without a command set.");
    this.#commandLength += bytes.length;
    if (this.#commandLength > longestCommandSet) {
      throw new PduFault(abortReasons.invalidParameterValue, "The command set is too long.");
    }
    if (bytes.length > 0) this.#commandPieces.push(bytes);
    if (!isLast) return;
    const command = this.#takeCommand();
    if (command.hasDataSet) this.#dataSet = new FragmentStream(this.#onRoom);
    else this.#context = undefined;
    this.#onMessage({ context, command, dataSet: this.#dataSet });
  }

  #takeCommand(): ReadCommand {
    const pieces = this.#commandPieces;
    const [first] = pieces;
    this.#commandPieces = [];
    this.#commandLength = 0;
    try {
      return decodeCommand(first && pieces.length === 1 ? first : Buffer.concat(pieces));
    } catch (error) {
      if (error instanceof CommandFault) throw new PduFault(abortReasons.invalidParameterValue, error.message);
      throw error;
    }
  }
}

function mixed(): PduFault {
  return new PduFault(abortReasons.unexpectedParameter, "Fragments of two messages are mixed.");
}
