/** Schemas of what /api/holds and /api/retention answer. */
import { z } from "zod";
import { type AnswerOf, moment } from "./json-reply.ts";

const count = z.int().min(0);

const holdShape = {
  id: z.int().min(1).describe("Names the hold."),
  state: z.enum(["in force", "over", "released"]).describe("over: the time until which it lasts has passed."),
  studyInstanceUid: z.string().optional().describe("Study Instance UID (0020,000D) of the study that it protects."),
  patientId: z.string().optional().describe("Patient ID (0010,0020) of the patient whose studies it protects."),
  issuerOfPatientId: z.string().optional().describe("Issuer of Patient ID (0010,0021); absent: whatever the issuer."),
  query: z.string().optional().describe("Query of a search, of which it protects what is found."),
  reason: z.string().describe("Why it was placed; told to whoever tries to remove."),
  until: moment.nullable().describe("When it ends; null: when it is released."),
  createdAt: moment.describe("When it was placed."),
  releasedAt: moment.nullable().describe("When it was released; null: it was not."),
};
/** A hold, with what it protects. */
export const holdAnswer = z.strictObject({
  ...holdShape,
  studies: count.describe("Studies in the archive that it protects, or did while it was in force."),
});
/** Holds. */
export const holdsAnswer = z.strictObject({
  holds: z.array(z.strictObject(holdShape)).describe("The newest first."),
});

export type HoldAnswer = AnswerOf<typeof holdAnswer>;
export type HoldsAnswer = AnswerOf<typeof holdsAnswer>;

const ageBy = z.enum(["StudyDate", "stored"]);
const space = z.strictObject({
  unit: z.enum(["percent", "gigabytes"]).describe("gigabytes: of 1,000,000,000 bytes."),
  below: z.number().describe("Studies are removed while less than this is free."),
  until: z.number().describe("They are removed until this is free."),
});

/** A rule of retention. */
export const ruleAnswer = z.strictObject({
  id: z.int().min(1).describe("Names the rule."),
  name: z.string().describe("Its name for people."),
  match: z.string().describe("Query of a search; empty: every study."),
  ageBy: ageBy.describe("By what the age of a study is told."),
  olderThanDays: z.int().min(1).describe("Days that a study must be old, more than."),
  settledDays: z.int().min(1).describe("Days since it last got or lost an instance, more than."),
  space: space.nullable().describe("Null: studies are removed as soon as they are old enough."),
  enabled: z.boolean().describe("Whether it is run."),
  revision: z.int().min(1).describe("Raised by every change."),
  dryRunAt: moment.nullable().describe("When this revision was last run dry; null: never."),
  confirmedStudies: count.describe("Studies that it may remove without regard to RETENTION_MAX_PERCENT."),
  stopped: z.string().nullable().describe("Why the server has disabled it; null: it has not."),
  createdAt: moment.describe("When it was added."),
  changedAt: moment.describe("When it was last changed."),
  lastRunAt: moment.nullable().describe("When it was last run; null: never."),
});
/** Every rule. */
export const rulesAnswer = z.strictObject({ rules: z.array(ruleAnswer).describe("The oldest first.") });

const sum = z.strictObject({ studies: count, instances: count, bytes: count });
const studyShape = {
  studyInstanceUid: z.string().describe("Study Instance UID (0020,000D)."),
  studyDate: z.string().nullable().describe("Study Date (0008,0020); null when it has none."),
  storedAt: z.string().describe("When it last got or lost an instance."),
  instances: count,
  bytes: count.describe("Of its objects."),
};
/** What a rule would do now. */
export const dryRunAnswer = z.strictObject({
  token: z.uuid().describe("Enables the rule as it stands, for 24 hours."),
  rule: ruleAnswer,
  due: sum.describe("Studies that it finds and that are old enough."),
  removed: sum.describe("Those that it would remove now."),
  held: sum.describe("Those that a hold protects."),
  studies: z
    .array(z.strictObject({ ...studyShape, why: z.string().describe("Why it is due.") }))
    .describe("Those that it would remove, the oldest first, as many as limit says."),
  heldStudies: z
    .array(z.strictObject({ ...studyShape, hold: z.string().describe("The hold that protects it.") }))
    .describe("Those that a hold protects, the oldest first, as many as limit says."),
  space: z
    .strictObject({
      totalBytes: count.describe("Room for objects."),
      freeBytes: count.describe("Of that, what is free."),
      needBytes: count.describe("To be freed; 0 when enough is free."),
      retainedBytes: count.describe("Of these, what comes back by forgetting what retention removed before."),
    })
    .nullable()
    .describe("Null when the rule does not ask for free space."),
});

const run = z.strictObject({
  id: z.int().min(1).describe("Names the run."),
  ruleId: z.int().min(1).describe("The rule, which may be gone."),
  ruleName: z.string().describe("Its name then."),
  ruleRevision: z.int().min(1).describe("Its revision then."),
  beganAt: moment.describe("When it began."),
  endedAt: moment.nullable().describe("When it ended; null while it is under way, and when its process died."),
  studies: count.describe("Studies that it removed."),
  instances: count.describe("Instances that it removed."),
  bytes: count.describe("Of their objects."),
  held: count.describe("Studies that it left, since a hold protects them."),
  changed: count.describe("Studies that it left, since they changed before their turn."),
  fault: z.string().nullable().describe("What went wrong; null when nothing did."),
});
/** Runs that removed something or met a fault. */
export const runsAnswer = z.strictObject({ runs: z.array(run).describe("The newest first.") });
/** What a run removed. */
export const runRemovalsAnswer = z.strictObject({
  removals: z
    .array(
      z.strictObject({
        id: z.int().min(1).describe("Place in the list, for before."),
        removalId: z.int().min(1).describe("Removal by which it can be restored while /api/removed lists it."),
        studyInstanceUid: z.string().describe("Study Instance UID (0020,000D)."),
        instances: count,
        bytes: count.describe("Of its objects."),
        at: moment.describe("When it was removed."),
      }),
    )
    .describe("The last first."),
});

export type RuleAnswer = AnswerOf<typeof ruleAnswer>;
export type RulesAnswer = AnswerOf<typeof rulesAnswer>;
export type DryRunAnswer = AnswerOf<typeof dryRunAnswer>;
export type RunsAnswer = AnswerOf<typeof runsAnswer>;
export type RunRemovalsAnswer = AnswerOf<typeof runRemovalsAnswer>;
