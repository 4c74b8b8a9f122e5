/** When backups are made by themselves. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { isClockTime, isDue, lastTurn, nextTurn } from "../../server/archive/backup-schedule.ts";

const minutes = (count: number) => count * 60_000;

describe("the schedule of backups", () => {
  const zone = process.env["TZ"];
  after(() => {
    process.env["TZ"] = zone;
  });

  it("has times of day", () => {
    assert.deepEqual(["00:00", "02:30", "23:59"].map(isClockTime), [true, true, true]);
    assert.deepEqual(["24:00", "2:30", "02:60", "02:30:00", "", "noon"].map(isClockTime), Array(6).fill(false));
  });

  it("finds the turn before and the one after, over midnight and the end of a year", () => {
    process.env["TZ"] = "UTC";
    const times = ["14:00", "02:30"];
    const now = new Date("2027-01-01T01:00:00Z");
    assert.equal(lastTurn(times, now).toISOString(), "2026-12-31T14:00:00.000Z");
    assert.equal(nextTurn(times, now).toISOString(), "2027-01-01T02:30:00.000Z");
    const atTurn = new Date("2027-01-01T02:30:00Z");
    assert.equal(lastTurn(times, atTurn).toISOString(), "2027-01-01T02:30:00.000Z");
    assert.equal(nextTurn(times, atTurn).toISOString(), "2027-01-01T14:00:00.000Z");
  });

  it("goes by the clock on the wall: a time that is skipped comes later, one that is shown twice comes once", () => {
    process.env["TZ"] = "Europe/Berlin";
    assert.equal(nextTurn(["02:30"], new Date("2026-03-28T23:00:00Z")).toISOString(), "2026-03-29T01:30:00.000Z");
    const first = nextTurn(["02:30"], new Date("2026-10-24T23:00:00Z"));
    assert.equal(first.toISOString(), "2026-10-25T00:30:00.000Z");
    assert.equal(nextTurn(["02:30"], first).toISOString(), "2026-10-26T01:30:00.000Z");
  });

  it("is due when none was begun since the last turn, also one that was missed", () => {
    process.env["TZ"] = "UTC";
    const now = new Date("2026-11-20T09:00:00Z");
    const due = (lastSuccess: string | undefined) =>
      isDue(
        ["02:30"],
        { lastSuccess: lastSuccess === undefined ? undefined : new Date(lastSuccess), failures: [] },
        now,
      );
    assert.equal(due(undefined), true);
    assert.equal(due("2026-11-19T02:30:05Z"), true);
    assert.equal(due("2026-11-20T02:30:05Z"), false);
    assert.equal(due("2026-11-20T08:00:00Z"), false);
    assert.equal(due("2026-11-20T09:10:00Z"), false, "the clock of the database is a little ahead");
    assert.equal(due("2027-11-20T09:00:00Z"), true, "the clock was a year ahead, and was put back");
  });

  it("tries a failed one again after a minute, later ones after up to an hour", () => {
    const now = new Date("2026-11-20T09:00:00Z");
    const ago = (...waits: number[]) => waits.map((wait) => new Date(now.getTime() - minutes(wait)));
    const due = (...waits: number[]) => isDue(["02:30"], { lastSuccess: undefined, failures: ago(...waits) }, now);
    assert.deepEqual([due(0.5), due(1)], [false, true]);
    assert.deepEqual([due(4, 9), due(9, 5)], [false, true]);
    assert.deepEqual([due(-1), due(-365 * 24 * 60)], [false, true]);
    assert.deepEqual([due(59, 90, 200, 300, 400), due(60, 90, 200, 300, 400)], [false, true]);
  });
});
