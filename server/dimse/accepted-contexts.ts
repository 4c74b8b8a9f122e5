/** The presentation contexts of an association, with the roles of one side (PS3.8 9.3.3.2, PS3.7 D.3.3.4). */
import type { AcceptedContext } from "./association.ts";
import { type AssociateAccept, type AssociateRequest, contextResults } from "./pdu.ts";

/**
 * What both sides agreed on, by presentation context id. Without a role that was asked for and answered, the requestor is
 * SCU and the acceptor SCP.
 */
export function acceptedContexts(
  request: AssociateRequest,
  accept: AssociateAccept,
  side: "requestor" | "acceptor",
): ReadonlyMap<number, AcceptedContext> {
  const proposed = new Map(request.presentationContexts.map((context) => [context.id, context]));
  const asked = new Map(request.userInformation.roles.map((role) => [role.sopClassUid, role]));
  const answered = new Map(accept.userInformation.roles.map((role) => [role.sopClassUid, role]));
  const contexts = new Map<number, AcceptedContext>();
  for (const { id, result, transferSyntaxUid } of accept.presentationContexts) {
    const context = proposed.get(id);
    if (!context || result !== contextResults.acceptance) continue;
    // A peer that chose what it was not offered could not be understood, nor understand.
    if (!context.transferSyntaxUids.includes(transferSyntaxUid)) continue;
    const { abstractSyntaxUid } = context;
    const [wanted, given] = [asked.get(abstractSyntaxUid), answered.get(abstractSyntaxUid)];
    const requestorIsScu = wanted && given ? wanted.scuRole && given.scuRole : true;
    const requestorIsScp = wanted && given ? wanted.scpRole && given.scpRole : false;
    contexts.set(id, {
      id,
      abstractSyntaxUid,
      transferSyntaxUid,
      mayInvoke: side === "requestor" ? requestorIsScu : requestorIsScp,
      mayPerform: side === "requestor" ? requestorIsScp : requestorIsScu,
    });
  }
  return contexts;
}
