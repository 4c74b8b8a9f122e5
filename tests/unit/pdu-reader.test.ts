/** The reader of PDUs: golden bytes at every chunk boundary, what is tolerated, what is refused and for what reason. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PduReader } from "../../server/dimse/pdu-reader.ts";
import { abortReasons, PduFault, type ControlPdu, type DataFragment } from "../../server/dimse/pdu.ts";
import { goldenPdus, hex, recordedAssociation } from "../support/golden-pdus.ts";

/** Everything that `chunks` hold; pieces of a PDV are put together. */
function readAll(chunks: readonly Buffer[], isEstablished: boolean | "after-associate" = true) {
  const reader = new PduReader({ maximumLength: 16_384 });
  reader.isEstablished = isEstablished === true;
  const read: (ControlPdu | DataFragment)[] = [];
  let open: DataFragment | undefined;
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let pdu = reader.next(); pdu; pdu = reader.next()) {
      if (pdu.type.startsWith("A-ASSOCIATE") && isEstablished === "after-associate") reader.isEstablished = true;
      if (pdu.type !== "P-DATA-TF") {
        read.push(pdu);
        continue;
      }
      const bytes: Buffer = open ? Buffer.concat([open.bytes, pdu.bytes]) : pdu.bytes;
      open = { ...pdu, bytes };
      if (!pdu.isLast) continue;
      read.push(open);
      open = undefined;
    }
  }
  return read;
}

function eachByte(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.of(byte));
}

function faultOf(bytes: Buffer, isEstablished: boolean): number {
  try {
    readAll([bytes], isEstablished);
  } catch (error) {
    assert.ok(error instanceof PduFault);
    return error.reason;
  }
  return assert.fail("it is not refused");
}

/** An A-ASSOCIATE-RQ of these items. */
function request(...items: readonly string[]): Buffer {
  const content = hex(`0001 0000 "NOCTIS          CT1             " ${"00".repeat(32)} ${items.join("\n")}`);
  const length = content.length.toString(16).padStart(8, "0");
  return Buffer.concat([hex(`01 00 ${length}`), content]);
}

const applicationContext = '10 00 0015 "1.2.840.10008.3.1.1.1"';
const verification = '20 00 002e 01 00 ff 00 30 00 0011 "1.2.840.10008.1.1" 40 00 0011 "1.2.840.10008.1.2"';
const userInformation = '50 00 0014 51 00 0004 00004000 52 00 0008 "1.2.3.44"';

function onlyRequest(bytes: Buffer) {
  const [pdu] = readAll([bytes], false);
  assert.ok(pdu?.type === "A-ASSOCIATE-RQ");
  return pdu;
}

describe("PDU reader", () => {
  for (const { name, bytes, pdu } of goldenPdus) {
    it(`reads ${name}, whole and one byte at a time`, () => {
      assert.deepEqual(readAll([bytes], false), [pdu]);
      assert.deepEqual(readAll(eachByte(bytes), false), [pdu]);
    });
  }

  for (const [side, bytes] of Object.entries(recordedAssociation)) {
    it(`reads what a ${side} of DCMTK sent the same at every chunk boundary`, () => {
      const whole = readAll([bytes], "after-associate");
      assert.deepEqual(
        whole.map((pdu) => (pdu.type === "P-DATA-TF" ? [pdu.contextId, pdu.isCommand, pdu.bytes.length] : pdu.type)),
        side === "requestor"
          ? ["A-ASSOCIATE-RQ", [1, true, 102], [1, false, 90], "A-RELEASE-RQ"]
          : ["A-ASSOCIATE-AC", [1, true, 102], "A-RELEASE-RP"],
      );
      assert.deepEqual(readAll(eachByte(bytes), "after-associate"), whole);
      for (let at = 1; at < bytes.length; at += 1) {
        assert.deepEqual(readAll([bytes.subarray(0, at), bytes.subarray(at)], "after-associate"), whole, `at ${at}`);
      }
    });
  }

  it("gives a PDV in the pieces that came, without copying any", () => {
    const reader = new PduReader({ maximumLength: 100 });
    reader.isEstablished = true;
    const first = hex('04 00 0000000e 0000000a 05 02 "abc"');
    const second = hex('"defgh" 04');
    reader.push(first);
    reader.push(second);
    const pieces = [reader.next(), reader.next(), reader.next()];
    assert.deepEqual(pieces, [
      { type: "P-DATA-TF", contextId: 5, isCommand: false, isLast: false, bytes: Buffer.from("abc") },
      { type: "P-DATA-TF", contextId: 5, isCommand: false, isLast: true, bytes: Buffer.from("defgh") },
      undefined,
    ]);
    const bytes = pieces.flatMap((piece) => (piece?.type === "P-DATA-TF" ? [piece.bytes] : []));
    assert.deepEqual(
      bytes.map((piece) => piece.buffer),
      [first.buffer, second.buffer],
    );
  });

  it("reads several PDVs of one PDU, empty ones among them, and a PDU without any", () => {
    const bytes = hex(`
      04 00 00000016  00000003 01 01 "A"  00000002 01 03  00000005 01 00 "abc"
      04 00 00000000
      04 00 00000006  00000002 01 02`);
    const reader = new PduReader({ maximumLength: 100 });
    reader.isEstablished = true;
    reader.push(bytes);
    const read = Array.from({ length: 5 }, () => reader.next());
    assert.deepEqual(
      read.map((pdu) => pdu?.type === "P-DATA-TF" && [pdu.isCommand, pdu.isLast, pdu.bytes.toString()]),
      [[true, false, "A"], [true, true, ""], [false, false, "abc"], [false, true, ""], false],
    );
  });

  it("tolerates a P-DATA-TF that is longer than agreed by its own headers, no more", () => {
    const header = (length: number) => {
      const bytes = hex("04 00 00000000 00000002 01 00");
      bytes.writeUInt32BE(length, 2);
      return bytes;
    };
    assert.equal(readAll([header(16_384 + 12)]).length, 0);
    assert.equal(faultOf(header(16_384 + 13), true), abortReasons.invalidParameterValue);
  });

  it("passes over items it does not know, and reads them in any order", () => {
    const pdu = onlyRequest(
      request(
        userInformation.replace("0014", "0019") + ' 5f 07 0001 "?"',
        '77 00 0003 "odd"',
        verification,
        applicationContext,
      ),
    );
    assert.equal(pdu.presentationContexts.length, 1);
    assert.equal(pdu.userInformation.implementationClassUid, "1.2.3.44");
  });

  it("takes titles and UIDs padded with NUL and spaces, and any reserved byte and version bit", () => {
    const bytes = request(
      '10 ff 0016 "1.2.840.10008.3.1.1.1" 00',
      verification.replaceAll('"1.2.840.10008.1.2"', '"1.2.840.10008.1  "'),
      userInformation,
    );
    bytes.fill(0xff, 42, 74);
    bytes.writeUInt16BE(0x8003, 6);
    hex('"NOCTIS" 00 "left over" " CT1" 000000000000000000000000').copy(bytes, 10);
    const { protocolVersion, calledAeTitle, callingAeTitle, applicationContextName, presentationContexts } =
      onlyRequest(bytes);
    assert.deepEqual(
      [protocolVersion, calledAeTitle, callingAeTitle, applicationContextName],
      [0x8003, "NOCTIS", "CT1", "1.2.840.10008.3.1.1.1"],
    );
    assert.deepEqual(presentationContexts[0]?.transferSyntaxUids, ["1.2.840.10008.1"]);
  });

  it("takes an item that goes on behind its last field, an identity without second field, and nothing said", () => {
    const pdu = onlyRequest(
      request(
        applicationContext,
        verification,
        '50 00 0025 51 00 0006 000080000000 53 00 0006 000200030000 58 00 0009 01 00 0005 "alice" 55 00 0000',
      ),
    );
    assert.deepEqual(pdu.userInformation, {
      maximumLength: 0x8000,
      implementationClassUid: "",
      implementationVersionName: "",
      operationsWindow: { maximumInvoked: 2, maximumPerformed: 3 },
      roles: [],
      extendedNegotiations: [],
      commonExtendedNegotiations: [],
      userIdentity: {
        type: 1,
        positiveResponseRequested: false,
        primaryField: Buffer.from("alice"),
        secondaryField: Buffer.alloc(0),
      },
    });
    assert.equal(onlyRequest(request(applicationContext, verification)).userInformation.maximumLength, 16_384);
  });

  it("keeps a context without syntaxes, to be refused alone", () => {
    const pdu = onlyRequest(request(applicationContext, "20 00 0004 07 00 00 00", verification));
    assert.deepEqual(pdu.presentationContexts[0], { id: 7, abstractSyntaxUid: "", transferSyntaxUids: [] });
  });

  const { invalidParameterValue, unexpectedParameter, unexpectedPdu, unrecognizedPdu } = abortReasons;
  const refused: readonly (readonly [what: string, bytes: Buffer, reason: number, isEstablished?: boolean])[] = [
    ["a type that is none", hex("08 00 00000004"), unrecognizedPdu],
    ["an HTTP request", hex('"GET / HTTP/1.1"'), unrecognizedPdu],
    ["4 GB of A-ASSOCIATE-RQ", hex("01 00 ffffffff"), invalidParameterValue],
    ["an A-ASSOCIATE-RQ of more than 1 MiB", hex("01 00 00100001"), invalidParameterValue],
    ["4 GB of P-DATA-TF before the association", hex("04 00 ffffffff"), unexpectedPdu],
    ["a short P-DATA-TF before the association", hex("04 00 00000006"), unexpectedPdu],
    ["4 GB of P-DATA-TF", hex("04 00 ffffffff"), invalidParameterValue, true],
    ["4 GB of A-ABORT", hex("07 00 ffffffff"), invalidParameterValue, true],
    ["a second A-ASSOCIATE-RQ", hex("01 00 00000100"), unexpectedPdu, true],
    ["a second A-ASSOCIATE-AC", hex("02 00 00000100"), unexpectedPdu, true],
    ["an A-RELEASE-RQ of 3 bytes", hex("05 00 00000003"), invalidParameterValue, true],
    ["an A-RELEASE-RQ of 5 bytes", hex("05 00 00000005"), invalidParameterValue, true],
    ["a PDV of length 1", hex("04 00 00000006 00000001 01 00"), invalidParameterValue, true],
    ["a PDV beyond its PDU", hex("04 00 00000008 00000005 01 00"), invalidParameterValue, true],
    ["a PDV of 4 GB", hex("04 00 00000008 ffffffff 01 00"), invalidParameterValue, true],
    ["a PDU that ends in a PDV's header", hex("04 00 0000000b 00000002 01 00"), invalidParameterValue, true],
    ["an A-ASSOCIATE-RQ without its fixed fields", hex("01 00 00000003 000100"), invalidParameterValue],
    ["no application context", request(verification, userInformation), invalidParameterValue],
    ["two application contexts", request(applicationContext, applicationContext), unexpectedParameter],
    ["two user information items", request(applicationContext, userInformation, userInformation), unexpectedParameter],
    ["an item beyond the PDU", request(applicationContext, "20 00 0005 01 00 00 00"), invalidParameterValue],
    ["half an item header", request(applicationContext, "20 00"), invalidParameterValue],
    [
      "a sub-item beyond its item",
      request(applicationContext, verification.replace('0011 "1.2.840.10008.1.2"', '0012 "1.2.840.10008.1.2"')),
      invalidParameterValue,
    ],
    [
      "an even presentation context id",
      request(applicationContext, verification.replace("01 00 ff 00", "02 00 ff 00")),
      invalidParameterValue,
    ],
    [
      "a presentation context id that is there twice",
      request(applicationContext, verification, verification),
      invalidParameterValue,
    ],
    [
      "two abstract syntaxes",
      request(applicationContext, '20 00 0014 01 00 00 00 30 00 0004 "1.23" 30 00 0004 "1.24"'),
      unexpectedParameter,
    ],
    [
      "an accepted context without transfer syntax",
      hex(
        `02 00 00000065 0001 0000 "${" ".repeat(32)}" ${"00".repeat(32)} ${applicationContext} 21 00 0004 01 00 00 00`,
      ),
      invalidParameterValue,
    ],
    [
      "a UID beyond its sub-item",
      request(applicationContext, '50 00 000a 54 00 0006 0005 "1.2" 01'),
      invalidParameterValue,
    ],
    ["a maximum length of 3 bytes", request(applicationContext, "50 00 0007 51 00 0003 000001"), invalidParameterValue],
  ];
  for (const [what, bytes, reason, isEstablished = false] of refused) {
    it(`refuses ${what}`, () => {
      assert.equal(faultOf(bytes, isEstablished), reason);
    });
  }

  it("says the same fault again, and takes nothing more", () => {
    const reader = new PduReader({ maximumLength: 100 });
    reader.push(hex("08 00 00000004"));
    const faults = Array.from({ length: 2 }, () => {
      try {
        return reader.next();
      } catch (error) {
        return error;
      } finally {
        reader.push(hex("05 00 00000004 00000000"));
      }
    });
    assert.ok(faults[0] instanceof PduFault);
    assert.equal(faults[1], faults[0]);
  });

  it("sets no memory aside for what is only declared", () => {
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 1000 }, () => {
      const reader = new PduReader({ maximumLength: 100 });
      reader.push(hex("01 00 00100000 0001"));
      assert.equal(reader.next(), undefined);
      return reader;
    });
    const perReader = (process.memoryUsage().arrayBuffers - before) / readers.length;
    assert.ok(perReader < 16_384, `${perReader} bytes each`);
  });
});
