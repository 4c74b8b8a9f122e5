/** The queue of commits: who comes together goes together, and one that is refused fails alone. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { CommitQueue } from "../../server/archive/commit-queue.ts";
import { ArchiveError } from "../../server/errors.ts";
import type { CommitOutcome, InstanceRecord } from "../../storage/catalog-records.ts";
import { heldObject } from "../support/records.ts";

const committed: CommitOutcome = { status: "committed", differences: [] };

function record(uid: string): InstanceRecord {
  const entity = { uid, columns: {}, attributes: {} };
  const bytes = { metadata: Buffer.alloc(0), sha256: Buffer.alloc(0), byteLength: 0, dataSetOffset: 0, blobKey: uid };
  const none = { transferSyntaxUid: "1.2", frameTable: undefined, bulkData: undefined, warnings: [] };
  return { study: entity, series: entity, instance: { ...entity, ...bytes, ...none } };
}

/** A catalog that notes the batches it is given; `answer` decides what becomes of each. */
function catalogOf(answer: (uids: readonly string[]) => Promise<readonly CommitOutcome[]> | readonly CommitOutcome[]) {
  const batches: string[][] = [];
  const commit = async (records: readonly InstanceRecord[]) => {
    const uids = records.map(({ instance }) => instance.uid);
    batches.push(uids);
    await nextTurn();
    return answer(uids);
  };
  return { batches, queue: new CommitQueue({ commit }) };
}

const all = (uids: readonly string[]) => uids.map(() => committed);

describe("commit queue", () => {
  it("commits at once what comes at once, and what comes meanwhile next", async () => {
    const { batches, queue } = catalogOf(all);
    const first = ["a", "b"].map((uid) => queue.commit(record(uid)));
    await nextTurn();
    const second = ["c", "d", "e"].map((uid) => queue.commit(record(uid)));
    assert.deepEqual(
      await Promise.all([...first, ...second]),
      Array.from({ length: 5 }, () => committed),
    );
    assert.deepEqual(batches, [
      ["a", "b"],
      ["c", "d", "e"],
    ]);
    assert.equal(await queue.commit(record("f")), committed);
    assert.equal(batches.length, 3);
  });

  it("takes no more than 128 in one transaction, and never runs two", async () => {
    let running = 0;
    const { batches, queue } = catalogOf(async (uids) => {
      assert.equal((running += 1), 1);
      await nextTurn();
      running -= 1;
      return all(uids);
    });
    const uids = Array.from({ length: 300 }, (_, index) => `${index}`);
    await Promise.all(uids.map((uid) => queue.commit(record(uid))));
    assert.deepEqual(
      batches.map(({ length }) => length),
      [128, 128, 44],
    );
    assert.deepEqual(batches.flat(), uids);
  });

  it("gives each its own outcome", async () => {
    const duplicate: CommitOutcome = { status: "duplicate", identical: true, held: heldObject(record("b")) };
    const { queue } = catalogOf((uids) => uids.map((uid) => (uid === "b" ? duplicate : committed)));
    const outcomes = await Promise.all(["a", "b", "c"].map((uid) => queue.commit(record(uid))));
    assert.deepEqual(outcomes, [committed, duplicate, committed]);
  });

  it("commits in halves when a batch is refused, so that the one at fault fails alone", async () => {
    const { batches, queue } = catalogOf((uids) => {
      if (uids.includes("bad")) throw new Error("invalid input syntax");
      return all(uids);
    });
    const settled = await Promise.allSettled(["a", "bad", "c"].map((uid) => queue.commit(record(uid))));
    assert.deepEqual(
      settled.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.deepEqual(batches, [["a", "bad", "c"], ["a", "bad"], ["a"], ["bad"], ["c"]]);
    assert.equal(await queue.commit(record("d")), committed);
  });

  it("fails all when the database is away, and works again when it is back", async () => {
    let away = true;
    const { batches, queue } = catalogOf((uids) => {
      if (away) throw new ArchiveError("database-unavailable", "The database does not answer.");
      return all(uids);
    });
    const settled = await Promise.allSettled(["a", "b"].map((uid) => queue.commit(record(uid))));
    for (const result of settled) {
      assert.ok(result.status === "rejected" && result.reason instanceof ArchiveError);
      assert.equal(result.reason.code, "database-unavailable");
    }
    assert.equal(batches.length, 1);
    away = false;
    assert.equal(await queue.commit(record("c")), committed);
  });

  it("leaves nobody waiting when outcomes are missing", async () => {
    const { queue } = catalogOf(() => [committed]);
    const settled = await Promise.allSettled(["a", "b"].map((uid) => queue.commit(record(uid))));
    assert.deepEqual(
      settled.map(({ status }) => status),
      ["fulfilled", "rejected"],
    );
  });
});
