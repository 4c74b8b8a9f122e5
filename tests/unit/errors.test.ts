/** The table of errors: every row has statuses that its standard knows. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArchiveError, type ErrorCode, errorTable, toArchiveError } from "../../server/errors.ts";

describe("errors", () => {
  const rows = Object.entries(errorTable);

  it("have a code in words, a title and statuses", () => {
    for (const [code, { httpStatus, dimseStatus, failureReason, title }] of rows) {
      assert.match(code, /^[a-z]+(-[a-z]+)*$/);
      assert.match(title, /^[A-Z].*[^.]$/, code);
      assert.ok(httpStatus >= 400 && httpStatus < 600, code);
      for (const status of [dimseStatus, failureReason]) {
        assert.ok(Number.isInteger(status) && status > 0 && status <= 0xffff, code);
        // Neither success, nor a warning (Bxxx), nor pending (FF0x): PS3.7 Annex C.
        assert.ok(status >> 12 !== 0xb && status >> 8 !== 0xff, code);
      }
    }
  });

  it("answer in the same family at every door", () => {
    const families = new Map([
      [0xa700, [503, 507]],
      [0x0112, [404]],
      [0xc000, [409]],
      [0xc122, [409]],
      // Unable to process, of C-FIND (PS3.4 Table C.4-1): nothing is wrong with what was asked.
      [0xc001, [500]],
    ]);
    for (const [code, { httpStatus, dimseStatus }] of rows) {
      const allowed = families.get(dimseStatus);
      if (dimseStatus >> 12 === 0xc) assert.ok(allowed, code);
      if (allowed) assert.ok(allowed.includes(httpStatus), code);
    }
  });

  it("have titles of their own", () => {
    assert.equal(new Set(rows.map(([, { title }]) => title)).size, rows.length);
  });

  it("carry code, message, cause and answer", () => {
    const cause = new Error("select secret");
    const error = new ArchiveError("no-such-study", "There is no such study.", { cause });
    assert.deepEqual(
      [error.name, error.code, error.message, error.cause],
      ["ArchiveError", "no-such-study", "There is no such study.", cause],
    );
    assert.equal(error.answer, errorTable["no-such-study"]);
  });

  it("that are unknown become internal, and keep their text to themselves", () => {
    for (const thrown of [new Error("select * from secret"), "text", undefined, null, { code: "no-such-study" }]) {
      const error = toArchiveError(thrown);
      assert.equal(error.code, "internal" satisfies ErrorCode);
      assert.doesNotMatch(error.message, /secret|text/);
      assert.equal(error.cause, thrown);
    }
    const known = new ArchiveError("stopping", "The server is stopping.");
    assert.equal(toArchiveError(known), known);
  });
});
