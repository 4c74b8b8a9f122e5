/** The stretches of keys that a verification goes through: every key in exactly one, in order, whatever the position. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { digitsFor, shareOf, stretches } from "../../server/archive/verify-stretches.ts";
import { freshKey, keyFor } from "../../storage/blobs.ts";

describe("stretches of keys", () => {
  it("are as many as the archive needs", () => {
    const digits = [0, 1, 20_000, 20_001, 320_000, 5_120_000, 5_120_001, 1e9].map((objects) => digitsFor(objects));
    assert.deepEqual(digits, [0, 0, 0, 1, 1, 2, 3, 4]);
  });

  it("hold every key exactly once, and list it", () => {
    const keys = Array.from({ length: 200 }, (_, number) =>
      number % 3 === 0 ? keyFor({ sha256: "ab".repeat(32) }) : freshKey(number % 5 === 1 ? "quarantine" : undefined),
    );
    keys.push(freshKey("spool"));
    for (const digits of [0, 1, 2, 3]) {
      const all = [...stretches(digits, "")];
      for (const key of keys) {
        const holding = all.filter(({ from, to }) => key >= from && key < to);
        assert.equal(holding.length, 1, key);
        assert.ok(key.startsWith(holding[0]?.prefix ?? "-"), key);
      }
      assert.deepEqual(
        all.map(({ from }) => from),
        all.map(({ from }) => from).sort(),
      );
    }
  });

  it("go on at a position", () => {
    const from = (position: string) => [...stretches(1, position)].map(({ prefix }) => prefix);
    assert.deepEqual(from("e1/e1").slice(0, 2), ["e", "f"]);
    assert.deepEqual(from("f"), ["f", "quarantine/", "spool/"]);
    assert.deepEqual(from("g"), ["quarantine/", "spool/"]);
    assert.deepEqual(from("quarantine/ab/abc"), ["quarantine/", "spool/"]);
    assert.deepEqual(from("spool0"), []);
  });

  it("are so much of the whole", () => {
    assert.deepEqual(["", "0", "8", "80/80", ":", "g", "quarantine/1"].map(shareOf), [0, 0, 0.5, 0.5, 0.625, 1, 1]);
    assert.equal(shareOf("3g"), shareOf("4"));
    assert.equal(shareOf("3f/3g"), shareOf("40"));
  });
});
