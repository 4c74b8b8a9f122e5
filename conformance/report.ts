/** The table that a run prints: its lines by section, and totals. */
import type { Requirement, Result } from "./matrix.ts";
import type { Outcome } from "./suite.ts";

const marks: Readonly<Record<Result, string>> = { pass: "pass", fail: "FAIL", skip: "skip" };

/** One line of the table. */
export function outcomeLine({ line, result, why }: Outcome): string {
  const level = line.level === "required" ? " " : line.level === "optional" ? "o" : "n";
  return `  ${marks[result]} ${level} ${line.id.padEnd(44)} ${line.requirement}${why === "" ? "" : `\n         -> ${why}`}`;
}

/** The chapter of a line; in chapters 8 and 10 of PS3.18 the section of the second order. */
export function chapterOf({ section }: Requirement): string {
  const [, document = "", number = ""] = /^(\S+) ?((?:8|10)\.\d+|[^.]*)/.exec(section) ?? [];
  return `${document} ${number}`.trim();
}

/** The lines chapter by chapter, PS3.18 first; within one as they are in the matrix. */
export function byChapter(lines: readonly Requirement[]): Requirement[] {
  return lines.toSorted((a, b) => rank(a).localeCompare(rank(b), "en", { numeric: true }));
}

function rank(line: Requirement): string {
  return chapterOf(line).replace(/^PS3\.18/, "");
}

/** Totals by chapter and level. */
export function totals(outcomes: readonly Outcome[]): string {
  const chapters = Map.groupBy(outcomes, ({ line }) => chapterOf(line));
  const rows = [...chapters, ["all", outcomes] as const].map(([chapter, own]) => {
    const count = (result: Result) => String(own.filter((outcome) => outcome.result === result).length).padStart(6);
    return `  ${chapter.padEnd(28)}${String(own.length).padStart(6)}${count("pass")}${count("fail")}${count("skip")}`;
  });
  return [`  ${"section".padEnd(28)} lines  pass  fail  skip`, ...rows].join("\n");
}
