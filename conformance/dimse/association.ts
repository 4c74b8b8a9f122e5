/** An association that checks hold in their own hands: any PDU can be sent, and every PDU is seen. */
import { once } from "node:events";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, Failure } from "../expect.ts";
import { type Command, field, noDataSet, readCommand, request, response, writeCommand } from "./command.ts";
import {
  type AssociateAccept,
  applicationContext,
  type AssociateRequest,
  associateRequest,
  dataPdus,
  dataValues,
  type Pdu,
  pdu,
  pduType,
  type Proposed,
  readAccept,
} from "./pdu.ts";

/** The DIMSE application under test. */
export interface DimseTarget {
  readonly aeTitle: string;
  readonly host: string;
  readonly port: number;
}

/** One message as it came. */
export interface Message {
  readonly contextId: number;
  readonly command: Command;
  readonly dataSet: Buffer | undefined;
}

/** Milliseconds that a PDU may take to come. */
const patience = 30_000;

/** A TCP connection on which PDUs come and go. */
export class Connection {
  /** Length of every P-DATA-TF PDU that came, in bytes behind its first six. */
  readonly dataLengths: number[] = [];
  readonly #socket: net.Socket;
  readonly #chunks: Buffer[] = [];
  #length = 0;
  #isEnded = false;
  #wake: () => void = () => undefined;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      this.#wake();
    });
    const onEnd = () => {
      this.#isEnded = true;
      this.#wake();
    };
    socket.on("error", onEnd).on("close", onEnd).on("end", onEnd);
  }

  /** Connects. Throws a Failure when it cannot. */
  static async open({ host, port }: DimseTarget): Promise<Connection> {
    const socket = net.connect({ host, port });
    await once(socket, "connect").catch((error: unknown) => {
      throw new Failure(`${host}:${port} cannot be connected to: ${error instanceof Error ? error.message : ""}.`);
    });
    return new Connection(socket);
  }

  /** Sends bytes; resolves when the socket takes more. */
  async write(bytes: Buffer): Promise<void> {
    if (!this.#socket.write(bytes)) await Promise.race([once(this.#socket, "drain"), once(this.#socket, "close")]);
  }

  /** The next PDU; undefined when the server closes the connection. Throws a Failure after a while without any. */
  async next(): Promise<Pdu | undefined> {
    const head = await this.#take(6);
    if (!head) return undefined;
    const body = await this.#take(head.readUInt32BE(2));
    if (!body) throw new Failure("The connection ended within a PDU.");
    const type = head.readUInt8(0);
    if (type === pduType.data) this.dataLengths.push(body.length);
    return { type, body };
  }

  /** Ends it without a word. */
  close(): void {
    this.#socket.destroy();
  }

  async #take(length: number): Promise<Buffer | undefined> {
    const late = Date.now() + patience;
    while (this.#length < length) {
      if (this.#isEnded) return undefined;
      const timer = new AbortController();
      const woken = new Promise<void>((resolve) => (this.#wake = resolve));
      await Promise.race([woken, sleep(late - Date.now(), undefined, { signal: timer.signal }).catch(() => undefined)]);
      timer.abort();
      expect(Date.now() < late, `Nothing came for ${patience / 1000} s.`);
    }
    const [first] = this.#chunks;
    const all = first && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks);
    this.#chunks.length = 0;
    if (all.length > length) this.#chunks.push(all.subarray(length));
    this.#length -= length;
    return all.subarray(0, length);
  }
}

/** The next message; undefined when another PDU comes instead, or the end. */
export async function nextMessage(
  connection: Connection,
  onOther: (other: Pdu | undefined) => void,
): Promise<Message | undefined> {
  const parts = { command: [] as Buffer[], dataSet: [] as Buffer[] };
  let command: Command | undefined;
  for (;;) {
    const next = await connection.next();
    if (next?.type !== pduType.data) {
      onOther(next);
      return undefined;
    }
    for (const { contextId, isCommand, isLast, bytes } of dataValues(next.body)) {
      parts[isCommand ? "command" : "dataSet"].push(bytes);
      if (!isLast) continue;
      if (isCommand) command = readCommand(Buffer.concat(parts.command));
      if (!command || (isCommand && command[field.dataSetType] !== noDataSet)) continue;
      return { contextId, command, dataSet: isCommand ? undefined : Buffer.concat(parts.dataSet) };
    }
  }
}

/** How an association is asked for, beside its contexts. */
export type AssociationOptions = Partial<Omit<AssociateRequest, "contexts">>;

/** Proposes an association; gives what the server answers first. */
export async function propose(
  target: DimseTarget,
  contexts: readonly Proposed[],
  options: AssociationOptions = {},
): Promise<{ readonly connection: Connection; readonly answer: Pdu | undefined }> {
  const connection = await Connection.open(target);
  const bytes = associateRequest({
    calledAeTitle: target.aeTitle,
    callingAeTitle: "CONFORMANCE",
    maximumLength: 65_536,
    applicationContext,
    roles: [],
    ...options,
    contexts,
  });
  await connection.write(bytes);
  return { connection, answer: await connection.next() };
}

/** An association that was accepted. */
export class Association {
  readonly connection: Connection;
  readonly accept: AssociateAccept;
  #lastMessageId = 0;

  private constructor(connection: Connection, accept: AssociateAccept) {
    this.connection = connection;
    this.accept = accept;
  }

  /** Opens one. Throws a Failure when it is not accepted. */
  static async open(
    target: DimseTarget,
    contexts: readonly Proposed[],
    options: AssociationOptions = {},
  ): Promise<Association> {
    const { connection, answer } = await propose(target, contexts, options);
    if (answer?.type === pduType.associateAccept) return new Association(connection, readAccept(answer.body));
    connection.close();
    throw new Failure(`The association was answered by ${answer ? `PDU type ${answer.type}` : "the end of it"}.`);
  }

  /** The first context that was accepted; throws a Failure when there is none. */
  get contextId(): number {
    for (const [id, { result }] of this.accept.contexts) if (result === 0) return id;
    throw new Failure("No presentation context was accepted.");
  }

  /** Sends a message; its message id is the next one unless the command has one. */
  async send(command: Command, dataSet?: Buffer, contextId: number = this.contextId): Promise<void> {
    this.#lastMessageId += 1;
    const isResponse = Number(command[field.command]) >= response || command[field.command] === request.cancel;
    const whole = {
      ...(!isResponse && { [field.messageId]: this.#lastMessageId }),
      [field.dataSetType]: dataSet ? 0 : noDataSet,
      ...command,
    };
    const longest = this.accept.maximumLength === 0 ? 131_072 : this.accept.maximumLength;
    const pdus = dataPdus(contextId, true, writeCommand(whole), longest);
    for (const one of pdus) await this.connection.write(one);
    if (!dataSet) return;
    for (const one of dataPdus(contextId, false, dataSet, longest)) await this.connection.write(one);
  }

  /** The next message. Throws a Failure when the association ends instead. */
  async receive(): Promise<Message> {
    let other = "the end";
    const message = await nextMessage(this.connection, (next) => {
      if (next) other = `PDU type ${next.type}`;
    });
    if (message) return message;
    throw new Failure(`Instead of a message came ${other}.`);
  }

  /** Sends a request and gives its responses, the last one not pending. */
  async exchange(command: Command, dataSet?: Buffer, contextId?: number): Promise<Message[]> {
    await this.send(command, dataSet, contextId);
    const responses: Message[] = [];
    for (;;) {
      const message = await this.receive();
      responses.push(message);
      const status = Number(message.command[field.status]);
      if (status !== 0xff00 && status !== 0xff01) return responses;
    }
  }

  /** The status of the last response to a request. */
  async statusOf(command: Command, dataSet?: Buffer, contextId?: number): Promise<number> {
    const responses = await this.exchange(command, dataSet, contextId);
    return Number(responses.at(-1)?.command[field.status]);
  }

  /** Releases it. Throws a Failure unless that is confirmed. */
  async release(): Promise<void> {
    await this.connection.write(pdu(pduType.releaseRequest, Buffer.alloc(4)));
    const answer = await this.connection.next();
    this.connection.close();
    expect(answer?.type === pduType.releaseResponse, `A-RELEASE-RQ was answered by ${answer?.type ?? "nothing"}.`);
  }
}
