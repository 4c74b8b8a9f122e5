/** Command sets between bytes and named fields. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CommandFault, commandFields, decodeCommand, encodeCommand } from "../../server/dimse/command.ts";

/** C-ECHO-RQ as DCMTK's echoscu sends it. */
const echoRequest = Buffer.from(
  "00000000040000003800000000000200120000" +
    "00312e322e3834302e31303030382e312e3100000000010200000030000000100102000000010000000008020000000101",
  "hex",
);

describe("command sets", () => {
  it("are read and written as DCMTK writes them", () => {
    const command = decodeCommand(echoRequest);
    assert.deepEqual(command, {
      affectedSopClassUid: "1.2.840.10008.1.1",
      commandField: commandFields.cEchoRequest,
      messageId: 1,
      hasDataSet: false,
    });
    assert.equal(encodeCommand(command, false).toString("hex"), echoRequest.toString("hex"));
  });

  it("keep every field", () => {
    const command = {
      commandField: commandFields.cMoveResponse,
      messageId: 65_535,
      messageIdBeingRespondedTo: 7,
      affectedSopClassUid: "1.2.3",
      requestedSopClassUid: "1.2.34",
      affectedSopInstanceUid: "1.2.3.4",
      requestedSopInstanceUid: "1.2.3.45",
      priority: 2,
      status: 0xb000,
      offendingElements: ["00100020", "0020000D"],
      errorComment: "odd",
      errorId: 3,
      moveDestination: "WS 1",
      moveOriginatorAeTitle: "NOCTIS",
      moveOriginatorMessageId: 9,
      numberOfRemainingSuboperations: 1,
      numberOfCompletedSuboperations: 2,
      numberOfFailedSuboperations: 3,
      numberOfWarningSuboperations: 4,
      eventTypeId: 1,
      actionTypeId: 2,
    };
    assert.deepEqual(decodeCommand(encodeCommand(command, true)), { ...command, hasDataSet: true });
  });

  it("have elements in ascending order, of even length, and the length of the group", () => {
    const bytes = encodeCommand({ commandField: 1, errorComment: "odd", affectedSopClassUid: "1.2" }, true);
    assert.equal(bytes.readUInt32LE(8), bytes.length - 12);
    const elements: number[] = [];
    for (let at = 0; at < bytes.length; at += 8 + bytes.readUInt32LE(at + 4)) {
      elements.push(bytes.readUInt16LE(at + 2));
      assert.equal(bytes.readUInt32LE(at + 4) % 2, 0);
    }
    assert.deepEqual(elements, [0x0000, 0x0002, 0x0100, 0x0800, 0x0902]);
  });

  it("have comments of at most 64 characters of the default repertoire", () => {
    const { errorComment } = decodeCommand(
      encodeCommand({ commandField: 1, errorComment: `é${"x".repeat(99)}` }, false),
    );
    assert.equal(errorComment, `?${"x".repeat(63)}`);
  });

  it("are read with titles padded, a wrong group length and elements that nobody knows", () => {
    const bytes = Buffer.concat([
      Buffer.from("00000000040000000000ffff", "hex"),
      Buffer.from("0000000102000000 0100".replaceAll(" ", ""), "hex"),
      Buffer.from("0000000604000000", "hex"),
      Buffer.from(" WS "),
      Buffer.from("0000000802000000 0101".replaceAll(" ", ""), "hex"),
      Buffer.from("0000005102000000 0101".replaceAll(" ", ""), "hex"),
    ]);
    assert.deepEqual(decodeCommand(bytes), { commandField: 1, moveDestination: "WS", hasDataSet: false });
  });

  for (const [what, hex] of [
    ["ends within an element", "00000001"],
    ["has an element that is longer than it", "000000010200000001"],
    ["has an element of another group", "0800050002000000 4344".replaceAll(" ", "")],
    ["lacks Command Field", "00000008020000000101"],
    ["lacks Command Data Set Type", "00000001020000000100"],
  ] as const) {
    it(`are refused when one ${what}`, () => {
      assert.throws(() => decodeCommand(Buffer.from(hex, "hex")), CommandFault);
    });
  }
});
