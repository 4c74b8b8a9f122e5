/** The arguments of `noctis verify`, and the line about how far it has come. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseVerifyArguments } from "../../server/cli/verify-arguments.ts";
import { verifyLine } from "../../server/cli/verify-progress.ts";

describe("noctis verify", () => {
  it("looks at every byte and repairs nothing unless it is told otherwise", () => {
    const { sample, deep, repair, graceHours, parallel, study } = parseVerifyArguments([]);
    assert.deepEqual([sample, deep, repair, graceHours, parallel, study], [1, false, "report", 24, 4, undefined]);
    assert.equal(parseVerifyArguments(["--repair"]).repair, "index");
    assert.equal(parseVerifyArguments(["--repair=remove-any"]).repair, "remove-any");
    assert.equal(parseVerifyArguments(["--quick"]).sample, 0);
    assert.equal(parseVerifyArguments(["--sample", "2.5%"]).sample, 0.025);
    assert.equal(parseVerifyArguments(["--study", "1.2.3", "--quick"]).study, "1.2.3");
  });

  it("refuses what makes no sense", () => {
    const wrong: readonly (readonly string[])[] = [
      ["--grace", "9999"],
      ["--grace", "x"],
      ["--parallel", "0"],
      ["--parallel", "1.5"],
      ["--sample", "0"],
      ["--sample", "101%"],
      ["--sample", "half"],
      ["--repair=all"],
      ["--quick", "--deep"],
      ["--quick", "--sample", "1"],
      ["--study", "1.2.x"],
      ["--study", "1.2.3", "--repair"],
      ["--study", "1.2.3", "--restart"],
      ["something"],
      ["--unknown"],
    ];
    for (const args of wrong) assert.throws(() => parseVerifyArguments(args), Error, args.join(" "));
  });

  it("tells rate and remaining time of this run alone", () => {
    const begun = { position: "", share: 0.5, objects: 100, objectsRead: 100, bytesRead: 1e9 };
    const now = { position: "", share: 0.75, objects: 150, objectsRead: 150, bytesRead: 1.5e9 };
    const line = verifyLine(begun, now, 10_000);
    assert.equal(line, "[##################------]  75%  150 objects, 50.0 MB/s, 10 s left");
    assert.equal(verifyLine(begun, now, 10_000, 20), line.slice(0, 20));
    assert.equal(verifyLine(begun, begun, 0), "[############------------]  50%  100 objects, 0.0 MB/s");
  });
});
