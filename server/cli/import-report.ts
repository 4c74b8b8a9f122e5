/** The summary of an import, as text. */
import type { Instance, Outcome } from "./import-instance.ts";
import type { FoundFiles } from "./import-files.ts";

/** What an import comes to. */
export interface Report {
  /** Lines for the user. */
  readonly lines: string[];
  /** True when every file was stored or was there already. */
  readonly complete: boolean;
}

/** Files named under a warning, which a whole archive may share; files that are not stored are all named. */
const namesPerWarning = 10;

/** A number with its noun: "1 file", "2 files". */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Each reason with its files below it, `most` of them. */
export function groupByReason(pairs: Iterable<readonly [reason: string, name: string]>, most = Infinity): string[] {
  const groups = new Map<string, string[]>();
  for (const [reason, name] of pairs) {
    const names = groups.get(reason) ?? [];
    groups.set(reason, names);
    names.push(name);
  }
  return [...groups].flatMap(([reason, names]) => {
    const lines = [
      `  ${reason}:`,
      ...names
        .sort()
        .slice(0, most)
        .map((name) => `    ${name}`),
    ];
    return names.length <= most ? lines : [...lines, `    and ${count(names.length - most, "other")}`];
  });
}

/** Sums up: the three counts, what was left out, and under each reason the files that were not stored for it. */
export function report(outcomes: ReadonlyMap<Instance, Outcome>, found?: Omit<FoundFiles, "instances">): Report {
  const tally = { stored: 0, "already-there": 0, "not-stored": 0 };
  const failures: [string, string][] = (found?.unusable ?? []).map(({ name, reason }) => [reason, name]);
  const warnings: [string, string][] = [];
  for (const [instance, outcome] of outcomes) {
    tally[outcome.kind] += 1;
    if (outcome.kind === "not-stored") failures.push([outcome.reason, instance.name]);
    if (outcome.kind === "stored" && outcome.warning !== undefined) warnings.push([outcome.warning, instance.name]);
  }
  const counts = `Stored ${tally.stored}, already there ${tally["already-there"]}, not stored ${failures.length}.`;
  const lines = [counts];
  if (found !== undefined && found.dicomdirs > 0) lines.push(`Left out ${count(found.dicomdirs, "DICOMDIR file")}.`);
  if (found !== undefined && found.hidden > 0) lines.push(`Left out ${count(found.hidden, "hidden file")}.`);
  if (warnings.length > 0) lines.push("Stored with a warning:", ...groupByReason(warnings, namesPerWarning));
  if (failures.length > 0) lines.push("Not stored:", ...groupByReason(failures));
  return { lines, complete: failures.length === 0 };
}
