/** A matching key as the client gives it, and the rules that hold for all keys of a query. */

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
  /** Offset from UTC of dates and times in the request, in minutes (PS3.18 8.3.4.1.1); undefined: none is named. */
  readonly zone: number | undefined;
}

/** PS3.4 C.2.2.2.7: two quotation marks. */
export function asksForEmpty({ value }: Key, rules: MatchingRules): boolean {
  return rules.emptyValueMatching && value === '""';
}

/** PS3.4 C.2.2.2.3: no value, and what asks for any. */
export function isUniversal({ value }: Pick<Key, "value">): boolean {
  return /^\**$/.test(value);
}
