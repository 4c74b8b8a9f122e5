/** What the importer knows of one instance to store, and what may become of it. */

/** UIDs read from the header of an instance; each is absent when the header does not hold it. */
export interface Identifiers {
  readonly sopClassUid?: string;
  readonly studyInstanceUid?: string;
  readonly seriesInstanceUid?: string;
  readonly sopInstanceUid?: string;
  readonly transferSyntaxUid?: string;
}

/** One instance that can be sent, and sent again. */
export interface Instance {
  /** What the report calls it: a path as the user would write it. */
  readonly name: string;
  /** Size in bytes of what `open` yields. */
  readonly byteLength: number;
  readonly identifiers: Identifiers;
  /** The bytes of the DICOM file, from the first, in chunks. May be called again for a new attempt. */
  open(): AsyncIterable<Uint8Array>;
}

/** What became of one instance. */
export type Outcome =
  | { readonly kind: "stored"; readonly warning?: string }
  | { readonly kind: "already-there" }
  | { readonly kind: "not-stored"; readonly reason: string };

/** A failed outcome with its reason: a phrase without a final full stop. */
export function notStored(reason: string): Outcome {
  return { kind: "not-stored", reason };
}

/** The bytes of an instance could not be read: another attempt would meet the same, so it fails alone and at once. */
export class InstanceUnreadable extends Error {
  override readonly name = "InstanceUnreadable";
  readonly instance: Instance;

  constructor(instance: Instance, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.instance = instance;
  }
}
