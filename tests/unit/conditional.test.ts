/** Preconditions of requests in the order of RFC 9110 13.2.2. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isRangeCurrent, type Precondition, precondition } from "../../server/http/conditional.ts";

const lastModified = new Date("2024-05-06T07:08:09.500Z");
const same = "Mon, 06 May 2024 07:08:09 GMT";
const before = "Mon, 06 May 2024 07:08:08 GMT";
const later = "Mon, 06 May 2024 07:08:10 GMT";
const strong = { etag: '"a"', lastModified };
const weak = { etag: 'W/"a"', lastModified };

function headers(fields: Readonly<Record<string, string>>) {
  return (name: string) => fields[name];
}

describe("conditional requests", () => {
  const cases: readonly (readonly [Readonly<Record<string, string>>, typeof strong, Precondition])[] = [
    [{}, strong, "met"],
    [{ "if-match": '"b", "a"' }, strong, "met"],
    [{ "if-match": "*" }, weak, "met"],
    [{ "if-match": 'W/"a"' }, weak, "failed"],
    [{ "if-match": '"b"' }, strong, "failed"],
    [{ "if-unmodified-since": before }, strong, "failed"],
    [{ "if-unmodified-since": same }, strong, "met"],
    [{ "if-match": '"a"', "if-unmodified-since": before }, strong, "met"],
    [{ "if-none-match": '"a"' }, strong, "not-modified"],
    [{ "if-none-match": '"x,y", W/"a"' }, strong, "not-modified"],
    [{ "if-none-match": "*" }, strong, "not-modified"],
    [{ "if-none-match": '"b"', "if-modified-since": later }, strong, "met"],
    [{ "if-modified-since": same }, strong, "not-modified"],
    [{ "if-modified-since": later }, strong, "not-modified"],
    [{ "if-modified-since": before }, strong, "met"],
    [{ "if-modified-since": "Mon May  6 07:08:09 2024" }, strong, "not-modified"],
    [{ "if-modified-since": "Monday, 06-May-24 07:08:09 GMT" }, strong, "not-modified"],
    [{ "if-modified-since": "2030" }, strong, "met"],
    [{ "if-modified-since": "tomorrow" }, strong, "met"],
    [{ "if-match": '"b"', "if-none-match": '"a"' }, strong, "failed"],
  ];
  for (const [fields, validators, expected] of cases) {
    it(`${JSON.stringify(fields)} of ${validators.etag}: ${expected}`, () => {
      assert.equal(precondition(headers(fields), validators), expected);
    });
  }

  it("compares with nothing where there is no validator", () => {
    assert.equal(precondition(headers({ "if-none-match": '"a"', "if-modified-since": later }), {}), "met");
    assert.equal(precondition(headers({ "if-match": '"a"' }), {}), "failed");
    assert.equal(precondition(headers({ "if-modified-since": later }), {}), "met");
  });

  it("lets a range count only for the state that If-Range names by a strong validator", () => {
    assert.equal(isRangeCurrent(headers({}), strong), true);
    assert.equal(isRangeCurrent(headers({ "if-range": '"a"' }), strong), true);
    assert.equal(isRangeCurrent(headers({ "if-range": '"b"' }), strong), false);
    assert.equal(isRangeCurrent(headers({ "if-range": 'W/"a"' }), weak), false);
    assert.equal(isRangeCurrent(headers({ "if-range": same }), strong), true);
    assert.equal(isRangeCurrent(headers({ "if-range": later }), strong), false);
    assert.equal(isRangeCurrent(headers({ "if-range": "nonsense" }), strong), false);
    assert.equal(isRangeCurrent(headers({ "if-range": same }), strong, lastModified), false);
  });
});
