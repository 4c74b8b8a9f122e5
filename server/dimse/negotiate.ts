/** Negotiates an association as its acceptor (PS3.8 9.3.3, PS3.7 Annex D): a request and a policy in, the answer out. Pure. */
import { implicitVrLittleEndian } from "../dicom/transfer-syntax.ts";
import { answerTo } from "./extended-negotiation.ts";
import { implementation } from "./implementation.ts";
import {
  type AnsweredContext,
  type AssociateAccept,
  type AssociateRequest,
  contextResults,
  dicomApplicationContext,
  type OperationsWindow,
  type ProposedContext,
  type RoleSelection,
} from "./pdu.ts";
import {
  type Right,
  rights,
  serviceSopClasses,
  type SopClassKind,
  type SopClassPolicy,
  sopClassPolicies,
} from "./sop-class-policy.ts";
import { mayBeStorage, nonPatientSopClasses, storageSopClasses } from "./storage-sop-classes.ts";

/** What this server offers, whoever calls. */
export interface NegotiationPolicy {
  /** Longest P-DATA-TF PDU that this server wants to get (PS3.8 D.1), in bytes. */
  readonly maximumLength: number;
  /** Most operations under way at a time, invoked by the requestor and performed by it; 1 or more. */
  readonly operationsWindow: OperationsWindow;
  /** Whether there is a service that stores. */
  readonly stores: boolean;
  /** Whether SOP classes that are in no table, private ones above all, are stored. */
  readonly storesUnknown: boolean;
  /** The SOP classes of services beside storage. */
  readonly sopClasses: ReadonlyMap<string, SopClassKind>;
}

/** The settings, and what follows from the list of services. Throws TypeError when it has a SOP class of no known kind. */
export function negotiationPolicy(
  services: readonly { readonly sopClassUids: readonly string[] | "storage" }[],
  settings: Pick<NegotiationPolicy, "maximumLength" | "operationsWindow" | "storesUnknown">,
): NegotiationPolicy {
  const uids = services.flatMap(({ sopClassUids }) => (sopClassUids === "storage" ? [] : sopClassUids));
  return {
    ...settings,
    stores: services.some(({ sopClassUids }) => sopClassUids === "storage"),
    sopClasses: new Map(uids.map((uid) => [uid, kindOf(uid)])),
  };
}

function kindOf(uid: string): SopClassKind {
  const sopClass = serviceSopClasses.get(uid);
  if (!sopClass) throw new TypeError(`sop-class-policy.ts does not say how ${uid} is negotiated`);
  return sopClass.kind;
}

/** What has been found out about who calls. */
export interface Admitted {
  readonly rights: ReadonlySet<Right>;
  /** Who proved to be there; for the log. */
  readonly user?: string | undefined;
  /** Server-response when a positive response to User Identity was asked for and is given (PS3.7 D.3.3.7.2). */
  readonly userIdentityResponse?: Buffer | undefined;
}

const everything: Admitted = { rights: new Set(rights) };

/** Service Class UID of the Storage Service Class (PS3.4 B.3.1.3). */
const storageServiceClass = "1.2.840.10008.4.2";

/** The answer to a request that has been admitted. It accepts the association even when no context is accepted. */
export function negotiate(
  request: AssociateRequest,
  policy: NegotiationPolicy,
  admitted: Admitted = everything,
): AssociateAccept {
  const asked = request.userInformation;
  const accepted = new Map<string, Roles>();
  const presentationContexts = request.presentationContexts.map((proposed): AnsweredContext => {
    const { result, transferSyntaxUid, roles } = answerContext(proposed, request, policy, admitted);
    if (roles) accepted.set(proposed.abstractSyntaxUid, roles);
    const shown = transferSyntaxUid ?? proposed.transferSyntaxUids[0] ?? implicitVrLittleEndian.uid;
    return { id: proposed.id, result, transferSyntaxUid: shown };
  });
  return {
    type: "A-ASSOCIATE-AC",
    protocolVersion: 1,
    calledAeTitle: request.calledAeTitle,
    callingAeTitle: request.callingAeTitle,
    applicationContextName: dicomApplicationContext,
    presentationContexts,
    userInformation: {
      maximumLength: policy.maximumLength,
      ...implementation,
      operationsWindow: asked.operationsWindow && windowOf(asked.operationsWindow, policy.operationsWindow),
      roles: lastOfEach(asked.roles).flatMap((role) => answerRole(role, accepted.get(role.sopClassUid))),
      extendedNegotiations: lastOfEach(asked.extendedNegotiations).flatMap(
        ({ sopClassUid, serviceClassApplicationInformation: information }) => {
          const roles = accepted.get(sopClassUid);
          const kind = roles && policyOf(sopClassUid, request, policy)?.extended;
          if (!kind) return [];
          return [{ sopClassUid, serviceClassApplicationInformation: answerTo(kind, information, roles.mayPerform) }];
        },
      ),
      commonExtendedNegotiations: [],
      userIdentityResponse: admitted.userIdentityResponse,
    },
  };
}

/** Roles of this side. */
interface Roles {
  readonly mayPerform: boolean;
  readonly mayInvoke: boolean;
}

function answerContext(
  { abstractSyntaxUid, transferSyntaxUids }: ProposedContext,
  request: AssociateRequest,
  policy: NegotiationPolicy,
  admitted: Admitted,
): { readonly result: number; readonly transferSyntaxUid?: string; readonly roles?: Roles } {
  const sopClass = policyOf(abstractSyntaxUid, request, policy);
  if (!sopClass) return { result: contextResults.abstractSyntaxNotSupported };
  const role = request.userInformation.roles.findLast(({ sopClassUid }) => sopClassUid === abstractSyntaxUid);
  const roles = rolesOf(sopClass, role, admitted.rights);
  if (!roles.mayPerform && !roles.mayInvoke) return { result: contextResults.userRejection };
  const transferSyntaxUid = chooseSyntax(sopClass, transferSyntaxUids);
  if (transferSyntaxUid === undefined) return { result: contextResults.transferSyntaxesNotSupported };
  return { result: contextResults.acceptance, transferSyntaxUid, roles };
}

/** How a SOP class is negotiated; undefined when it is not supported. */
function policyOf(
  sopClassUid: string,
  { userInformation }: AssociateRequest,
  policy: NegotiationPolicy,
): SopClassPolicy | undefined {
  const kind = policy.sopClasses.get(sopClassUid);
  if (kind) return sopClassPolicies[kind];
  if (!policy.stores) return undefined;
  if (nonPatientSopClasses.has(sopClassUid)) return sopClassPolicies.nonPatient;
  if (storageSopClasses.has(sopClassUid)) return sopClassPolicies.storage;
  if (policy.storesUnknown && mayBeStorage(sopClassUid)) return sopClassPolicies.storage;
  // A specialised class is taken as what it specialises (PS3.7 D.3.3.6).
  const special = userInformation.commonExtendedNegotiations.find((item) => item.sopClassUid === sopClassUid);
  const isStorage =
    special?.serviceClassUid === storageServiceClass ||
    special?.relatedGeneralSopClassUids.some((general) => storageSopClasses.has(general)) === true;
  return isStorage && mayBeStorage(sopClassUid) ? sopClassPolicies.storage : undefined;
}

/** The roles of this side: by default the requestor invokes and this side performs (PS3.7 D.3.3.4). */
function rolesOf(
  { performsFor, invokesFor }: SopClassPolicy,
  asked: RoleSelection | undefined,
  allowed: ReadonlySet<Right>,
): Roles {
  const { scuRole, scpRole } = asked ?? { scuRole: true, scpRole: false };
  return {
    mayPerform: scuRole && (performsFor === "anyone" || allowed.has(performsFor)),
    mayInvoke: scpRole && invokesFor !== "nobody" && allowed.has(invokesFor),
  };
}

/** The answer says which of the roles that the requestor proposed it gets; none for what is not accepted at all. */
function answerRole({ sopClassUid }: RoleSelection, roles: Roles | undefined): RoleSelection[] {
  return roles ? [{ sopClassUid, scuRole: roles.mayPerform, scpRole: roles.mayInvoke }] : [];
}

function chooseSyntax({ transferSyntaxUids, orderOf }: SopClassPolicy, proposed: readonly string[]) {
  const [first, second] = orderOf === "requestor" ? [proposed, transferSyntaxUids] : [transferSyntaxUids, proposed];
  return first.find((uid) => second.includes(uid));
}

/** Both numbers are of what the requestor does; 0 means any number (PS3.7 D.3.3.3). */
function windowOf(asked: OperationsWindow, most: OperationsWindow): OperationsWindow {
  return {
    maximumInvoked: Math.min(asked.maximumInvoked || Infinity, most.maximumInvoked),
    maximumPerformed: Math.min(asked.maximumPerformed || Infinity, most.maximumPerformed),
  };
}

/** An item may be there once for a SOP class; of several the last counts. */
function lastOfEach<Item extends { readonly sopClassUid: string }>(items: readonly Item[]): Item[] {
  return [...new Map(items.map((item) => [item.sopClassUid, item])).values()];
}
