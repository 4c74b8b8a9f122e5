/** Command sets (PS3.7 6.3, E) of checks: implicit VR little endian, by element number of group 0000. */

/** Elements of group 0000 (PS3.7 E.1-1). */
export const field = {
  affectedSopClass: 0x0002,
  requestedSopClass: 0x0003,
  command: 0x0100,
  messageId: 0x0110,
  respondedTo: 0x0120,
  moveDestination: 0x0600,
  priority: 0x0700,
  dataSetType: 0x0800,
  status: 0x0900,
  errorComment: 0x0902,
  affectedSopInstance: 0x1000,
  requestedSopInstance: 0x1001,
  eventType: 0x1002,
  actionType: 0x1008,
  remaining: 0x1020,
  completed: 0x1021,
  failed: 0x1022,
  warnings: 0x1023,
  moveOriginator: 0x1030,
  moveOriginatorMessageId: 0x1031,
} as const;

/** Command Field (0000,0100) of requests; a response has 0x8000 more. */
export const request = {
  store: 0x0001,
  get: 0x0010,
  find: 0x0020,
  move: 0x0021,
  echo: 0x0030,
  cancel: 0x0fff,
  eventReport: 0x0100,
  action: 0x0130,
} as const;

/** The bit that tells a response from a request. */
export const response = 0x8000;

/** Values by element: numbers are US, text is padded. */
export type Command = Readonly<Record<number, number | string>>;

/** Command Data Set Type of a message without one. */
export const noDataSet = 0x0101;

/** The bytes, with group length. */
export function writeCommand(command: Command): Buffer {
  const elements = Object.entries(command)
    .map(([element, value]) => [Number(element), value] as const)
    .toSorted(([one], [other]) => one - other)
    .map(([element, value]) => elementOf(element, valueOf(element, value)));
  const body = Buffer.concat(elements);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([elementOf(0, length), body]);
}

/** What the bytes say; text without padding. */
export function readCommand(bytes: Buffer): Command {
  const command: Record<number, number | string> = {};
  for (let at = 0; at + 8 <= bytes.length;) {
    const element = bytes.readUInt16LE(at + 2);
    const length = bytes.readUInt32LE(at + 4);
    const value = bytes.subarray(at + 8, at + 8 + length);
    if (element !== 0) command[element] = isText(element) ? textOf(value) : numberOf(value);
    at += 8 + length;
  }
  return command;
}

function isText(element: number): boolean {
  return [0x0002, 0x0003, 0x0600, 0x0902, 0x1000, 0x1001, 0x1030].includes(element);
}

function textOf(value: Buffer): string {
  return value.toString("latin1").replace(/[\0 ]+$/, "");
}

function numberOf(value: Buffer): number {
  return value.length >= 2 ? value.readUInt16LE(0) : 0;
}

function valueOf(element: number, value: number | string): Buffer {
  if (typeof value === "number") {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE(value);
    return bytes;
  }
  const padding = [0x0600, 0x0902, 0x1030].includes(element) ? " " : "\0";
  return Buffer.from(value.length % 2 === 0 ? value : value + padding, "latin1");
}

function elementOf(element: number, value: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16LE(element, 2);
  head.writeUInt32LE(value.length, 4);
  return Buffer.concat([head, value]);
}
