/** Messages cut into fragments and put together again, at whatever boundaries. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import type { AcceptedContext } from "../../server/dimse/association.ts";
import { commandFields } from "../../server/dimse/command.ts";
import { type BegunMessage, MessageAssembler } from "../../server/dimse/message-assembler.ts";
import { MessageWriter } from "../../server/dimse/message-writer.ts";
import { type DataFragment, PduFault } from "../../server/dimse/pdu.ts";
import { PduReader } from "../../server/dimse/pdu-reader.ts";
import { socketPair } from "../support/socket-pair.ts";

const context: AcceptedContext = {
  id: 3,
  abstractSyntaxUid: "1.2.3",
  transferSyntaxUid: "1.2.840.10008.1.2",
  mayInvoke: true,
  mayPerform: true,
};
const contexts = new Map([[context.id, context]]);
const command = { commandField: commandFields.cStoreRequest, messageId: 1, affectedSopClassUid: "1.2.3" };

async function* piecesOf(...pieces: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* pieces;
}

/** What `far` gets of messages that are sent: their data sets, and the length of each fragment. */
async function received(far: Socket, count: number): Promise<{ dataSets: Buffer[]; lengths: number[] }> {
  const reader = new PduReader({ maximumLength: 2 ** 20 });
  reader.isEstablished = true;
  const dataSets: Promise<Buffer>[] = [];
  const lengths: number[] = [];
  const assembler = new MessageAssembler(
    contexts,
    (message) => dataSets.push(whole(message)),
    () => undefined,
  );
  for await (const chunk of far) {
    assert.ok(Buffer.isBuffer(chunk));
    reader.push(chunk);
    for (let pdu = reader.next(); pdu; pdu = reader.next()) {
      assert.equal(pdu.type, "P-DATA-TF");
      if (pdu.type !== "P-DATA-TF") continue;
      if (!pdu.isCommand) lengths.push(pdu.bytes.length);
      assembler.push(pdu);
    }
    if (dataSets.length === count && !assembler.isWithinMessage) break;
  }
  return { dataSets: await Promise.all(dataSets), lengths };
}

async function whole({ dataSet }: BegunMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const bytes of dataSet ?? []) pieces.push(bytes);
  return Buffer.concat(pieces);
}

describe("messages", () => {
  const bytes = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251));
  const cases: readonly (readonly [string, () => Buffer | AsyncIterable<Buffer>, Buffer])[] = [
    ["in one piece", () => bytes, bytes],
    ["in pieces of odd lengths", () => piecesOf(bytes.subarray(0, 7), bytes.subarray(7, 8), bytes.subarray(8)), bytes],
    ["with pieces of nothing", () => piecesOf(Buffer.alloc(0), bytes, Buffer.alloc(0)), bytes],
    ["of nothing", () => Buffer.alloc(0), Buffer.alloc(0)],
    ["of no pieces", () => piecesOf(), Buffer.alloc(0)],
  ];
  for (const [what, dataSet, expected] of cases) {
    for (const maximumLength of [0, 16, 106, 4096]) {
      it(`come as they were sent: a data set ${what}, PDUs of ${maximumLength} bytes`, async (t) => {
        const { near, far } = await socketPair(t);
        const writer = new MessageWriter(near, maximumLength);
        const coming = received(far, 1);
        await writer.send({ context, command, dataSet: dataSet() });
        const { dataSets } = await coming;
        assert.deepEqual(dataSets, [expected]);
      });
    }
  }

  it("have fragments of even length but the last, and none longer than the peer takes", async (t) => {
    const { near, far } = await socketPair(t);
    const writer = new MessageWriter(near, 57);
    const coming = received(far, 1);
    await writer.send({ context, command, dataSet: piecesOf(bytes.subarray(0, 333), bytes.subarray(333, 999)) });
    const { lengths } = await coming;
    assert.ok(lengths.slice(0, -1).every((length) => length % 2 === 0 || length === 0));
    assert.ok(Math.max(...lengths) <= 51);
  });

  it("go to a peer that takes tiny PDUs, and others get their turns meanwhile", async (t) => {
    const { near, far } = await socketPair(t);
    const writer = new MessageWriter(near, 8);
    const image = Buffer.alloc(2 ** 18, "image");
    const coming = received(far, 1);
    let turns = 0;
    const count = () => {
      turns += 1;
      if (turns > 0) setImmediate(count);
    };
    t.after(() => (turns = Number.NEGATIVE_INFINITY));
    setImmediate(count);
    await writer.send({ context, command, dataSet: image });
    assert.ok(turns > 200, `${turns} turns`);
    assert.deepEqual((await coming).dataSets, [image]);
  });

  it("that are sent at the same time come one after the other", async (t) => {
    const { near, far } = await socketPair(t);
    const writer = new MessageWriter(near, 64);
    const coming = received(far, 3);
    const sent = [1, 2, 3].map((number) => Buffer.alloc(500 * number, number));
    await Promise.all(
      sent.map((one) => writer.send({ context, command, dataSet: piecesOf(one.subarray(0, 100), one.subarray(100)) })),
    );
    assert.deepEqual((await coming).dataSets, sent);
  });

  it("are given up where the last word of the association is written", async (t) => {
    const { near, far } = await socketPair(t);
    const writer = new MessageWriter(near, 4096);
    const errors: Error[] = [];
    near.on("error", (error) => errors.push(error));
    const last = Buffer.from("a last word");
    let pieces = 0;
    const dataSet = async function* () {
      for (; pieces < 10; pieces += 1) {
        if (pieces === 3) near.end(last);
        yield bytes;
      }
    };
    const chunks: Buffer[] = [];
    far.on("data", (chunk: Buffer) => chunks.push(chunk));
    const ended = once(far, "end");
    await writer.send({ context, command, dataSet: dataSet() });
    await ended;
    assert.deepEqual(Buffer.concat(chunks).subarray(-last.length), last);
    assert.equal(pieces, 3);
    assert.deepEqual(errors, []);
  });

  it("that are small and follow each other at once go in one write", async (t) => {
    const { near, far } = await socketPair(t);
    const writer = new MessageWriter(near, 4096);
    const coming = received(far, 2);
    await new Promise(setImmediate);
    const before = near.bytesWritten;
    await writer.send({ context, command, dataSet: Buffer.alloc(2, 1) });
    await writer.send({ context, command, dataSet: Buffer.alloc(2, 2) });
    assert.equal(near.writableLength, near.bytesWritten - before, "both wait for the end of this turn");
    assert.deepEqual((await coming).dataSets, [Buffer.alloc(2, 1), Buffer.alloc(2, 2)]);
  });

  const fragment: DataFragment = { type: "P-DATA-TF", contextId: 3, isCommand: true, isLast: true, bytes };
  const storeCommand = Buffer.from("0000000102000000010000000008020000000000", "hex");
  const faults: readonly (readonly [string, readonly Partial<DataFragment>[]])[] = [
    ["of a context that was not accepted", [{ contextId: 5, bytes: storeCommand }]],
    ["of a data set without a command set", [{ isCommand: false }]],
    ["of two contexts, mixed", [{ bytes: storeCommand }, { contextId: 1, isCommand: false }]],
    ["of a command set within a data set", [{ bytes: storeCommand }, { bytes: storeCommand }]],
    ["of a command set that lies", [{ bytes: Buffer.from("0000000102000000", "hex") }]],
    ["of a command set without end", [{ bytes: Buffer.alloc(65_537), isLast: false }]],
  ];
  for (const [what, fragments] of faults) {
    it(`are refused when there are fragments ${what}`, () => {
      const assembler = new MessageAssembler(
        contexts,
        () => undefined,
        () => undefined,
      );
      assert.throws(() => {
        for (const one of fragments) assembler.push({ ...fragment, ...one });
      }, PduFault);
    });
  }
});
