/** Queries: every kind of matching, what is refused, what is passed over with a warning. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseQuery, type SearchScope } from "../../server/archive/query.ts";
import { defaultLimit, largestLimit } from "../../server/archive/query-paging.ts";
import { parseUid } from "../../server/dicom/uid.ts";
import { ArchiveError } from "../../server/errors.ts";

type Pairs = readonly (readonly [string, string])[];

const parse = (pairs: Pairs, scope: SearchScope = { level: "study" }) => parseQuery(scope, pairs);

/** The one condition that a key becomes; undefined when none. */
function matchOf(name: string, value: string, level: SearchScope["level"] = "instance") {
  const { conditions } = parse([[name, value]], { level }).search;
  // Beside what a name must match stands what leads to it by an index.
  const [condition, ...others] = conditions.filter((each) => !("nameWords" in each && each.orWithoutKeys));
  assert.deepEqual(others, []);
  if (condition && "modalitiesInStudy" in condition) {
    return condition.modalitiesInStudy === "none" ? undefined : condition.modalitiesInStudy;
  }
  if (condition && "document" in condition && "match" in condition.document) return condition.document.match;
  return condition && "match" in condition ? condition.match : undefined;
}

function refuses(name: string, value: string) {
  assert.throws(
    () => parse([[name, value]], { level: "instance" }),
    (error) => error instanceof ArchiveError && error.code === "invalid-query",
    `${name}=${value}`,
  );
}

/** The regular expression of a name, over `=Alphabetic=Ideographic=Phonetic=` as PostgreSQL reads it. */
function nameMatches(key: string, indexed: string): boolean {
  const match = matchOf("PatientName", key);
  assert.ok(match?.kind === "name");
  return new RegExp(match.regularExpression, "i").test(indexed);
}

describe("query", () => {
  it("names attributes by keyword or tag", () => {
    const expected = [{ level: "study", column: "patient_id", match: { kind: "equal", value: "1" } }];
    for (const name of ["PatientID", "00100020"]) assert.deepEqual(parse([[name, "1"]]).search.conditions, expected);
    assert.deepEqual(matchOf("0020000d", "1.2"), { kind: "anyOf", values: ["1.2"] });
  });

  it("bounds the patterns of one key, and not its whole values", () => {
    const listed = (count: number, code: string) => Array.from({ length: count }, () => code).join(",");
    assert.equal(matchOf("Modality", listed(100, "C?"))?.kind, "like");
    refuses("Modality", listed(101, "C?"));
    refuses("ModalitiesInStudy", `${listed(100, "CT")},M?`);
    assert.equal(matchOf("Modality", listed(1000, "CT"))?.kind, "anyOf");
  });

  it("refuses a name that is neither", () => {
    for (const name of [
      "PatientId",
      "patientname",
      "0010002",
      "001000200",
      "0010,0020",
      "foo",
      "",
      ".",
      "__proto__",
      "constructor",
      "toString",
    ]) {
      refuses(name, "1");
      refuses("includefield", name === "." ? "foo" : name || "bar");
    }
  });

  it("names the whole path of a key that is passed over", () => {
    for (const name of ["RequestAttributesSequence.ScheduledProcedureStepID", "00400275.00400009"]) {
      const { warnings } = parse([[name, "1"]]);
      assert.match(warnings.join(), /passed over: RequestAttributesSequence\.ScheduledProcedureStepID\.$/);
    }
    const { warnings } = parse([["ProcedureCodeSequence.00420011", "1"]]);
    assert.match(warnings.join(), /passed over: ProcedureCodeSequence\.EncapsulatedDocument\.$/);
  });

  it("says how dates and times are written", () => {
    const cases = [
      ["StudyDate", "2024-03-19", "a date nor a range of two: it is written YYYYMMDD or YYYYMMDD-YYYYMMDD."],
      ["StudyDate", "2024", "a date nor a range of two: it is written YYYYMMDD or YYYYMMDD-YYYYMMDD."],
      ["StudyTime", "9", "a time nor a range of two: it is written HHMMSS or HHMMSS-HHMMSS."],
      ["AcquisitionDateTime", "now", "a date and time nor a range of two: it is written YYYYMMDDHHMMSS, +HHMM "],
    ] as const;
    for (const [name, value, words] of cases) {
      assert.throws(
        () => parse([[name, value]], { level: "instance" }),
        (error) => error instanceof ArchiveError && error.message.startsWith(`${name} is neither ${words}`),
        value,
      );
    }
  });

  it("passes over an attribute that is not matched, with a warning that names it", () => {
    const cases: readonly [name: string, scope: SearchScope, named: string][] = [
      ["PixelData", { level: "instance" }, "PixelData"],
      ["KVP", { level: "study" }, "KVP"],
      ["00091001", { level: "study" }, "00091001"],
      ["deadbeef", { level: "study" }, "DEADBEEF"],
      ["SeriesNumber", { level: "study" }, "SeriesNumber"],
      ["InstanceNumber", { level: "series" }, "InstanceNumber"],
      ["RequestAttributesSequence.PatientID", { level: "study" }, "RequestAttributesSequence.PatientID"],
      ["RequestAttributesSequence.00091001", { level: "series" }, "RequestAttributesSequence.00091001"],
    ];
    for (const [name, scope, named] of cases) {
      const { search, warnings } = parse([[name, "1"]], scope);
      assert.deepEqual(search.conditions, [], name);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0] ?? "", new RegExp(`\\b${named}\\.$`));
    }
  });

  it("matches attributes of the levels above", () => {
    const { conditions } = parse(
      [
        ["PatientID", "1"],
        ["Modality", "CT"],
        ["InstanceNumber", "3"],
      ],
      { level: "instance" },
    ).search;
    assert.deepEqual(
      conditions.map((condition) => "level" in condition && condition.level),
      ["study", "series", "instance"],
    );
  });

  it("keeps to its scope", () => {
    const [studyInstanceUid, seriesInstanceUid] = [parseUid("1.2"), parseUid("1.3")];
    const { conditions } = parse([], { level: "instance", studyInstanceUid, seriesInstanceUid }).search;
    assert.deepEqual(conditions, [
      { level: "study", column: "study_instance_uid", match: { kind: "equal", value: "1.2" } },
      { level: "series", column: "series_instance_uid", match: { kind: "equal", value: "1.3" } },
    ]);
  });

  it("matches everything where a key is empty or an asterisk, of every VR", () => {
    const names = [
      "PatientID",
      "PatientName",
      "StudyDate",
      "StudyTime",
      "StudyInstanceUID",
      "InstanceNumber",
      "Modality",
      "ModalitiesInStudy",
    ];
    for (const name of names) for (const value of ["", "*"]) assert.equal(matchOf(name, value), undefined);
  });

  it("matches lists of UIDs by comma and by backslash", () => {
    for (const text of ["1.2,1.3", "1.2\\1.3", "1.2,1.3,", ",1.2,,1.3"]) {
      assert.deepEqual(matchOf("StudyInstanceUID", text), { kind: "anyOf", values: ["1.2", "1.3"] });
    }
    for (const text of ["1.2.*", "1.2 ", "1.2;1.3", "a", "1..2", `${"1.".repeat(100)}1`])
      refuses("StudyInstanceUID", text);
  });

  it("matches dates and ranges of them", () => {
    const cases = {
      "20240102": { from: "2024-01-02", to: "2024-01-02" },
      "20240102-20240203": { from: "2024-01-02", to: "2024-02-03" },
      "20240102-": { from: "2024-01-02" },
      "-20240102": { to: "2024-01-02" },
      "2024.01.02-20240203": { from: "2024-01-02", to: "2024-02-03" },
    };
    for (const [text, range] of Object.entries(cases))
      assert.deepEqual(matchOf("StudyDate", text), { kind: "range", ...range });
    for (const text of [
      "-",
      "2024",
      "20240230",
      "2024-01-02",
      "20240102-20240103-20240104",
      "20240102 - 20240103",
      "2024*",
      "a-b",
      "20240102-x",
    ]) {
      refuses("StudyDate", text);
    }
  });

  it("matches times to the end of what they leave out", () => {
    const cases = {
      "10": { from: "10:00:00.000000", to: "10:59:59.999999" },
      "1011": { from: "10:11:00.000000", to: "10:11:59.999999" },
      "10:11": { from: "10:11:00.000000", to: "10:11:59.999999" },
      "101112": { from: "10:11:12.000000", to: "10:11:12.999999" },
      "101112.5": { from: "10:11:12.500000", to: "10:11:12.500000" },
      "101112.0": { from: "10:11:12.000000", to: "10:11:12.000000" },
      "10-1130": { from: "10:00:00.000000", to: "11:30:59.999999" },
      "-12": { to: "12:59:59.999999" },
      "12-": { from: "12:00:00.000000" },
    };
    for (const [text, range] of Object.entries(cases))
      assert.deepEqual(matchOf("StudyTime", text), { kind: "range", ...range });
    for (const text of ["-", "24", "1", "10-9", "10 - 11"]) refuses("StudyTime", text);
  });

  it("matches whole numbers", () => {
    assert.deepEqual(matchOf("InstanceNumber", "-12"), { kind: "equal", value: -12 });
    for (const text of ["1.5", "a", "1*", "12345678901", "1\\2", " 1"]) refuses("InstanceNumber", text);
  });

  describe("of text", () => {
    it("matches a single value as it is", () => {
      for (const value of ["abc", "a%b_c", "a\\b", "a,b", "'; drop table study; --"]) {
        assert.deepEqual(matchOf("PatientID", value), { kind: "equal", value });
      }
    });

    it("matches wildcards, and nothing else as a pattern", () => {
      const cases = {
        "a*": "a%",
        "*a?b": "%a_b",
        "50%*": String.raw`50\%%`,
        "a_b?": String.raw`a\_b_`,
        [String.raw`a\*`]: String.raw`a\\%`,
      };
      for (const [value, pattern] of Object.entries(cases))
        assert.deepEqual(matchOf("PatientID", value), { kind: "like", patterns: [pattern] });
    });

    it("matches alternatives of a code", () => {
      for (const text of ["CT,MR", "CT\\MR", "CT, MR"]) {
        assert.deepEqual(matchOf("Modality", text), { kind: "anyOf", values: ["CT", "MR"] });
        assert.deepEqual(matchOf("ModalitiesInStudy", text), { kind: "anyOf", values: ["CT", "MR"] });
      }
      assert.deepEqual(matchOf("ModalitiesInStudy", "C*"), { kind: "like", patterns: ["C%"] });
      assert.deepEqual(matchOf("Modality", "C?,MR"), { kind: "like", patterns: ["C_", "MR"] });
    });

    it("refuses a key of nothing but work", () => {
      for (const name of ["PatientID", "PatientName", "Modality"]) {
        refuses(name, "*a".repeat(33));
        assert.ok(matchOf(name, `${"*".repeat(500)}${"a*".repeat(31)}`));
      }
    });

    it("refuses U+0000, which PostgreSQL does not take", () => {
      for (const name of ["PatientID", "PatientName", "Modality", "ModalitiesInStudy"]) refuses(name, "a\0b");
    });
  });

  describe("of names", () => {
    const doe = "=Doe^John^^Dr.=道^約翰==";

    it("matches one group of the name, whatever its case and its empty components", () => {
      for (const key of [
        "Doe^John^^Dr.",
        "doe^john^^dr.",
        "Doe*",
        "*John*",
        "D?e^*",
        "道^約翰",
        "道*",
        "*",
        "Doe^John^^Dr.^",
        "Doe^John^^Dr. ",
      ]) {
        if (key !== "*") assert.ok(nameMatches(key, doe), key);
      }
      assert.ok(nameMatches("Doe", "=Doe^^^===") && nameMatches("Doe^^", "=Doe==="));
      for (const key of ["Doe", "John", "?Doe*", "Dr.", "Doe*翰"]) assert.ok(!nameMatches(key, doe), key);
    });

    it("matches several groups, each where it stands", () => {
      for (const key of ["Doe*=道*", "=道^約翰", "Doe^John^^Dr.=", "*=*"]) assert.ok(nameMatches(key, doe), key);
      for (const key of ["道*=Doe*", "=Doe*", "Doe*=x", "==道*", "a=b=c=d"]) assert.ok(!nameMatches(key, doe), key);
    });

    it("takes characters of regular expressions for themselves", () => {
      const odd = String.raw`.^$+()[]{}|\-/#&d`;
      assert.ok(nameMatches(odd, `=${odd}===`));
      for (const character of odd) assert.ok(nameMatches(`a${character}*b`, `=a${character}xb===`), character);
      for (const key of [".", "[a-z]", "(a|b)", "a+", "a{1}", String.raw`\w`, "$"])
        assert.ok(!nameMatches(key, "=a==="), key);
    });

    it("refuses one that is too long to be looked for, and takes many wildcards for one", () => {
      refuses("PatientName", "a".repeat(1025));
      const match = matchOf("PatientName", `a${"*".repeat(500)}`);
      assert.ok(match?.kind === "name" && match.regularExpression.length < 30);
    });
  });

  describe("limit and offset", () => {
    it("have defaults and bounds", () => {
      assert.deepEqual([parse([]).search.limit, parse([]).search.offset], [defaultLimit, 0]);
      assert.equal(parse([["limit", "0"]]).search.limit, 0);
      assert.equal(parse([["limit", "17"]]).search.limit, 17);
      assert.equal(parse([["limit", "999999999"]]).search.limit, largestLimit);
      assert.equal(parse([["offset", "999999999"]]).search.offset, 999_999_999);
      assert.equal(
        parse([
          ["limit", "3"],
          ["limit", "4"],
        ]).search.limit,
        4,
      );
    });

    it("refuse what is no whole number", () => {
      for (const name of ["limit", "offset"]) {
        for (const value of ["", "-1", "1.5", "a", "1e3", "0x10", "+1", " 1", "١"]) refuses(name, value);
      }
    });

    it("stay within what PostgreSQL counts", () => {
      try {
        const { limit, offset } = parse([
          ["limit", "9".repeat(400)],
          ["offset", "9".repeat(400)],
        ]).search;
        assert.ok(limit <= largestLimit && Number.isSafeInteger(offset));
      } catch (error) {
        assert.ok(error instanceof ArchiveError && error.code === "invalid-query");
      }
    });
  });

  describe("other parameters", () => {
    it("includefield: all, keywords, tags, lists, paths", () => {
      assert.equal(parse([["includefield", "all"]]).included.all, true);
      assert.equal(parse([["includefield", "PatientID, all"]]).included.all, true);
      const path = "RequestAttributesSequence.ScheduledProcedureStepID";
      const { included, warnings } = parse(
        [
          ["includefield", "StudyID, 0020000d"],
          ["includefield", path],
        ],
        { level: "series" },
      );
      assert.equal(included.all, false);
      assert.deepEqual(
        [...included.fields],
        [
          ["00200010", "whole"],
          ["0020000D", "whole"],
          ["00400275", new Map([["00400009", "whole"]])],
        ],
      );
      assert.deepEqual(warnings, []);
      const above = parse([["includefield", path]]);
      assert.equal(above.included.fields.size, 0);
      assert.match(above.warnings.join(), /left out: RequestAttributesSequence\.$/);
    });

    it("includefield: private tags and others that only the metadata has, as far as the level has them", () => {
      const fields = [["includefield", "00091002,KVP,WindowCenter"]] as const;
      const ofMetadata = (level: SearchScope["level"]) => [...parse(fields, { level }).included.ofMetadata.keys()];
      assert.deepEqual(ofMetadata("patient"), []);
      assert.deepEqual(ofMetadata("study"), ["00091002"]);
      assert.deepEqual(ofMetadata("series"), ["00091002", "00180060"]);
      assert.deepEqual(ofMetadata("instance"), ["00091002", "00180060", "00281050"]);
      assert.equal(parse(fields, { level: "instance" }).search.metadata, true);
      assert.equal(parse([["includefield", "Rows"]], { level: "instance" }).search.metadata, false);
    });

    it("includefield: of a field and a path below it, the field", () => {
      const both = ["OtherPatientIDsSequence.PatientID", "OtherPatientIDsSequence"];
      for (const order of [both, both.toReversed()]) {
        assert.deepEqual([...parse([["includefield", order.join()]]).included.fields], [["00101002", "whole"]]);
      }
      assert.throws(() => parse([["includefield", "PatientID.Nothing"]]), { code: "invalid-query" });
      assert.throws(() => parse([["includefield", Array(9).fill("00101002").join(".")]]), { code: "invalid-query" });
    });

    it("SOPClassesInStudy is collected only when it is asked for", () => {
      assert.equal(parse([["includefield", "all"]]).search.sopClassesInStudy, false);
      assert.equal(parse([["includefield", "SOPClassesInStudy"]]).search.sopClassesInStudy, true);
    });

    it("of matching are true or false", () => {
      for (const name of ["fuzzymatching", "emptyvaluematching", "multiplevaluematching"]) {
        for (const value of ["true", "false"]) assert.deepEqual(parse([[name, value]]).warnings, []);
        for (const value of ["yes", "TRUE", "1", ""]) refuses(name, value);
      }
    });

    it("accept and charset are for the door", () => {
      assert.deepEqual(
        parse([
          ["accept", "application/dicom+json"],
          ["charset", "utf-8"],
        ]).search.conditions,
        [],
      );
    });
  });

  it("writes nothing of a client into a warning but letters and digits", () => {
    const { warnings } = parse([["DEADBEEF", 'x"\r\ny']]);
    assert.match(warnings.join(), /^[\w .,:]+$/);
  });
});
