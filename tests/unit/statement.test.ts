/** conformance/statement.md says what the code says. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { statementTables, withTables } from "../../deploy/statement-tables.ts";

describe("the Conformance Statement", () => {
  it("has the tables of the code; after a change of one run `npm run statement`", async () => {
    const file = path.join(import.meta.dirname, "..", "..", "conformance", "statement.md");
    const text = await readFile(file, "utf8");
    assert.equal(text, withTables(text, statementTables()));
  });

  it("is filled between the marks alone", () => {
    const text = "# One\n<!-- table: a -->\nold\n<!-- end -->\nTwo\n";
    const filled = withTables(text, new Map([["a", "new"]]));
    assert.equal(filled, "# One\n<!-- table: a -->\n\nnew\n\n<!-- end -->\nTwo\n");
    assert.throws(() => withTables(text, new Map()), /there is no table a/);
    assert.throws(() => withTables("", new Map([["a", "new"]])), /no place for a/);
  });
});
