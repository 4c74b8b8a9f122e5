/** The writer of PDUs: golden bytes. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PduReader } from "../../server/dimse/pdu-reader.ts";
import { dataTransferHeader, encodePdu } from "../../server/dimse/pdu-writer.ts";
import { goldenPdus, hex, recordedAssociation } from "../support/golden-pdus.ts";

describe("PDU writer", () => {
  for (const { name, bytes, pdu } of goldenPdus) {
    it(`writes ${name}`, () => {
      assert.equal(encodePdu(pdu).toString("hex"), bytes.toString("hex"));
    });
  }

  it("writes the A-ASSOCIATE-AC of DCMTK as DCMTK does", () => {
    const reader = new PduReader({ maximumLength: 100 });
    reader.push(recordedAssociation.acceptor);
    const pdu = reader.next();
    assert.ok(pdu?.type === "A-ASSOCIATE-AC");
    const written = encodePdu(pdu);
    assert.equal(written.toString("hex"), recordedAssociation.acceptor.subarray(0, written.length).toString("hex"));
  });

  it("writes the bytes in front of a fragment", () => {
    const header = (isCommand: boolean, isLast: boolean) =>
      dataTransferHeader({ contextId: 255, isCommand, isLast, length: 0x01_0000 });
    assert.deepEqual(header(true, true), hex("04 00 00010006 00010002 ff 03"));
    assert.deepEqual(header(true, false), hex("04 00 00010006 00010002 ff 01"));
    assert.deepEqual(header(false, true), hex("04 00 00010006 00010002 ff 02"));
    assert.deepEqual(header(false, false), hex("04 00 00010006 00010002 ff 00"));
  });

  it("refuses a title that does not fit", () => {
    const [request] = goldenPdus;
    assert.ok(request?.pdu.type === "A-ASSOCIATE-RQ");
    const pdu = { ...request.pdu, calledAeTitle: "SEVENTEEN_LETTERS" };
    assert.throws(() => encodePdu(pdu), RangeError);
  });
});
