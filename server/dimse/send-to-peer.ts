/** Sends instances to a peer: associations with the contexts that they need, few to one peer at a time. */
import type { SecureContextOptions } from "node:tls";
import type { DimsePeer } from "../archive/peers.ts";
import type { SelectedInstance, SelectedInstances } from "../archive/selection.ts";
import { type ArchiveError, toArchiveError } from "../errors.ts";
import type { Association } from "./association.ts";
import type { Connect } from "./connect.ts";
import { sendInstances, type SendOptions, type SendOutcome } from "./send-instances.ts";
import { planSending, type SendingPlan } from "./sending-plan.ts";
import { Turns } from "./turns.ts";

/**
 * Sends `selected` to `peer` and gives the outcome of each instance as it comes. A peer that aborts the association over
 * one instance gets those behind it on another one. What is wrong with the peer is told by the outcomes: when no
 * association can be had, by those of all. Throws only what going through `selected` throws.
 */
export type SendToPeer = (
  peer: DimsePeer,
  selected: SelectedInstances,
  options?: SendOptions,
) => AsyncGenerator<SendOutcome>;

export interface SendToPeerDependencies {
  readonly connect: Connect;
  /** AE title by which peers are called that do not have one of their own. */
  readonly aeTitle: string;
  /** For peers over TLS. */
  readonly tls?: SecureContextOptions | undefined;
  /** Associations to one peer at a time that send; who wants more waits. */
  readonly mostAssociations?: number;
}

/** Operations under way that a peer is asked to take (PS3.7 D.3.3.3); most take one. */
const operationsWindow = { maximumInvoked: 16, maximumPerformed: 1 };

/** Associations in a row on which a peer answers nothing, before what is left is given up. */
const mostBarren = 2;

/** Makes the one sender to peers of a process. */
export function createSendToPeer({
  connect,
  aeTitle,
  tls = {},
  mostAssociations = 4,
}: SendToPeerDependencies): SendToPeer {
  const turns = new Turns(mostAssociations);

  const open = async (peer: DimsePeer, { contexts }: SendingPlan): Promise<Opened> => {
    const { aeTitle: calledAeTitle, host, port } = peer;
    const address = { aeTitle: calledAeTitle, host, port, tls: peer.tls ? tls : undefined };
    const callingAeTitle = peer.callingAeTitle ?? aeTitle;
    try {
      return { association: await connect(address, { callingAeTitle, contexts, operationsWindow }) };
    } catch (error) {
      return { fault: toArchiveError(error) };
    }
  };

  /** Sends the instances of one plan, on one association after the other while they bring it further. */
  async function* sendPlanned(
    peer: DimsePeer,
    selected: SelectedInstances,
    plan: SendingPlan,
    options: SendOptions,
  ): AsyncGenerator<SendOutcome, ArchiveError | undefined> {
    let rest: AsyncIterable<SelectedInstance> = filtered(selected, plan);
    for (let barren = 0; ;) {
      const { association, fault } = await open(peer, plan);
      if (fault) {
        yield* notSent(rest, fault, options.signal);
        return fault;
      }
      const untried = new Map<string, SendOutcome>();
      let answered = 0;
      for await (const outcome of sendAndRelease(association, rest, options)) {
        if (outcome.isUntried === true) untried.set(outcome.sopInstanceUid, outcome);
        else yield outcome;
        if (outcome.status !== undefined) answered += 1;
      }
      barren = answered > 0 ? 0 : barren + 1;
      if (untried.size === 0 || barren === mostBarren || options.signal?.aborted === true) {
        yield* untried.values();
        return undefined;
      }
      rest = filtered(selected, { isFor: ({ sopInstanceUid }) => untried.has(sopInstanceUid) });
    }
  }

  return async function* sendToPeer(peer, selected, options = {}) {
    const { signal } = options;
    const endTurn = await turns.take(`${peer.host}:${peer.port}`, signal);
    try {
      let fault: ArchiveError | undefined;
      for (const plan of planSending(selected.kinds)) {
        if (signal?.aborted === true) return;
        // A peer that cannot be reached is not tried again at once.
        if (fault) yield* notSent(filtered(selected, plan), fault, signal);
        else fault = yield* sendPlanned(peer, selected, plan, options);
      }
    } finally {
      endTurn();
    }
  };
}

type Opened =
  | { readonly association: Association; readonly fault?: undefined }
  | { readonly association?: undefined; readonly fault: ArchiveError };

async function* filtered(
  selected: SelectedInstances,
  { isFor }: { readonly isFor: (instance: SelectedInstance) => boolean },
): AsyncGenerator<SelectedInstance> {
  for await (const instance of selected) if (isFor(instance)) yield instance;
}

async function* notSent(
  instances: AsyncIterable<SelectedInstance>,
  { code, message }: ArchiveError,
  signal?: AbortSignal,
): AsyncGenerator<SendOutcome> {
  for await (const { sopClassUid, sopInstanceUid } of instances) {
    if (signal?.aborted === true) return;
    yield { sopClassUid, sopInstanceUid, status: undefined, comment: message, code };
  }
}

async function* sendAndRelease(
  association: Association,
  instances: AsyncIterable<SelectedInstance>,
  options: SendOptions,
): AsyncGenerator<SendOutcome> {
  let isDone = false;
  try {
    yield* sendInstances(association, instances, options);
    isDone = true;
  } finally {
    // What has been sent has been answered: how the association ends changes nothing.
    if (!association.ended.aborted) await (isDone ? association.release() : association.abort()).catch(() => undefined);
  }
}
