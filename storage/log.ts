/** The log as the storage layer sees it: what it calls, so that any structured logger fits. */

type Write = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** Structured log. `fields` never hold a secret or patient data. */
export interface StorageLog {
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
}
