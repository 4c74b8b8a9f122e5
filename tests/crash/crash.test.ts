/**
 * Crashes in short: what `npm run test:crash` does at length. SIGKILL of the server loses nothing that it gave to the
 * system, so this shows the order of what is done, not what a power cut leaves: that is tests/crash/durable.test.ts.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { lineOf } from "./account.ts";
import { crashRounds } from "./rounds.ts";
import { type Victim, victims } from "./victims.ts";

describe("what was acknowledged outlives a SIGKILL of", { concurrency: 1 }, () => {
  for (const [name, rounds] of [
    ["server", 2],
    ["s3", 1],
    ["postgres", 1],
    ["postgres-url", 1],
  ] as const) {
    it(name, victims[name].requirement(), async (t) => {
      const account = await crashRounds(name, { rounds, seed: Date.now() % 1_000_000 });
      t.diagnostic(lineOf(name, account));
      assert.deepEqual(account.problems, []);
      assert.ok(account.counts.acknowledged > 0);
      const { staysAway }: Victim = victims[name];
      if (staysAway) assert.ok(account.counts.refused > 0, "stores were refused while it was away");
    });
  }
});
