/** What a check is. */
import type { Session } from "./session.ts";

/** Resolves when the requirement is met; throws otherwise (Failure, or Skipped where it cannot be made). */
export type Check = (session: Session) => Promise<void>;

/** Checks by name. */
export type Checks = Readonly<Record<string, Check>>;
