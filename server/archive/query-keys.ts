/** Matching keys of a query: from tags and values to conditions on the catalog. */
import type { Condition, DocumentCondition, NameWord } from "../../storage/catalog-match.ts";
import { entryOfTag } from "../dicom/dictionary.ts";
import { ArchiveError } from "../errors.ts";
import { keywordOf, pathInWords } from "./attribute-name.ts";
import { attributeByTag, type Level, type LevelAttribute, patientAttributes, type SearchLevel } from "./attributes.ts";
import { isBelow } from "./levels.ts";
import { literalWords, nameWords } from "./name-keys.ts";
import { computedKeys, neverMatched } from "./query-computed.ts";
import { dateTimeRange } from "./query-date-time.ts";
import { asksForEmpty, isUniversal, type Key, type MatchingRules } from "./query-key.ts";
import { matchesOf, valueKindOf } from "./query-match.ts";
import { combinedRange, dateRange, datesWithTimes, requireOrder, timeRange, widened } from "./query-range.ts";

/** The conditions of keys, and those that are not matched. */
export interface MatchedKeys {
  readonly conditions: readonly Condition[];
  /** Keys that were passed over: keywords joined by dots. */
  readonly unmatched: readonly string[];
  /** Whether a name in an item of a sequence was matched literally though fuzzy matching was asked for. */
  readonly literalNames: boolean;
}

/** Sequences in sequences that a key may go down. */
const deepest = 8;
/** Words of a name to be found by their sound. */
const mostWords = 32;

/** What keys below a sequence, or of a level, become. */
interface Collected {
  readonly found: DocumentCondition[];
  readonly unmatched: string[];
}

/**
 * The conditions of `keys` in a search of `level`: keys of attributes of that level and of those above.
 * @throws ArchiveError `invalid-query`, naming the parameter
 */
export function matchKeys(level: SearchLevel, keys: readonly Key[], rules: MatchingRules): MatchedKeys {
  const conditions: Condition[] = [];
  const unmatched: string[] = [];
  const documentKeys = new Map<Level, Key[]>();
  let literalNames = false;
  for (const key of keys) {
    const [tag = "", ...below] = key.path;
    if (neverMatched.has(tag)) continue;
    const computed = below.length === 0 ? computedKeys.get(tag) : undefined;
    const attribute = (level === "patient" ? patientAttributes : attributeByTag).get(tag);
    if (computed && level !== "patient" && !isBelow(computed.level, level)) {
      conditions.push(...computed.conditionsOf(key, rules));
    } else if (!attribute || isBelow(attribute.level, level === "patient" ? "study" : level)) {
      if (!isUniversal(key)) unmatched.push(pathInWords(key.path));
    } else {
      const words = rules.fuzzyMatching && !asksForEmpty(key, rules) ? wordsOf(attribute, key) : [];
      if (words.length > 0) conditions.push({ level: attribute.level, nameWords: words });
      else documentKeys.set(attribute.level, [...(documentKeys.get(attribute.level) ?? []), key]);
      literalNames ||= rules.fuzzyMatching && below.length > 0 && isName(below.at(-1) ?? "");
    }
  }
  for (const [ofLevel, keysOfLevel] of documentKeys) {
    const collected = collect(keysOfLevel, 0, rules);
    unmatched.push(...collected.unmatched);
    conditions.push(...collected.found.map((condition) => onColumn(ofLevel, condition)));
    conditions.push(...keysOfLevel.flatMap((key) => byWords(ofLevel, key)));
  }
  return { conditions, unmatched, literalNames };
}

/**
 * The words of a name to be found by their sound; none of what is no name, or has no words: that is matched literally.
 * @throws ArchiveError `invalid-query` when there are more than a name has
 */
function wordsOf({ tag, vr }: LevelAttribute, { name, path, value }: Key): readonly NameWord[] {
  const words = vr === "PN" && path.length === 1 ? nameWords(tag, value) : [];
  if (words.length <= mostWords) return words;
  throw new ArchiveError("invalid-query", `${name} has more than ${mostWords} words.`);
}

/** What a literal name needs, too: its words lead to it by an index, whatever stands around them. */
function byWords(level: Level, { path, value }: Key): readonly Condition[] {
  const [tag = "", ...below] = path;
  const words = below.length === 0 && isName(tag) && value !== '""' ? literalWords(tag, value) : [];
  return words.length === 0 ? [] : [{ level, nameWords: words, orWithoutKeys: true }];
}

function isName(tag: string): boolean {
  return entryOfTag(Number.parseInt(tag, 16))?.vr === "PN";
}

/** A condition on the typed column where there is one, which an index may find; else on the document. */
function onColumn(level: Level, condition: DocumentCondition): Condition {
  const column = "match" in condition && "tag" in condition ? attributeByTag.get(condition.tag)?.column : undefined;
  if (column === undefined || !("match" in condition)) return { level, document: condition };
  return { level, column, match: condition.match };
}

/** The conditions of `keys` on one document, whatever its attributes. @throws ArchiveError `invalid-query` */
export function documentConditions(
  keys: readonly Key[],
  rules: MatchingRules,
): { readonly conditions: readonly DocumentCondition[]; readonly unmatched: readonly string[] } {
  const { found, unmatched } = collect(keys, 0, rules);
  return { conditions: found, unmatched };
}

/** The conditions of keys that go down the same sequences, `depth` of them. */
function collect(keys: readonly Key[], depth: number, rules: MatchingRules): Collected {
  const found: DocumentCondition[] = [];
  const unmatched: string[] = [];
  const leaves = new Map(
    keys.filter(({ path }) => path.length === depth + 1).map((key) => [key.path[depth] ?? "", key]),
  );
  const paired = pairs(leaves, rules);
  found.push(...paired.found);
  for (const [tag, key] of leaves) {
    if (!paired.done.has(tag)) found.push(...leaf(tag, key, rules, unmatched));
  }
  const below = Map.groupBy(
    keys.filter(({ path }) => path.length > depth + 1),
    ({ path }) => path[depth] ?? "",
  );
  for (const [tag, keysBelow] of below) {
    requireSequence(tag, keysBelow, depth);
    const inItem = collect(keysBelow, depth + 1, rules);
    unmatched.push(...inItem.unmatched);
    if (inItem.found.length > 0) found.push({ tag, item: inItem.found });
  }
  return { found, unmatched };
}

function requireSequence(tag: string, [key]: readonly Key[], depth: number): void {
  const name = key?.name ?? tag;
  if (entryOfTag(Number.parseInt(tag, 16))?.vr !== "SQ") {
    throw new ArchiveError("invalid-query", `${name} goes into ${keywordOf(tag)}, which is not a sequence.`);
  }
  if (depth + 1 > deepest) throw new ArchiveError("invalid-query", `${name} goes into too many sequences.`);
}

/** The conditions of one attribute of a data set or an item. */
function leaf(tag: string, key: Key, rules: MatchingRules, unmatched: string[]): DocumentCondition[] {
  const vr = attributeByTag.get(tag)?.vr ?? entryOfTag(Number.parseInt(tag, 16))?.vr ?? "UN";
  if (asksForEmpty(key, rules)) return [{ tag, empty: true }];
  if (isUniversal(key)) return [];
  if (vr === "SQ") {
    throw new ArchiveError("invalid-query", `${key.name} is a sequence: a key names an attribute of its items.`);
  }
  if (vr === "DT") {
    const { inUtc, match } = dateTimeRange(key.name, key.value, rules.zone);
    return [{ tag, as: inUtc ? "moment" : "dateTime", match }];
  }
  const as = valueKindOf(vr);
  if (as === undefined) {
    unmatched.push(pathInWords(key.path));
    return [];
  }
  const matches = matchesOf(vr, key.name, key.value, rules.multipleValueMatching);
  return matches.map((match) => ({ tag, as, match }));
}

/** Dates and times that are matched together, or in the time zone of the request; the others are left alone. */
function pairs(
  leaves: ReadonlyMap<string, Key>,
  rules: MatchingRules,
): { found: readonly DocumentCondition[]; done: ReadonlySet<string> } {
  const found: DocumentCondition[] = [];
  const done = new Set<string>();
  const asked = (tag: string) => {
    const key = leaves.get(tag);
    return key && !isUniversal(key) && !asksForEmpty(key, rules) ? key : undefined;
  };
  for (const [date, time] of datesWithTimes) {
    const [dateKey, timeKey] = [asked(date), asked(time)];
    const dates = dateKey && dateRange(dateKey.name, dateKey.value);
    const times = timeKey && timeRange(timeKey.name, timeKey.value);
    const { zone } = rules;
    const zoned = zone === undefined ? {} : { zone };
    const combined = rules.combinedDateTimes && dates && times && combinedRange(dates, times);
    if (combined) requireOrder(`${dateKey?.name} with ${timeKey?.name}`, combined);
    if (combined) found.push({ date, time, part: "both", ...zoned, match: combined });
    else if (zone === undefined) continue;
    if (!combined && dates) found.push({ date, time, part: "date", ...zoned, match: dates });
    if (!combined && times) found.push({ date, time, part: "time", ...zoned, match: times });
    // By the index of the date: zones are 26 hours apart at most.
    if (dates) found.push({ tag: date, as: "date", match: widened(dates, zone === undefined ? 0 : 2) });
    if (dates) done.add(date);
    if (times) done.add(time);
  }
  return { found, done };
}
