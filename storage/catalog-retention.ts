/** The catalog of retention: rules, what they would remove, what they did. */
import type { Knex } from "knex";
import type { ReadStudyMatch } from "./catalog-held.ts";
import { type DuePlan, planDue, type PlanRequest } from "./catalog-retention-due.ts";
import {
  addRule,
  changeRule,
  disableRule,
  enableRule,
  findRule,
  listRules,
  noteDryRun,
  removeRule,
  type RetentionRule,
  type RuleDefinition,
} from "./catalog-retention-rules.ts";
import {
  beginRun,
  endRun,
  findRun,
  isUnderWay,
  listRunRemovals,
  listRuns,
  type RetentionRemoval,
  type RetentionRun,
  type RunEnd,
  type RunPage,
  takeTurn,
} from "./catalog-retention-runs.ts";
import { bytesRetained, bytesStored, countStudies, expireRetained } from "./catalog-retention-space.ts";
import { databaseError } from "./database-error.ts";

/** Every method throws ArchiveError `database-unavailable` when PostgreSQL does not answer. */
export interface RetentionCatalog {
  /** Adds a rule, disabled. @throws ArchiveError `retention-rule-exists`, `too-many-retention-rules` */
  add(definition: RuleDefinition): Promise<RetentionRule>;
  /** Every rule, the oldest first. */
  list(): Promise<readonly RetentionRule[]>;
  find(id: number): Promise<RetentionRule | undefined>;
  /** Changes a rule, which is disabled by that; false when it is not there. @throws ArchiveError `retention-rule-exists` */
  change(id: number, definition: RuleDefinition): Promise<boolean>;
  /** False when it is not there. */
  remove(id: number): Promise<boolean>;
  /** Notes a dry run; the token that enables this revision, undefined when the rule has changed since. */
  noteDryRun(rule: RetentionRule, studies: number): Promise<string | undefined>;
  /** Enables a rule by the token of a dry run of the last `hours`; false when it is none of its revision. */
  enable(id: number, token: string, hours: number): Promise<boolean>;
  /** Disables a rule, for the reason given when the server does it; false when it is not there. */
  disable(id: number, stopped?: string): Promise<boolean>;
  /** What a rule would do now. */
  plan(request: PlanRequest): Promise<DuePlan>;
  countStudies(): Promise<number>;
  /** Bytes of all objects that rows name. */
  bytesStored(): Promise<number>;
  /** Bytes that would come back if what retention removed could not be restored any more. */
  bytesRetained(): Promise<number>;
  /** Lets the time of the oldest of these removals end, until `bytes` come back by the next sweep. */
  expireRetained(bytes: number): Promise<void>;
  /** Takes the turn of a rule: false when it was run in the last `minutes`, or is not enabled as it was read. */
  takeTurn(rule: RetentionRule, minutes: number): Promise<boolean>;
  beginRun(rule: RetentionRule): Promise<number>;
  /** Whether the rule of a run is enabled still, and as it was when the run began. */
  isUnderWay(runId: number): Promise<boolean>;
  endRun(id: number, end: RunEnd): Promise<void>;
  /** Runs, newest first. */
  runs(page: RunPage): Promise<readonly RetentionRun[]>;
  findRun(id: number): Promise<RetentionRun | undefined>;
  /** What a run removed, the last first. */
  runRemovals(runId: number, page: RunPage): Promise<readonly RetentionRemoval[]>;
}

/** Retention over an open pool. */
export function createRetentionCatalog(knex: Knex, readMatch?: ReadStudyMatch): RetentionCatalog {
  return {
    add: (definition) => databaseError(() => addRule(knex, definition)),
    list: () => databaseError(() => listRules(knex)),
    find: (id) => databaseError(() => findRule(knex, id)),
    change: (id, definition) => databaseError(() => changeRule(knex, id, definition)),
    remove: (id) => databaseError(() => removeRule(knex, id)),
    noteDryRun: (rule, studies) => databaseError(() => noteDryRun(knex, rule, studies)),
    enable: (id, token, hours) => databaseError(() => enableRule(knex, id, token, hours)),
    disable: (id, stopped) => databaseError(() => disableRule(knex, id, stopped)),
    plan: (request) => databaseError(() => planDue(knex, request, readMatch)),
    countStudies: () => databaseError(() => countStudies(knex)),
    bytesStored: () => databaseError(() => bytesStored(knex)),
    bytesRetained: () => databaseError(() => bytesRetained(knex)),
    expireRetained: (bytes) => databaseError(() => expireRetained(knex, bytes)),
    takeTurn: (rule, minutes) => databaseError(() => takeTurn(knex, rule, minutes)),
    beginRun: (rule) => databaseError(() => beginRun(knex, rule)),
    isUnderWay: (runId) => databaseError(() => isUnderWay(knex, runId)),
    endRun: (id, end) => databaseError(() => endRun(knex, id, end)),
    runs: (page) => databaseError(() => listRuns(knex, page)),
    findRun: (id) => databaseError(() => findRun(knex, id)),
    runRemovals: (runId, page) => databaseError(() => listRunRemovals(knex, runId, page)),
  };
}
