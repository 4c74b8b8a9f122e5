/** Mutated PDUs, chopped anywhere: the reader and what puts messages together refuse them as faults, and never hang. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MessageAssembler } from "../../server/dimse/message-assembler.ts";
import { PduFault } from "../../server/dimse/pdu.ts";
import { PduReader } from "../../server/dimse/pdu-reader.ts";
import { goldenPdus, hex, recordedAssociation } from "../support/golden-pdus.ts";
import { type Random, repeatable } from "../support/scan.ts";

/** FUZZ_SEED=7 FUZZ_ROUNDS=1000000 for more of them. */
const seed = Number(process.env["FUZZ_SEED"] ?? 8);
const rounds = Number(process.env["FUZZ_ROUNDS"] ?? 100_000);

const dataTransfer = hex(`04 00 00000016 00000003 01 01 "A" 00000002 01 03 00000005 01 00 "abc"`);
const originals = [...goldenPdus.map(({ bytes }) => bytes), ...Object.values(recordedAssociation), dataTransfer];

const context = {
  id: 1,
  abstractSyntaxUid: "1.2.3",
  transferSyntaxUid: "1.2.840.10008.1.2",
  mayInvoke: true,
  mayPerform: true,
};
const contexts = new Map([[context.id, context]]);

/** Lengths that have hurt parsers. */
const lengths = [0, 1, 2, 3, 4, 5, 6, 12, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

type Mutation = (bytes: Buffer, random: Random) => Buffer;

const mutations: readonly Mutation[] = [
  function flipBits(bytes, random) {
    for (let left = random(8) + 1; left > 0; left -= 1) {
      const at = random(bytes.length);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random(8)), at);
    }
    return bytes;
  },
  function lieAboutLength(bytes, random) {
    const width = random(2) === 0 ? 2 : 4;
    if (bytes.length < width) return bytes;
    const value = (lengths[random(lengths.length)] ?? 0) % 2 ** (width * 8);
    bytes.writeUIntBE(value, random(bytes.length - width + 1), width);
    return bytes;
  },
  function truncate(bytes, random) {
    return bytes.subarray(0, random(bytes.length) + 1);
  },
  function cutOut(bytes, random) {
    const at = random(bytes.length);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random(16) + 1)]);
  },
  function splice(bytes, random) {
    const other = original(random);
    return Buffer.concat([bytes.subarray(0, random(bytes.length) + 1), other.subarray(random(other.length))]);
  },
  function insert(bytes, random) {
    const at = random(bytes.length);
    const added = Buffer.from(Array.from({ length: random(16) + 1 }, () => random(256)));
    return Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at)]);
  },
];

function original(random: Random): Buffer {
  return Buffer.from(originals[random(originals.length)] ?? dataTransfer);
}

function mutated(random: Random): Buffer {
  let bytes = original(random);
  for (let left = random(3) + 1; left > 0; left -= 1) {
    bytes = mutations[random(mutations.length)]?.(bytes, random) ?? bytes;
    if (bytes.length === 0) bytes = original(random);
  }
  return bytes;
}

/** Reads what came to its end or its fault; gives how often the reader gave something, and how many bytes of data. */
function read(bytes: Buffer, random: Random) {
  const reader = new PduReader({ maximumLength: 16_384 });
  reader.isEstablished = random(2) === 0;
  const assembler = new MessageAssembler(
    contexts,
    ({ dataSet }) => dataSet?.drop(),
    () => undefined,
  );
  const given = { pdus: 0, dataBytes: 0, refused: false };
  try {
    for (let at = 0; at < bytes.length;) {
      const end = at + (random(4) === 0 ? bytes.length : random(64) + 1);
      reader.push(bytes.subarray(at, end));
      at = end;
      for (let pdu = reader.next(); pdu; pdu = reader.next()) {
        given.pdus += 1;
        if (pdu.type.startsWith("A-ASSOCIATE")) reader.isEstablished = true;
        if (pdu.type !== "P-DATA-TF") continue;
        given.dataBytes += pdu.bytes.length;
        assembler.push(pdu);
      }
    }
  } catch (error) {
    if (!(error instanceof PduFault)) throw error;
    given.refused = true;
  }
  return given;
}

describe("fuzzed PDUs", () => {
  it(`are read or refused, ${rounds} of them`, () => {
    const random = repeatable(seed);
    const outcomes = { refused: 0, read: 0 };
    for (let round = 1; round <= rounds; round += 1) {
      const bytes = mutated(random);
      try {
        const { pdus, dataBytes, refused } = read(bytes, random);
        assert.ok(dataBytes <= bytes.length);
        assert.ok(pdus <= bytes.length);
        outcomes[refused ? "refused" : "read"] += 1;
      } catch (cause) {
        throw new Error(`seed ${seed}, round ${round}: ${bytes.toString("hex")}`, { cause });
      }
    }
    // Both happen, or the mutations are of no use.
    assert.ok(outcomes.refused > rounds / 10, JSON.stringify(outcomes));
    assert.ok(outcomes.read > rounds / 10, JSON.stringify(outcomes));
  });
});
