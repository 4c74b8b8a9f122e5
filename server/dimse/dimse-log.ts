/** What the DIMSE door tells operators. */

/** Where goes what an operator should know. Fields hold addresses, AE titles and UIDs, and nothing else of a patient. */
export interface DimseLog {
  readonly debug: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  readonly info: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  readonly warn: (fields: Readonly<Record<string, unknown>>, message: string) => void;
}
