/** Which presentation contexts are proposed for a set of instances, and in how many associations. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { planSending } from "../../server/dimse/sending-plan.ts";

const ct = "1.2.840.10008.5.1.4.1.1.2";
const us = "1.2.840.10008.5.1.4.1.1.6.1";
const [implicit, explicit, big, jpeg] = [
  "1.2.840.10008.1.2",
  "1.2.840.10008.1.2.1",
  "1.2.840.10008.1.2.2",
  "1.2.840.10008.1.2.4.50",
];

const kind = (sopClassUid: string, transferSyntaxUid: string) => ({ sopClassUid, transferSyntaxUid, count: 1 });

const proposed = (kinds: readonly ReturnType<typeof kind>[]) =>
  planSending(kinds).map(({ contexts }) =>
    contexts.map(({ abstractSyntaxUid, transferSyntaxUids }) => `${abstractSyntaxUid} ${transferSyntaxUids.join()}`),
  );

describe("the plan of what is proposed", () => {
  it("has what an instance is stored in, alone, and what it can be converted to", () => {
    assert.deepEqual(proposed([kind(ct, big)]), [[`${ct} ${big}`, `${ct} ${explicit}`, `${ct} ${implicit}`]]);
    assert.deepEqual(proposed([kind(us, jpeg)]), [[`${us} ${jpeg}`]]);
    assert.deepEqual(proposed([kind(us, "1.2.3.4.5")]), [[`${us} 1.2.3.4.5`]]);
  });

  it("proposes nothing twice", () => {
    assert.deepEqual(proposed([kind(ct, explicit), kind(ct, implicit), kind(ct, jpeg)]), [
      [`${ct} ${explicit}`, `${ct} ${implicit}`, `${ct} ${jpeg}`],
    ]);
  });

  it("goes on in another association beyond 128 contexts, each instance in one that has all of its own", () => {
    const kinds = Array.from({ length: 100 }, (_, index) => kind(`1.2.3.${index}`, explicit));
    const plans = planSending(kinds);
    assert.deepEqual(
      plans.map(({ contexts }) => contexts.length),
      [128, 72],
    );
    for (const instance of kinds) {
      const [plan, ...others] = plans.filter(({ isFor }) => isFor(instance));
      assert.equal(others.length, 0);
      const own = plan?.contexts.filter(({ abstractSyntaxUid }) => abstractSyntaxUid === instance.sopClassUid);
      assert.equal(own?.length, 2);
    }
    assert.equal(
      plans.some(({ isFor }) => isFor(kind("1.2.3.0", jpeg))),
      false,
    );
  });

  it("needs no association for nothing", () => {
    assert.deepEqual(planSending([]), []);
  });
});
