/** What the log says of associations: one line each, and nothing of a patient. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { commandFields } from "../../server/dimse/command.ts";
import {
  associateRequest,
  commandPdu,
  dataPdu,
  scriptedPeer,
  startTestDoor,
  type TestDoor,
  verificationSopClass,
} from "../support/dimse.ts";
import { instance } from "../support/rude-store.ts";

describe("log of the DIMSE door", () => {
  let door: TestDoor;

  before(async () => {
    door = await startTestDoor();
  });
  after(() => door.stop());

  it("has one line at info for an association: who, from where, what, how much, how long, and how it ended", async () => {
    const peer = await scriptedPeer(door.dimsePort);
    await peer.associate(associateRequest({ callingAeTitle: "CT1" }));
    const echo = { commandField: commandFields.cEchoRequest, messageId: 1, affectedSopClassUid: verificationSopClass };
    const { command, dataSet } = instance({ messageId: 3, isSmall: true });
    const messages = [
      commandPdu(1, echo),
      commandPdu(1, { ...echo, messageId: 2, commandField: commandFields.nDeleteRequest }),
      Buffer.concat([commandPdu(3, command, true), dataPdu(3, "data set", dataSet)]),
    ];
    for (const message of messages) {
      peer.send(message);
      await peer.receive();
    }
    peer.send({ type: "A-RELEASE-RQ" });
    await peer.receiveAll();
    const lines = door.lines.filter(({ callingAeTitle, level }) => callingAeTitle === "CT1" && level !== "debug");
    const [line] = lines;
    assert.ok(line);
    assert.equal(lines.length, 1);
    const { association, seconds, bytesReceived, bytesSent, ...rest } = line;
    assert.deepEqual(rest, {
      level: "info",
      message: "an association ended",
      remoteAddress: "127.0.0.1",
      callingAeTitle: "CT1",
      calledAeTitle: "NOCTIS",
      user: undefined,
      certificate: undefined,
      contexts: 2,
      performed: { "C-ECHO": 1, other: 1, "C-STORE": 1 },
      failed: 1,
      invoked: {},
      how: "released",
    });
    assert.equal(typeof association, "number");
    assert.ok(typeof seconds === "number" && seconds >= 0);
    assert.ok(Number(bytesReceived) > Buffer.concat(messages).length);
    assert.ok(Number(bytesSent) > 0);
  });

  it("names the operation of a request that fails, and who sent what was not stored", async () => {
    const peer = await scriptedPeer(door.dimsePort);
    await peer.associate(associateRequest({ callingAeTitle: "CT2" }));
    const { command, dataSet } = instance({ messageId: 1, isSmall: true });
    peer.send(commandPdu(3, command));
    await peer.receive();
    const failed = await door.line(({ message }) => message === "a request failed: The request has no data set.");
    assert.deepEqual([failed.level, failed["operation"], failed["messageId"]], ["warn", "C-STORE", 1]);
    peer.send(Buffer.concat([commandPdu(3, command, true), dataPdu(3, "data set", dataSet.subarray(0, -1))]));
    await peer.receive();
    const refused = await door.line(({ message }) => message === "an instance was not stored");
    assert.deepEqual([refused["origin"], refused["sendingAeTitle"]], ["dimse", "CT2"]);
    peer.send({ type: "A-RELEASE-RQ" });
    await peer.receiveAll();
  });

  it("says at warn why there is no association, but at debug when nothing was said", async () => {
    const rude = await scriptedPeer(door.dimsePort);
    rude.send(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
    await rude.receiveAll();
    const { level } = await door.line(
      ({ message }) => message === "no association: There is no PDU type 47: it speaks HTTP.",
    );
    assert.equal(level, "warn");
    const probe = connect(door.dimsePort, "127.0.0.1");
    await once(probe, "connect");
    probe.end();
    const quiet = await door.line(({ message }) => message === "no association: The peer closed the connection.");
    assert.equal(quiet.level, "debug");
  });
});
