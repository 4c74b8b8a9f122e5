/** Orders and cursors of searches: what becomes of orderby, and what a forged cursor comes to. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fromCursor, orderKeywords, orderOf, toCursor } from "../../server/archive/search-order.ts";

const refused = { code: "invalid-query" };

function namesOf(...[level, orderby]: Parameters<typeof orderOf>): string[] {
  return orderOf(level, orderby).map(({ level: of, column, descending }) => `${descending ? "-" : ""}${of}.${column}`);
}

describe("the order of a search", () => {
  const newest = ["-study.study_date", "-study.study_time", "-study.id"];

  it("is newest first, and in the order of series and instances below", () => {
    assert.deepEqual(namesOf("patient", []), newest);
    assert.deepEqual(namesOf("study", []), newest);
    assert.deepEqual(namesOf("series", []), [...newest, "series.series_number", "series.id"]);
    assert.deepEqual(namesOf("instance", []).slice(-2), ["instance.instance_number", "instance.id"]);
  });

  it("begins with what orderby names, each key once, and ends with the default", () => {
    assert.deepEqual(namesOf("study", ["StudyTime", "-00100010", "-StudyTime"]), [
      "study.study_time",
      "-study.patient_name",
      "-study.study_date",
      "-study.id",
    ]);
  });

  it("knows the attributes of the level and those above, if they have a column", () => {
    assert.equal(namesOf("instance", ["-SeriesNumber"])[0], "-series.series_number");
    for (const field of ["SeriesNumber", "Rows", "NoSuch", "", "-", "--StudyDate", "OtherPatientNames", "00090010"]) {
      assert.throws(() => orderOf("study", [field]), refused, field);
    }
    assert.throws(() => orderOf("patient", ["StudyDate"]), refused);
    for (const level of ["patient", "study", "series", "instance"] as const) {
      for (const keyword of orderKeywords(level)) assert.ok(orderOf(level, [`-${keyword}`])[0]?.descending, keyword);
      const words = new RegExp(`Rows, which is none of what it takes: ${orderKeywords(level).join(", ")}\\.$`);
      assert.throws(() => orderOf(level, ["Rows"]), words);
    }
  });
});

describe("a cursor", () => {
  const order = orderOf("study", []);
  const at = { behind: ["2024-01-02", "10:11:12.5", 7] };
  const cursor = toCursor("study", order, at);

  it("says where it was made, nulls included, in characters of a URL", () => {
    assert.match(cursor, /^[\w-]+$/);
    assert.deepEqual(fromCursor("study", order, cursor), at);
    const nowhere = { behind: [null, null, Number.MAX_SAFE_INTEGER] };
    assert.deepEqual(fromCursor("study", order, toCursor("study", order, nowhere)), nowhere);
    const patients = { behind: ["2024-01-02", null, 7], asOf: 99 };
    const patientOrder = orderOf("patient", []);
    assert.deepEqual(fromCursor("patient", patientOrder, toCursor("patient", patientOrder, patients)), patients);
    const named = orderOf("study", ["PatientName"]);
    const name = { behind: [`=${"山田".repeat(120)}===`, ...at.behind] };
    assert.deepEqual(fromCursor("study", named, toCursor("study", named, name)), name);
  });

  it("is refused in another order or at another level", () => {
    assert.throws(() => fromCursor("study", orderOf("study", ["-StudyTime"]), cursor), refused);
    assert.throws(() => fromCursor("study", orderOf("study", ["StudyDate"]), cursor), refused);
    assert.throws(() => fromCursor("patient", orderOf("patient", []), cursor), refused);
    assert.throws(() => fromCursor("series", orderOf("series", []), cursor), refused);
  });

  it("is refused when anything in it is not of its kind", () => {
    const parts: unknown[] = JSON.parse(Buffer.from(cursor, "base64url").toString());
    const bad = [true, {}, [], "x", "2024-02-30", "2024-1-2", "24:00:01", "10:11", -0.5, 2 ** 60, "\0"];
    for (const [index] of parts.entries()) {
      for (const value of bad) {
        const forged = Buffer.from(JSON.stringify(parts.with(index, value))).toString("base64url");
        assert.throws(() => fromCursor("study", order, forged), refused, `${index} ${JSON.stringify(value)}`);
      }
    }
    for (const text of ["", "a", cursor.slice(0, -3), `${cursor}A`, `${cursor}=`, "A".repeat(9000), cursor + cursor]) {
      assert.throws(() => fromCursor("study", order, text), refused);
    }
  });
});
