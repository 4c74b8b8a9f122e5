/** Plan of a rule of retention: which studies it would remove now, why, and which a hold protects. */
import type { BlobSpace } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { DueRule, DueStudy, Sum } from "../../storage/catalog-retention-due.ts";
import type { RetentionRule, SpaceCondition } from "../../storage/catalog-retention-rules.ts";
import { ArchiveError } from "../errors.ts";
import type { QueryTags } from "./query-tags.ts";
import { readStudyMatch } from "./study-match.ts";

/** The room for objects, when a rule asks for it. */
export interface SpaceState extends BlobSpace {
  /** To be freed; 0 when enough is free. */
  readonly needBytes: number;
  /** Of these, what comes back by forgetting at once what retention has removed and what can be restored still. */
  readonly retainedBytes: number;
}

/** What a rule would do now. */
export interface RetentionPlan {
  /** Every study that it finds and that is old enough. */
  readonly due: Sum;
  readonly removed: Sum;
  readonly held: Sum;
  /** Studies that it would remove, the oldest first. */
  readonly studies: readonly (DueStudy & { readonly why: string })[];
  /** Studies that a hold protects, the oldest first. */
  readonly heldStudies: readonly (DueStudy & { readonly hold: string })[];
  /** Null when the rule does not ask for it. */
  readonly space: SpaceState | null;
}

/** The plan of `rule` with at most `limit` studies one by one; `retained`: the bytes retained, when they are known. */
export type MakePlan = (
  rule: RetentionRule,
  limit: number,
  retained?: number,
) => Promise<RetentionPlan & { readonly dueRule: DueRule }>;

/** What plans need. */
export interface PlanSettings {
  readonly queryTags: Pick<QueryTags, "current">;
  /** The room for objects; undefined when it is not known. */
  readonly space: () => Promise<BlobSpace | undefined>;
}

const bytesOfUnit = { gigabytes: 1e9 } as const;

/** Bytes that must become free. */
export function neededBytes({ unit, below, until }: SpaceCondition, { totalBytes, freeBytes }: BlobSpace): number {
  const bytesOf = (value: number) => (unit === "percent" ? (value / 100) * totalBytes : value * bytesOfUnit.gigabytes);
  return freeBytes >= bytesOf(below) ? 0 : Math.ceil(bytesOf(until) - freeBytes);
}

/** Makes plans. @throws ArchiveError `invalid-query` when the match is understood no more, `space-unknown` */
export function createRetentionPlan({ retention, holds }: Catalog, { queryTags, space }: PlanSettings): MakePlan {
  async function stateOf(condition: SpaceCondition, retained?: number): Promise<SpaceState> {
    const room = await space();
    if (!room) {
      throw new ArchiveError(
        "space-unknown",
        "The object store does not tell how much is free: set STORAGE_CAPACITY_GB for rules that ask for free space.",
      );
    }
    const needBytes = neededBytes(condition, room);
    return { ...room, needBytes, retainedBytes: Math.min(needBytes, retained ?? (await retention.bytesRetained())) };
  }

  return async (rule, limit, retained) => {
    const { ageBy, olderThanDays, settledDays } = rule;
    const match = readStudyMatch(rule.match, await queryTags.current());
    const dueRule: DueRule = { match, ageBy, olderThanDays, settledDays };
    const state = rule.space && (await stateOf(rule.space, retained));
    const needBytes = state ? state.needBytes - state.retainedBytes : undefined;
    const plan = await retention.plan({ rule: dueRule, needBytes, limit });
    const heldStudies = await Promise.all(
      plan.heldStudies.map(async ({ id, ...study }) => ({ ...study, hold: await holds.sentenceOn(id) })),
    );
    return {
      ...plan,
      dueRule,
      studies: plan.studies.map((study) => ({ ...study, why: reasonOf(rule, study) })),
      heldStudies,
      space: state,
    };
  };
}

/** Why a study is due, in words. */
function reasonOf({ ageBy, olderThanDays }: RetentionRule, { studyDate, storedAt }: DueStudy): string {
  const stored = `it last got or lost an instance on ${storedAt.slice(0, 10)}`;
  const since = `more than ${olderThanDays} days ago`;
  if (ageBy === "stored") return `${stored}, ${since}`;
  return studyDate === null
    ? `it has no Study Date, and ${stored}, ${since}`
    : `its Study Date ${studyDate} is ${since}`;
}
