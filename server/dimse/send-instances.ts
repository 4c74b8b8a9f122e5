/** Sends instances over an association by C-STORE (PS3.7 9.1.1, PS3.4 B): the one sender of all that is sent. */
import { Readable } from "node:stream";
import { dataSetSyntaxes } from "../archive/convert.ts";
import type { SelectedInstance } from "../archive/selection.ts";
import { type ErrorCode, toArchiveError } from "../errors.ts";
import type { AcceptedContext, Association } from "./association.ts";
import { SendBuffers, sendBufferLength } from "./send-buffers.ts";
import { type Command, commandFields, priorities } from "./command.ts";

/** What became of one instance. */
export interface SendOutcome {
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  /** What the peer answered; undefined when it was not sent, or not answered. */
  readonly status: number | undefined;
  /** What the peer said of it, or why it was not sent. */
  readonly comment?: string | undefined;
  /** Why it was not sent, or not answered. */
  readonly code?: ErrorCode | undefined;
  /** Whether nothing of it was sent, since the association had ended before its turn came. */
  readonly isUntried?: boolean;
}

export interface SendOptions {
  /** In whose name they are sent (PS3.7 9.1.1.1.6): the requestor of a C-MOVE, and the message id of its request. */
  readonly moveOriginator?: { readonly aeTitle: string; readonly messageId: number } | undefined;
  readonly priority?: number | undefined;
  /** Aborts the sending: what is under way is brought to its end, nothing more is begun. */
  readonly signal?: AbortSignal | undefined;
}

/** Operations under way at a time with a peer that takes any number. */
const mostInvoked = 16;

/** Instances that are read while the peer works on those before them. */
const readAhead = 3;

/**
 * Bytes of an instance that is read into memory of its own, for which nothing is to be gained by a buffer. A message of
 * more has left the process when its sending resolves, since a socket takes no more before: only then is a buffer free.
 */
const short = 128 * 1024;

interface Prepared {
  readonly instance: SelectedInstance;
  readonly context: AcceptedContext | undefined;
  /** Of an instance that is not too long: begun to be read before its turn comes. */
  readonly read: Promise<Buffer> | undefined;
  /** What it is read into. */
  readonly buffer?: Buffer | undefined;
}

/** What going through the instances threw, behind those that it gave. */
interface Failure {
  readonly error: unknown;
}

/**
 * Sends `instances`, as many at a time as the peer takes, and gives the outcome of each as it comes; throws only what
 * going through `instances` throws, after the outcomes of what was under way. Each is sent as it is stored when the peer
 * accepted a context for that, else converted, else not at all. When the association ends, the rest is not sent, and
 * every one of them is told.
 */
export async function* sendInstances(
  association: Association,
  instances: AsyncIterable<SelectedInstance>,
  options: SendOptions = {},
): AsyncGenerator<SendOutcome> {
  const contextOf = contextChooser(association);
  const underWay = new Set<Promise<SendOutcome>>();
  const buffers = new SendBuffers();
  const next = async (): Promise<SendOutcome> => {
    const { outcome, done } = await Promise.race(
      [...underWay].map(async (sent) => ({ outcome: await sent, done: sent })),
    );
    underWay.delete(done);
    return outcome;
  };
  const atOnce = Math.max(1, Math.min(association.maximumInvoked, mostInvoked));
  let failure: Failure | undefined;
  const source = prepare(association, instances, { contextOf, buffers });
  const prepared: AsyncIterable<Prepared | Failure> = Readable.from(source, { highWaterMark: readAhead });
  try {
    for await (const one of prepared) {
      if (options.signal?.aborted === true) break;
      if ("error" in one) failure = one;
      else underWay.add(sendOne(association, one, options, buffers));
      if (underWay.size >= atOnce) yield await next();
    }
    while (underWay.size > 0) yield await next();
  } finally {
    buffers.end();
  }
  if (failure) throw failure.error;
}

type ChooseContext = (instance: SelectedInstance) => AcceptedContext | undefined;

/** Finds the context for an instance: of its SOP class, in the best of the transfer syntaxes that it can be had in. */
function contextChooser({ contexts }: Association): ChooseContext {
  const bySyntax = new Map<string, AcceptedContext>();
  for (const context of contexts.values()) {
    const key = `${context.abstractSyntaxUid} ${context.transferSyntaxUid}`;
    if (context.mayInvoke && !bySyntax.has(key)) bySyntax.set(key, context);
  }
  return ({ sopClassUid, transferSyntaxUid }) => {
    for (const uid of dataSetSyntaxes(transferSyntaxUid)) {
      const context = bySyntax.get(`${sopClassUid} ${uid}`);
      if (context) return context;
    }
    return undefined;
  };
}

async function* prepare(
  { ended }: Association,
  instances: AsyncIterable<SelectedInstance>,
  { contextOf, buffers }: { readonly contextOf: ChooseContext; readonly buffers: SendBuffers },
): AsyncGenerator<Prepared | Failure> {
  try {
    for await (const instance of instances) {
      const context = contextOf(instance);
      const prepared = context && !ended.aborted ? begin(instance, context, buffers) : undefined;
      // Its turn may never come.
      prepared?.read?.catch(() => undefined);
      yield prepared ?? { instance, context, read: undefined };
    }
  } catch (error) {
    yield { error };
  }
}

/** Begins to read an instance that is short enough. */
function begin(instance: SelectedInstance, context: AcceptedContext, buffers: SendBuffers): Prepared {
  const { byteLength } = instance;
  const { transferSyntaxUid } = context;
  if (byteLength > sendBufferLength) return { instance, context, read: undefined };
  if (byteLength <= short || transferSyntaxUid !== instance.transferSyntaxUid || !instance.readInto) {
    return { instance, context, read: whole(instance.dataSet(transferSyntaxUid)) };
  }
  const buffer = buffers.take();
  return { instance, context, read: buffer && instance.readInto(buffer), buffer };
}

async function whole(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  const [first] = chunks;
  return first && chunks.length === 1 ? first : Buffer.concat(chunks);
}

/** Never rejects: an association that fails is aborted, and the others that are under way with it. */
async function sendOne(
  association: Association,
  { context, read, buffer, instance }: Prepared,
  options: SendOptions,
  buffers: SendBuffers,
): Promise<SendOutcome> {
  const { sopClassUid, sopInstanceUid } = instance;
  const notSent = (error: unknown): SendOutcome => {
    const { message, code } = toArchiveError(error);
    return { sopClassUid, sopInstanceUid, status: undefined, comment: message, code };
  };
  if (!context) {
    const comment = `no presentation context: ${sopClassUid} in ${instance.transferSyntaxUid}`;
    return { sopClassUid, sopInstanceUid, status: undefined, comment, code: "context-not-accepted" };
  }
  if (association.ended.aborted) return { ...notSent(association.ended.reason), isUntried: true };
  let source: Source;
  try {
    source = read ? { dataSet: await read } : await begun(instance.dataSet(context.transferSyntaxUid));
  } catch (error) {
    return notSent(error);
  }
  const command = requestOf(association.nextMessageId(), instance, options);
  try {
    for await (const response of association.invoke({ context, command, dataSet: source.dataSet })) {
      const { status, errorComment: comment } = response.command;
      if (buffer) buffers.giveBack(buffer);
      return { sopClassUid, sopInstanceUid, status, comment };
    }
    throw new Error("a request without a response");
  } catch (error) {
    // The peer may be in the middle of a message: nothing can follow it.
    await association.abort();
    return notSent(error);
  } finally {
    await source.close?.();
  }
}

function requestOf(messageId: number, instance: SelectedInstance, options: SendOptions): Command {
  const { moveOriginator, priority = priorities.medium } = options;
  return {
    commandField: commandFields.cStoreRequest,
    messageId,
    affectedSopClassUid: instance.sopClassUid,
    affectedSopInstanceUid: instance.sopInstanceUid,
    priority,
    moveOriginatorAeTitle: moveOriginator?.aeTitle,
    moveOriginatorMessageId: moveOriginator?.messageId,
  };
}

/** A data set to be sent, and how to let go of where it comes from. */
interface Source {
  readonly dataSet: Buffer | AsyncIterable<Buffer>;
  readonly close?: () => Promise<unknown>;
}

/** `bytes`, of which the first are there: what cannot be read at all fails before anything of it is sent. */
async function begun(bytes: AsyncIterable<Buffer>): Promise<Source> {
  const chunks = bytes[Symbol.asyncIterator]();
  let next = await chunks.next();
  return {
    dataSet: {
      [Symbol.asyncIterator]: async function* () {
        for (; next.done !== true; next = await chunks.next()) yield next.value;
      },
    },
    close: async () => chunks.return?.(),
  };
}
