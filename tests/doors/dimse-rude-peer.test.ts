/** Peers that break the rules: each ends with the right A-ABORT, leaves nothing half stored, and disturbs no other. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, commandFields, encodeCommand } from "../../server/dimse/command.ts";
import { abortReasons, type ControlPdu } from "../../server/dimse/pdu.ts";
import {
  associateRequest,
  commandPdu,
  dataPdu,
  type ScriptedPeer,
  scriptedPeer,
  startTestDoor,
  type TestDoor,
  verificationSopClass,
} from "../support/dimse.ts";
import { besideStoring, instance, type Sent } from "../support/rude-store.ts";
import { hex } from "../support/golden-pdus.ts";

const echo: Command = {
  commandField: commandFields.cEchoRequest,
  messageId: 1,
  affectedSopClassUid: verificationSopClass,
};

/** The command of a C-STORE, and half of its data set. */
function half({ command, dataSet }: Sent): Buffer[] {
  return [commandPdu(3, command, true), dataPdu(3, "data set", dataSet.subarray(0, 100_000), { isLast: false })];
}

/** A command set that `change` has made something else of. */
function spoilt(command: Command, hasDataSet: boolean, change: (bytes: Buffer) => Buffer): Buffer {
  return dataPdu(1, "command", change(encodeCommand(command, hasDataSet)));
}

const serviceUser = 0;
const serviceProvider = 2;
const { invalidParameterValue, notSpecified, unexpectedParameter, unexpectedPdu, unrecognizedPdu } = abortReasons;

interface Rudeness {
  readonly what: string;
  readonly sends: (made: Sent) => readonly (Buffer | ControlPdu)[];
  /** Source and reason of the A-ABORT. */
  readonly abort: readonly [source: number, reason: number];
}

/** Sta2: whatever is no A-ASSOCIATE-RQ is answered by AA-1. */
const beforeAssociation: readonly Rudeness[] = [
  { what: "A-RELEASE-RQ", sends: () => [{ type: "A-RELEASE-RQ" }], abort: [serviceUser, notSpecified] },
  { what: "A-RELEASE-RP", sends: () => [{ type: "A-RELEASE-RP" }], abort: [serviceUser, notSpecified] },
  { what: "a message", sends: () => [commandPdu(1, echo)], abort: [serviceUser, notSpecified] },
  { what: "a PDU of 4 GB", sends: () => [hex("04 00 ffffffff")], abort: [serviceUser, notSpecified] },
  { what: "A-ASSOCIATE-RQ of 4 GB", sends: () => [hex("01 00 ffffffff")], abort: [serviceUser, notSpecified] },
  { what: "A-ASSOCIATE-RQ of nothing", sends: () => [hex("01 00 00000000")], abort: [serviceUser, notSpecified] },
  { what: "HTTP", sends: () => [Buffer.from("GET / HTTP/1.1\r\n\r\n")], abort: [serviceUser, notSpecified] },
  { what: "TLS", sends: () => [hex("16 03 01 0200 01 0001fc 0303")], abort: [serviceUser, notSpecified] },
];

/** Sta6. */
const onAssociation: readonly Rudeness[] = [
  {
    what: "a second A-ASSOCIATE-RQ",
    sends: () => [associateRequest()],
    abort: [serviceProvider, unexpectedPdu],
  },
  {
    what: "A-ASSOCIATE-RJ",
    sends: () => [{ type: "A-ASSOCIATE-RJ", result: 1, source: 1, reason: 1 }],
    abort: [serviceProvider, unexpectedPdu],
  },
  { what: "A-RELEASE-RP", sends: () => [{ type: "A-RELEASE-RP" }], abort: [serviceProvider, unexpectedPdu] },
  { what: "an unknown PDU", sends: () => [hex("42 00 00000004 00000000")], abort: [serviceProvider, unrecognizedPdu] },
  { what: "a PDU of 4 GB", sends: () => [hex("04 00 ffffffff")], abort: [serviceProvider, invalidParameterValue] },
  {
    what: "A-RELEASE-RQ of 4 GB",
    sends: () => [hex("05 00 ffffffff")],
    abort: [serviceProvider, invalidParameterValue],
  },
  {
    what: "a PDV that is longer than its PDU",
    sends: () => [hex("04 00 00000010 00000100 01 03")],
    abort: [serviceProvider, invalidParameterValue],
  },
  {
    what: "a fragment of a context that was not accepted",
    sends: () => [commandPdu(5, echo)],
    abort: [serviceProvider, invalidParameterValue],
  },
  {
    what: "a command set with an element beyond its end",
    sends: () => [spoilt(echo, false, (bytes) => bytes.subarray(0, bytes.length - 1))],
    abort: [serviceProvider, invalidParameterValue],
  },
  {
    what: "a command set of 4 GB in one element",
    sends: () => [
      spoilt(echo, false, (bytes) => {
        bytes.writeUInt32LE(0xffff_ffff, 16);
        return bytes;
      }),
    ],
    abort: [serviceProvider, invalidParameterValue],
  },
  {
    what: "an empty command set",
    sends: () => [dataPdu(1, "command", Buffer.alloc(0))],
    abort: [serviceProvider, invalidParameterValue],
  },
  {
    what: "a command set without end",
    sends: () => Array.from({ length: 5 }, () => dataPdu(1, "command", Buffer.alloc(16_000), { isLast: false })),
    abort: [serviceProvider, invalidParameterValue],
  },
  {
    what: "a data set that the command set does not announce",
    sends: (made) => [commandPdu(3, made.command, false), dataPdu(3, "data set", made.dataSet.subarray(0, 100))],
    abort: [serviceProvider, unexpectedParameter],
  },
  {
    what: "another command set where a data set was announced",
    sends: (made) => [commandPdu(3, made.command, true), commandPdu(3, echo)],
    abort: [serviceProvider, unexpectedParameter],
  },
  {
    what: "a command set in the midst of a data set",
    sends: (made) => [...half(made), commandPdu(3, { ...made.command, messageId: 2 }, true)],
    abort: [serviceProvider, unexpectedParameter],
  },
  {
    what: "a message of another context in the midst of a data set",
    sends: (made) => [...half(made), commandPdu(1, echo)],
    abort: [serviceProvider, unexpectedParameter],
  },
  {
    what: "half of a command set, and then another",
    sends: () => [
      dataPdu(1, "command", encodeCommand(echo, false).subarray(0, 20), { isLast: false }),
      commandPdu(1, echo),
    ],
    abort: [serviceProvider, invalidParameterValue],
  },
  {
    what: "a response that nobody asked for",
    sends: () => [
      commandPdu(1, {
        commandField: commandFields.cEchoResponse,
        messageIdBeingRespondedTo: 1,
        affectedSopClassUid: verificationSopClass,
        status: 0,
      }),
    ],
    abort: [serviceProvider, unexpectedParameter],
  },
  {
    what: "A-RELEASE-RQ in the midst of a data set",
    sends: (made) => [...half(made), { type: "A-RELEASE-RQ" }],
    abort: [serviceProvider, unexpectedPdu],
  },
  {
    what: "A-RELEASE-RQ where a data set was announced",
    sends: (made) => [commandPdu(3, made.command, true), { type: "A-RELEASE-RQ" }],
    abort: [serviceProvider, unexpectedPdu],
  },
  {
    what: "a PDU of 4 GB in the midst of a data set",
    sends: (made) => [...half(made), hex("04 00 ffffffff")],
    abort: [serviceProvider, invalidParameterValue],
  },
];

/** How a peer may go in the midst of a data set, and what is said of it. */
const goings: readonly (readonly [what: string, how: string, go: (peer: ScriptedPeer, made: Sent) => void])[] = [
  ["A-ABORT", "aborted by peer", (peer) => peer.send({ type: "A-ABORT", source: 0, reason: 0 })],
  ["the end of the connection", "connection lost", (peer) => void peer.socket.end()],
  ["a reset of the connection", "connection lost", (peer) => void peer.socket.resetAndDestroy()],
  [
    "the end of the connection within a PDU",
    "connection lost",
    (peer, { dataSet }) =>
      void peer.socket.end(dataPdu(3, "data set", dataSet.subarray(100_000, 110_000), { length: 100_000 })),
  ],
  [
    "A-ABORT within a PDU",
    "connection lost",
    // It is data, as far as the receiver can tell.
    (peer) =>
      void peer.socket.end(
        Buffer.concat([dataPdu(3, "data set", Buffer.alloc(0), { length: 100_000 }), hex("07 00 00000004 00000000")]),
      ),
  ],
];

describe("rude peers of the DIMSE door", () => {
  let door: TestDoor;

  before(async () => {
    door = await startTestDoor();
  });
  after(() => door.stop());

  for (const [index, { what, sends, abort }] of beforeAssociation.entries()) {
    it(`that begin with ${what} are aborted (${index + 1})`, async () => {
      const peer = await scriptedPeer(door.dimsePort);
      peer.send(...sends(instance()));
      const [source, reason] = abort;
      assert.deepEqual(await peer.receiveAll(), [{ type: "A-ABORT", source, reason }]);
    });
  }

  for (const [index, { what, sends, abort }] of onAssociation.entries()) {
    it(`that send ${what} are aborted`, async () => {
      const callingAeTitle = `RUDE${index}`;
      const made = instance();
      await besideStoring(door, async () => {
        const peer = await scriptedPeer(door.dimsePort);
        await peer.associate(associateRequest({ callingAeTitle }));
        peer.send(...sends(made));
        const last = (await peer.receiveAll()).at(-1);
        const [source, reason] = abort;
        assert.deepEqual(last, { type: "A-ABORT", source, reason });
        const { how } = await door.line((line) => line["callingAeTitle"] === callingAeTitle && "how" in line);
        assert.equal(how, "aborted");
      });
      assert.ok(!(await door.storedUids()).includes(made.sopInstanceUid));
    });
  }

  for (const [index, [what, expected, go]] of goings.entries()) {
    it(`that send ${what} in the midst of a data set leave nothing behind`, async () => {
      const callingAeTitle = `GONE${index}`;
      const made = instance();
      await besideStoring(door, async () => {
        const peer = await scriptedPeer(door.dimsePort);
        await peer.associate(associateRequest({ callingAeTitle }));
        peer.send(...half(made));
        go(peer, made);
        const { how } = await door.line((line) => line["callingAeTitle"] === callingAeTitle && "how" in line);
        assert.equal(how, expected);
        assert.deepEqual(await peer.receiveAll(), []);
      });
      assert.ok(!(await door.storedUids()).includes(made.sopInstanceUid));
    });
  }

  it("may lie about the group length, or ask for an operation that is none, and go on", async () => {
    const peer = await scriptedPeer(door.dimsePort);
    await peer.associate();
    const wrongGroupLength = spoilt(echo, false, (bytes) => {
      bytes.writeUInt32LE(0x7fff_ffff, 8);
      return bytes;
    });
    peer.send(wrongGroupLength, commandPdu(1, { ...echo, messageId: 2, commandField: 0x0666 }));
    peer.send(commandPdu(1, { ...echo, messageId: 3 }), { type: "A-RELEASE-RQ" });
    const all = await peer.receiveAll();
    assert.deepEqual(
      all.map((pdu) => pdu.type),
      ["P-DATA-TF", "P-DATA-TF", "P-DATA-TF", "A-RELEASE-RP"],
    );
  });

  it("get what they are owed before a release that they ask for at once", async () => {
    const peer = await scriptedPeer(door.dimsePort);
    await peer.associate();
    const refused = commandPdu(1, { ...echo, commandField: 0x0666 }, true);
    peer.send(refused, dataPdu(1, "data set", Buffer.alloc(100)), { type: "A-RELEASE-RQ" });
    const all = await peer.receiveAll();
    assert.deepEqual(
      all.map(({ type }) => type),
      ["P-DATA-TF", "A-RELEASE-RP"],
    );
  });

  it("that use a message id twice are told so, and what it stands for is done", async () => {
    const peer = await scriptedPeer(door.dimsePort);
    await peer.associate();
    const made = instance({ messageId: 7, isSmall: true });
    // In one write: the first cannot be stored before the second is there.
    peer.send(
      commandPdu(3, made.command, true),
      dataPdu(3, "data set", made.dataSet),
      commandPdu(1, { ...echo, messageId: 7 }),
    );
    const statuses: number[] = [];
    while (statuses.length < 2) {
      const pdu = await peer.receive();
      assert.ok(pdu !== "closed" && pdu.type === "P-DATA-TF");
      statuses.push(pdu.bytes.readUInt16LE(pdu.bytes.indexOf(hex("0000 0009 02000000")) + 8));
    }
    assert.deepEqual(statuses, [0x0210, 0]);
    peer.send({ type: "A-RELEASE-RQ" });
    assert.deepEqual(await peer.receiveAll(), [{ type: "A-RELEASE-RP" }]);
    assert.ok((await door.storedUids()).includes(made.sopInstanceUid));
  });

  it("have left no bytes of what is not in the catalog", async () => {
    const stored = (await door.storedUids()).length;
    assert.ok(stored > 0);
    // What belongs to an association that was aborted may be being removed.
    const deadline = performance.now() + 20_000;
    while ((await door.objects()).length !== stored && performance.now() < deadline) await sleep(20);
    assert.equal((await door.objects()).length, stored);
  });
});
