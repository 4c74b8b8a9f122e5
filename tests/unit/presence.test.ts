/** Questions about instances are asked together, and never answered by what was known before they came. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createPresence } from "../../server/archive/presence.ts";

describe("createPresence", () => {
  /** A catalog whose queries end when the test lets them. */
  function catalog() {
    const queries: {
      ids: readonly number[];
      answer: (ids: readonly number[]) => void;
      fail: (cause: Error) => void;
    }[] = [];
    const presentInstances = (ids: readonly number[]) =>
      new Promise<readonly number[]>((answer, fail) => void queries.push({ ids, answer, fail }));
    const turn = () => new Promise((resolve) => void setImmediate(resolve));
    return { presentInstances, queries, turn };
  }

  it("asks once for what comes together, and again for what comes while a query is under way", async () => {
    const { presentInstances, queries, turn } = catalog();
    const isPresent = createPresence({ presentInstances });
    const first = Promise.all([isPresent(1), isPresent(2), isPresent(1)]);
    await turn();
    const later = Promise.all([isPresent(1), isPresent(3)]);
    await turn();
    assert.deepEqual(
      queries.map(({ ids }) => ids),
      [[1, 2]],
    );
    queries[0]?.answer([1]);
    assert.deepEqual(await first, [true, false, true]);
    await turn();
    assert.deepEqual(queries[1]?.ids, [1, 3]);
    queries[1]?.answer([3]);
    assert.deepEqual(await later, [false, true]);
    const last = isPresent(4);
    await turn();
    queries[2]?.answer([4]);
    assert.equal(await last, true);
  });

  it("fails those whose query fails, and goes on", async () => {
    const { presentInstances, queries, turn } = catalog();
    const isPresent = createPresence({ presentInstances });
    const failing = isPresent(1);
    await turn();
    const next = isPresent(2);
    queries[0]?.fail(new Error("gone"));
    await assert.rejects(failing, /gone/);
    await turn();
    queries[1]?.answer([2]);
    assert.equal(await next, true);
  });
});
