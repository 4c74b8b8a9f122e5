/** Retention: rules by which studies are removed, each run dry before it may be enabled. */
import type { Catalog } from "../../storage/catalog.ts";
import type { RetentionRule, RuleDefinition } from "../../storage/catalog-retention-rules.ts";
import type { RetentionRemoval, RetentionRun, RunPage } from "../../storage/catalog-retention-runs.ts";
import { ArchiveError } from "../errors.ts";
import { createRetentionPlan, type PlanSettings, type RetentionPlan } from "./retention-plan.ts";
import { createRetentionRun, type RetentionRunOptions, type RunOutcome, type RunSettings } from "./retention-run.ts";
import { isEverything, readStudyMatch } from "./study-match.ts";

export type { RetentionPlan, RetentionRemoval, RetentionRule, RetentionRun, RuleDefinition, RunOutcome };

/** What a dry run says, and the token that enables the rule as it stands for so many hours. */
export interface DryRun extends RetentionPlan {
  readonly rule: RetentionRule;
  readonly token: string;
}

/** A rule as it is asked for; `all` says that an empty match is meant. */
export interface RuleRequest extends RuleDefinition {
  readonly all: boolean;
}

export interface Retention {
  /** Adds a rule, disabled. @throws ArchiveError `invalid-query`, `retention-rule-exists`, `too-many-retention-rules` */
  add(rule: RuleRequest): Promise<RetentionRule>;
  /** Every rule, the oldest first. */
  list(): Promise<readonly RetentionRule[]>;
  /** @throws ArchiveError `no-such-retention-rule` */
  find(id: number): Promise<RetentionRule>;
  /** Changes a rule, which is disabled by that. @throws ArchiveError as `add`, and `no-such-retention-rule` */
  change(id: number, rule: RuleRequest): Promise<RetentionRule>;
  /** Removes a rule, not what is known of its runs. @throws ArchiveError `no-such-retention-rule` */
  remove(id: number): Promise<void>;
  /**
   * What a rule would do now, with at most `limit` studies one by one; nothing is removed.
   * @throws ArchiveError `no-such-retention-rule`, `dry-run-needed` when it is changed meanwhile, `space-unknown`, `invalid-query`
   */
  dryRun(id: number, limit: number): Promise<DryRun>;
  /** Enables a rule by the token of its dry run. @throws ArchiveError `no-such-retention-rule`, `dry-run-needed` */
  enable(id: number, token: string): Promise<RetentionRule>;
  /** @throws ArchiveError `no-such-retention-rule` */
  disable(id: number): Promise<RetentionRule>;
  /** Runs the rules whose turn it is, or all that are enabled; undefined while another run is under way. */
  run(options: RetentionRunOptions): Promise<readonly RunOutcome[] | undefined>;
  /** Runs that removed something or met a fault, newest first. */
  runs(page: RunPage): Promise<readonly RetentionRun[]>;
  /** What a run removed, the last first. @throws ArchiveError `no-such-retention-run` */
  runRemovals(runId: number, page: RunPage): Promise<readonly RetentionRemoval[]>;
}

/** What retention works with. */
export type RetentionSettings = PlanSettings & RunSettings;

/** How long (hours) the token of a dry run enables: what it has shown is not true for ever. */
const tokenHours = 24;

/** Makes the use cases of retention. */
export function createRetention(catalog: Catalog, settings: RetentionSettings): Retention {
  const { retention } = catalog;
  const plan = createRetentionPlan(catalog, settings);
  const found = async (id: number): Promise<RetentionRule> => {
    const rule = await retention.find(id);
    if (!rule) throw noSuchRule();
    return rule;
  };
  const checked = async ({ all, ...rule }: RuleRequest): Promise<RuleDefinition> => {
    const meansAll = isEverything(readStudyMatch(rule.match, await settings.queryTags.current()));
    if (meansAll === all) return rule;
    throw new ArchiveError(
      "invalid-query",
      all
        ? "all is true, but match names attributes: a rule has one of them."
        : "match names no attribute that must match, and so means every study: say all: true when that is meant.",
    );
  };
  return {
    add: async (rule) => retention.add(await checked(rule)),
    list: () => retention.list(),
    find: found,
    change: async (id, rule) => {
      if (!(await retention.change(id, await checked(rule)))) throw noSuchRule();
      return found(id);
    },
    remove: async (id) => {
      if (!(await retention.remove(id))) throw noSuchRule();
    },
    dryRun: async (id, limit) => {
      const rule = await found(id);
      const planned = await plan(rule, limit);
      const token = await retention.noteDryRun(rule, planned.removed.studies);
      if (token === undefined) throw dryRunNeeded("The rule was changed meanwhile: run it dry again.");
      return { ...planned, rule: await found(id), token };
    },
    enable: async (id, token) => {
      await found(id);
      if (await retention.enable(id, token, tokenHours)) return found(id);
      throw dryRunNeeded(
        `The rule can be enabled by the token of a dry run of its last revision that is less than ${tokenHours} hours old.`,
      );
    },
    disable: async (id) => {
      if (!(await retention.disable(id))) throw noSuchRule();
      return found(id);
    },
    run: createRetentionRun(catalog, plan, settings),
    runs: (page) => retention.runs(page),
    runRemovals: async (runId, page) => {
      if (await retention.findRun(runId)) return retention.runRemovals(runId, page);
      throw new ArchiveError("no-such-retention-run", "There is no such run.");
    },
  };
}

function noSuchRule(): ArchiveError {
  return new ArchiveError("no-such-retention-rule", "There is no such rule of retention.");
}

function dryRunNeeded(sentence: string): ArchiveError {
  return new ArchiveError("dry-run-needed", sentence);
}
