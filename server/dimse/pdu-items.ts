/** Reads the items of A-ASSOCIATE-RQ and A-ASSOCIATE-AC (PS3.8 9.3.2, 9.3.3, Annex D; PS3.7 D.3.3). */
import { withoutPadding } from "../dicom/data-set.ts";
import {
  abortReasons,
  contextResults,
  PduFault,
  type AnsweredContext,
  type AssociateAccept,
  type AssociateRequest,
  type CommonExtendedNegotiation,
  type ExtendedNegotiation,
  type ProposedContext,
  type RoleSelection,
  type UserIdentity,
  type UserInformation,
} from "./pdu.ts";

/** Types of items and sub-items (PS3.8 9.3.2, 9.3.3, D.1; PS3.7 D.3.3). */
export const itemTypes = {
  applicationContext: 0x10,
  proposedContext: 0x20,
  answeredContext: 0x21,
  abstractSyntax: 0x30,
  transferSyntax: 0x40,
  userInformation: 0x50,
  maximumLength: 0x51,
  implementationClassUid: 0x52,
  operationsWindow: 0x53,
  roleSelection: 0x54,
  implementationVersionName: 0x55,
  extendedNegotiation: 0x56,
  commonExtendedNegotiation: 0x57,
  userIdentity: 0x58,
  userIdentityResponse: 0x59,
} as const;

/** Bytes in front of the items: protocol version, titles and reserved fields (PS3.8 Table 9-11). */
const fixedLength = 68;

/** What a peer is sent at most that does not say what it takes: every implementation takes that much. */
const unsaidMaximumLength = 16_384;

/**
 * Reads what follows the PDU header of an A-ASSOCIATE-RQ. Items that are not known are passed over, as is whatever
 * follows the last known field of an item.
 * @throws PduFault
 */
export function decodeAssociateRequest(body: Buffer): AssociateRequest {
  const { proposed, answered: _ignored, ...rest } = decodeAssociate(body);
  return { type: "A-ASSOCIATE-RQ", ...rest, presentationContexts: proposed };
}

/**
 * Reads what follows the PDU header of an A-ASSOCIATE-AC.
 * @throws PduFault
 */
export function decodeAssociateAccept(body: Buffer): AssociateAccept {
  const { proposed: _ignored, answered, ...rest } = decodeAssociate(body);
  return { type: "A-ASSOCIATE-AC", ...rest, presentationContexts: answered };
}

function decodeAssociate(body: Buffer) {
  if (body.length < fixedLength) throw fault("The A-ASSOCIATE PDU is too short.");
  let applicationContextName: string | undefined;
  let userInformation: UserInformation | undefined;
  const proposed: ProposedContext[] = [];
  const answered: AnsweredContext[] = [];
  for (const { type, value } of itemsOf(body.subarray(fixedLength))) {
    if (type === itemTypes.applicationContext) {
      if (applicationContextName !== undefined) throw unexpected("There are two application contexts.");
      applicationContextName = uidOf(value);
    } else if (type === itemTypes.proposedContext) add(proposedContextOf(value), proposed);
    else if (type === itemTypes.answeredContext) add(answeredContextOf(value), answered);
    else if (type === itemTypes.userInformation) {
      if (userInformation) throw unexpected("There are two user information items.");
      userInformation = userInformationOf(value);
    }
  }
  if (applicationContextName === undefined) throw fault("There is no application context.");
  return {
    protocolVersion: body.readUInt16BE(0),
    calledAeTitle: titleOf(body.subarray(4, 20)),
    callingAeTitle: titleOf(body.subarray(20, 36)),
    applicationContextName,
    userInformation: userInformation ?? userInformationOf(Buffer.alloc(0)),
    proposed,
    answered,
  };
}

/** Ids are odd and name one context each (PS3.8 Table 9-13), so that there are 128 contexts at most. */
function add<Context extends { readonly id: number }>(context: Context, contexts: Context[]): void {
  if (context.id % 2 === 0) throw fault("A presentation context id is even.");
  if (contexts.some(({ id }) => id === context.id)) throw fault("A presentation context id is there twice.");
  contexts.push(context);
}

/** A context without abstract or transfer syntax is kept, for the acceptor to refuse it alone. */
function proposedContextOf(value: Buffer): ProposedContext {
  const fields = new Fields(value);
  const id = fields.byte();
  fields.bytes(3);
  const abstractSyntaxUids: string[] = [];
  const transferSyntaxUids: string[] = [];
  for (const item of itemsOf(fields.rest())) {
    if (item.type === itemTypes.abstractSyntax) abstractSyntaxUids.push(uidOf(item.value));
    else if (item.type === itemTypes.transferSyntax) transferSyntaxUids.push(uidOf(item.value));
  }
  if (abstractSyntaxUids.length > 1) throw unexpected("A presentation context has two abstract syntaxes.");
  return { id, abstractSyntaxUid: abstractSyntaxUids[0] ?? "", transferSyntaxUids };
}

function answeredContextOf(value: Buffer): AnsweredContext {
  const fields = new Fields(value);
  const id = fields.byte();
  fields.byte();
  const result = fields.byte();
  fields.byte();
  const transferSyntaxUids: string[] = [];
  for (const item of itemsOf(fields.rest())) {
    if (item.type === itemTypes.transferSyntax) transferSyntaxUids.push(uidOf(item.value));
  }
  const [transferSyntaxUid = ""] = transferSyntaxUids;
  if (result === contextResults.acceptance && (transferSyntaxUids.length > 1 || transferSyntaxUid === "")) {
    throw fault("A presentation context is accepted without telling the one transfer syntax.");
  }
  return { id, result, transferSyntaxUid };
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

function userInformationOf(value: Buffer): UserInformation {
  const roles: RoleSelection[] = [];
  const extendedNegotiations: ExtendedNegotiation[] = [];
  const commonExtendedNegotiations: CommonExtendedNegotiation[] = [];
  const information: Writable<UserInformation> = {
    maximumLength: unsaidMaximumLength,
    implementationClassUid: "",
    roles,
    extendedNegotiations,
    commonExtendedNegotiations,
  };
  for (const item of itemsOf(value)) {
    const fields = new Fields(item.value);
    if (item.type === itemTypes.maximumLength) information.maximumLength = fields.long();
    else if (item.type === itemTypes.implementationClassUid) information.implementationClassUid = uidOf(item.value);
    else if (item.type === itemTypes.implementationVersionName) {
      information.implementationVersionName = textOf(item.value);
    } else if (item.type === itemTypes.operationsWindow) {
      information.operationsWindow = { maximumInvoked: fields.short(), maximumPerformed: fields.short() };
    } else if (item.type === itemTypes.roleSelection) roles.push(roleSelectionOf(fields));
    else if (item.type === itemTypes.extendedNegotiation) extendedNegotiations.push(extendedNegotiationOf(fields));
    else if (item.type === itemTypes.commonExtendedNegotiation) {
      commonExtendedNegotiations.push(commonExtendedNegotiationOf(fields));
    } else if (item.type === itemTypes.userIdentity) information.userIdentity = userIdentityOf(fields);
    else if (item.type === itemTypes.userIdentityResponse) information.userIdentityResponse = fields.counted();
  }
  return information;
}

function roleSelectionOf(fields: Fields): RoleSelection {
  const sopClassUid = uidOf(fields.counted());
  return { sopClassUid, scuRole: fields.byte() === 1, scpRole: fields.byte() === 1 };
}

function extendedNegotiationOf(fields: Fields): ExtendedNegotiation {
  const sopClassUid = uidOf(fields.counted());
  return { sopClassUid, serviceClassApplicationInformation: Buffer.from(fields.rest()) };
}

function commonExtendedNegotiationOf(fields: Fields): CommonExtendedNegotiation {
  const sopClassUid = uidOf(fields.counted());
  const serviceClassUid = uidOf(fields.counted());
  const relatedGeneralSopClassUids: string[] = [];
  // Version 0 of the sub-item may end here (PS3.7 D.3.3.6.1).
  const related = new Fields(fields.isAtEnd ? Buffer.alloc(0) : fields.counted());
  while (!related.isAtEnd) relatedGeneralSopClassUids.push(uidOf(related.counted()));
  return { sopClassUid, serviceClassUid, relatedGeneralSopClassUids };
}

function userIdentityOf(fields: Fields): UserIdentity {
  const type = fields.byte();
  const positiveResponseRequested = fields.byte() === 1;
  const primaryField = fields.counted();
  // Some leave the secondary field out, length and all, where their type has none.
  const secondaryField = fields.isAtEnd ? Buffer.alloc(0) : fields.counted();
  return { type, positiveResponseRequested, primaryField, secondaryField };
}

interface Item {
  readonly type: number;
  readonly value: Buffer;
}

/** The items that `bytes` are made of: type, reserved byte, length of two bytes, value. */
function* itemsOf(bytes: Buffer): Generator<Item> {
  const fields = new Fields(bytes);
  while (!fields.isAtEnd) {
    const type = fields.byte();
    fields.byte();
    yield { type, value: fields.bytes(fields.short()) };
  }
}

/** Fixed and counted fields in their order. */
class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  byte(): number {
    return this.bytes(1).readUInt8();
  }

  short(): number {
    return this.bytes(2).readUInt16BE();
  }

  long(): number {
    return this.bytes(4).readUInt32BE();
  }

  bytes(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw fault("An item of the A-ASSOCIATE PDU is longer than what it is part of.");
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  /** A field behind its length of two bytes; a copy, which does not hold the PDU in memory. */
  counted(): Buffer {
    return Buffer.from(this.bytes(this.short()));
  }

  rest(): Buffer {
    return this.bytes(this.#bytes.length - this.#at);
  }
}

/** A title ends at its first NUL, where C programs pad with what was there; spaces around it are not significant. */
function titleOf(bytes: Buffer): string {
  return bytes.toString("latin1").split("\0", 1).join("").trim();
}

function textOf(bytes: Buffer): string {
  return withoutPadding(bytes.toString("latin1"));
}

/** UIDs are not padded (PS3.8 Annex F); some peers do it all the same. */
function uidOf(bytes: Buffer): string {
  return textOf(bytes).trimStart();
}

function fault(message: string): PduFault {
  return new PduFault(abortReasons.invalidParameterValue, message);
}

function unexpected(message: string): PduFault {
  return new PduFault(abortReasons.unexpectedParameter, message);
}
