/** Command sets (PS3.7 6.3, Annex E): implicit VR little endian, group 0000, between bytes and named fields. */
import { withoutPadding } from "../dicom/data-set.ts";

/** Command Field (0000,0100) values (PS3.7 E.1-1). */
export const commandFields = {
  cStoreRequest: 0x0001,
  cStoreResponse: 0x8001,
  cGetRequest: 0x0010,
  cGetResponse: 0x8010,
  cFindRequest: 0x0020,
  cFindResponse: 0x8020,
  cMoveRequest: 0x0021,
  cMoveResponse: 0x8021,
  cEchoRequest: 0x0030,
  cEchoResponse: 0x8030,
  cCancelRequest: 0x0fff,
  nEventReportRequest: 0x0100,
  nEventReportResponse: 0x8100,
  nGetRequest: 0x0110,
  nGetResponse: 0x8110,
  nSetRequest: 0x0120,
  nSetResponse: 0x8120,
  nActionRequest: 0x0130,
  nActionResponse: 0x8130,
  nCreateRequest: 0x0140,
  nCreateResponse: 0x8140,
  nDeleteRequest: 0x0150,
  nDeleteResponse: 0x8150,
} as const;

/** Bit that tells a response from a request. */
export const responseBit = 0x8000;

/** Priority (0000,0700) (PS3.7 E.1-1). */
export const priorities = { medium: 0, high: 1, low: 2 } as const;

/** Command Data Set Type (0000,0800) of a message without a data set; any other value says that one follows. */
const noDataSet = 0x0101;
const someDataSet = 0x0000;

/** The fields of a command set. */
export interface Command {
  readonly commandField: number;
  readonly messageId?: number | undefined;
  readonly messageIdBeingRespondedTo?: number | undefined;
  readonly affectedSopClassUid?: string | undefined;
  readonly requestedSopClassUid?: string | undefined;
  readonly affectedSopInstanceUid?: string | undefined;
  readonly requestedSopInstanceUid?: string | undefined;
  readonly priority?: number | undefined;
  readonly status?: number | undefined;
  /** Tags, each of eight hexadecimal digits. */
  readonly offendingElements?: readonly string[] | undefined;
  readonly errorComment?: string | undefined;
  readonly errorId?: number | undefined;
  readonly moveDestination?: string | undefined;
  readonly moveOriginatorAeTitle?: string | undefined;
  readonly moveOriginatorMessageId?: number | undefined;
  readonly numberOfRemainingSuboperations?: number | undefined;
  readonly numberOfCompletedSuboperations?: number | undefined;
  readonly numberOfFailedSuboperations?: number | undefined;
  readonly numberOfWarningSuboperations?: number | undefined;
  readonly eventTypeId?: number | undefined;
  readonly actionTypeId?: number | undefined;
  /** Whether a data set follows; of a message to be sent it is not looked at. */
  readonly hasDataSet?: boolean | undefined;
}

type NumberField = {
  [Name in keyof Command]-?: NonNullable<Command[Name]> extends number ? Name : never;
}[keyof Command];
type TextField = { [Name in keyof Command]-?: NonNullable<Command[Name]> extends string ? Name : never }[keyof Command];

type Row =
  | readonly [element: number, vr: "US", name: NumberField]
  | readonly [element: number, vr: "UI" | "AE" | "LO", name: TextField];

/** Elements of group 0000 that have one value (PS3.7 E.1-1), in ascending order. */
const rows: readonly Row[] = [
  [0x0002, "UI", "affectedSopClassUid"],
  [0x0003, "UI", "requestedSopClassUid"],
  [0x0100, "US", "commandField"],
  [0x0110, "US", "messageId"],
  [0x0120, "US", "messageIdBeingRespondedTo"],
  [0x0600, "AE", "moveDestination"],
  [0x0700, "US", "priority"],
  [0x0900, "US", "status"],
  [0x0902, "LO", "errorComment"],
  [0x0903, "US", "errorId"],
  [0x1000, "UI", "affectedSopInstanceUid"],
  [0x1001, "UI", "requestedSopInstanceUid"],
  [0x1002, "US", "eventTypeId"],
  [0x1008, "US", "actionTypeId"],
  [0x1020, "US", "numberOfRemainingSuboperations"],
  [0x1021, "US", "numberOfCompletedSuboperations"],
  [0x1022, "US", "numberOfFailedSuboperations"],
  [0x1023, "US", "numberOfWarningSuboperations"],
  [0x1030, "AE", "moveOriginatorAeTitle"],
  [0x1031, "US", "moveOriginatorMessageId"],
];

const rowByElement: ReadonlyMap<number, Row> = new Map(rows.map((row) => [row[0], row]));
const dataSetType = 0x0800;
const offendingElement = 0x0901;

/** Longest Error Comment (0000,0902): LO of 64 characters. */
const longestComment = 64;

/** Longest command set that is read, in bytes: the fields above need a tenth of it. */
export const longestCommandSet = 64 * 1024;

/** A command set that cannot be understood. */
export class CommandFault extends Error {
  override readonly name = "CommandFault";
}

/** The bytes of a command set with its group length. */
export function encodeCommand(command: Command, hasDataSet: boolean): Buffer {
  const elements: (readonly [number, Buffer])[] = [[dataSetType, unsignedShort(hasDataSet ? someDataSet : noDataSet)]];
  for (const row of rows) {
    const bytes = valueOf(row, command);
    if (bytes) elements.push([row[0], bytes]);
  }
  const { offendingElements } = command;
  if (offendingElements && offendingElements.length > 0) {
    elements.push([offendingElement, Buffer.concat(offendingElements.map((tag) => tagBytes(tag)))]);
  }
  elements.sort(([one], [other]) => one - other);
  const length = elements.reduce((sum, [, bytes]) => sum + 8 + bytes.length, 0);
  const whole = Buffer.alloc(12 + length);
  whole.writeUInt32LE(4, 4);
  whole.writeUInt32LE(length, 8);
  let at = 12;
  for (const [element, bytes] of elements) {
    whole.writeUInt16LE(element, at + 2);
    whole.writeUInt32LE(bytes.length, at + 4);
    bytes.copy(whole, at + 8);
    at += 8 + bytes.length;
  }
  return whole;
}

function valueOf(row: Row, command: Command): Buffer | undefined {
  if (row[1] === "US") {
    const number = command[row[2]];
    return number === undefined ? undefined : unsignedShort(number);
  }
  const text = command[row[2]];
  if (text === undefined) return undefined;
  // A command set has the default repertoire (PS3.7 6.3.1).
  const plain = (row[1] === "LO" ? text.slice(0, longestComment) : text).replaceAll(/[^\x20-\x7e]/g, "?");
  return Buffer.from(plain.length % 2 === 0 ? plain : plain + (row[1] === "UI" ? "\0" : " "), "latin1");
}

function unsignedShort(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value & 0xffff);
  return bytes;
}

function tagBytes(tag: string): Buffer {
  const number = Number.parseInt(tag, 16);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16LE(number >>> 16);
  bytes.writeUInt16LE(number & 0xffff, 2);
  return bytes;
}

/**
 * Reads a whole command set. Elements that are not in the table are passed over, as is a wrong group length.
 * @throws CommandFault when the bytes are no command set, or it lacks Command Field or Command Data Set Type
 */
export function decodeCommand(bytes: Buffer): Command & { readonly hasDataSet: boolean } {
  const fields: { -readonly [Name in NumberField]?: number } & { -readonly [Name in TextField]?: string } = {};
  let offendingElements: string[] | undefined;
  let hasDataSet: boolean | undefined;
  let at = 0;
  while (at < bytes.length) {
    if (at + 8 > bytes.length) throw new CommandFault("The command set ends within an element.");
    const group = bytes.readUInt16LE(at);
    const element = bytes.readUInt16LE(at + 2);
    const length = bytes.readUInt32LE(at + 4);
    const value = bytes.subarray(at + 8, at + 8 + length);
    if (group !== 0) throw new CommandFault("The command set has an element of another group than 0000.");
    if (value.length < length) throw new CommandFault("An element of the command set is longer than the command set.");
    at += 8 + length;
    const row = rowByElement.get(element);
    if (element === dataSetType && length >= 2) hasDataSet = value.readUInt16LE() !== noDataSet;
    else if (element === offendingElement) offendingElements = tagsOf(value);
    else if (row?.[1] === "US" && length >= 2) fields[row[2]] = value.readUInt16LE();
    else if (row && row[1] !== "US") fields[row[2]] = withoutPadding(value.toString("latin1")).trimStart();
  }
  const { commandField } = fields;
  if (commandField === undefined) throw new CommandFault("The command set has no Command Field (0000,0100).");
  if (hasDataSet === undefined) throw new CommandFault("The command set has no Command Data Set Type (0000,0800).");
  return { ...fields, ...(offendingElements && { offendingElements }), commandField, hasDataSet };
}

function tagsOf(value: Buffer): string[] {
  return Array.from({ length: Math.floor(value.length / 4) }, (_, index) => {
    const number = value.readUInt16LE(index * 4) * 0x10000 + value.readUInt16LE(index * 4 + 2);
    return number.toString(16).toUpperCase().padStart(8, "0");
  });
}
