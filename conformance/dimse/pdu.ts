/** PDUs of the upper layer (PS3.8 9.3), written and read for checks: as the standard says, or deliberately not. */

/** PDU types (PS3.8 9.3.1). */
export const pduType = {
  associateRequest: 1,
  associateAccept: 2,
  associateReject: 3,
  data: 4,
  releaseRequest: 5,
  releaseResponse: 6,
  abort: 7,
} as const;

/** DICOM Application Context Name (PS3.7 A.2.1). */
export const applicationContext = "1.2.840.10008.3.1.1.1";

/** A presentation context as it is proposed. */
export interface Proposed {
  readonly id: number;
  readonly abstractSyntax: string;
  readonly transferSyntaxes: readonly string[];
}

/** SCP/SCU Role Selection (PS3.7 D.3.3.4). */
export interface Role {
  readonly sopClass: string;
  readonly scu: boolean;
  readonly scp: boolean;
}

/** An A-ASSOCIATE-RQ. */
export interface AssociateRequest {
  readonly calledAeTitle: string;
  readonly callingAeTitle: string;
  readonly contexts: readonly Proposed[];
  readonly maximumLength: number;
  readonly applicationContext: string;
  readonly roles: readonly Role[];
}

/** What an A-ASSOCIATE-AC says. */
export interface AssociateAccept {
  /** Result and transfer syntax by presentation context id, in the order of the answer. */
  readonly contexts: ReadonlyMap<number, { readonly result: number; readonly transferSyntax: string }>;
  readonly maximumLength: number;
  readonly roles: readonly Role[];
}

/** One PDU as it came. */
export interface Pdu {
  readonly type: number;
  readonly body: Buffer;
}

/** A PDU of a type around a body. */
export function pdu(type: number, body: Buffer): Buffer {
  const head = Buffer.alloc(6);
  head.writeUInt8(type, 0);
  head.writeUInt32BE(body.length, 2);
  return Buffer.concat([head, body]);
}

/** A-ASSOCIATE-RQ (PS3.8 9.3.2). */
export function associateRequest(request: AssociateRequest): Buffer {
  const fixed = Buffer.alloc(68);
  fixed.writeUInt16BE(1, 0);
  fixed.write(request.calledAeTitle.padEnd(16), 4, "latin1");
  fixed.write(request.callingAeTitle.padEnd(16), 20, "latin1");
  const contexts = request.contexts.map(({ id, abstractSyntax, transferSyntaxes }) =>
    item(
      0x20,
      Buffer.concat([
        Buffer.from([id, 0, 0, 0]),
        textItem(0x30, abstractSyntax),
        ...transferSyntaxes.map((uid) => textItem(0x40, uid)),
      ]),
    ),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32BE(request.maximumLength);
  const roles = request.roles.map(({ sopClass, scu, scp }) => {
    const uidLength = Buffer.alloc(2);
    uidLength.writeUInt16BE(sopClass.length);
    return item(0x54, Buffer.concat([uidLength, Buffer.from(sopClass), Buffer.from([Number(scu), Number(scp)])]));
  });
  const information = [item(0x51, length), textItem(0x52, "2.25.318261730213547819420617"), ...roles];
  const body = [fixed, textItem(0x10, request.applicationContext), ...contexts, item(0x50, Buffer.concat(information))];
  return pdu(pduType.associateRequest, Buffer.concat(body));
}

/** Reads an A-ASSOCIATE-AC (PS3.8 9.3.3). */
export function readAccept(body: Buffer): AssociateAccept {
  const contexts = new Map<number, { result: number; transferSyntax: string }>();
  const roles: Role[] = [];
  let maximumLength = 0;
  for (const { type, value } of items(body.subarray(68))) {
    if (type === 0x21) {
      const [syntax] = items(value.subarray(4));
      contexts.set(value.readUInt8(0), {
        result: value.readUInt8(2),
        transferSyntax: syntax?.value.toString("latin1") ?? "",
      });
    }
    if (type !== 0x50) continue;
    for (const { type: kind, value: bytes } of items(value)) {
      if (kind === 0x51) maximumLength = bytes.readUInt32BE(0);
      if (kind === 0x54) roles.push(roleOf(bytes));
    }
  }
  return { contexts, maximumLength, roles };
}

/** Reads an A-ASSOCIATE-RQ, as far as a receiver of instances needs it. */
export function readRequest(body: Buffer): Pick<AssociateRequest, "contexts" | "maximumLength"> {
  const contexts: Proposed[] = [];
  let maximumLength = 0;
  for (const { type, value } of items(body.subarray(68))) {
    if (type === 0x20) {
      const syntaxes = items(value.subarray(4));
      const named = (wanted: number) => syntaxes.filter((one) => one.type === wanted).map((one) => String(one.value));
      const [abstractSyntax = ""] = named(0x30);
      contexts.push({ id: value.readUInt8(0), abstractSyntax, transferSyntaxes: named(0x40) });
    }
    if (type !== 0x50) continue;
    const length = items(value).find((one) => one.type === 0x51);
    maximumLength = length?.value.readUInt32BE(0) ?? 0;
  }
  return { contexts, maximumLength };
}

/** A-ASSOCIATE-AC that accepts every context of a request in the transfer syntax that it names first. */
export function acceptOf(body: Buffer): Buffer {
  const contexts = readRequest(body).contexts.map(({ id, transferSyntaxes: [first = ""] }) =>
    item(0x21, Buffer.concat([Buffer.from([id, 0, 0, 0]), textItem(0x40, first)])),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32BE(131_072);
  const information = Buffer.concat([item(0x51, length), textItem(0x52, "2.25.318261730213547819420617")]);
  const parts = [body.subarray(0, 68), textItem(0x10, applicationContext), ...contexts, item(0x50, information)];
  return pdu(pduType.associateAccept, Buffer.concat(parts));
}

/** P-DATA-TF PDUs of a command set or a data set, none longer than the receiver wants (PS3.8 9.3.5, E.2). */
export function dataPdus(contextId: number, isCommand: boolean, bytes: Buffer, longest: number): Buffer[] {
  const step = Math.max(1, longest - 6);
  const pdus: Buffer[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += step) {
    const part = bytes.subarray(at, at + step);
    const head = Buffer.alloc(6);
    head.writeUInt32BE(part.length + 2, 0);
    head.writeUInt8(contextId, 4);
    head.writeUInt8((isCommand ? 1 : 0) | (at + step >= bytes.length ? 2 : 0), 5);
    pdus.push(pdu(pduType.data, Buffer.concat([head, part])));
  }
  return pdus;
}

/** One Presentation Data Value. */
export interface DataValue {
  readonly contextId: number;
  readonly isCommand: boolean;
  readonly isLast: boolean;
  readonly bytes: Buffer;
}

/** The values in a P-DATA-TF PDU. */
export function dataValues(body: Buffer): DataValue[] {
  const values: DataValue[] = [];
  for (let at = 0; at < body.length;) {
    const length = body.readUInt32BE(at);
    const control = body.readUInt8(at + 5);
    values.push({
      contextId: body.readUInt8(at + 4),
      isCommand: (control & 1) !== 0,
      isLast: (control & 2) !== 0,
      bytes: body.subarray(at + 6, at + 4 + length),
    });
    at += 4 + length;
  }
  return values;
}

function roleOf(bytes: Buffer): Role {
  const length = bytes.readUInt16BE(0);
  const sopClass = bytes.toString("latin1", 2, 2 + length);
  return { sopClass, scu: bytes[2 + length] === 1, scp: bytes[3 + length] === 1 };
}

function item(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt8(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value]);
}

function textItem(type: number, text: string): Buffer {
  return item(type, Buffer.from(text, "latin1"));
}

function items(bytes: Buffer): { readonly type: number; readonly value: Buffer }[] {
  const found: { type: number; value: Buffer }[] = [];
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = bytes.readUInt16BE(at + 2);
    found.push({ type: bytes.readUInt8(at), value: bytes.subarray(at + 4, at + 4 + length) });
    at += 4 + length;
  }
  return found;
}
