/** PDUs as bytes (PS3.8 9.3). */
import { itemTypes } from "./pdu-items.ts";
import { pduTypes, type AssociateAccept, type AssociateRequest, type ControlPdu, type UserInformation } from "./pdu.ts";

/** Bytes of an AE title field (PS3.8 Table 9-11). */
const titleLength = 16;

/** Longest Implementation Version Name (PS3.7 D.3.3.2.3). */
const longestVersionName = 16;

/** Bytes that `dataTransferHeader` makes. */
export const dataTransferHeaderLength = 12;

/**
 * The bytes of a PDU. UIDs are not padded (PS3.8 Annex F).
 * @throws RangeError when a title has more than 16 characters, or an item more than 65,535 bytes
 */
export function encodePdu(pdu: ControlPdu): Buffer {
  if (pdu.type === "A-ASSOCIATE-RQ") return associateRequest(pdu);
  if (pdu.type === "A-ASSOCIATE-AC") return associateAccept(pdu);
  if (pdu.type === "A-ASSOCIATE-RJ") {
    return withHeader(pduTypes.associateReject, [Buffer.of(0, pdu.result, pdu.source, pdu.reason)]);
  }
  if (pdu.type === "A-ABORT") return withHeader(pduTypes.abort, [Buffer.of(0, 0, pdu.source, pdu.reason)]);
  const type = pdu.type === "A-RELEASE-RQ" ? pduTypes.releaseRequest : pduTypes.releaseResponse;
  return withHeader(type, [Buffer.alloc(4)]);
}

function associateRequest(pdu: AssociateRequest): Buffer {
  const contexts = pdu.presentationContexts.map(({ id, abstractSyntaxUid, transferSyntaxUids }) =>
    item(
      itemTypes.proposedContext,
      Buffer.of(id, 0, 0, 0),
      item(itemTypes.abstractSyntax, text(abstractSyntaxUid)),
      ...transferSyntaxUids.map((uid) => item(itemTypes.transferSyntax, text(uid))),
    ),
  );
  return withHeader(pduTypes.associateRequest, associateParts(pdu, contexts));
}

function associateAccept(pdu: AssociateAccept): Buffer {
  const contexts = pdu.presentationContexts.map(({ id, result, transferSyntaxUid }) =>
    item(
      itemTypes.answeredContext,
      Buffer.of(id, 0, result, 0),
      item(itemTypes.transferSyntax, text(transferSyntaxUid)),
    ),
  );
  return withHeader(pduTypes.associateAccept, associateParts(pdu, contexts));
}

function associateParts(pdu: AssociateRequest | AssociateAccept, contexts: readonly Buffer[]): Buffer[] {
  return [
    short(pdu.protocolVersion),
    short(0),
    title(pdu.calledAeTitle),
    title(pdu.callingAeTitle),
    Buffer.alloc(32),
    item(itemTypes.applicationContext, text(pdu.applicationContextName)),
    ...contexts,
    userInformation(pdu.userInformation),
  ];
}

/** A P-DATA-TF PDU that holds one PDV is these bytes and then its value, of `length` bytes (PS3.8 9.3.5, Annex E.2). */
export function dataTransferHeader({
  contextId,
  isCommand,
  isLast,
  length,
}: {
  readonly contextId: number;
  readonly isCommand: boolean;
  readonly isLast: boolean;
  readonly length: number;
}): Buffer {
  const header = Buffer.allocUnsafe(dataTransferHeaderLength);
  header.writeUInt16BE(pduTypes.dataTransfer << 8, 0);
  header.writeUInt32BE(length + 6, 2);
  header.writeUInt32BE(length + 2, 6);
  header.writeUInt8(contextId, 10);
  header.writeUInt8((isCommand ? 1 : 0) | (isLast ? 2 : 0), 11);
  return header;
}

function withHeader(type: number, parts: readonly Buffer[]): Buffer {
  const header = Buffer.of(type, 0, 0, 0, 0, 0);
  header.writeUInt32BE(lengthOf(parts), 2);
  return Buffer.concat([header, ...parts]);
}

function title(name: string): Buffer {
  if (name.length > titleLength) throw new RangeError("An AE title has more than 16 characters.");
  return text(name.padEnd(titleLength, " "));
}

/** In ascending order of type. */
function userInformation(information: UserInformation): Buffer {
  const { implementationVersionName, operationsWindow, userIdentity, userIdentityResponse } = information;
  const items = [
    item(itemTypes.maximumLength, long(information.maximumLength)),
    item(itemTypes.implementationClassUid, text(information.implementationClassUid)),
  ];
  if (operationsWindow) {
    const { maximumInvoked, maximumPerformed } = operationsWindow;
    items.push(item(itemTypes.operationsWindow, short(maximumInvoked), short(maximumPerformed)));
  }
  for (const { sopClassUid, scuRole, scpRole } of information.roles) {
    items.push(item(itemTypes.roleSelection, counted(text(sopClassUid)), Buffer.of(scuRole ? 1 : 0, scpRole ? 1 : 0)));
  }
  if (implementationVersionName !== undefined) {
    items.push(item(itemTypes.implementationVersionName, text(implementationVersionName.slice(0, longestVersionName))));
  }
  for (const { sopClassUid, serviceClassApplicationInformation } of information.extendedNegotiations) {
    items.push(item(itemTypes.extendedNegotiation, counted(text(sopClassUid)), serviceClassApplicationInformation));
  }
  for (const { sopClassUid, serviceClassUid, relatedGeneralSopClassUids } of information.commonExtendedNegotiations) {
    const related = counted(...relatedGeneralSopClassUids.map((uid) => counted(text(uid))));
    items.push(
      item(itemTypes.commonExtendedNegotiation, counted(text(sopClassUid)), counted(text(serviceClassUid)), related),
    );
  }
  if (userIdentity) {
    const { type, positiveResponseRequested, primaryField, secondaryField } = userIdentity;
    const kind = Buffer.of(type, positiveResponseRequested ? 1 : 0);
    items.push(item(itemTypes.userIdentity, kind, counted(primaryField), counted(secondaryField)));
  }
  if (userIdentityResponse) items.push(item(itemTypes.userIdentityResponse, counted(userIdentityResponse)));
  return item(itemTypes.userInformation, ...items);
}

function item(type: number, ...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.of(type, 0), short(lengthOf(parts)), ...parts]);
}

/** A field behind its length of two bytes. */
function counted(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([short(lengthOf(parts)), ...parts]);
}

function lengthOf(parts: readonly Buffer[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

function text(value: string): Buffer {
  return Buffer.from(value, "latin1");
}

function short(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function long(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
