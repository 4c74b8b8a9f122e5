/** Peers that keep silent, do not read, or never answer: each costs a time limit, and nothing else. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ArchiveError, type ErrorCode } from "../../server/errors.ts";
import type { Association } from "../../server/dimse/association.ts";
import { type Command, commandFields } from "../../server/dimse/command.ts";
import { type AssociationTimeouts, connect } from "../../server/dimse/connect.ts";
import type { ControlPdu } from "../../server/dimse/pdu.ts";
import {
  acceptEverything,
  associateRequest,
  commandPdu,
  dataPdu,
  ScriptedPeer,
  scriptedListener,
  scriptedPeer,
  startTestDoor,
  type TestDoor,
  verificationSopClass,
} from "../support/dimse.ts";
import { besideStoring, getRequest, storeStudy } from "../support/rude-store.ts";
import { hex } from "../support/golden-pdus.ts";

const echo: Command = {
  commandField: commandFields.cEchoRequest,
  messageId: 1,
  affectedSopClassUid: verificationSopClass,
};

/** Longer than any test. */
const never = 3_600_000;

async function doorFor(t: TestContext, timeouts: Partial<AssociationTimeouts>): Promise<TestDoor> {
  const door = await startTestDoor({ timeouts: { acse: never, dimse: never, idle: never, ...timeouts } });
  t.after(() => door.stop());
  return door;
}

/** How the association of a peer has ended. */
async function endOf(door: TestDoor, title = "RUDE"): Promise<unknown> {
  const ended = await door.line(
    ({ message, callingAeTitle }) => message === "an association ended" && callingAeTitle === title,
  );
  return ended["how"];
}

/** Fails when a connection stays. */
async function allClosed(door: TestDoor): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (door.connections() > 0 && performance.now() < deadline) await sleep(10);
  assert.equal(door.connections(), 0);
}

const abortByUser: ControlPdu = { type: "A-ABORT", source: 0, reason: 0 };

describe("time limits of the DIMSE door", () => {
  it("end 1,000 connections that say nothing, while another association stores", async (t) => {
    const door = await doorFor(t, { acse: 500 });
    const rejected: unknown[] = [];
    await besideStoring(door, async () => {
      const sockets = Array.from({ length: 1000 }, () => connectSocket({ host: "127.0.0.1", port: door.dimsePort }));
      const peers = sockets.map((socket) => new ScriptedPeer(socket));
      rejected.push(...(await Promise.all(peers.map((peer) => peer.receiveAll()))).flat());
    });
    assert.deepEqual(rejected, []);
    const silent = door.lines.filter(({ message }) => message.startsWith("no association"));
    assert.equal(silent.length, 1000);
    assert.deepEqual(new Set(silent.map(({ how }) => how)), new Set(["timeout"]));
    await allClosed(door);
  });

  it("end a connection whose A-ASSOCIATE-RQ comes byte by byte", async (t) => {
    const door = await doorFor(t, { acse: 300 });
    const peer = await scriptedPeer(door.dimsePort);
    const closed = once(peer.socket, "close");
    const dribble = (async () => {
      while (!peer.socket.destroyed) {
        peer.send(peer.socket.bytesWritten === 0 ? hex("01 00 00010000") : Buffer.of(0));
        await sleep(10);
      }
    })();
    await closed;
    await dribble;
  });

  it("are not needed for many long A-ASSOCIATE-RQs that do not end: together they hold 64 MiB at most", async (t) => {
    const door = await doorFor(t, {});
    const part = Buffer.concat([hex("01 00 00100000"), Buffer.alloc(2 ** 20 - 1)]);
    const peers = await Promise.all(Array.from({ length: 80 }, () => scriptedPeer(door.dimsePort)));
    for (const peer of peers) peer.send(part);
    const refused = () => door.lines.filter(({ message }) => message.includes("too many long requests")).length;
    const deadline = performance.now() + 30_000;
    while (refused() < 16 && performance.now() < deadline) await sleep(10);
    assert.ok(refused() >= 16, `${refused()} of them are refused`);
    await besideStoring(door, async () => undefined);
    for (const { socket } of peers) socket.destroy();
    await allClosed(door);
  });

  it("end an association that is idle, and a connection that is kept open behind it", async (t) => {
    const door = await doorFor(t, { idle: 300, acse: 300 });
    const socket = connectSocket({ host: "127.0.0.1", port: door.dimsePort, allowHalfOpen: true });
    await once(socket, "connect");
    const peer = new ScriptedPeer(socket);
    await peer.associate();
    assert.deepEqual(await peer.receive(), abortByUser);
    assert.equal(await endOf(door), "timeout");
    // It has neither closed nor read the end: the server does not wait for it.
    await allClosed(door);
    socket.destroy();
  });

  it("do not end an association that is used", async (t) => {
    const door = await doorFor(t, { idle: 2000 });
    const peer = await scriptedPeer(door.dimsePort);
    await peer.associate();
    const begun = performance.now();
    let answers = 0;
    for (; performance.now() - begun < 3000; answers += 1) {
      peer.send(commandPdu(1, echo));
      const pdu = await peer.receive();
      assert.ok(pdu !== "closed" && pdu.type === "P-DATA-TF");
      await sleep(1);
    }
    assert.ok(answers > 1);
    peer.send({ type: "A-RELEASE-RQ" });
    assert.deepEqual(await peer.receiveAll(), [{ type: "A-RELEASE-RP" }]);
  });

  for (const [what, message] of [
    ["half a command set", dataPdu(1, "command", Buffer.alloc(10), { isLast: false })],
    ["a command set whose data set does not come", commandPdu(1, echo, true)],
    ["half a PDU", hex("04 00 00000100 000000fc 01 03")],
  ] as const) {
    it(`end an association that has sent ${what}, and then nothing`, async (t) => {
      const door = await doorFor(t, { dimse: 300 });
      const peer = await scriptedPeer(door.dimsePort);
      await peer.associate();
      peer.send(message);
      assert.deepEqual(await peer.receiveAll(), [abortByUser]);
      assert.equal(await endOf(door), "timeout");
    });
  }

  it("end an association that sends requests and reads no response, and take few of them", async (t) => {
    const door = await doorFor(t, { dimse: 500, acse: 300 });
    const peer = await scriptedPeer(door.dimsePort);
    const { socket } = peer;
    await peer.associate();
    socket.pause();
    const ended = endOf(door);
    const many = Buffer.concat(Array.from({ length: 1000 }, () => commandPdu(1, echo)));
    // Sockets hold some megabytes; a server that goes on reading would take all of this.
    const most = 64 * 2 ** 20;
    let sent = 0;
    for (let isTaken = true; isTaken && sent < most; sent += many.length) {
      const taken = new Promise((resolve) => void socket.write(many, () => resolve(true)));
      isTaken = (await Promise.race([taken, ended])) === true;
    }
    assert.ok(sent < most, `${sent} bytes were taken`);
    assert.equal(await ended, "timeout");
    socket.resume();
    await peer.receiveAll();
    await allClosed(door);
  });

  it("end an association that asks for images by C-GET and does not read them", async (t) => {
    const door = await doorFor(t, { dimse: 1000, acse: 300 });
    // More than the sockets hold.
    const get = await storeStudy(door, 100);
    const peer = await scriptedPeer(door.dimsePort);
    await peer.associate(getRequest());
    peer.socket.pause();
    peer.send(get);
    assert.equal(await endOf(door, "GETTER"), "timeout");
    peer.socket.resume();
    await peer.receiveAll();
    await allClosed(door);
  });

  it("end an association that asks for images by C-GET and never says that they came", async (t) => {
    const door = await doorFor(t, { dimse: 1000 });
    const get = await storeStudy(door, 2);
    const peer = await scriptedPeer(door.dimsePort);
    await peer.associate(getRequest());
    peer.send(get);
    assert.deepEqual((await peer.receiveAll()).at(-1), abortByUser);
    assert.equal(await endOf(door, "GETTER"), "timeout");
  });

  it("of the server's end hold for an association that has sent half a message", async () => {
    const door = await startTestDoor({ timeouts: { acse: never, dimse: never, idle: never } });
    const peer = await scriptedPeer(door.dimsePort);
    await peer.associate();
    peer.send(commandPdu(1, echo, true));
    // Its answer says that what was sent before has come.
    const other = await scriptedPeer(door.dimsePort);
    await other.associate(associateRequest({ callingAeTitle: "OTHER" }));
    await door.stop(0.2);
    assert.deepEqual(
      (await other.receiveAll()).map(({ type }) => type),
      ["A-ABORT"],
    );
    await peer.receiveAll();
  });
});

describe("time limits of an association that this side opens", () => {
  const proposal = { abstractSyntaxUid: verificationSopClass, transferSyntaxUids: ["1.2.840.10008.1.2"] };

  async function associate(port: number, timeouts: Partial<AssociationTimeouts>): Promise<Association> {
    return connect(
      { aeTitle: "PEER", host: "127.0.0.1", port },
      {
        callingAeTitle: "NOCTIS",
        contexts: [proposal],
        timeouts: { acse: never, dimse: never, idle: never, ...timeouts },
      },
    );
  }

  async function invokeEcho(association: Association): Promise<void> {
    const [context] = association.contexts.values();
    assert.ok(context);
    for await (const _response of association.invoke({ context, command: { ...echo, messageId: undefined } }));
  }

  function withCode(code: ErrorCode) {
    return (error: unknown) => error instanceof ArchiveError && error.code === code;
  }

  async function acceptFirst(peer: ScriptedPeer): Promise<void> {
    const request = await peer.receive();
    assert.ok(request !== "closed" && request.type === "A-ASSOCIATE-RQ");
    peer.send(acceptEverything(request));
  }

  it("end a peer that takes the connection and says nothing", async (t) => {
    const got: unknown[] = [];
    const listener = await scriptedListener(async (peer) => void got.push(...(await peer.receiveAll())));
    t.after(listener.stop);
    await assert.rejects(associate(listener.port, { acse: 300 }), withCode("peer-silent"));
  });

  it("are not needed when a request cannot be encoded", async (t) => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const listener = await scriptedListener(async (peer) => resolve((await peer.receiveAll()).map(({ type }) => type)));
    t.after(listener.stop);
    const peer = { aeTitle: "SEVENTEEN LETTERS", host: "127.0.0.1", port: listener.port };
    await assert.rejects(connect(peer, { callingAeTitle: "NOCTIS", contexts: [proposal] }), withCode("internal"));
    assert.deepEqual(await promise, ["A-ABORT"]);
  });

  it("end a peer that answers with what is no PDU", async (t) => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const listener = await scriptedListener(async (peer) => {
      await peer.receive();
      peer.send(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"));
      resolve(await peer.receiveAll());
    });
    t.after(listener.stop);
    await assert.rejects(associate(listener.port, {}), withCode("association-aborted"));
    assert.deepEqual(await promise, [{ type: "A-ABORT", source: 2, reason: 1 }]);
  });

  it("end a peer that never responds to a request", async (t) => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const listener = await scriptedListener(async (peer) => {
      await acceptFirst(peer);
      resolve((await peer.receiveAll()).at(-1));
    });
    t.after(listener.stop);
    const association = await associate(listener.port, { dimse: 300 });
    await assert.rejects(invokeEcho(association), withCode("peer-silent"));
    assert.deepEqual(await promise, abortByUser);
  });

  it("end a peer that does not answer A-RELEASE-RQ", async (t) => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const listener = await scriptedListener(async (peer) => {
      await acceptFirst(peer);
      resolve(await peer.receiveAll());
    });
    t.after(listener.stop);
    const association = await associate(listener.port, { acse: 300 });
    await association.release();
    assert.deepEqual(await promise, [{ type: "A-RELEASE-RQ" }, abortByUser]);
  });

  it("are not needed when both release at the same time", async (t) => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const listener = await scriptedListener(async (peer) => {
      await acceptFirst(peer);
      assert.deepEqual(await peer.receive(), { type: "A-RELEASE-RQ" });
      peer.send({ type: "A-RELEASE-RQ" });
      // The requestor answers first (PS3.8 9.2.2.4).
      assert.deepEqual(await peer.receive(), { type: "A-RELEASE-RP" });
      peer.send({ type: "A-RELEASE-RP" });
      resolve(await peer.receive());
    });
    t.after(listener.stop);
    const association = await associate(listener.port, {});
    await association.release();
    assert.equal(await promise, "closed");
  });

  it("end a peer that responds to another request than was made", async (t) => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const listener = await scriptedListener(async (peer) => {
      await acceptFirst(peer);
      await peer.receive();
      const response = { commandField: commandFields.cEchoResponse, messageIdBeingRespondedTo: 999, status: 0 };
      peer.send(commandPdu(1, response));
      resolve((await peer.receiveAll()).at(-1));
    });
    t.after(listener.stop);
    const association = await associate(listener.port, {});
    await assert.rejects(invokeEcho(association), withCode("association-aborted"));
    assert.deepEqual(await promise, { type: "A-ABORT", source: 2, reason: 5 });
  });

  it("pass over a context that was accepted in a transfer syntax that was not proposed", async (t) => {
    const listener = await scriptedListener(async (peer) => {
      const request = await peer.receive();
      assert.ok(request !== "closed" && request.type === "A-ASSOCIATE-RQ");
      const accept = acceptEverything(request);
      const presentationContexts = [{ id: 1, result: 0, transferSyntaxUid: "1.2.840.10008.1.2.2" }];
      peer.send({ ...accept, presentationContexts });
      await peer.receive();
      peer.send({ type: "A-RELEASE-RP" });
    });
    t.after(listener.stop);
    const association = await associate(listener.port, {});
    assert.equal(association.contexts.size, 0);
    await association.release();
  });
});
