/** The table of settings in docs/operations.md says what the schema says. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { describeConfig, loadConfig } from "../../server/config.ts";

describe("docs/operations.md", () => {
  it("lists every setting with its default and its meaning", async () => {
    const page = await readFile(path.join(import.meta.dirname, "..", "..", "docs", "operations.md"), "utf8");
    const written = [...page.matchAll(/^\| `([A-Z0-9_]+)` *\| (.*?) *\| (.*?) *\|$/gm)].map(
      ([, name, value, meaning]) => ({ name, value, meaning }),
    );
    const actual = describeConfig(loadConfig({})).map(({ name, value, description }) => ({
      name,
      value: name === "DATA_DIR" ? "data" : value.replace("(unset)", ""),
      meaning: description,
    }));
    assert.deepEqual(written, actual);
  });
});
