/** Shared syncs of folders: nobody is told of one that began before he asked, and a failure is everybody's. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SharedSync } from "../../storage/shared-sync.ts";

describe("a sync of a folder that is shared", () => {
  /** Syncs that end when they are told to. */
  function controlled() {
    const begun: { readonly folder: string; readonly end: (error?: Error) => void }[] = [];
    const shared = new SharedSync(
      (folder) =>
        new Promise((resolve, reject) => {
          begun.push({ folder, end: (error) => (error ? reject(error) : resolve()) });
        }),
    );
    const end = async (at: number, error?: Error) => {
      begun[at]?.end(error);
      await new Promise((resolve) => setImmediate(resolve));
    };
    return { begun, shared, end };
  }

  it("begins at once for the first, and once more for all who ask while it is under way", async () => {
    const { begun, shared, end } = controlled();
    const told: string[] = [];
    const ask = (who: string) => void shared.sync("3f").then(() => told.push(who));
    ask("first");
    ask("second");
    ask("third");
    assert.equal(begun.length, 1);
    await end(0);
    assert.deepEqual(told, ["first"]);
    assert.equal(begun.length, 2, "one sync for the others");
    ask("fourth");
    await end(1);
    assert.deepEqual(told, ["first", "second", "third"]);
    assert.equal(begun.length, 3, "the fourth came too late for theirs");
    await end(2);
    assert.equal(told.length, 4);
    assert.equal(begun.length, 3);
  });

  it("does not keep folders waiting for each other", () => {
    const { begun, shared } = controlled();
    void shared.sync("3f");
    void shared.sync("40");
    assert.deepEqual(
      begun.map(({ folder }) => folder),
      ["3f", "40"],
    );
  });

  it("fails for all who share it, and not for those behind", async () => {
    const { shared, end } = controlled();
    const [first, second, third] = [shared.sync("3f"), shared.sync("3f"), shared.sync("3f")];
    const outcomes = Promise.allSettled([first, second, third]);
    await end(0);
    const fourth = shared.sync("3f");
    await end(1, new Error("EIO"));
    await end(2);
    assert.deepEqual(
      (await outcomes).map(({ status }) => status),
      ["fulfilled", "rejected", "rejected"],
    );
    await fourth;
  });
});
