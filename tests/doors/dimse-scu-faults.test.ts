/** This side as SCU, with peers that fail: what they say, and what they do not do, is told truly. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { DicomJson } from "../../server/dicom/json.ts";
import { newUid } from "../../server/dicom/uid.ts";
import type { IncomingRequest, Service } from "../../server/dimse/association.ts";
import { commandFields, priorities } from "../../server/dimse/command.ts";
import { connect, type PeerAddress } from "../../server/dimse/connect.ts";
import { encodeIdentifier } from "../../server/dimse/identifier.ts";
import { studyRoot } from "../../server/dimse/information-models.ts";
import { echo } from "../../server/dimse/scu-echo.ts";
import { find } from "../../server/dimse/scu-find.ts";
import { get } from "../../server/dimse/scu-get.ts";
import { move } from "../../server/dimse/scu-move.ts";
import { retrieve } from "../../server/dimse/scu-retrieve.ts";
import { isComplete } from "../../server/dimse/sub-operations.ts";
import { type ScriptedService, startScp } from "../support/dimse-scp.ts";

const requestor = { connect, callingAeTitle: "NOCTIS" };
const { findSopClassUid: findUid, moveSopClassUid: moveUid, getSopClassUid: getUid } = studyRoot;
const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7";
const target = { studyInstanceUid: "1.2.3" };

type Script = Parameters<typeof startScp>[1];

async function peerWith(t: TestContext, services: readonly ScriptedService[], script?: Script): Promise<PeerAddress> {
  const scp = await startScp(services, script);
  t.after(() => scp.close());
  return { aeTitle: "RUDE", host: "127.0.0.1", port: scp.port };
}

const finder = (perform: Service): ScriptedService => ({
  commandField: commandFields.cFindRequest,
  sopClassUids: [findUid],
  perform,
});
const mover = (perform: Service): ScriptedService => ({
  commandField: commandFields.cMoveRequest,
  sopClassUids: [moveUid],
  perform,
});
const getter = (perform: Service): ScriptedService[] => [
  { commandField: commandFields.cGetRequest, sopClassUids: [getUid], perform },
  {
    commandField: commandFields.cStoreRequest,
    sopClassUids: "storage",
    perform: ({ respond }) => respond({ status: 0 }),
  },
];

function identifier({ context }: IncomingRequest, json: DicomJson): Buffer {
  return encodeIdentifier(json, context.transferSyntaxUid);
}

const match = (uid: string): DicomJson => ({ "0020000D": { vr: "UI", Value: [uid] } });
const failedList = (...uids: string[]): DicomJson => ({ "00080058": { vr: "UI", Value: uids } });

/** All matches of a query at study level. */
async function found(peer: PeerAddress, seen: DicomJson[] = []): Promise<DicomJson[]> {
  for await (const one of find(requestor, peer, { model: "study", level: "STUDY", keys: match("") })) seen.push(one);
  return seen;
}

/** Sends one instance to the requestor of a C-GET; the status that it answered. */
async function sendTo({ association }: IncomingRequest, sopInstanceUid: string): Promise<number | undefined> {
  const context = [...association.contexts.values()].find((one) => one.abstractSyntaxUid === secondaryCapture);
  assert.ok(context?.mayInvoke, "the requestor is SCP of storage");
  const command = {
    commandField: commandFields.cStoreRequest,
    affectedSopClassUid: secondaryCapture,
    affectedSopInstanceUid: sopInstanceUid,
    priority: priorities.medium,
  };
  const dataSet = encodeIdentifier({ "00080018": { vr: "UI", Value: [sopInstanceUid] } }, context.transferSyntaxUid);
  for await (const response of association.invoke({ context, command, dataSet })) return response.command.status;
  return undefined;
}

describe("as SCU, with peers that fail", () => {
  it("says who rejects it, and why", async (t) => {
    const unknownCaller = await peerWith(t, [], {
      reject: { type: "A-ASSOCIATE-RJ", result: 1, source: 1, reason: 3 },
    });
    await assert.rejects(echo(requestor, unknownCaller), {
      code: "association-rejected",
      message: /calling AE title/i,
    });
    const busy = await peerWith(t, [], { reject: { type: "A-ASSOCIATE-RJ", result: 2, source: 3, reason: 2 } });
    await assert.rejects(found(busy), { code: "association-rejected" });
    await assert.rejects(move(requestor, busy, { target, destination: "X" }), { code: "association-rejected" });
  });

  it("does not wait for a silent peer for ever", async (t) => {
    const peer = await peerWith(t, [], { silent: true });
    const hurried = { ...requestor, timeouts: { acse: 50, dimse: 50, idle: 50 } };
    await assert.rejects(echo(hurried, peer), { code: "peer-silent" });
    const mute = await peerWith(t, [mover(() => new Promise(() => undefined))]);
    const result = await move(hurried, mute, { target, destination: "X" });
    assert.equal(result.fault?.code, "peer-silent");
    assert.ok(!isComplete(result));
  });

  it("says what the peer does not support", async (t) => {
    const peer = await peerWith(t, [mover(({ respond }) => respond({ status: 0 }))]);
    await assert.rejects(echo(requestor, peer), { code: "context-not-accepted", message: /C-ECHO/ });
    await assert.rejects(found(peer), { code: "context-not-accepted", message: /C-FIND \(Study Root\)/ });
  });

  it("gives the matches before a failure, and the failure in words", async (t) => {
    const peer = await peerWith(t, [
      finder(async (request) => {
        await request.respond({ status: 0xff00 }, identifier(request, match("1.2")));
        await request.respond({ status: 0xff01 }, identifier(request, match("1.3")));
        await request.respond({ status: 0xa700, errorComment: "database gone" });
      }),
    ]);
    const seen: DicomJson[] = [];
    const message = "The peer answered the C-FIND with A700: refused: out of resources (database gone).";
    await assert.rejects(found(peer, seen), { code: "peer-failed", message });
    assert.deepEqual(
      seen.map((one) => one["0020000D"]?.Value),
      [["1.2"], ["1.3"]],
    );
  });

  it("does not take a query for done that the peer cancels, or that ends with the association", async (t) => {
    const cancelled = await peerWith(t, [finder(({ respond }) => respond({ status: 0xfe00 }))]);
    await assert.rejects(found(cancelled), { code: "peer-failed", message: /FE00: cancelled/ });
    const aborting = await peerWith(t, [
      finder(async (request) => {
        await request.respond({ status: 0xff00 }, identifier(request, match("1.2")));
        await request.association.abort();
      }),
    ]);
    await assert.rejects(found(aborting), { code: "association-aborted" });
    const broken = await peerWith(t, [
      finder(({ respond }) => respond({ status: 0xff00 }, Buffer.from("no identifier"))),
    ]);
    await assert.rejects(found(broken), { code: "identifier-mismatch" });
  });

  it("cancels a query of which no more is wanted", async (t) => {
    const ended = Promise.withResolvers<boolean>();
    const peer = await peerWith(t, [
      finder(async (request) => {
        while (!request.signal.aborted) {
          await request.respond({ status: 0xff00 }, identifier(request, match("1.2")));
          await sleep(1);
        }
        ended.resolve(request.isCancelled());
        await request.respond({ status: 0xfe00 });
      }),
    ]);
    for await (const _match of find(requestor, peer, { model: "study", level: "STUDY", keys: match("") })) break;
    assert.equal(await ended.promise, true);
  });

  it("tells a C-MOVE as it was: failed, counted so, listed so, cancelled, cut off", async (t) => {
    const moved = async (perform: Service) =>
      move(requestor, await peerWith(t, [mover(perform)]), { target, destination: "X" });
    const refused = await moved(({ respond }) => respond({ status: 0xa801, errorComment: "who is X" }));
    assert.deepEqual([refused.status, refused.comment, isComplete(refused)], [0xa801, "who is X", false]);
    const counted = await moved(({ respond }) =>
      respond({ status: 0, numberOfCompletedSuboperations: 3, numberOfFailedSuboperations: 1 }),
    );
    assert.deepEqual([counted.completed, counted.failed, isComplete(counted)], [3, 1, false]);
    const listed = await moved((request) =>
      request.respond({ status: 0xb000 }, identifier(request, failedList("1.2.4", "1.2.5"))),
    );
    assert.deepEqual([listed.failedSopInstanceUids, isComplete(listed)], [["1.2.4", "1.2.5"], false]);
    const bare = await moved(({ respond }) => respond({ status: 0xb000 }));
    assert.equal(isComplete(bare), false);
    const warned = await moved(({ respond }) =>
      respond({
        status: 0xb000,
        numberOfCompletedSuboperations: 1,
        numberOfFailedSuboperations: 0,
        numberOfWarningSuboperations: 2,
      }),
    );
    assert.equal(isComplete(warned), true);
    const cut = await moved(async (request) => {
      await request.respond({ status: 0xff00, numberOfCompletedSuboperations: 7, numberOfRemainingSuboperations: 2 });
      await request.association.abort();
    });
    assert.deepEqual([cut.status, cut.completed, cut.remaining, isComplete(cut)], [undefined, 7, 2, false]);
    assert.equal(cut.fault?.code, "association-aborted");
  });

  it("cancels a C-MOVE", async (t) => {
    const stopping = new AbortController();
    const peer = await peerWith(t, [
      mover(async ({ respond, signal, isCancelled }) => {
        await respond({ status: 0xff00, numberOfRemainingSuboperations: 2, numberOfCompletedSuboperations: 1 });
        if (!signal.aborted) await once(signal, "abort");
        assert.ok(isCancelled());
        await respond({ status: 0xfe00, numberOfRemainingSuboperations: 2, numberOfCompletedSuboperations: 1 });
      }),
    ]);
    const result = await move(requestor, peer, {
      target,
      destination: "X",
      signal: stopping.signal,
      onProgress: () => stopping.abort(),
    });
    assert.deepEqual([result.status, result.remaining, result.fault], [0xfe00, 2, undefined]);
    assert.equal(isComplete(result), false);
  });

  it("keeps what a C-GET brought before it was cut off", async (t) => {
    const uids = [newUid(), newUid(), newUid()];
    const peer = await peerWith(
      t,
      getter(async (request) => {
        for (const uid of uids.slice(0, 2)) assert.equal(await sendTo(request, uid), 0);
        await request.association.abort();
      }),
    );
    const kept: (string | undefined)[] = [];
    const store: Service = ({ command, respond }) => {
      kept.push(command.affectedSopInstanceUid);
      return respond({ status: 0 });
    };
    const kinds = [{ sopClassUid: secondaryCapture, transferSyntaxUids: [] }];
    const result = await get(requestor, peer, { target, store, kinds });
    assert.deepEqual(kept, uids.slice(0, 2));
    assert.deepEqual([result.stored, result.status, result.fault?.code], [2, undefined, "association-aborted"]);
  });

  it("lets a C-GET take as long as its instances do", async (t) => {
    const peer = await peerWith(
      t,
      getter(async (request) => {
        // No pending response in between, as they are optional.
        for (const uid of [newUid(), newUid()]) assert.equal(await sendTo(request, uid), 0);
        await request.respond({ status: 0, numberOfCompletedSuboperations: 2 });
      }),
    );
    const slow: Service = async ({ respond }) => {
      await sleep(2500);
      await respond({ status: 0 });
    };
    const patient = { ...requestor, timeouts: { dimse: 1000 } };
    const kinds = [{ sopClassUid: secondaryCapture, transferSyntaxUids: [] }];
    const result = await get(patient, peer, { target, store: slow, kinds });
    assert.deepEqual([result.fault, result.status, result.stored], [undefined, 0, 2]);
  });

  it("names what does not come, though the peer says that all went well", async (t) => {
    const series = newUid();
    const uids = [newUid(), newUid(), newUid()];
    const matching: Service = async (request) => {
      const json: DicomJson = { "0020000E": { vr: "UI", Value: [series] }, "00080060": { vr: "CS", Value: ["OT"] } };
      const { command } = request;
      calls += 1;
      if (calls === 1) await request.respond({ status: 0xff00 }, identifier(request, json));
      else {
        for (const uid of uids) {
          const instance: DicomJson = { ...json, "00080018": { vr: "UI", Value: [uid] } };
          await request.respond({ status: 0xff00 }, identifier(request, instance));
        }
      }
      assert.equal(command.affectedSopClassUid, findUid);
      await request.respond({ status: 0 });
    };
    let calls = 0;
    const getting: Service = async (request) => {
      await sendTo(request, String(uids[0]));
      await request.respond({ status: 0, numberOfCompletedSuboperations: 3, numberOfFailedSuboperations: 0 });
    };
    const peer = await peerWith(t, [finder(matching), ...getter(getting)]);
    const here = new Set<string>();
    const result = await retrieve(requestor, peer, {
      target,
      ownAeTitle: "NOCTIS",
      store: ({ command, respond }) => {
        here.add(command.affectedSopInstanceUid ?? "");
        return respond({ status: 0 });
      },
      present: async () => here,
    });
    assert.deepEqual([result.isComplete, result.expected, result.received], [false, 3, 1]);
    assert.deepEqual(
      result.failures.map(({ sopInstanceUid }) => sopInstanceUid),
      uids.slice(1),
    );
  });

  it("is not content with nothing where it could not ask what there is", async (t) => {
    const peer = await peerWith(
      t,
      getter(({ respond }) => respond({ status: 0 })),
    );
    const store: Service = ({ respond }) => respond({ status: 0 });
    const result = await retrieve(requestor, peer, {
      target,
      ownAeTitle: "NOCTIS",
      store,
      present: async () => new Set<string>(),
    });
    assert.deepEqual([result.isComplete, result.expected, result.received], [false, undefined, 0]);
  });
});
