/** Answers what a requestor proposes (PS3.8 9.3.3, PS3.7 D.3.3). */
import { transferSyntaxOf } from "../dicom/transfer-syntax.ts";
import { implementation } from "./implementation.ts";
import { type AssociateAccept, type AssociateRequest, contextResults } from "./pdu.ts";
import type { ServiceEntry } from "./services.ts";

/** What this application agrees to. */
export interface NegotiationPolicy {
  readonly services: readonly ServiceEntry[];
  /** Longest P-DATA-TF PDU that is asked of peers, in bytes. */
  readonly maximumLength: number;
}

/** The answer to a request. */
export function negotiate(request: AssociateRequest, policy: NegotiationPolicy): { readonly accept: AssociateAccept } {
  const known = new Set(
    policy.services.flatMap(({ sopClassUids }) => (sopClassUids === "storage" ? [] : sopClassUids)),
  );
  const isStored = policy.services.some(({ sopClassUids }) => sopClassUids === "storage");
  const isKnown = (uid: string) => known.has(uid) || (isStored && uid.startsWith("1.2.840.10008.5.1.4.1.1."));
  return {
    accept: {
      type: "A-ASSOCIATE-AC",
      protocolVersion: 1,
      calledAeTitle: request.calledAeTitle,
      callingAeTitle: request.callingAeTitle,
      applicationContextName: request.applicationContextName,
      presentationContexts: request.presentationContexts.map(({ id, abstractSyntaxUid, transferSyntaxUids }) => ({
        id,
        result: isKnown(abstractSyntaxUid) ? contextResults.acceptance : contextResults.abstractSyntaxNotSupported,
        transferSyntaxUid: transferSyntaxUids.find((uid) => transferSyntaxOf(uid)) ?? "",
      })),
      userInformation: {
        ...implementation,
        maximumLength: policy.maximumLength,
        roles: request.userInformation.roles,
        extendedNegotiations: [],
        commonExtendedNegotiations: [],
      },
    },
  };
}
