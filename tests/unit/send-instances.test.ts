/** The sender of instances over a made-up association: what it invokes, how many at a time, and what it tells of each. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SelectedInstance } from "../../server/archive/selection.ts";
import { ArchiveError } from "../../server/errors.ts";
import type { AcceptedContext, Association, OutgoingMessage } from "../../server/dimse/association.ts";
import { sendInstances, type SendOptions, type SendOutcome } from "../../server/dimse/send-instances.ts";

const ct = "1.2.840.10008.5.1.4.1.1.2";
const [implicit, explicit, jpeg] = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"];

function context(id: number, transferSyntaxUid: string, mayInvoke = true): AcceptedContext {
  return { id, abstractSyntaxUid: ct, transferSyntaxUid, mayInvoke, mayPerform: false };
}

const both = {
  protocolVersion: 1,
  calledAeTitle: "PEER",
  callingAeTitle: "NOCTIS",
  applicationContextName: "1.2.840.10008.3.1.1.1",
  userInformation: {
    maximumLength: 16384,
    implementationClassUid: "1.2.3",
    roles: [],
    extendedNegotiations: [],
    commonExtendedNegotiations: [],
  },
};

/** What the peer answers; a promise that never settles keeps the operation under way. */
type Answer = (message: OutgoingMessage, number: number) => Promise<{ status: number; errorComment?: string }>;

function association(contexts: readonly AcceptedContext[], answer: Answer, maximumInvoked = 1) {
  const ended = new AbortController();
  const sent: { readonly message: OutgoingMessage; readonly bytes: string }[] = [];
  let messageId = 0;
  const made: Association = {
    id: 1,
    request: { type: "A-ASSOCIATE-RQ", ...both, presentationContexts: [] },
    accept: { type: "A-ASSOCIATE-AC", ...both, presentationContexts: [] },
    remoteAddress: "127.0.0.1",
    contexts: new Map(contexts.map((one) => [one.id, one])),
    maximumInvoked,
    ended: ended.signal,
    nextMessageId: () => (messageId += 1),
    send: async () => undefined,
    cancel: async () => undefined,
    release: async () => undefined,
    abort: async () => ended.abort(new ArchiveError("association-aborted", "This side aborted the association.")),
    async *invoke(message) {
      const { dataSet = Buffer.alloc(0) } = message;
      let bytes = "";
      if (Buffer.isBuffer(dataSet)) bytes = dataSet.toString();
      else for await (const chunk of dataSet) bytes += chunk.toString();
      sent.push({ message, bytes });
      const { status, errorComment } = await answer(message, sent.length);
      yield { context: message.context, command: { commandField: 0x8001, status, errorComment }, dataSet: undefined };
    },
  };
  return { association: made, sent };
}

const success: Answer = async () => ({ status: 0 });

/** One whose bytes tell the transfer syntax and the number. */
function instance(number: number, transferSyntaxUid: string, change: Partial<SelectedInstance> = {}): SelectedInstance {
  return {
    studyInstanceUid: "1",
    seriesInstanceUid: "1.1",
    sopInstanceUid: `1.1.${number}`,
    sopClassUid: ct,
    transferSyntaxUid,
    byteLength: 100,
    dataSet: async function* (syntax) {
      yield Buffer.from(`${number} in `);
      yield Buffer.from(syntax);
    },
    readInto: async (into) => into.subarray(0, into.write(`${number} as stored`)),
    ...change,
  };
}

async function* each(...instances: SelectedInstance[]): AsyncGenerator<SelectedInstance> {
  yield* instances;
}

async function all(outcomes: AsyncIterable<SendOutcome>): Promise<SendOutcome[]> {
  const found: SendOutcome[] = [];
  for await (const outcome of outcomes) found.push(outcome);
  return found;
}

const statuses = (outcomes: readonly SendOutcome[]) =>
  outcomes.map(({ sopInstanceUid, status, code }) => [sopInstanceUid, code ?? status]);

describe("the sender of instances", () => {
  it("sends as stored, else converted, else not at all, and goes on", async () => {
    const { association: to, sent } = association(
      [context(1, implicit), context(3, explicit), context(5, jpeg, false)],
      success,
    );
    const outcomes = await all(
      sendInstances(
        to,
        each(instance(1, explicit), instance(2, "1.2.840.10008.1.2.2"), instance(3, jpeg), instance(4, implicit)),
      ),
    );
    assert.deepEqual(statuses(outcomes), [
      ["1.1.1", 0],
      ["1.1.2", 0],
      ["1.1.3", "context-not-accepted"],
      ["1.1.4", 0],
    ]);
    assert.match(outcomes[2]?.comment ?? "", /1\.2\.840\.10008\.5\.1\.4\.1\.1\.2 in 1\.2\.840\.10008\.1\.2\.4\.50/);
    assert.deepEqual(
      sent.map(({ bytes, message }) => [bytes, message.context.id]),
      [
        [`1 in ${explicit}`, 3],
        [`2 in ${explicit}`, 3],
        [`4 in ${implicit}`, 1],
      ],
    );
  });

  it("says which request it is for, and gives what the peer says", async () => {
    const { association: to, sent } = association([context(1, explicit)], async () => ({
      status: 0xa700,
      errorComment: "disk full",
    }));
    const options = { moveOriginator: { aeTitle: "WS", messageId: 7 }, priority: 2 };
    const outcomes = await all(sendInstances(to, each(instance(1, explicit)), options));
    assert.deepEqual(outcomes, [{ sopClassUid: ct, sopInstanceUid: "1.1.1", status: 0xa700, comment: "disk full" }]);
    const { messageId, ...command } = sent[0]?.message.command ?? { commandField: 0 };
    assert.equal(messageId, 1);
    assert.deepEqual(command, {
      commandField: 0x0001,
      affectedSopClassUid: ct,
      affectedSopInstanceUid: "1.1.1",
      priority: 2,
      moveOriginatorAeTitle: "WS",
      moveOriginatorMessageId: 7,
    });
  });

  it("streams a large instance, and tells one that cannot be read before any of it is sent", async () => {
    const large = { byteLength: 2 ** 30 };
    const broken = async function* (): AsyncGenerator<Buffer> {
      yield await Promise.reject<Buffer>(new ArchiveError("no-such-blob", "The stored bytes are missing."));
    };
    const { association: to, sent } = association([context(1, explicit)], success);
    const outcomes = await all(
      sendInstances(
        to,
        each(
          instance(1, explicit, large),
          instance(2, explicit, { ...large, dataSet: broken }),
          instance(3, explicit, { dataSet: broken }),
          instance(4, explicit),
        ),
      ),
    );
    assert.deepEqual(statuses(outcomes), [
      ["1.1.1", 0],
      ["1.1.2", "no-such-blob"],
      ["1.1.3", "no-such-blob"],
      ["1.1.4", 0],
    ]);
    assert.deepEqual(
      sent.map(({ bytes, message }) => [bytes, Buffer.isBuffer(message.dataSet)]),
      [
        [`1 in ${explicit}`, false],
        [`4 in ${explicit}`, true],
      ],
    );
  });

  it("reads what is neither short nor long into memory that is used again, and never into what is still needed", async () => {
    const middling = { byteLength: 200 * 1024 };
    const seen = new Set<ArrayBufferLike>();
    const answer: Answer = async ({ dataSet }) => {
      if (Buffer.isBuffer(dataSet)) seen.add(dataSet.buffer);
      return { status: 0 };
    };
    const { association: to, sent } = association([context(1, explicit), context(3, implicit)], answer);
    const instances = Array.from({ length: 40 }, (_, number) => instance(number, explicit, middling));
    const outcomes = await all(sendInstances(to, each(...instances, instance(40, jpeg, middling))));
    assert.equal(outcomes.filter(({ status }) => status === 0).length, 40);
    assert.deepEqual(
      sent.map(({ bytes }) => bytes),
      instances.map((_, number) => `${number} as stored`),
    );
    assert.ok(seen.size < 10, `${seen.size} buffers`);
  });

  it("has as many under way as the peer takes, and no more", async () => {
    const waiting: (() => void)[] = [];
    let most = 0;
    const answer: Answer = async () => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        most = Math.max(most, waiting.length);
        // The third that comes lets the last one of all go first.
        if (waiting.length === 3)
          setImmediate(() =>
            waiting
              .splice(0)
              .toReversed()
              .forEach((go) => go()),
          );
      });
      return { status: 0 };
    };
    const { association: to } = association([context(1, explicit)], answer, 3);
    const outcomes = await all(
      sendInstances(to, each(...[1, 2, 3, 4, 5, 6].map((number) => instance(number, explicit)))),
    );
    assert.equal(most, 3);
    assert.deepEqual(
      outcomes.map(({ sopInstanceUid }) => sopInstanceUid).sort(),
      ["1", "2", "3", "4", "5", "6"].map((n) => `1.1.${n}`),
    );
  });

  it("tells of every instance when the association ends in the middle", async () => {
    const answer: Answer = async (_message, number) => {
      if (number === 2) throw new ArchiveError("association-aborted", "The peer closed the connection.");
      return { status: 0 };
    };
    const { association: to, sent } = association([context(1, explicit)], answer);
    const outcomes = await all(sendInstances(to, each(...[1, 2, 3, 4].map((number) => instance(number, explicit)))));
    assert.deepEqual(statuses(outcomes), [
      ["1.1.1", 0],
      ["1.1.2", "association-aborted"],
      ["1.1.3", "association-aborted"],
      ["1.1.4", "association-aborted"],
    ]);
    assert.equal(sent.length, 2);
  });

  it("begins nothing more when it is given up, and brings to its end what is under way", async () => {
    const stop = new AbortController();
    const options: SendOptions = { signal: stop.signal };
    const answer: Answer = async (_message, number) => {
      if (number === 2) stop.abort();
      return { status: 0 };
    };
    const { association: to, sent } = association([context(1, explicit)], answer);
    const outcomes = await all(
      sendInstances(to, each(...[1, 2, 3, 4].map((number) => instance(number, explicit))), options),
    );
    assert.equal(outcomes.length, 2);
    assert.equal(sent.length, 2);
  });

  it("throws what listing the instances throws, behind the outcomes so far", async () => {
    const { association: to } = association([context(1, explicit)], success, 4);
    const listed = async function* () {
      yield instance(1, explicit);
      throw new ArchiveError("database-unavailable", "The database does not answer.");
    };
    const outcomes: SendOutcome[] = [];
    await assert.rejects(
      async () => {
        for await (const outcome of sendInstances(to, listed())) outcomes.push(outcome);
      },
      { code: "database-unavailable" },
    );
    assert.equal(outcomes.length, 1);
  });
});
