/** Statuses in words: the range of the service before what any service answers, and never without the number. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { statusKind, statusWords } from "../../server/dimse/status-words.ts";

describe("statuses in words", () => {
  it("depend on the service", () => {
    assert.equal(statusWords("C-STORE", 0xa701), "A701: refused: out of resources");
    assert.equal(statusWords("C-MOVE", 0xa701), "A701: refused: out of resources, cannot count the matches");
    assert.equal(statusWords("C-STORE", 0xb000), "B000: stored, with coercion of data elements");
    assert.equal(statusWords("C-GET", 0xb000), "B000: sub-operations complete, with failures or warnings");
    assert.equal(statusWords("C-STORE", 0xc123), "C123: cannot understand");
    assert.equal(statusWords("C-FIND", 0xc123), "C123: unable to process");
    assert.equal(statusWords("C-ECHO", 0x0122), "0122: refused: SOP class not supported");
    assert.equal(statusWords("C-ECHO", 0x9999), "9999: a status that the standard does not name");
  });

  it("show the comment of the peer, without what a terminal would obey", () => {
    assert.equal(statusWords("C-STORE", 0x0110, " no\u001B[2Jroom\n"), "0110: processing failure (no [2Jroom)");
  });

  it("are of five kinds (PS3.7 C)", () => {
    const kinds = [0, 0xff00, 0xff01, 0xfe00, 0x0001, 0x0107, 0x0116, 0xb007, 0x0110, 0xa700, 0xc000, 0x9999].map(
      statusKind,
    );
    assert.deepEqual(kinds, [
      "success",
      "pending",
      "pending",
      "cancel",
      "warning",
      "warning",
      "warning",
      "warning",
      "failure",
      "failure",
      "failure",
      "failure",
    ]);
  });
});
