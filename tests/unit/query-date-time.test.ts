/** Keys of VR DT: which moments a value, a range and an offset mean. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { dateTimeRange, offsetMinutes } from "../../server/archive/query-date-time.ts";
import { ArchiveError } from "../../server/errors.ts";

const range = (value: string, zone?: number) => {
  const { inUtc, match } = dateTimeRange("AcquisitionDateTime", value, zone);
  return [match.from, match.to, inUtc ? "UTC" : "as written"];
};

describe("DT keys", () => {
  it("of one value mean all that it leaves out", () => {
    const cases = {
      "2006": ["2006-01-01 00:00:00.000000", "2006-12-31 23:59:59.999999"],
      "200602": ["2006-02-01 00:00:00.000000", "2006-02-28 23:59:59.999999"],
      "20060703": ["2006-07-03 00:00:00.000000", "2006-07-03 23:59:59.999999"],
      "2006070310": ["2006-07-03 10:00:00.000000", "2006-07-03 10:59:59.999999"],
      "200607031011": ["2006-07-03 10:11:00.000000", "2006-07-03 10:11:59.999999"],
      "20060703101112": ["2006-07-03 10:11:12.000000", "2006-07-03 10:11:12.999999"],
      "20060703101112.25": ["2006-07-03 10:11:12.250000", "2006-07-03 10:11:12.250000"],
      "20061231235960": ["2006-12-31 23:59:59.000000", "2006-12-31 23:59:59.999999"],
    };
    for (const [value, [from, to]] of Object.entries(cases)) assert.deepEqual(range(value), [from, to, "as written"]);
  });

  it("with an offset are in UTC, with that of the request if they have none", () => {
    const noon = ["2006-07-03 12:00:00.000000", "2006-07-03 12:00:59.999999", "UTC"];
    assert.deepEqual(range("200607031200+0000"), noon);
    assert.deepEqual(range("200607031400+0200"), noon);
    assert.deepEqual(range("200607030700-0500"), noon, "a hyphen is a sign where it cannot be a range");
    assert.deepEqual(range("200607031400", 120), noon);
    assert.deepEqual(range("200607030700-0500", 120), noon, "its own offset counts");
    assert.deepEqual(range("0001+1400")[0], "0001-01-01 00:00:00.000000");
    assert.deepEqual(range("9999-1200")[1], "9999-12-31 23:59:59.999999");
  });

  it("are ranges wherever a hyphen can mean one", () => {
    assert.deepEqual(range("2005-2006"), ["2005-01-01 00:00:00.000000", "2006-12-31 23:59:59.999999", "as written"]);
    assert.deepEqual(range("2005-"), ["2005-01-01 00:00:00.000000", undefined, "as written"]);
    assert.deepEqual(range("-2005"), [undefined, "2005-12-31 23:59:59.999999", "as written"]);
    const day = ["2006-07-03 05:00:00.000000", "2006-07-04 04:59:59.999999", "UTC"];
    assert.deepEqual(range("20060703-0500-20060703-0500"), day);
    assert.deepEqual(range("20060703-0500-"), [day[0], undefined, "UTC"]);
    assert.deepEqual(range("-20060703-0500"), [undefined, day[1], "UTC"]);
    assert.deepEqual(range("20060703+0100-20060703"), [
      "2006-07-02 23:00:00.000000",
      "2006-07-03 23:59:59.999999",
      "UTC",
    ]);
  });

  it("are refused when they are ill-formed, or end before they begin", () => {
    const wrong = ["", "-", "--", "20061", "20061301", "20060230", "2006070325", "200607031011.5", "2006+1500"];
    for (const value of [
      ...wrong,
      "2006-07-03",
      "20060703T10",
      "2006-2005",
      "a-b",
      "2006-2007-2008",
      "-".repeat(5000),
    ]) {
      assert.throws(
        () => range(value),
        (error) => error instanceof ArchiveError && error.code === "invalid-query" && error.message.startsWith("Acq"),
        value.slice(0, 20),
      );
    }
  });

  it("have offsets from -1200 to +1400", () => {
    const offsets = { "+0000": 0, "-0000": -0, "+0530": 330, "-1200": -720, "+1400": 840 };
    for (const [text, minutes] of Object.entries(offsets)) assert.equal(offsetMinutes(text), minutes);
    for (const text of ["", "0100", "+1", "+0160", "-1201", "+1401", "+01:00", "Z"])
      assert.equal(offsetMinutes(text), undefined);
  });
});
