/** Schemas of what /api/forwarding answers. */
import { z } from "zod";
import { jobPriority } from "./answers-jobs.ts";
import { type AnswerOf, moment } from "./json-reply.ts";

const count = z.int().min(0);
const patterns = z.array(z.string()).nullable();

/** A rule of forwarding, and how it goes. */
export const forwardingAnswer = z.strictObject({
  id: z.int().min(1).describe("Of the rule, for ever."),
  name: z.string().describe("Names the rule."),
  match: z.string().describe("Query of a search for instances; empty: every instance."),
  origins: patterns.describe("Doors through which instances come; null: any."),
  sendingAeTitles: patterns.describe("AE titles of the applications that send; null: any."),
  exceptSendingAeTitles: patterns.describe("Of those whose instances are not forwarded; null: of none."),
  receivingAeTitles: patterns.describe("AE titles by which this application was called; null: any."),
  destination: z.string().describe("Name of the peer that it sends to."),
  priority: jobPriority.describe("Of its sends."),
  quietSeconds: count.describe("Seconds without a further instance of the study before it is sent."),
  retrySeconds: count.describe("How long, without any progress, a send is tried again."),
  enabled: z.boolean().describe("False: it waits, and goes on where it is when it is enabled."),
  cursor: count.describe("Sequence number of the last change that it has looked at."),
  missedUpTo: count
    .nullable()
    .describe("The last change that was forgotten (CHANGES_KEEP_DAYS) before it was looked at; null: none was."),
  fault: z.string().nullable().describe("Why it cannot look at changes; null: it can."),
  createdAt: moment.describe("When it was added."),
  changedAt: moment.describe("When it was last changed."),
  state: z
    .strictObject({
      behind: count.describe("Changes that it has not looked at yet, 100,000 at most."),
      openJobs: count.describe("Sends that have not ended: GET /api/jobs?rule=..."),
      waiting: count.describe("Instances of these that are still to be sent."),
      oldestAt: moment.nullable().describe("When the oldest of these was added; null: there is none."),
      failedJobs: count.describe("Sends that failed and are kept (JOBS_KEEP_DAYS)."),
      failed: count.describe("Instances that they did not send."),
      sent: count.describe("Instances that were sent by sends that are kept."),
      lastFault: z
        .strictObject({
          code: z.string().describe("Code of the fault."),
          sentence: z.string().describe("The same as a sentence."),
          at: moment.describe("When it was last met."),
          nextAttemptAt: moment.describe("Not before then is the destination tried again."),
        })
        .nullable()
        .describe("Why the destination could not be worked with when it was last tried; null: it could."),
    })
    .describe("How it goes."),
});
/** Every rule. */
export const forwardingsAnswer = z.strictObject({ rules: z.array(forwardingAnswer).describe("The oldest first.") });

export type ForwardingAnswer = AnswerOf<typeof forwardingAnswer>;
export type ForwardingsAnswer = AnswerOf<typeof forwardingsAnswer>;
