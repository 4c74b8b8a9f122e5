/** Searches of PostgreSQL against a naive matcher of PS3.4 C.2.2.2 in memory: random studies, random keys. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { indexLevel } from "../../server/archive/index-values.ts";
import { parseQuery } from "../../server/archive/query.ts";
import type { DicomJson, JsonAttribute } from "../../server/dicom/json.ts";
import { type Catalog, createCatalog } from "../../storage/catalog.ts";
import { testDatabase, type TestDatabase } from "../support/postgres.ts";

const seed = Number(process.env["TEST_SEED"] ?? 20_240_601);

/** Numbers that look random and come again with the same seed (mulberry32). */
function randomOf(state: number): (below: number) => number {
  let current = state;
  return (below) => {
    current = (current + 0x6d2b79f5) | 0;
    let mixed = Math.imul(current ^ (current >>> 15), 1 | current);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const random = randomOf(seed);
const pick = <Value>(values: readonly [Value, ...Value[]]): Value => values[random(values.length)] ?? values[0];
const some = (most: number, one: () => string) => Array.from({ length: random(most + 1) }, one).join("");

const textLetters = ["a", "A", "b", "%", "_", "'", '"', ",", " ", "ä", "山", "\u{1f600}", "(", "$"] as const;
const nameLetters = ["a", "A", "b", "B", "ä", "Ä", "山", "^", "^", " ", ".", "+", "'", "-"] as const;

const trimmed = (text: string) => text.trim();
const text = () => trimmed(some(4, () => pick(textLetters)));
const group = () => trimmed(some(5, () => pick(nameLetters)));
const date = () => `20${pick(["23", "24"])}${pick(["01", "02"])}${pick(["01", "02", "28"])}`;
const time = () => pick(["00", "10", "1000", "1001", "100100", "100100.5", "235959.999999", "23"]);

const attribute = (vr: string, ...values: NonNullable<JsonAttribute["Value"]>): JsonAttribute =>
  values.length === 0 ? { vr } : { vr, Value: values };
const maybe = (vr: string, value: string): JsonAttribute => (value === "" ? attribute(vr) : attribute(vr, value));

function study(): DicomJson {
  const [alphabetic, ideographic] = [group(), group()];
  const name = { ...(alphabetic && { Alphabetic: alphabetic }), ...(ideographic && { Ideographic: ideographic }) };
  const others = Array.from({ length: random(3) }, () => ({ Alphabetic: group() || "x" }));
  return {
    ...(random(5) > 0 && { "00080020": attribute("DA", date()) }),
    ...(random(5) > 0 && { "00080030": attribute("TM", time()) }),
    "00080050": maybe("SH", text()),
    "00081030": maybe("LO", text()),
    "00100010": Object.keys(name).length === 0 ? attribute("PN") : attribute("PN", name),
    "00101001": attribute("PN", ...others),
    "00102160": maybe("SH", text()),
    "00101030": attribute("DS", random(4) / 2),
    "00081080": attribute("LO", ...Array.from({ length: random(3) }, () => text() || "x")),
    "00101002": attribute(
      "SQ",
      ...Array.from({ length: random(3) }, () => ({
        "00100020": maybe("LO", pick(["a", "b", "ab", ""])),
        "00100021": maybe("LO", pick(["a", "b", ""])),
      })),
    ),
  };
}

/** Stars and question marks in `pattern` against the whole of `value`. */
function glob(pattern: readonly string[], value: readonly string[]): boolean {
  const [head, ...tail] = pattern;
  if (head === undefined) return value.length === 0;
  if (head === "*") return glob(tail, value) || (value.length > 0 && glob(pattern, value.slice(1)));
  return value.length > 0 && (head === "?" || head === value[0]) && glob(tail, value.slice(1));
}

const like = (pattern: string, value: string) => glob(Array.from(pattern), Array.from(value));
const valuesOf = (json: DicomJson, tag: string) => json[tag]?.Value ?? [];
const strings = (json: DicomJson, tag: string) => valuesOf(json, tag).filter((value) => typeof value === "string");

function nameMatches(key: string, name: object): boolean {
  const stored = ["Alphabetic", "Ideographic", "Phonetic"].map((each) => String(Reflect.get(name, each) ?? ""));
  const one = (keyGroup: string, storedGroup: string) => {
    const wanted = keyGroup.replace(/[\^ ]+$/, "").toLowerCase();
    const full = storedGroup.toLowerCase();
    if (wanted === "") return true;
    for (let end = full.length; end >= 0; end -= 1) {
      if (/^[\^ ]*$/.test(full.slice(end)) && like(wanted, full.slice(0, end))) return true;
    }
    return false;
  };
  const groups = key.split("=");
  if (groups.length === 1) return stored.some((each) => one(key, each));
  return groups.every((each, index) => one(each, stored[index] ?? ""));
}

/** A moment of a day in microseconds: the first and the last that a TM means. */
function momentsOf(tm: string): readonly [first: number, last: number] {
  const digits = tm.replace(".", "");
  const first = Number(digits.padEnd(12, "0"));
  return [
    first,
    tm.includes(".")
      ? first
      : Number(
          digits
            .padEnd(6, "9")
            .replace(/^(..)99/, "$159")
            .replace(/^(....)99/, "$159")
            .padEnd(12, "9"),
        ),
  ];
}

function inRange(key: string, of: (end: string) => readonly [number, number], value: number): boolean {
  const [from = "", to = from] = key.split("-");
  return (from === "" || of(from)[0] <= value) && (to === "" || value <= of(to)[1]);
}

const dayOf = (da: string) => [Number(da), Number(da)] as const;

/** One kind of key: a random value, and what it should match. */
interface Kind {
  readonly name: string;
  readonly value: () => string;
  readonly matches: (value: string, json: DicomJson) => boolean;
}

const withWildcards = (one: () => string, letters: readonly [string, ...string[]]) => () =>
  random(3) === 0 ? one() : trimmed(some(4, () => (random(3) === 0 ? pick(["*", "?"]) : pick(letters))));
const range = (one: () => string) => () => pick([one(), `${one()}-`, `-${one()}`, `${one()}-${one()}`]);

const textKind = (name: string, tag: string): Kind => ({
  name,
  value: withWildcards(text, textLetters),
  matches: (value, json) => strings(json, tag).some((each) => like(value, each)),
});
const nameKind = (name: string, tag: string): Kind => ({
  name,
  value: () => {
    const one = withWildcards(group, nameLetters);
    return random(4) === 0 ? `${one()}=${one()}` : one();
  },
  matches: (value, json) =>
    valuesOf(json, tag).some((each) => typeof each === "object" && each !== null && nameMatches(value, each)),
});

const kinds: readonly [Kind, ...Kind[]] = [
  textKind("AccessionNumber", "00080050"),
  textKind("StudyDescription", "00081030"),
  textKind("EthnicGroup", "00102160"),
  textKind("AdmittingDiagnosesDescription", "00081080"),
  nameKind("PatientName", "00100010"),
  nameKind("OtherPatientNames", "00101001"),
  {
    name: "StudyDate",
    value: range(date),
    matches: (value, json) => strings(json, "00080020").some((each) => inRange(value, dayOf, Number(each))),
  },
  {
    name: "StudyTime",
    value: range(time),
    matches: (value, json) => strings(json, "00080030").some((each) => inRange(value, momentsOf, momentsOf(each)[0])),
  },
  {
    name: "PatientWeight",
    value: () => pick(["0", "0.5", "1", "+1.50", "1.0e0", "7"]),
    matches: (value, json) => valuesOf(json, "00101030").some((each) => each === Number(value)),
  },
];

const isUniversal = (value: string) => /^\**$/.test(value);

describe(`searches against a naive matcher, seed ${seed}`, () => {
  const studies = Array.from({ length: 80 }, study);
  let database: TestDatabase;
  let catalog: Catalog;

  before(async () => {
    database = await testDatabase();
    catalog = createCatalog(database.knex);
    for (const [number, json] of studies.entries()) {
      const { columns, attributes } = indexLevel(json, "study");
      // Of every other one as an older version wrote it, without keys of names.
      const written = { ...columns, ...(number % 2 === 0 && { name_keys: null }) };
      await database
        .knex("study")
        .insert({ study_instance_uid: `1.${number}`, ...written, attributes: JSON.stringify(attributes) });
    }
  });
  after(() => database.drop());

  async function found(pairs: readonly (readonly [string, string])[]): Promise<number[]> {
    const { pages } = await catalog.search(parseQuery({ level: "study" }, pairs).search);
    const numbers: number[] = [];
    for await (const rows of pages) numbers.push(...rows.map((row) => Number(row.studyInstanceUid.slice(2))));
    return numbers.sort((one, other) => one - other);
  }

  const expected = (matches: (json: DicomJson) => boolean) =>
    studies.flatMap((json, number) => (matches(json) ? [number] : []));

  it("by one key", async () => {
    let hits = 0;
    for (let round = 0; round < 900; round += 1) {
      const { name, value: make, matches } = pick(kinds);
      const value = make();
      const wanted = expected((json) => isUniversal(value) || matches(value, json));
      const [from, to] = value.split("-");
      const reversed =
        /^Study(Date|Time)$/.test(name) &&
        from &&
        to &&
        (name === "StudyDate" ? from > to : momentsOf(from)[0] > momentsOf(to)[1]);
      if (reversed) continue;
      assert.deepEqual(await found([[name, value]]), wanted, `${name}=${JSON.stringify(value)}`);
      if (wanted.length > 0 && wanted.length < studies.length) hits += 1;
    }
    assert.ok(hits > 200, `only ${hits} keys told anything`);
  });

  it("by a date and a time combined", async () => {
    let hits = 0;
    for (let round = 0; round < 200; round += 1) {
      const [first = "", last = ""] = [date(), date()].sort();
      const [begin, end] = [time(), time()];
      const at = (day: string, moment: number) => BigInt(day) * 10n ** 12n + BigInt(moment);
      const [low, high] = [at(first, momentsOf(begin)[0]), at(last, momentsOf(end)[1])];
      if (low > high) continue;
      const wanted = expected((json) => {
        const [day] = strings(json, "00080020");
        const [moment] = strings(json, "00080030");
        if (day === undefined || moment === undefined) return false;
        const stored = at(day, momentsOf(moment)[0]);
        return low <= stored && stored <= high;
      });
      const pairs = [
        ["StudyDate", `${first}-${last}`],
        ["StudyTime", `${begin}-${end}`],
      ] as const;
      assert.deepEqual(await found(pairs), wanted, JSON.stringify(pairs));
      if (wanted.length > 0 && wanted.length < studies.length) hits += 1;
    }
    assert.ok(hits > 50);
  });

  it("by keys of an item, empty values among them", async () => {
    const values = ["", "a", "b", "a*", "?b", '""'] as const;
    const one = (key: string, item: DicomJson, tag: string) => {
      if (key === '""') return strings(item, tag).length === 0;
      return key === "" || strings(item, tag).some((each) => like(key, each));
    };
    for (let round = 0; round < 150; round += 1) {
      const [id, issuer] = [pick(values), pick(values)];
      const wanted = expected((json) => {
        if (id === "" && issuer === "") return true;
        return valuesOf(json, "00101002").some(
          (item) => isItem(item) && one(id, item, "00100020") && one(issuer, item, "00100021"),
        );
      });
      const pairs = [
        ["OtherPatientIDsSequence.PatientID", id],
        ["00101002.00100021", issuer],
        ["emptyvaluematching", "true"],
      ] as const;
      assert.deepEqual(await found(pairs), wanted, JSON.stringify(pairs));
    }
  });

  it("by empty values", async () => {
    for (const [name, tag] of [
      ["StudyDate", "00080020"],
      ["EthnicGroup", "00102160"],
      ["OtherPatientNames", "00101001"],
      ["PatientName", "00100010"],
    ] as const) {
      const wanted = expected((json) => valuesOf(json, tag).length === 0);
      assert.ok(wanted.length > 0 && wanted.length < studies.length, name);
      assert.deepEqual(
        await found([
          ["emptyvaluematching", "true"],
          [name, '""'],
        ]),
        wanted,
        name,
      );
    }
  });
});

function isItem(value: unknown): value is DicomJson {
  return typeof value === "object" && value !== null;
}
