/** The arguments of `noctis quarantine`: what they mean, and that a purge of everything is never an accident. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseQuarantineArguments } from "../../server/cli/quarantine-arguments.ts";

describe("the arguments of noctis quarantine", () => {
  it("name files by number, or all of them", () => {
    const { action, ids } = parseQuarantineArguments(["purge", "3", "17"]);
    assert.deepEqual([action, ids], ["purge", [3, 17]]);
    assert.equal(parseQuarantineArguments(["list"]).ids, undefined);
    const all = parseQuarantineArguments(["purge", "--all", "--reason", "not-dicom", "--older-than", "2"]);
    assert.deepEqual([all.ids, all.filter.reason], [undefined, "not-dicom"]);
    const age = Date.now() - Number(all.filter.olderThan);
    assert.ok(age >= 2 * 86_400_000 && age < 3 * 86_400_000);
  });

  it("are refused with a sentence when they are not understood", () => {
    for (const [wrong, message] of [
      [[], /list, retry or purge/],
      [["dance"], /list, retry or purge/],
      [["list", "1"], /takes no numbers/],
      [["retry"], /numbers of files, or --all/],
      [["purge"], /numbers of files, or --all/],
      [["purge", "--reason", "not-dicom"], /numbers of files, or --all/],
      [["purge", "1", "--all"], /numbers of files, or --all/],
      [["purge", "x"], /"x" is not the number/],
      [["list", "--reason", "ugly"], /--reason must be one of/],
      [["list", "--older-than", "soon"], /--older-than must be/],
      [["purge", "1", "--older-than", "3"], /go with --all/],
      [["purge", "--everything"], /--everything/],
    ] as const) {
      assert.throws(() => parseQuarantineArguments(wrong), message, wrong.join(" "));
    }
  });
});
