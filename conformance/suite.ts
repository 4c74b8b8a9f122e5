/** Runs the lines of the matrix one after the other, and compares the results with what is expected. */
import type { Check } from "./check.ts";
import { allChecks } from "./checks.ts";
import { Skipped } from "./expect.ts";
import type { Expected, Requirement, Result } from "./matrix.ts";
import type { Session } from "./session.ts";

/** Milliseconds for one check. */
const longestCheck = 60_000;

/** The result of one line. */
export interface Outcome {
  readonly line: Requirement;
  readonly result: Result;
  /** One sentence; empty for a pass. */
  readonly why: string;
}

/** Runs `lines`; a check that several lines name runs once. `onOutcome` hears of each as it comes. */
export async function runLines(
  session: Session,
  lines: readonly Requirement[],
  onOutcome: (outcome: Outcome) => void = () => undefined,
): Promise<Outcome[]> {
  const made = new Map<string, Pick<Outcome, "result" | "why">>();
  const outcomes: Outcome[] = [];
  for (const line of lines) {
    const result = made.get(line.check) ?? (await runCheck(allChecks[line.check], session));
    made.set(line.check, result);
    const outcome = { line, ...result };
    outcomes.push(outcome);
    onOutcome(outcome);
  }
  return outcomes;
}

/**
 * The outcomes that are worse than expected: one that passed fails. One that is skipped, for want of a foreign client,
 * is no regression; neither is a line that nothing is expected of.
 */
export function regressions(outcomes: readonly Outcome[], expected: Expected): Outcome[] {
  return outcomes.filter(({ line, result }) => expected[line.id] === "pass" && result === "fail");
}

/** The outcomes that are better than expected: expected.json is to be updated. */
export function improvements(outcomes: readonly Outcome[], expected: Expected): Outcome[] {
  return outcomes.filter(({ line, result }) => result === "pass" && expected[line.id] !== "pass");
}

async function runCheck(check: Check | undefined, session: Session): Promise<Pick<Outcome, "result" | "why">> {
  if (check === undefined) return { result: "fail", why: "There is no check of this name." };
  let timer: NodeJS.Timeout | undefined;
  try {
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`It took longer than ${longestCheck / 1000} s.`)), longestCheck);
    });
    await Promise.race([check(session), late]);
    return { result: "pass", why: "" };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { result: error instanceof Skipped ? "skip" : "fail", why };
  } finally {
    clearTimeout(timer);
  }
}
