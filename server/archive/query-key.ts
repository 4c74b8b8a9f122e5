/** A matching key as the client gives it, and the rules that hold for all keys of a query. */
import { ArchiveError } from "../errors.ts";
import { offsetMinutes } from "./query-date-time.ts";

/** One key of a query. */
export interface Key {
  /** The parameter, for messages. */
  readonly name: string;
  /** Tags from the data set down into items; one, when no sequence is meant. */
  readonly path: readonly string[];
  readonly value: string;
}

/** How keys are to be matched. */
export interface MatchingRules {
  /** PS3.18 8.3.4.2. */
  readonly fuzzyMatching: boolean;
  /** PS3.18 8.3.4.5. */
  readonly emptyValueMatching: boolean;
  /** PS3.18 8.3.4.6. */
  readonly multipleValueMatching: boolean;
  /** Whether ranges of a date and of its time are taken together (PS3.4 C.2.2.2.5.4): PS3.18 says so of every search. */
  readonly combinedDateTimes: boolean;
  /** Offset from UTC of dates and times in the request, in minutes (PS3.18 8.3.4.1.1); undefined: none is named. */
  readonly zone: number | undefined;
}

/** Keys in one query: each may cost a look into every document. */
export const mostKeys = 100;

/** Runs of asterisks in a key: each multiplies the work of matching, and nobody needs as many. */
const mostAsterisks = 32;

/**
 * `key`, whose value can be looked for.
 * @param shownName the parameter as messages tell it
 * @throws ArchiveError `invalid-query`
 */
export function checkedKey(key: Key, shownName = key.name): Key {
  // No DICOM value holds U+0000, and PostgreSQL has no text with it.
  if (key.value.includes("\0")) throw new ArchiveError("invalid-query", `${shownName} holds a NUL character.`);
  if ((key.value.match(/\*+/g)?.length ?? 0) > mostAsterisks) {
    throw new ArchiveError("invalid-query", `${shownName} has more than ${mostAsterisks} asterisks.`);
  }
  return key;
}

/** PS3.18 8.3.4.1.1: dates and times of the request are in the time zone that `key` names, in minutes from UTC. */
export function zoneOf(key: Key | undefined): number | undefined {
  if (!key || isUniversal(key)) return undefined;
  const minutes = offsetMinutes(key.value);
  if (minutes !== undefined) return minutes;
  throw new ArchiveError("invalid-query", `${key.name} is not an offset from UTC such as +0100.`);
}

/** PS3.4 C.2.2.2.7: two quotation marks. */
export function asksForEmpty({ value }: Key, rules: MatchingRules): boolean {
  return rules.emptyValueMatching && value === '""';
}

/** PS3.4 C.2.2.2.3: no value, and what asks for any. */
export function isUniversal({ value }: Pick<Key, "value">): boolean {
  return /^\**$/.test(value);
}
