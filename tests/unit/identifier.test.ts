/** Identifiers of DIMSE messages: every native transfer syntax and character set, there and back, and what is malformed. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { deflateRawSync } from "node:zlib";
import type { DicomJson } from "../../server/dicom/json.ts";
import { decodeIdentifier, encodeIdentifier, gatherIdentifier, readIdentifier } from "../../server/dimse/identifier.ts";
import { ArchiveError } from "../../server/errors.ts";
import { randomFrom } from "../support/random.ts";

const implicit = "1.2.840.10008.1.2";
const explicit = "1.2.840.10008.1.2.1";
const bigEndian = "1.2.840.10008.1.2.2";
const deflated = "1.2.840.10008.1.2.1.99";

const everything: DicomJson = {
  "00080020": { vr: "DA", Value: ["20240101-20241231"] },
  "00080052": { vr: "CS", Value: ["STUDY"] },
  "00080061": { vr: "CS", Value: ["CT", "MR"] },
  "00100010": { vr: "PN", Value: [{ Alphabetic: "Doe^J*" }] },
  "00100020": { vr: "LO" },
  "00201206": { vr: "IS", Value: [12] },
  "00280010": { vr: "US", Value: [512, 513] },
  "00400275": {
    vr: "SQ",
    Value: [
      { "00400008": { vr: "SQ", Value: [{ "00080100": { vr: "SH", Value: ["X1"] } }] } },
      { "0040A30A": { vr: "DS", Value: [1.5] }, "00280009": { vr: "AT", Value: ["00181063"] } },
    ],
  },
  "00189087": { vr: "FD", Value: [0.25] },
  "00081199": { vr: "SQ" },
};

const mismatch = (sentence: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ArchiveError);
  assert.equal(error.code, "identifier-mismatch");
  assert.match(error.message, sentence);
  return true;
};

describe("identifier", () => {
  for (const syntax of [implicit, explicit, bigEndian, deflated]) {
    it(`gives back what it was given in ${syntax}`, () => {
      assert.deepEqual(decodeIdentifier(encodeIdentifier(everything, syntax), syntax), everything);
    });
  }

  it("writes the bytes that PS3.5 7.1 has", () => {
    const json: DicomJson = { "00100020": { vr: "LO", Value: ["A"] }, "00081199": { vr: "SQ", Value: [{}] } };
    const hex = (syntax: string) => encodeIdentifier(json, syntax).toString("hex");
    assert.equal(hex(implicit), "0800991108000000feff00e00000000010002000020000004120");
    assert.equal(hex(explicit), "080099115351000008000000feff00e000000000100020004c4f02004120");
    assert.equal(hex(bigEndian), "000811995351000000000008fffee00000000000001000204c4f00024120");
  });

  describe("the character set of an answer", () => {
    const named = (name: string): DicomJson => ({ "00100010": { vr: "PN", Value: [{ Alphabetic: name }] } });
    const cases: readonly [name: string, asked: readonly string[] | undefined, answered: readonly string[]][] = [
      ["Doe^John", undefined, []],
      ["Doe^John", [""], []],
      ["Doe^John", ["ISO_IR 100"], ["ISO_IR 100"]],
      ["Müller^Änne", undefined, ["ISO_IR 100"]],
      ["Müller^Änne", ["ISO_IR 6"], ["ISO_IR 192"]],
      ["Müller^Änne", ["ISO_IR 144"], ["ISO_IR 192"]],
      ["Люкceмбypг", ["ISO_IR 144"], ["ISO_IR 144"]],
      ["Люкceмбypг", undefined, ["ISO_IR 192"]],
      ["山田^太郎", ["", "ISO 2022 IR 87"], ["", "ISO 2022 IR 87"]],
      ["山田^太郎", ["ISO_IR 100"], ["ISO_IR 192"]],
      ["山田^太郎", ["NO_SUCH"], ["ISO_IR 192"]],
      ["王^小东", ["GB18030"], ["GB18030"]],
    ];
    for (const [name, asked, answered] of cases) {
      it(`${name} asked for in ${asked?.join("\\") ?? "nothing"} goes in ${answered.join("\\") || "ASCII"}`, () => {
        const read = readIdentifier(encodeIdentifier(named(name), implicit, asked), implicit);
        assert.deepEqual(read.characterSet, answered);
        assert.deepEqual(read.json["00100010"], { vr: "PN", Value: [{ Alphabetic: name }] });
        assert.equal("00080005" in read.json, answered.length > 0);
      });
    }

    it("is there, if empty, where it was asked for", () => {
      const json = { ...named("Doe"), "00080005": { vr: "CS", Value: ["ISO_IR 192"] } };
      assert.equal(encodeIdentifier(json, explicit).toString("latin1"), "\x08\0\x05\0CS\0\0\x10\0\x10\0PN\x04\0Doe ");
    });

    it("governs items", () => {
      const json: DicomJson = { "00101002": { vr: "SQ", Value: [{ "00100020": { vr: "LO", Value: ["Ü1"] } }] } };
      const bytes = encodeIdentifier(json, explicit);
      assert.ok(bytes.includes("ISO_IR 100"));
      assert.deepEqual(decodeIdentifier(bytes, explicit)["00101002"], json["00101002"]);
    });
  });

  describe("what is malformed", () => {
    it("names the element", () => {
      const bytes = encodeIdentifier({ "00100020": { vr: "LO", Value: ["ABCD"] } }, implicit);
      assert.throws(() => decodeIdentifier(bytes.subarray(0, -1), implicit), mismatch(/PatientID|first element/));
      const lies = encodeIdentifier({ "00101002": { vr: "SQ", Value: [everything] } }, implicit);
      lies.writeUInt32LE(0xffff, 12);
      assert.throws(() => decodeIdentifier(lies, implicit), mismatch(/OtherPatientIDsSequence \(0010,1002\)/));
    });

    it("is bounded in length, also when it inflates, and in depth", async () => {
      assert.throws(() => decodeIdentifier(Buffer.alloc(2 ** 20 + 2), implicit), mismatch(/more than 1048576 bytes/));
      const bomb = deflateRawSync(Buffer.alloc(2 ** 24));
      assert.throws(() => decodeIdentifier(bomb, deflated), mismatch(/cannot be inflated/));
      let deep: DicomJson = {};
      for (let depth = 0; depth < 20; depth += 1) deep = { "00400275": { vr: "SQ", Value: [deep] } };
      assert.throws(
        () => decodeIdentifier(encodeIdentifier(deep, implicit), implicit),
        mismatch(/nested more than 16/),
      );
      async function* pieces() {
        while (true) yield await Promise.resolve(Buffer.alloc(2 ** 16));
      }
      await assert.rejects(gatherIdentifier(pieces()), mismatch(/more than 1048576 bytes/));
    });

    it("throws nothing else, whatever the bytes", () => {
      const random = randomFrom(20);
      for (const syntax of [implicit, explicit, bigEndian, deflated]) {
        const whole = encodeIdentifier(everything, syntax);
        for (let round = 0; round < 2000; round += 1) {
          const bytes = Buffer.from(whole.subarray(0, random(whole.length + 1)));
          for (let changes = random(4); changes > 0 && bytes.length > 0; changes -= 1) {
            bytes[random(bytes.length)] = random(256);
          }
          try {
            decodeIdentifier(bytes, syntax);
          } catch (error) {
            mismatch(/./)(error);
          }
        }
      }
    });
  });
});
