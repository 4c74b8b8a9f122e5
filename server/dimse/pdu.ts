/** Protocol data units of the upper layer (PS3.8 9.3), as values. */

/** PDU types (PS3.8 9.3.1). */
export const pduTypes = {
  associateRequest: 0x01,
  associateAccept: 0x02,
  associateReject: 0x03,
  dataTransfer: 0x04,
  releaseRequest: 0x05,
  releaseResponse: 0x06,
  abort: 0x07,
} as const;

/** DICOM Application Context Name (PS3.7 A.2.1). */
export const dicomApplicationContext = "1.2.840.10008.3.1.1.1";

/** A presentation context as the requestor proposes it (PS3.8 9.3.2.2). */
export interface ProposedContext {
  /** Odd, 1 to 255; unique in the association, in any order. */
  readonly id: number;
  readonly abstractSyntaxUid: string;
  readonly transferSyntaxUids: readonly string[];
}

/** Result of a presentation context (PS3.8 Table 9-18). */
export const contextResults = {
  acceptance: 0,
  userRejection: 1,
  noReason: 2,
  abstractSyntaxNotSupported: 3,
  transferSyntaxesNotSupported: 4,
} as const;

/** What the acceptor answers of a presentation context (PS3.8 9.3.3.2). */
export interface AnsweredContext {
  readonly id: number;
  readonly result: number;
  /** Not significant unless `result` is acceptance. */
  readonly transferSyntaxUid: string;
}

/** SCP/SCU Role Selection (PS3.7 D.3.3.4): which roles the requestor of the association plays for a SOP class. */
export interface RoleSelection {
  readonly sopClassUid: string;
  readonly scuRole: boolean;
  readonly scpRole: boolean;
}

/** SOP Class Extended Negotiation (PS3.7 D.3.3.5). */
export interface ExtendedNegotiation {
  readonly sopClassUid: string;
  readonly serviceClassApplicationInformation: Buffer;
}

/** SOP Class Common Extended Negotiation (PS3.7 D.3.3.6); in requests alone. */
export interface CommonExtendedNegotiation {
  readonly sopClassUid: string;
  readonly serviceClassUid: string;
  readonly relatedGeneralSopClassUids: readonly string[];
}

/** Asynchronous Operations Window (PS3.7 D.3.3.3); 0 means unlimited. */
export interface OperationsWindow {
  readonly maximumInvoked: number;
  readonly maximumPerformed: number;
}

/** User Identity (PS3.7 D.3.3.7): 1 username, 2 username and passcode, 3 Kerberos, 4 SAML, 5 JWT. */
export interface UserIdentity {
  readonly type: number;
  readonly positiveResponseRequested: boolean;
  readonly primaryField: Buffer;
  readonly secondaryField: Buffer;
}

/** User Information (PS3.8 D.1, PS3.7 D.3.3) of a request or an acceptance. */
export interface UserInformation {
  /** Longest P-DATA-TF PDU, in bytes behind its first six, that the sender of this wants to get; 0 for any. */
  readonly maximumLength: number;
  readonly implementationClassUid: string;
  readonly implementationVersionName?: string | undefined;
  readonly operationsWindow?: OperationsWindow | undefined;
  readonly roles: readonly RoleSelection[];
  readonly extendedNegotiations: readonly ExtendedNegotiation[];
  readonly commonExtendedNegotiations: readonly CommonExtendedNegotiation[];
  /** In a request. */
  readonly userIdentity?: UserIdentity | undefined;
  /** In an acceptance. */
  readonly userIdentityResponse?: Buffer | undefined;
}

/** A-ASSOCIATE-RQ (PS3.8 9.3.2). Titles are without padding. */
export interface AssociateRequest {
  readonly type: "A-ASSOCIATE-RQ";
  /** Bit 0 is version 1. */
  readonly protocolVersion: number;
  readonly calledAeTitle: string;
  readonly callingAeTitle: string;
  readonly applicationContextName: string;
  readonly presentationContexts: readonly ProposedContext[];
  readonly userInformation: UserInformation;
}

/** A-ASSOCIATE-AC (PS3.8 9.3.3). */
export interface AssociateAccept {
  readonly type: "A-ASSOCIATE-AC";
  readonly protocolVersion: number;
  readonly calledAeTitle: string;
  readonly callingAeTitle: string;
  readonly applicationContextName: string;
  readonly presentationContexts: readonly AnsweredContext[];
  readonly userInformation: UserInformation;
}

/** A-ASSOCIATE-RJ (PS3.8 Table 9-21). */
export interface AssociateReject {
  readonly type: "A-ASSOCIATE-RJ";
  /** 1 permanent, 2 transient. */
  readonly result: number;
  /** 1 service user, 2 service provider (ACSE), 3 service provider (presentation). */
  readonly source: number;
  readonly reason: number;
}

/** A-RELEASE-RQ (PS3.8 9.3.6). */
export interface ReleaseRequest {
  readonly type: "A-RELEASE-RQ";
}

/** A-RELEASE-RP (PS3.8 9.3.7). */
export interface ReleaseResponse {
  readonly type: "A-RELEASE-RP";
}

/** A-ABORT (PS3.8 Table 9-26). */
export interface Abort {
  readonly type: "A-ABORT";
  /** 0 service user, 2 service provider. */
  readonly source: number;
  /** Significant when the service provider aborts. */
  readonly reason: number;
}

/** PDUs but P-DATA-TF: small, and whole when they are given. */
export type ControlPdu =
  | AssociateRequest
  | AssociateAccept
  | AssociateReject
  | ReleaseRequest
  | ReleaseResponse
  | Abort;

/**
 * A piece of a Presentation Data Value of a P-DATA-TF PDU (PS3.8 9.3.5, Annex E.2), as it came from the network: a PDV is
 * given in as many pieces as the network made of it, so that none is put together.
 */
export interface DataFragment {
  readonly type: "P-DATA-TF";
  readonly contextId: number;
  readonly isCommand: boolean;
  /** Whether this piece ends the command set or the data set. */
  readonly isLast: boolean;
  readonly bytes: Buffer;
}

/** Reasons of an A-ABORT by the service provider (PS3.8 Table 9-26). */
export const abortReasons = {
  notSpecified: 0,
  unrecognizedPdu: 1,
  unexpectedPdu: 2,
  unrecognizedParameter: 4,
  unexpectedParameter: 5,
  invalidParameterValue: 6,
} as const;

/** Bytes that are no PDU, or one that cannot be; `reason` goes into the A-ABORT. */
export class PduFault extends Error {
  override readonly name = "PduFault";
  readonly reason: number;

  constructor(reason: number, message: string) {
    super(message);
    this.reason = reason;
  }
}
