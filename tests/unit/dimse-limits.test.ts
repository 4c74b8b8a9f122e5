/** What bounds one association: responses that nobody reads, tiny fragments, time, and what its user throws. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ArchiveError } from "../../server/errors.ts";
import type { Association, OutgoingMessage } from "../../server/dimse/association.ts";
import { commandFields, encodeCommand } from "../../server/dimse/command.ts";
import { Dispatch, mostAtOnce } from "../../server/dimse/dispatch.ts";
import { FragmentStream } from "../../server/dimse/fragment-stream.ts";
import { MessageAssembler } from "../../server/dimse/message-assembler.ts";
import type { AssociateRequest } from "../../server/dimse/pdu.ts";
import { TimeLimit } from "../../server/dimse/time-limit.ts";
import { UpperLayer } from "../../server/dimse/upper-layer.ts";
import type { EndKind, UpperLayerUser } from "../../server/dimse/upper-layer-user.ts";
import { acceptEverything, associateRequest, ScriptedPeer, verificationSopClass } from "../support/dimse.ts";
import { socketPair } from "../support/socket-pair.ts";

const context = {
  id: 1,
  abstractSyntaxUid: verificationSopClass,
  transferSyntaxUid: "1.2.840.10008.1.2",
  mayInvoke: true,
  mayPerform: true,
};

/** The acceptor's upper layer with `user`, and a scripted requestor. */
async function acceptor(
  t: TestContext,
  user: (upperLayer: () => UpperLayer) => Partial<UpperLayerUser>,
  artim = 3_600_000,
) {
  const { near, far } = await socketPair(t);
  const ends: { how: EndKind; code: string }[] = [];
  const whole: UpperLayerUser = {
    onFragment: () => undefined,
    onRelease: () => undefined,
    onProgress: () => undefined,
    isFull: () => false,
    onEnd: ({ code }, how) => void ends.push({ how, code }),
    ...user(() => upperLayer),
  };
  const upperLayer: UpperLayer = new UpperLayer(near, whole, {
    artim,
    maximumLength: 16_384,
    isRequestor: false,
  });
  return { upperLayer, peer: new ScriptedPeer(far), near, ends };
}

describe("limits of an association", () => {
  it("take no more requests while responses to as many wait to be read", async () => {
    const waiting: (() => void)[] = [];
    const sent: OutgoingMessage[] = [];
    const association: Association = Object.create(null);
    const dispatch = new Dispatch({
      association,
      send: async (message) => {
        sent.push(message);
        await new Promise<void>((resolve) => void waiting.push(resolve));
      },
      services: new Map(),
      onFault: () => undefined,
      onRoom: () => undefined,
    });
    for (let messageId = 1; messageId <= mostAtOnce + 1; messageId += 1) {
      assert.equal(dispatch.isFull, false);
      dispatch.begin({ context, command: { commandField: 0x0666, messageId }, dataSet: undefined });
      await nextTurn();
    }
    assert.equal(dispatch.isFull, true);
    assert.equal(sent.length, mostAtOnce + 1);
    let isIdle = false;
    const idle = dispatch.idle().then(() => (isIdle = true));
    waiting.shift()?.();
    await nextTurn();
    assert.equal(dispatch.isFull, false);
    assert.equal(isIdle, false, "a release waits until every response is sent");
    for (const resolve of waiting) resolve();
    await idle;
  });

  it("count the pieces of a data set, not only their bytes", () => {
    const stream = new FragmentStream(() => undefined);
    let pieces = 0;
    for (; !stream.isFull && pieces < 100_000; pieces += 1) stream.push(Buffer.of(0));
    assert.equal(pieces, 4097);
  });

  it("tell when a stream of tiny pieces has room again", async () => {
    const told: boolean[] = [];
    const stream: FragmentStream = new FragmentStream(() => void told.push(stream.isFull));
    for (let left = 4100; left > 0; left -= 1) stream.push(Buffer.of(0));
    stream.end();
    let count = 0;
    for await (const _bytes of stream) count += 1;
    assert.equal(count, 4100);
    assert.deepEqual(told, [false]);
  });

  it("let a command set come in pieces, and keep none that are empty", () => {
    const commands: number[] = [];
    const assembler = new MessageAssembler(
      new Map([[context.id, context]]),
      ({ command }) => commands.push(command.commandField),
      () => undefined,
    );
    const bytes = encodeCommand({ commandField: commandFields.cEchoRequest, messageId: 1 }, false);
    const fragment = { type: "P-DATA-TF", contextId: 1, isCommand: true, isLast: false } as const;
    for (const byte of bytes) {
      assembler.push({ ...fragment, bytes: Buffer.of(byte) });
      assembler.push({ ...fragment, bytes: Buffer.alloc(0) });
    }
    assembler.push({ ...fragment, isLast: true, bytes: Buffer.alloc(0) });
    assert.deepEqual(commands, [commandFields.cEchoRequest]);
  });

  it("are not held against a peer whose bytes are there, when this process was busy", async (t) => {
    const { near, far } = await socketPair(t);
    let times = 0;
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const limit = new TimeLimit(20, () => {
      times += 1;
      resolve();
    });
    near.once("data", () => limit.stop());
    limit.start();
    far.write("it is in time");
    // Nothing else runs until this loop ends.
    for (const end = performance.now() + 100; performance.now() < end;);
    await once(near, "data");
    await nextTurn();
    assert.equal(times, 0);
    limit.start();
    await over;
    assert.equal(times, 1);
  });

  it("keep an answer that cannot be encoded to its association", async (t) => {
    const { peer, ends } = await acceptor(t, (upperLayer) => ({
      onRequest: (request) => {
        const accept = acceptEverything(request);
        const serviceClassApplicationInformation = Buffer.alloc(70_000);
        const extendedNegotiations = [{ sopClassUid: verificationSopClass, serviceClassApplicationInformation }];
        const userInformation = { ...accept.userInformation, extendedNegotiations };
        // As after a look at the database.
        setImmediate(() => upperLayer().accept({ ...accept, userInformation }));
      },
    }));
    peer.send(associateRequest());
    assert.deepEqual(await peer.receiveAll(), [{ type: "A-ABORT", source: 2, reason: 0 }]);
    assert.deepEqual(ends, [{ how: "aborted", code: "internal" }]);
  });

  it("keep what the user throws to its association", async (t) => {
    const { peer, ends } = await acceptor(t, () => ({
      onRequest: () => {
        throw new ArchiveError("database-unavailable", "The database does not answer.");
      },
    }));
    peer.send(associateRequest());
    assert.deepEqual(await peer.receiveAll(), [{ type: "A-ABORT", source: 2, reason: 0 }]);
    assert.deepEqual(ends, [{ how: "aborted", code: "database-unavailable" }]);
  });

  for (const [what, end] of [
    ["aborts", (peer: ScriptedPeer) => peer.send({ type: "A-ABORT", source: 0, reason: 0 })],
    ["closes its side", (peer: ScriptedPeer) => void peer.socket.end()],
  ] as const) {
    it(`close the connection of a peer that ${what}, and reads no more`, async (t) => {
      const accept = (layer: () => UpperLayer) => ({
        onRequest: (request: AssociateRequest) => layer().accept(acceptEverything(request)),
      });
      const { upperLayer, peer, near } = await acceptor(t, accept, 100);
      await peer.associate();
      peer.socket.pause();
      // More than the sockets hold.
      near.write(Buffer.alloc(2 ** 25));
      end(peer);
      await upperLayer.closed;
    });
  }

  it("let both release at the same time, the requestor answering first", async (t) => {
    const { upperLayer, peer, ends } = await acceptor(t, (layer) => ({
      onRequest: (request) => layer().accept(acceptEverything(request)),
    }));
    await peer.associate();
    upperLayer.release();
    assert.deepEqual(await peer.receive(), { type: "A-RELEASE-RQ" });
    peer.send({ type: "A-RELEASE-RQ" });
    peer.send({ type: "A-RELEASE-RP" });
    assert.deepEqual(await peer.receiveAll(), [{ type: "A-RELEASE-RP" }]);
    assert.deepEqual(ends, [{ how: "released", code: "association-aborted" }]);
  });
});
