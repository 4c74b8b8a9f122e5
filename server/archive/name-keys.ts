/** Keys of person names for fuzzy matching (PS3.4 C.2.2.2.1.1): how names are stored for it, and how they are looked for. */
import { doubleMetaphone } from "double-metaphone";
import { LRUCache } from "lru-cache";
import type { NameWord } from "../../storage/catalog-match.ts";

/** Words of a component group that get keys: as many as a name of 500 characters has, which is the longest in a column. */
const mostWords = 250;
/** Characters of a word: a component group has 64 (PS3.5 6.2). */
const longestWord = 64;

/** Between words: delimiters of components and groups (PS3.5 6.2.1), and what people write for them. */
const delimiters = /[\\^=\s,.;()/\-\u2010-\u2015\u3000\u30fb]+/u;

/** Keys of the names that came last: every instance of a study has the same ones. */
const lately = new LRUCache<string, readonly string[]>({ max: 500 });
/** Characters of names whose keys are worth that: others are none. */
const longestRemembered = 500;

/** Letters that have no accent to be taken off. */
const foldings: Readonly<Record<string, string>> = {
  ß: "ss",
  æ: "ae",
  œ: "oe",
  ø: "o",
  đ: "d",
  ð: "d",
  þ: "th",
  ł: "l",
  ħ: "h",
  ı: "i",
  ς: "σ",
};

/**
 * The keys of the names of attribute `tag`: of each word of each component group `TAG=word`, folded, and `TAG~CODE` for
 * its Double Metaphone codes. A group that is not in Latin letters is a word as a whole as well, since its words are often
 * written together.
 */
export function nameKeys(tag: string, values: readonly unknown[]): readonly string[] {
  if (values.length === 0) return [];
  const named = `${tag}${JSON.stringify(values)}`;
  const known = lately.get(named);
  if (known) return known;
  const keys = makeNameKeys(tag, values);
  if (named.length <= longestRemembered) lately.set(named, keys);
  return keys;
}

function makeNameKeys(tag: string, values: readonly unknown[]): readonly string[] {
  const keys = new Set<string>();
  for (const value of values) {
    for (const group of groupsOf(value)) {
      for (const word of storedWords(group)) {
        keys.add(`${tag}=${word}`);
        for (const code of codesOf(word)) keys.add(`${tag}~${code}`);
      }
    }
  }
  return [...keys];
}

/**
 * The words of a query key, each of which must be in a name: by its sound, or as it is written when it has wildcards or
 * no Latin letters (then as a part of a word). None when the key has no word.
 */
export function nameWords(tag: string, key: string): readonly NameWord[] {
  return words(key).flatMap((word) => {
    const literal = word.replaceAll(/[*?]/g, "");
    if (literal === "") return [];
    const codes = codesOf(literal).map((code) => `${tag}~${code}`);
    if (literal === word) {
      if (codes.length > 0) return [{ keys: [`${tag}=${word}`, ...codes], patterns: [] }];
      return [{ keys: [], patterns: [`${tag}=%${escaped(word)}%`] }];
    }
    const pattern = `${tag}=${escaped(word).replaceAll("*", "%").replaceAll("?", "_")}`;
    // A part of a word says too little of how the whole sounds when it has a gap or fewer than three sounds.
    const sounds = /^\*?[^*?]+\*?$/.test(word) ? codes.filter((code) => code.length > tag.length + 3) : [];
    return [{ keys: sounds, patterns: [pattern] }];
  });
}

/** The words that a name must have to match `key` literally, to be found by their keys: those without a wildcard. */
export function literalWords(tag: string, key: string): readonly NameWord[] {
  return words(key).flatMap((word) => (/[*?]/.test(word) ? [] : [{ keys: [`${tag}=${word}`], patterns: [] }]));
}

/** The component groups of a name in DICOM JSON (PS3.18 F.2.2): Alphabetic, Ideographic, Phonetic. */
function groupsOf(name: unknown): readonly string[] {
  if (typeof name !== "object" || name === null) return [];
  return Object.values(name).filter((group) => typeof group === "string");
}

function storedWords(group: string): readonly string[] {
  const found = words(group);
  return found.length > 1 && !found.some(isLatin) ? [...found, found.join("").slice(0, longestWord)] : found;
}

/** Words without accents, case and width; kana and Hangul stay as they are. */
function words(text: string): readonly string[] {
  return text
    .normalize("NFKD")
    .replaceAll(/[\u0300-\u036f'’ʼ`]/gu, "")
    .normalize("NFC")
    .toLowerCase()
    .replaceAll(/[ßæœøđðþłħıς]/gu, (letter) => foldings[letter] ?? letter)
    .split(delimiters)
    .filter((word) => word !== "")
    .slice(0, mostWords)
    .map((word) => word.slice(0, longestWord));
}

function isLatin(word: string): boolean {
  return /[a-z]/.test(word);
}

/**
 * The Double Metaphone codes of a word. The second one, for how it may sound elsewhere, only from three sounds on: that of
 * John is AN, and John is not Anna.
 */
function codesOf(word: string): readonly string[] {
  if (!isLatin(word)) return [];
  const [first, second] = doubleMetaphone(word);
  return [...new Set([first, ...(second.length > 2 ? [second] : [])])].filter((code) => code !== "");
}

function escaped(text: string): string {
  return text.replaceAll(/[\\%_]/g, String.raw`\$&`);
}
