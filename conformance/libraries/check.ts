/** What a check of a library is: it shares the session of the run, and knows whose library it is. */
import type { Session } from "../session.ts";

/** A line of the table: what the library does, and whether it did. */
export interface LibraryCheck {
  readonly library: string;
  /** What is tried, as one phrase. */
  readonly what: string;
  /** Throws Failure, or whatever the library throws. */
  readonly run: (session: Session) => Promise<void>;
}

/** A library as a peer. */
export interface Library {
  readonly name: string;
  /** Its checks; undefined when it is not installed. */
  readonly load: () => readonly LibraryCheck[] | undefined;
}

/** Milliseconds that a library may take to answer. */
export const patience = 30_000;
