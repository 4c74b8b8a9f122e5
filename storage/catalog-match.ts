/** What a search may ask of the rows of the catalog, as data; storage/catalog-where.ts makes SQL of it. */

/** Levels of the catalog: a table each. */
export type Level = "study" | "series" | "instance";

/** What a value must be. */
export type Match =
  | { readonly kind: "equal"; readonly value: string | number }
  | { readonly kind: "anyOf"; readonly values: readonly string[] }
  /** One of the patterns of LIKE, with backslash as the escape; case-sensitive. */
  | { readonly kind: "like"; readonly patterns: readonly string[] }
  /** A regular expression (PostgreSQL's ARE) over `=Alphabetic=Ideographic=Phonetic=`, case-insensitive. */
  | { readonly kind: "name"; readonly regularExpression: string }
  | RangeMatch;

/**
 * Both ends included; one may be open. Dates as YYYY-MM-DD, times as HH:MM:SS.ffffff, moments as both with a space
 * between.
 */
export interface RangeMatch {
  readonly kind: "range";
  readonly from?: string;
  readonly to?: string;
}

/**
 * What the values of a document (DICOM JSON) are compared as: `dateTime` is the DT as it is written, `moment` the DT in
 * UTC by its own offset, else by Timezone Offset From UTC (0008,0201) of the study, else as if it were UTC.
 */
export type ValueKind = "text" | "number" | "name" | "date" | "time" | "dateTime" | "moment";

/** What a document must meet: the one of a level, or an item of a sequence within it. */
export type DocumentCondition =
  /** Some value of the attribute matches (PS3.4 C.2.2.3). */
  | { readonly tag: string; readonly as: ValueKind; readonly match: Match }
  /** The attribute is absent or has no value (PS3.4 C.2.2.2.7). */
  | { readonly tag: string; readonly empty: true }
  /** Some item of the sequence meets them all (PS3.4 C.2.2.2.6). */
  | { readonly tag: string; readonly item: readonly DocumentCondition[] }
  | DateTimeCondition;

/** A DA and its TM taken together (PS3.4 C.2.2.2.5.4), or one of them in another time zone (PS3.18 8.3.4.1.1). */
export interface DateTimeCondition {
  /** Tag of the DA. */
  readonly date: string;
  /** Tag of the TM that belongs to it. */
  readonly time: string;
  readonly part: "date" | "time" | "both";
  /** Offset from UTC, in minutes, that the range is given in; undefined: the values as they are written. */
  readonly zone?: number;
  readonly match: RangeMatch;
}

/** One word of a name to be found (PS3.4 C.2.2.2.1.1): by a key, or by a pattern of LIKE over the keys. */
export interface NameWord {
  readonly keys: readonly string[];
  readonly patterns: readonly string[];
}

/** Counts that can be matched (PS3.4 C.3.4). */
export type RelatedCount = "studySeries" | "studyInstances" | "seriesInstances";

/** On the values of a query tag, of a level at or above the one that is searched. */
export interface TagCondition {
  readonly queryTag: number;
  readonly level: Level;
  /** `empty`: it has no value. */
  readonly values: Match | "empty";
  /** Of a moment: as it is written, or in UTC. */
  readonly part?: "written" | "utc";
}

/** One thing that every match must meet. */
export type Condition =
  /** On a typed column. */
  | { readonly level: Level; readonly column: string; readonly match: Match }
  /**
   * On the document of a level. Costs a look into the document of every row that the other conditions leave; `equal`
   * and `anyOf` of studies and series are found by a GIN index instead.
   */
  | { readonly level: Level; readonly document: DocumentCondition }
  /**
   * Every word is in a name of the attribute whose keys these are; by a GIN index, but for patterns. `orWithoutKeys`:
   * or the row was written before names had keys.
   */
  | { readonly level: Level; readonly nameWords: readonly NameWord[]; readonly orWithoutKeys?: true }
  /** Some series of the study has a modality that matches; `none`: no series has one. */
  | { readonly modalitiesInStudy: Match | "none" }
  | TagCondition
  /** Some instance of the study is of one of the classes. */
  | { readonly sopClassesInStudy: readonly string[] }
  /** Counts the series of every study, whatever the other conditions are; `seriesInstances` is a column. */
  | { readonly related: RelatedCount; readonly count: number }
  /** Instance Availability (0008,0056) of every row, ONLINE, matches. */
  | { readonly instanceAvailability: Match }
  /** No row meets it. */
  | { readonly nothing: true };
