/** Keys of names: what is stored of a name, and which names a fuzzy key finds. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { literalWords, nameKeys, nameWords } from "../../server/archive/name-keys.ts";

const tag = "00100010";

const wildcards: Readonly<Record<string, string>> = { "%": ".*", _: "." };

/** What PostgreSQL does with words and stored keys. */
function finds(key: string, ...groups: readonly string[]): boolean {
  const [Alphabetic = "", Ideographic = "", Phonetic = ""] = groups;
  const stored = nameKeys(tag, [{ Alphabetic, Ideographic, Phonetic }]);
  const like = (pattern: string) => {
    const literal = (text: string) => text.replaceAll(/[.+^$()[\]{}|*?\\]/g, String.raw`\$&`);
    const expression = pattern.replaceAll(/\\?./gsu, (each) => wildcards[each] ?? literal(each.at(-1) ?? ""));
    return stored.some((each) => new RegExp(`^${expression}$`, "u").test(each));
  };
  const words = nameWords(tag, key);
  assert.ok(words.length > 0, `${key} has words`);
  return words.every(({ keys, patterns }) => keys.some((each) => stored.includes(each)) || patterns.some(like));
}

describe("keys of names", () => {
  it("are words, folded, and their sounds, once each", () => {
    assert.deepEqual(nameKeys(tag, [{ Alphabetic: "Müller-Lüdenscheid^Ann^^Dr." }, { Alphabetic: "MULLER" }]), [
      `${tag}=muller`,
      `${tag}~MLR`,
      `${tag}=ludenscheid`,
      `${tag}~LTNXT`,
      `${tag}=ann`,
      `${tag}~AN`,
      `${tag}=dr`,
      `${tag}~TR`,
    ]);
    assert.deepEqual(nameKeys(tag, [{ Ideographic: "山田^太郎" }]), [`${tag}=山田`, `${tag}=太郎`, `${tag}=山田太郎`]);
    for (const none of [null, "Doe", 1, {}, { Alphabetic: "" }, { Alphabetic: "^^^" }])
      assert.deepEqual(nameKeys(tag, [none]), []);
  });

  it("are bounded", () => {
    const long = nameKeys(tag, [{ Alphabetic: "x".repeat(4000) }]);
    assert.deepEqual(
      long.filter((key) => key.includes("=")),
      [`${tag}=${"x".repeat(64)}`],
    );
    assert.ok(
      nameKeys(tag, [{ Alphabetic: Array.from({ length: 5000 }, (_, index) => `w${index}`).join(" ") }]).length < 1000,
    );
  });

  const pairs: readonly (readonly [key: string, name: string])[] = [
    ["Meyer", "Maier^Hans"],
    ["Mayer", "MEIER^HANS"],
    ["smith", "Schmidt^Anna"],
    ["Jon Smyth", "Smith^John^^Dr."],
    ["hans müller", "MUELLER^HANS"],
    ["garcia", "García^José"],
    ["Jose GARCÍA", "Garcia^Jose"],
    ["Łukasz", "Nowak^Lukasz"],
    ["strasse", "Straße^X"],
    ["OBrien", "O'Brien^Sean"],
    ["o’brien", "OBRIEN^SEAN"],
    ["smith jones", "Smith-Jones^Al"],
    ["Παπαδοπουλος", "ΠΑΠΑΔΌΠΟΥΛΟΣ^Γ"],
    ["иван", "Петров^Иван"],
    ["ﾔﾏﾀﾞ", "ヤマダ^タロウ"],
    ["Smi*", "Smith^John"],
    ["*mit?", "Smith^John"],
    ["*Smyth*", "Smith^John"],
  ];
  for (const [key, name] of pairs) it(`find ${name} by ${key}`, () => assert.ok(finds(key, name)));

  const apart: readonly (readonly [key: string, name: string])[] = [
    ["Jones", "Smith^John"],
    ["John Jones", "Smith^John"],
    ["Smith^Anna", "Smith^John"],
    ["Sm*th?", "Smith^John"],
    ["S%t*", "Schmidt^X"],
    ["S_h*", "Sch^X"],
    ["иванов", "Петров^Иван"],
    ["M*", "Smith^John"],
    ["*Jon*", "Smith^Jane"],
  ];
  for (const [key, name] of apart) it(`do not find ${name} by ${key}`, () => assert.ok(!finds(key, name)));

  it("find in each component group, whatever the order of words", () => {
    for (const key of [
      "yamada",
      "taro YAMADA",
      "山田",
      "太郎^山田",
      "山田太郎",
      "田",
      "やまだ",
      "山田 taro",
      "Yamada=太郎",
    ]) {
      assert.ok(finds(key, "Yamada^Tarou", "山田^太郎", "やまだ^たろう"), key);
    }
    assert.ok(!finds("鈴木", "Yamada^Tarou", "山田^太郎", "やまだ^たろう"));
    assert.ok(finds("김희중", "Hong^Gildong", "김^희중"), "Hangul that is written together");
  });

  it("have no words where nothing but delimiters and wildcards stands", () => {
    for (const key of ["", "*", "?*", "^", "=^=", " , ", "'"]) assert.deepEqual(nameWords(tag, key), [], key);
  });

  it("lead to literal names by their whole words alone", () => {
    assert.deepEqual(literalWords(tag, "Doe^J*^?x O'Neil"), [
      { keys: [`${tag}=doe`], patterns: [] },
      { keys: [`${tag}=oneil`], patterns: [] },
    ]);
  });
});
