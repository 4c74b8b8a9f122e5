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
 * Sends `selected` to `peer` and gives the outcome of each instance as it comes. What is wrong with the peer is told by
 * the outcomes: when no association can be had, by those of all. Throws only what going through `selected` throws.
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

  return async function* sendToPeer(peer, selected, options = {}) {
    const { signal } = options;
    const endTurn = await turns.take(`${peer.host}:${peer.port}`, signal);
    try {
      let opened: Opened | undefined;
      for (const plan of planSending(selected.kinds)) {
        if (signal?.aborted === true) return;
        const instances = filtered(selected, plan);
        // A peer that cannot be reached is not tried again at once.
        if (!opened?.fault) opened = await open(peer, plan);
        if (opened.fault) yield* notSent(instances, opened.fault, signal);
        else yield* sendAndRelease(opened.association, instances, options);
      }
    } finally {
      endTurn();
    }
  };
}

type Opened =
  | { readonly association: Association; readonly fault?: undefined }
  | { readonly association?: undefined; readonly fault: ArchiveError };

async function* filtered(selected: SelectedInstances, { isFor }: SendingPlan): AsyncGenerator<SelectedInstance> {
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
