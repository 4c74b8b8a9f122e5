/** Whether anybody is asking something of the process. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Activity } from "../../server/activity.ts";

const forever = new AbortController().signal;

describe("activity", () => {
  it("is quiet before the first request, and some time after the last one has ended", async () => {
    const clock = { now: 0 };
    const activity = new Activity(() => clock.now);
    await activity.quiet(forever);
    const ends = [activity.begin(), activity.begin()];
    const state = { quiet: false };
    const waiting = activity.quiet(forever).then(() => (state.quiet = true));
    const isQuiet = async (now: number) => {
      clock.now = now;
      await sleep(250);
      return state.quiet;
    };
    assert.equal(await isQuiet(10_000), false);
    for (const end of ends) end();
    ends[0]?.();
    assert.equal(await isQuiet(11_900), false, "a viewer asks again soon");
    clock.now = 12_001;
    await waiting;
  });

  it("stops waiting when it is told to", async () => {
    const activity = new Activity();
    activity.begin();
    const stopping = new AbortController();
    const waiting = activity.quiet(stopping.signal);
    stopping.abort();
    await assert.rejects(waiting, { name: "AbortError" });
    await assert.rejects(activity.quiet(AbortSignal.abort()), { name: "AbortError" });
  });
});
