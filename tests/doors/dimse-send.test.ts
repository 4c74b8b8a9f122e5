/** The one sender, with a peer that aborts over single instances: what is behind them is sent all the same. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { SelectedInstances } from "../../server/archive/selection.ts";
import type { Service } from "../../server/dimse/association.ts";
import { commandFields } from "../../server/dimse/command.ts";
import { connect } from "../../server/dimse/connect.ts";
import type { SendOutcome } from "../../server/dimse/send-instances.ts";
import { createSendToPeer } from "../../server/dimse/send-to-peer.ts";
import { startScp } from "../support/dimse-scp.ts";

const sopClassUid = "1.2.840.10008.5.1.4.1.1.7";
const transferSyntaxUid = "1.2.840.10008.1.2.1";

function instances(count: number): SelectedInstances {
  return {
    kinds: [{ sopClassUid, transferSyntaxUid, count }],
    async *[Symbol.asyncIterator]() {
      for (let number = 1; number <= count; number += 1) {
        yield {
          studyInstanceUid: "1.2",
          seriesInstanceUid: "1.3",
          sopInstanceUid: `1.4.${number}`,
          sopClassUid,
          transferSyntaxUid,
          byteLength: 8,
          async *dataSet() {
            yield Buffer.alloc(8);
          },
        };
      }
    },
  };
}

describe("the sender of instances", () => {
  /** What becomes of ten instances, by the last part of their UIDs, and the connections that it took. */
  async function sentTo(t: TestContext, perform: Service) {
    const scp = await startScp([{ commandField: commandFields.cStoreRequest, sopClassUids: "storage", perform }]);
    t.after(() => scp.close());
    const peer = { kind: "dimse", name: "P", aeTitle: "P", host: "127.0.0.1", port: scp.port, tls: false } as const;
    const outcomes: SendOutcome[] = [];
    for await (const outcome of createSendToPeer({ connect, aeTitle: "NOCTIS" })(peer, instances(10)))
      outcomes.push(outcome);
    const numbers = (some: readonly SendOutcome[]) => some.map(({ sopInstanceUid }) => sopInstanceUid.slice(4));
    return {
      sent: numbers(outcomes.filter(({ status }) => status === 0)),
      failed: numbers(outcomes.filter(({ status }) => status !== 0)),
      codes: [...new Set(outcomes.flatMap(({ code }) => code ?? []))],
      connections: scp.connections(),
    };
  }

  const abortingOver =
    (...uids: readonly string[]): Service =>
    async ({ association, command, respond }) => {
      if (uids.includes(command.affectedSopInstanceUid ?? "")) await association.abort();
      else await respond({ status: 0 });
    };

  it("goes on behind an instance over which the peer aborts", async (t) => {
    const { sent, failed, codes, connections } = await sentTo(t, abortingOver("1.4.3", "1.4.7"));
    assert.deepEqual(sent, ["1", "2", "4", "5", "6", "8", "9", "10"]);
    assert.deepEqual([failed, codes, connections], [["3", "7"], ["association-aborted"], 3]);
  });

  it("gives a peer up that aborts over everything, and tells all", async (t) => {
    const { sent, failed, connections } = await sentTo(t, ({ association }) => association.abort());
    assert.deepEqual(sent, []);
    assert.deepEqual(failed, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
    assert.equal(connections, 2);
  });
});
