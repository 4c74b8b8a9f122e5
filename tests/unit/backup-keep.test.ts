/** Which snapshots are kept. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isKeepRule, kept, parseKeepRule } from "../../server/archive/backup-keep.ts";

/** What is kept of `moments`, newest first. */
function keptOf(moments: readonly string[], rule: string, timeZone = "UTC"): string[] {
  const dates = moments.map((moment) => new Date(moment));
  return [...kept(dates, parseKeepRule(rule), timeZone)]
    .sort((one, other) => other.getTime() - one.getTime())
    .map((date) => date.toISOString().replace(":00.000Z", ""));
}

/** A moment of each of `count` days, back from `last`. */
function daily(last: string, count: number): string[] {
  return Array.from({ length: count }, (_, back) => new Date(Date.parse(last) - back * 86_400_000).toISOString());
}

describe("the rule of what backups are kept", () => {
  it("is days, weeks and months, and keeps something", () => {
    assert.deepEqual(parseKeepRule("7d4w12m"), { days: 7, weeks: 4, months: 12 });
    assert.deepEqual(parseKeepRule("3w"), { days: 0, weeks: 3, months: 0 });
    assert.equal(isKeepRule("30d"), true);
    for (const text of ["", "0d", "0d0w0m", "7", "4w7d", "7d 4w", "-1d", "7d4w12m1y", "12345d"]) {
      assert.equal(isKeepRule(text), false, text);
    }
  });

  it("keeps the newest of each day, week and month", () => {
    const moments = ["2026-11-20T14:30:00Z", ...daily("2026-11-20T02:30:00Z", 500)];
    assert.deepEqual(keptOf(moments, "7d4w12m"), [
      "2026-11-20T14:30",
      ...["19", "18", "17", "16", "15", "14"].map((day) => `2026-11-${day}T02:30`),
      // Sundays end ISO weeks; the 15th is kept as a day already.
      "2026-11-08T02:30",
      "2026-11-01T02:30",
      "2026-10-31T02:30",
      ...["2026-09-30", "2026-08-31", "2026-07-31", "2026-06-30", "2026-05-31", "2026-04-30", "2026-03-31"].map(
        (day) => `${day}T02:30`,
      ),
      ...["2026-02-28", "2026-01-31", "2025-12-31"].map((day) => `${day}T02:30`),
    ]);
  });

  it("counts ISO weeks over the end of a year: 2025-12-29 to 2026-01-04 is one, 2027-01-03 is of 2026-W53", () => {
    const turn = ["2025-12-28T01:00:00Z", "2025-12-29T01:00:00Z", "2026-01-01T01:00:00Z", "2026-01-04T01:00:00Z"];
    assert.deepEqual(keptOf(turn, "9w"), ["2026-01-04T01:00", "2025-12-28T01:00"]);
    const long = ["2026-12-28T01:00:00Z", "2027-01-03T01:00:00Z", "2027-01-04T01:00:00Z"];
    assert.deepEqual(keptOf(long, "9w"), ["2027-01-04T01:00", "2027-01-03T01:00"]);
  });

  it("goes by the days of the time zone, also where the clock changes", () => {
    // 23:30 and 00:30 of Berlin, in winter and in summer time.
    const moments = ["2026-10-24T22:30:00Z", "2026-10-25T23:30:00Z", "2026-10-25T22:30:00Z"];
    assert.deepEqual(keptOf(moments, "9d", "Europe/Berlin"), ["2026-10-25T23:30", "2026-10-25T22:30"]);
    assert.deepEqual(keptOf(moments, "9d", "UTC"), ["2026-10-25T23:30", "2026-10-24T22:30"]);
  });

  it("counts periods that have a snapshot: after a gap the old ones stay", () => {
    const moments = ["2026-11-20T02:00:00Z", "2026-03-02T02:00:00Z", "2026-03-01T02:00:00Z", "2026-02-28T02:00:00Z"];
    assert.deepEqual(keptOf(moments, "3d"), ["2026-11-20T02:00", "2026-03-02T02:00", "2026-03-01T02:00"]);
  });

  it("keeps the newest in any case, and nothing of nothing", () => {
    assert.deepEqual(keptOf(["2026-11-20T02:00:00Z"], "0d"), ["2026-11-20T02:00"]);
    assert.deepEqual(keptOf([], "7d4w12m"), []);
  });
});
