/** Plans which presentation contexts to propose for instances that a peer is to send on this association (PS3.4 C.5.3). */
import {
  explicitVrLittleEndian,
  implicitVrLittleEndian,
  transferSyntaxes,
  transferSyntaxOf,
} from "../dicom/transfer-syntax.ts";
import type { ProposedContext, RoleSelection } from "./pdu.ts";
import { storageSopClasses } from "./storage-sop-classes.ts";

/** What is to come: a SOP class, and the transfer syntaxes that instances of it are in, if the peer tells them. */
export interface WantedKind {
  readonly sopClassUid: string;
  readonly transferSyntaxUids: readonly string[];
}

export interface GettingPlan {
  readonly contexts: readonly Omit<ProposedContext, "id">[];
  readonly roles: readonly RoleSelection[];
}

/** Ids are the odd numbers of one byte (PS3.8 9.3.2.2); one context is that of the C-GET itself. */
const mostContexts = 127;

/** What every peer can send that has native pixels, and what it may choose among. */
const native = [explicitVrLittleEndian.uid, implicitVrLittleEndian.uid] as const;

/** Encapsulated and other syntaxes, the more common ones first, then the rest of the table. */
const others: readonly string[] = [
  ...new Set([
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    ...transferSyntaxes.keys(),
  ]),
].filter((uid) => uid !== native[0] && uid !== native[1]);

/**
 * The contexts for `kinds`; without any, for as many of the common storage SOP classes as there is room for. A context
 * has one transfer syntax, so that the peer sends what it has instead of one that it chose for all; the syntaxes that it
 * is known to have come first, then the native ones, then others, as far as there is room.
 */
export function planGetting(kinds: readonly WantedKind[]): GettingPlan {
  const wanted = (kinds.length > 0 ? kinds : anything).slice(0, mostContexts);
  const lists = wanted.map(({ sopClassUid, transferSyntaxUids }) => ({
    sopClassUid,
    syntaxes: inOrder(transferSyntaxUids, mostContexts / wanted.length),
  }));
  const contexts: Omit<ProposedContext, "id">[] = [];
  // One each before the second of any.
  for (let turn = 0; lists.some(({ syntaxes }) => turn < syntaxes.length); turn += 1) {
    for (const { sopClassUid, syntaxes } of lists) {
      const transferSyntaxUids = syntaxes[turn];
      if (transferSyntaxUids) contexts.push({ abstractSyntaxUid: sopClassUid, transferSyntaxUids });
    }
  }
  const roles = wanted.map(({ sopClassUid }) => ({ sopClassUid, scuRole: false, scpRole: true }));
  return { contexts: contexts.slice(0, mostContexts), roles };
}

/** Storage SOP classes that peers of today have instances of. */
const anything: readonly WantedKind[] = [...storageSopClasses.values()]
  .filter(({ isRetired }) => !isRetired)
  .map(({ uid }) => ({ sopClassUid: uid, transferSyntaxUids: [] }));

/** @param room contexts that there may be of a SOP class */
function inOrder(known: readonly string[], room: number): readonly (readonly string[])[] {
  const missing = native.filter((uid) => !known.includes(uid));
  const isRoomy = known.length + missing.length <= room;
  // Without room for both, the peer chooses one of them.
  return [
    ...alone(known.filter((uid) => transferSyntaxOf(uid) !== undefined)),
    ...(isRoomy ? alone(missing) : [native]),
    ...alone(others.filter((uid) => !known.includes(uid))),
  ];
}

function alone(uids: readonly string[]): readonly (readonly string[])[] {
  return uids.map((uid) => [uid]);
}
