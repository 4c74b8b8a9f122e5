/** The account of a crash test: what was counted, and what went wrong. */

/** What happened, for the table at the end. */
export interface Counts {
  rounds: number;
  kills: number;
  /** Instances whose store was answered with success. */
  acknowledged: number;
  /** Deletions, restorations and replacements that were. */
  changed: number;
  /** Instances that the server refused in words. */
  refused: number;
  /** Instances whose answer was lost, or left open what became of them. */
  inDoubt: number;
  /** Of these, those that were there afterwards. */
  doubtStored: number;
  /** Instances that were read back and compared, bit by bit. */
  found: number;
  /** Objects without a row, found after the kills. */
  orphans: number;
  /** Of all objects that no row needed, those that the sweep has removed. */
  swept: number;
  /** Files in tmp/ or parts of uploads, left by a process that was killed. */
  drafts: number;
}

export interface Account {
  readonly counts: Counts;
  /** Sentences: a promise that was broken, each. None is allowed. */
  readonly problems: string[];
}

/** An empty account. */
export function openAccount(): Account {
  const counts: Counts = {
    rounds: 0,
    kills: 0,
    acknowledged: 0,
    changed: 0,
    refused: 0,
    inDoubt: 0,
    doubtStored: 0,
    found: 0,
    orphans: 0,
    swept: 0,
    drafts: 0,
  };
  return { counts, problems: [] };
}

/** One line for people. */
export function lineOf(name: string, { counts, problems }: Account): string {
  const words: Readonly<Record<keyof Counts, string>> = {
    rounds: "rounds",
    kills: "kills",
    acknowledged: "acknowledged",
    changed: "deleted, restored, replaced",
    refused: "refused",
    inDoubt: "in doubt",
    doubtStored: "of these stored",
    found: "read back",
    orphans: "orphans",
    swept: "swept",
    drafts: "drafts removed",
  };
  const known: Readonly<Record<string, number>> = { ...counts };
  const told = Object.entries(words).map(([key, word]) => `${known[key]} ${word}`);
  return `${name}: ${told.join(", ")}; ${problems.length} promises broken`;
}
