/** Schemas of what /api/jobs answers. */
import { z } from "zod";
import { type AnswerOf, moment } from "./json-reply.ts";

const count = z.int().min(0);

/** What a job is asked to do. */
export const jobKind = z.enum(["echo", "query", "retrieve", "send"]);
/** How far it is. */
export const jobState = z.enum(["queued", "running", "succeeded", "failed", "cancelled"]);
/** Priority (0000,0700). */
export const jobPriority = z.enum(["high", "medium", "low"]);

const jobShape = {
  id: z.int().min(1).describe("Names the job."),
  kind: jobKind.describe("What it does."),
  peer: z.string().describe("Name of the peer."),
  rule: z
    .string()
    .nullable()
    .describe("Name of the rule of forwarding that has added it; null: somebody asked for it."),
  state: jobState.describe("queued: it waits for its turn, or for its next attempt."),
  priority: jobPriority.describe("Jobs of a higher one go first."),
  total: count.describe("Instances, as far as their number is known."),
  completed: count.describe("Instances that were transferred."),
  failed: count.describe("Instances that were not, and are not tried again by themselves."),
  warning: count.describe("Instances that were transferred with a warning of the peer."),
  attempts: count.describe("Attempts, with the one under way."),
  nextAttemptAt: moment.describe("Not before then is it tried, as long as it is queued."),
  retrySeconds: count.describe("How long faults that may pass are met with another attempt."),
  cancelRequested: z.boolean().describe("Whether it is to be cancelled."),
  errorCode: z.string().nullable().describe("Code of the last fault; null: there was none."),
  error: z.string().nullable().describe("The same as a sentence."),
  createdAt: moment.describe("When it was added."),
  startedAt: moment.nullable().describe("When it was first tried; null: it was not yet."),
  finishedAt: moment.nullable().describe("When it ended; null: it did not yet."),
};

/** A job, with what came of it. */
export const jobAnswer = z.strictObject({
  ...jobShape,
  request: z.unknown().describe("What was asked."),
  result: z
    .unknown()
    .describe(
      "What came of it; null: nothing yet, or nothing to be told. Of a query answers (DICOM JSON), and isCut when there were more.",
    ),
});
/** Jobs. */
export const jobsAnswer = z.strictObject({
  jobs: z.array(z.strictObject(jobShape)).describe("The newest first."),
  next: z.int().nullable().describe("What to give as before for the next page; null: there is none."),
});
/** Instances that were not transferred as they should. */
export const failuresAnswer = z.strictObject({
  failures: z
    .array(
      z.strictObject({
        id: z.int().min(1).describe("Names the entry."),
        studyInstanceUid: z.string().nullable().describe("Null: the peer did not name it."),
        seriesInstanceUid: z.string().nullable().describe("Null: the peer did not name it."),
        sopInstanceUid: z.string().describe("SOP Instance UID (0008,0018)."),
        state: z
          .enum(["pending", "failed", "warning"])
          .describe(
            "pending: it is tried again; warning: it was transferred, but the peer has changed or left out something.",
          ),
        attempts: count.describe("Attempts that were answered for this instance."),
        status: z
          .int()
          .nullable()
          .describe(
            "Status (0000,0900) or Failure Reason (0008,1197) of the last attempt; null: nothing was answered.",
          ),
        error: z.string().nullable().describe("What was said of it."),
      }),
    )
    .describe("In the order in which they are sent."),
  next: z.int().nullable().describe("What to give as after for the next page; null: there is none."),
});

export type JobAnswer = AnswerOf<typeof jobAnswer>;
export type JobsAnswer = AnswerOf<typeof jobsAnswer>;
export type FailuresAnswer = AnswerOf<typeof failuresAnswer>;
