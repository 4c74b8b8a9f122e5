/** The budget of bytes: nobody gets more than there is, nobody waits for ever, and what is given back is given on. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { inBlocks } from "../../storage/blocks.ts";
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

  it("gives up who waits for bytes that do not come, when others wait for what it holds, and nobody else", async () => {
    const patience = 20;
    const budget = new ByteBudget(2 ** 30, 0, patience);
    const [silent, busy, next] = [budget.share(), budget.share(), budget.share()];
    await silent.take(2 ** 30 - 1);
    await busy.take(1);
    silent.awaits();
    busy.awaits();
    busy.received();
    await sleep(3 * patience);
    assert.equal(silent.signal.aborted, false, "nobody waits");
    silent.signal.addEventListener("abort", () => silent.giveBack());
    await next.take(4);
    assert.match(String(silent.signal.reason), /came so slowly/);
    assert.deepEqual([busy.signal.aborted, next.signal.aborted], [false, false]);
  });

  it("gives up who gets a byte now and then", async () => {
    const budget = new ByteBudget(10, 0, 20);
    const [slow, next] = [budget.share(), budget.share()];
    await slow.take(10);
    const taken = next.take(1);
    while (!slow.signal.aborted) {
      slow.awaits();
      await sleep(1);
      slow.received();
    }
    slow.giveBack();
    await taken;
  });

  it("lets a body go that is silent, and does not wait for it", async () => {
    const budget = new ByteBudget(10, 0, 20);
    async function* silent(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("some");
      await new Promise(() => undefined);
    }
    const blocks = inBlocks(silent(), 10, budget.share()).next();
    blocks.catch(() => undefined);
    await nextTurn();
    await budget.share().take(10);
    await assert.rejects(blocks, { code: "request-timeout" });
  });
});
