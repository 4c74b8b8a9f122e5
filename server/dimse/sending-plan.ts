/** Plans which presentation contexts to propose for a set of instances (PS3.8 9.3.2.2, PS3.5 10). */
import { dataSetSyntaxes } from "../archive/convert.ts";
import type { SelectedInstances } from "../archive/selection.ts";
import { explicitVrLittleEndian, implicitVrLittleEndian } from "../dicom/transfer-syntax.ts";
import type { ProposedContext } from "./pdu.ts";

/** Ids are the odd numbers of one byte (PS3.8 9.3.2.2). */
const mostContexts = 128;

/** What every archive and viewer of native pixels reads, if not what is stored. */
const fallbacks: readonly string[] = [explicitVrLittleEndian.uid, implicitVrLittleEndian.uid];

type Kind = SelectedInstances["kinds"][number];

/** One association: what to propose, and which instances it is for. */
export interface SendingPlan {
  readonly contexts: readonly Omit<ProposedContext, "id">[];
  readonly isFor: (instance: Pick<Kind, "sopClassUid" | "transferSyntaxUid">) => boolean;
}

/**
 * The associations that `kinds` need: mostly one. A context has one transfer syntax alone, so that the sender, and not
 * the peer, chooses among those that the peer accepts: that which an instance is stored in, before those that it can be
 * converted to.
 */
export function planSending(kinds: readonly Kind[]): SendingPlan[] {
  const plans: { readonly contexts: Map<string, Omit<ProposedContext, "id">>; readonly kinds: Set<string> }[] = [];
  for (const kind of kinds) {
    const needed = contextsOf(kind);
    let plan = plans.at(-1);
    const added = needed.filter(([key]) => !plan?.contexts.has(key));
    if (!plan || plan.contexts.size + added.length > mostContexts) {
      plan = { contexts: new Map(), kinds: new Set() };
      plans.push(plan);
    }
    for (const [key, context] of needed) plan.contexts.set(key, context);
    plan.kinds.add(keyOf(kind));
  }
  return plans.map((plan) => ({
    contexts: [...plan.contexts.values()],
    isFor: (instance) => plan.kinds.has(keyOf(instance)),
  }));
}

function contextsOf({ sopClassUid, transferSyntaxUid }: Kind): [key: string, Omit<ProposedContext, "id">][] {
  const possible = dataSetSyntaxes(transferSyntaxUid);
  const wanted = possible.filter((uid) => uid === transferSyntaxUid || fallbacks.includes(uid));
  return wanted.map((uid) => [
    keyOf({ sopClassUid, transferSyntaxUid: uid }),
    { abstractSyntaxUid: sopClassUid, transferSyntaxUids: [uid] },
  ]);
}

function keyOf({ sopClassUid, transferSyntaxUid }: Pick<Kind, "sopClassUid" | "transferSyntaxUid">): string {
  return `${sopClassUid} ${transferSyntaxUid}`;
}
