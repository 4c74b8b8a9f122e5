/** What the archive hands to the catalog to be made existent, and what became of it. */
import type { HoldName } from "./catalog-held.ts";
import type { QueryTagValues } from "./catalog-query-tag-values.ts";
import type { QueryTag } from "./catalog-query-tags.ts";
import type { Difference } from "./study-conflicts.ts";

/** A value of a typed column: dates as YYYY-MM-DD, times as HH:MM:SS.ffffff. */
export type ColumnValue = string | number | null;
/** Values by the name of their column. */
export type Columns = Readonly<Record<string, ColumnValue | readonly string[]>>;

/** The DICOM JSON of one level (PS3.18 Annex F), as far as a search answers it. */
export type LevelDocument = Readonly<Record<string, LevelDocumentAttribute>>;

export interface LevelDocumentAttribute {
  readonly vr: string;
  readonly Value?: readonly unknown[];
  readonly InlineBinary?: string;
}

/** A study or a series as its first instance describes it. */
export interface EntityRecord {
  readonly uid: string;
  readonly columns: Columns;
  readonly attributes: LevelDocument;
}

/** One instance to be made existent; its bytes are durable under `blobKey` already. */
export interface InstanceRecord {
  readonly study: EntityRecord;
  readonly series: EntityRecord;
  readonly instance: EntityRecord & {
    readonly metadata: Buffer;
    readonly transferSyntaxUid: string;
    readonly blobKey: string;
    readonly byteLength: number;
    readonly sha256: Buffer;
    /** Where the data set begins in the object, in bytes. */
    readonly dataSetOffset: number;
    readonly frameTable: Buffer | undefined;
    readonly bulkData: object | undefined;
    readonly warnings: readonly string[];
    /** The values that query tags ask for; absent: they are read from the metadata in the background. */
    readonly tagValues?: (tags: readonly QueryTag[]) => readonly QueryTagValues[];
  };
  /** The door through which it came; the feed of changes tells it. */
  readonly origin?: string | undefined;
  /** Of the application that sent it, and by which this one was called; absent unless it came by DIMSE. */
  readonly aeTitles?: { readonly sending: string; readonly receiving: string } | undefined;
}

/** What became of one instance of a commit; `differences` is what it says otherwise than the study that was there. */
export type CommitOutcome =
  | { readonly status: "committed"; readonly differences: readonly Difference[] }
  /** It has taken the place of an instance with the same UIDs and other bytes. */
  | { readonly status: "replaced"; readonly differences: readonly Difference[] }
  /**
   * An instance with the same UIDs was there and stays, under `held`; `identical` when its SHA-256 is the same, `hold` when
   * it would have been replaced if that did not protect it.
   */
  | {
      readonly status: "duplicate";
      readonly identical: boolean;
      readonly held: HeldObject;
      readonly hold?: HoldName | undefined;
    };

/** Where an instance lies that was committed earlier. */
export type HeldObject = Pick<
  InstanceRecord["instance"],
  "blobKey" | "byteLength" | "dataSetOffset" | "transferSyntaxUid"
>;
