/** Run of retention: the studies that a plan names are removed one by one, each looked at again right before. */
import type { Catalog } from "../../storage/catalog.ts";
import type { RetentionRule } from "../../storage/catalog-retention-rules.ts";
import { ArchiveError, toArchiveError } from "../errors.ts";
import { describeLevels } from "./describe.ts";
import { sweepLock } from "./sweep.ts";
import type { MakePlan, PlanSettings, RetentionPlan } from "./retention-plan.ts";

/** Studies that one run of a rule removes at most; the others wait for the next one. */
const studiesAtOnce = 1000;

/** Where goes what an operator should know of runs. Fields hold numbers, and nothing of a patient. */
export interface RunLog {
  readonly info: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  readonly warn: (fields: Readonly<Record<string, unknown>>, message: string) => void;
}

export interface RunSettings extends Pick<PlanSettings, "space"> {
  /** Tells whether everything has gone that may. */
  readonly sweep: (signal: AbortSignal) => Promise<boolean>;
  readonly log: RunLog;
  /** How long what is removed can be restored. */
  readonly keepDays: number;
  /** Largest share of all studies that a run removes without a dry run that has shown as many. */
  readonly maxPercent: number;
  /** Minutes from one run of a rule to the next. */
  readonly everyMinutes: number;
}

/** How to run. */
export interface RetentionRunOptions {
  readonly signal: AbortSignal;
  /** Whether rules are run whose turn has not come. */
  readonly now?: boolean;
}

/** What one rule did. */
export interface RunOutcome {
  readonly rule: string;
  readonly studies: number;
  readonly bytes: number;
  readonly held: number;
  readonly changed: number;
  /** Why it ended early, or was disabled; null when neither. */
  readonly fault: string | null;
}

/** Faults of a rule itself, which will be there the next time, too: it is disabled. */
class RuleFault extends Error {
  override readonly name = "RuleFault";
}

const codesOfRule: ReadonlySet<string> = new Set(["invalid-query", "space-unknown"]);

/** Makes the run. One at a time in all processes; it ends soon after its signal aborts. */
export function createRetentionRun(catalog: Catalog, plan: MakePlan, settings: RunSettings) {
  const { retention, removals, withLock } = catalog;
  const { space, sweep, log, keepDays, maxPercent, everyMinutes } = settings;

  return async function run({ signal, now = false }: RetentionRunOptions): Promise<readonly RunOutcome[] | undefined> {
    const outcomes: RunOutcome[] = [];
    const ran = await withLock("retention", async () => {
      const rules = (await retention.list()).filter(({ enabled }) => enabled);
      if (rules.length === 0) return;
      let allowed = Math.max(1, Math.floor(((await retention.countStudies()) * maxPercent) / 100));
      for (const rule of rules) {
        if (signal.aborted) return;
        if (!(await retention.takeTurn(rule, now ? 0 : everyMinutes))) continue;
        const outcome = await runRule(rule, allowed, signal);
        allowed = Math.max(0, allowed - Math.max(0, outcome.studies - rule.confirmedStudies));
        outcomes.push(outcome);
      }
    });
    return ran ? outcomes : undefined;
  };

  async function runRule(rule: RetentionRule, allowed: number, signal: AbortSignal): Promise<RunOutcome> {
    const counts = { studies: 0, bytes: 0, held: 0, changed: 0 };
    let runId: number | undefined;
    let fault: string | null = null;
    try {
      const planned = rule.space ? await planForRoom(rule, signal) : await plan(rule, studiesAtOnce);
      if (planned && planned.removed.studies > 0) {
        refuseTooMany(rule, planned, allowed);
        const before = planned.space && (await usage());
        runId = await retention.beginRun(rule);
        await removeStudies(rule, planned, runId, counts, signal);
        if (before && (await sweep(signal))) refuseLostSpace(before, await usage());
      }
    } catch (cause) {
      const error = toArchiveError(cause);
      const ofRule = cause instanceof RuleFault || codesOfRule.has(error.code);
      fault = cause instanceof RuleFault ? cause.message : error.message;
      runId ??= await retention.beginRun(rule);
      if (ofRule) {
        await retention.disable(rule.id, fault);
        log.warn({ rule: rule.id, fault }, "a rule of retention was disabled");
      } else {
        await retention.endRun(runId, { ...counts, fault }).catch(() => undefined);
        throw cause;
      }
    }
    if (runId !== undefined) await retention.endRun(runId, { ...counts, fault });
    if (counts.studies > 0) log.info({ rule: rule.id, run: runId, ...counts }, "retention removed studies");
    return { rule: rule.name, ...counts, fault };
  }

  /**
   * What was removed before gives its room back first: it is out of every answer already. Undefined while it cannot,
   * as while a backup copies: to remove more would be for nothing.
   */
  async function planForRoom(rule: RetentionRule, signal: AbortSignal) {
    const mayRemove = await withLock(sweepLock, async () => undefined);
    if (!mayRemove || !(await sweep(signal))) return waiting(rule);
    const planned = await plan(rule, studiesAtOnce);
    if (!planned.space || planned.space.retainedBytes === 0) return planned;
    await retention.expireRetained(planned.space.retainedBytes);
    if (!(await sweep(signal))) return waiting(rule);
    // What is retained still is what a hold protects.
    return plan(rule, studiesAtOnce, 0);
  }

  function waiting(rule: RetentionRule): undefined {
    log.info({ rule: rule.id }, "a rule of retention waits until objects can be removed, as after a backup");
  }

  /** @throws RuleFault */
  function refuseTooMany({ confirmedStudies }: RetentionRule, { removed }: RetentionPlan, allowed: number): void {
    if (removed.studies - confirmedStudies <= allowed) return;
    throw new RuleFault(
      `It would remove ${removed.studies} studies, which is more than ${maxPercent} % of all (RETENTION_MAX_PERCENT) ` +
        "and more than its last dry run has shown: run it dry, and enable it again.",
    );
  }

  async function removeStudies(
    rule: RetentionRule,
    { studies, dueRule }: Awaited<ReturnType<MakePlan>>,
    runId: number,
    counts: { studies: number; bytes: number; held: number; changed: number },
    signal: AbortSignal,
  ): Promise<void> {
    const options = {
      // Room comes back only when what is removed cannot be restored.
      keepDays: rule.space ? 0 : keepDays,
      origin: "retention",
      describe: describeLevels,
      due: { rule: dueRule, runId },
    };
    for (const { studyInstanceUid, bytes } of studies) {
      if (signal.aborted) return;
      try {
        const removal = await removals.remove({ studyInstanceUid }, options);
        if (!removal && !(await retention.isUnderWay(runId))) return;
        if (removal) counts.studies += 1;
        if (removal) counts.bytes += bytes;
        else counts.changed += 1;
      } catch (error) {
        if (!(error instanceof ArchiveError && error.code === "held")) throw error;
        counts.held += 1;
      }
    }
  }

  async function usage() {
    return { stored: await retention.bytesStored(), free: (await space())?.freeBytes ?? 0 };
  }
}

/**
 * Rows have gone, and the disk is as full as before: somebody else fills it, or keeps what is removed (a snapshot), and
 * a rule would go on to remove for nothing. @throws RuleFault
 */
function refuseLostSpace(
  before: { readonly stored: number; readonly free: number },
  after: { readonly stored: number; readonly free: number },
): void {
  const removed = before.stored - after.stored;
  if (removed <= 0 || after.free - before.free >= removed / 2) return;
  throw new RuleFault(
    `It removed ${removed} bytes, of which ${Math.max(0, after.free - before.free)} came back: see what else fills the ` +
      "store or keeps what is removed; then run it dry, and enable it again.",
  );
}
