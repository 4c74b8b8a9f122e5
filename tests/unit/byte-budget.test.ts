/** The budget of bytes: nobody gets more than there is, nobody waits for ever, and what is given back is given on. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ByteBudget } from "../../storage/byte-budget.ts";

/** Whether `promise` has resolved by the next turn. */
async function isGranted(promise: Promise<void>): Promise<boolean> {
  let granted = false;
  promise.then(
    () => (granted = true),
    () => undefined,
  );
  await nextTurn();
  return granted;
}

describe("a byte budget", () => {
  it("makes who wants more than is left wait until enough is given back, in turn", async () => {
    const budget = new ByteBudget(10, 0);
    const [first, second, third] = [budget.share(), budget.share(), budget.share()];
    await first.take(8);
    const large = second.take(5);
    const small = third.take(1);
    assert.deepEqual([await isGranted(large), await isGranted(small)], [false, false]);
    first.giveBack();
    assert.deepEqual([await isGranted(large), await isGranted(small)], [true, true]);
    const again = first.take(5);
    assert.equal(await isGranted(again), false);
    third.giveBack();
    assert.equal(await isGranted(again), true);
  });

  it("lets as many as it may go on beyond the total, when all hold some and want more", async () => {
    const budget = new ByteBudget(10, 1);
    const [first, second, third] = [budget.share(), budget.share(), budget.share()];
    await first.take(5);
    await second.take(5);
    const [one, other] = [first.take(5), second.take(5)];
    assert.deepEqual([await isGranted(one), await isGranted(other)], [true, false]);
    await first.take(100);
    first.giveBack();
    assert.equal(await isGranted(other), true);
    second.giveBack();
    await third.take(10);
    assert.equal(await isGranted(first.take(1)), true, "the overdraft is there again");
  });

  it("forgets who stops waiting", async () => {
    const budget = new ByteBudget(10, 0);
    const [first, second, third] = [budget.share(), budget.share(), budget.share()];
    await first.take(10);
    const abandoned = second.take(10);
    second.giveBack();
    second.giveBack();
    first.giveBack();
    await third.take(10);
    assert.equal(await isGranted(abandoned), false);
  });
});
