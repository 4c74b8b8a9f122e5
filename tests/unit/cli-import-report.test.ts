/** Tests of the summary of an import. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { notStored, type Instance, type Outcome } from "../../server/cli/import-instance.ts";
import { report } from "../../server/cli/import-report.ts";

function instance(name: string): Instance {
  return { name, byteLength: 0, identifiers: {}, async *open() {} };
}

function many(count: number, outcome: Outcome): [Instance, Outcome][] {
  return Array.from({ length: count }, (_, index) => [instance(`file ${String(index).padStart(2, "0")}`), outcome]);
}

describe("summary of an import", () => {
  it("counts, and names every file that was not stored under its reason", () => {
    const outcomes = new Map<Instance, Outcome>([
      [instance("a"), { kind: "stored" }],
      [instance("b"), { kind: "already-there" }],
      [instance("d"), notStored("Cannot understand (C000)")],
      [instance("c"), notStored("Cannot understand (C000)")],
    ]);
    const unusable = [{ name: "letter.txt", reason: "not a DICOM file" }];
    assert.deepEqual(report(outcomes, { unusable, hidden: 1, dicomdirs: 2 }), {
      lines: [
        "Stored 1, already there 1, not stored 3.",
        "Left out 2 DICOMDIR files.",
        "Left out 1 hidden file.",
        "Not stored:",
        "  not a DICOM file:",
        "    letter.txt",
        "  Cannot understand (C000):",
        "    c",
        "    d",
      ],
      complete: false,
    });
  });

  it("is complete when everything is stored or there already", () => {
    const outcomes = new Map([...many(2, { kind: "stored" }), ...many(3, { kind: "already-there" })]);
    assert.deepEqual(report(outcomes), { lines: ["Stored 2, already there 3, not stored 0."], complete: true });
  });

  it("names all files that were not stored, but of a warning only some", () => {
    const failed = report(new Map(many(30, notStored("x")))).lines;
    assert.equal(failed.filter((line) => line.includes("file")).length, 30);
    const { lines, complete } = report(new Map(many(30, { kind: "stored", warning: "w" })));
    assert.equal(lines.filter((line) => line.includes("file")).length, 10);
    assert.equal(lines.at(-1), "    and 20 others");
    assert.ok(complete);
  });
});
