/** Schemas of what the server's own resources answer: the handlers answer their types, and OpenAPI describes them. */
import { z } from "zod";
import type { ChangeFeedPage } from "../archive/changes.ts";
import type { QueryTags } from "../archive/query-tags.ts";
import type { Restored } from "../archive/remove.ts";
import type { PastDelivery, PublicWebhook } from "../archive/webhooks.ts";
import { type AnswerOf, moment } from "./json-reply.ts";

const studyInstanceUid = z.string().describe("Study Instance UID (0020,000D).");
const seriesInstanceUid = z.string().describe("Series Instance UID (0020,000E).");
const sopInstanceUid = z.string().describe("SOP Instance UID (0008,0018).");
const instanceName = { studyInstanceUid, seriesInstanceUid, sopInstanceUid };
const count = z.int().min(0);
const action = z.enum(["create", "update", "delete", "restore"]);
const level = z.enum(["study", "series", "instance"]);

const change = z.strictObject({
  sequence: z
    .int()
    .min(1)
    .describe("Counts from 1, without gaps, but for the one that each restore from a backup leaves."),
  action: action.describe("What happened to the instance."),
  ...instanceName,
  sopClassUid: z.string().describe("SOP Class UID (0008,0016)."),
  sha256: z.string().describe("SHA-256, in hexadecimal, of the file that the change made current or took away."),
  at: moment.describe("When it happened."),
  origin: z.string().nullable().describe("The door through which it came; null when that is not known."),
});

/** A page of the feed of changes. */
export const changesAnswer = z.strictObject({
  changes: z.array(change).describe("In the order of their sequence numbers."),
  next: count.describe("What to give as since for the next page."),
  more: z.boolean().describe("Whether there are further changes already."),
}) satisfies z.ZodType<ChangeFeedPage>;

const filterValues = z.array(z.string()).optional();
const webhookShape = {
  id: z.uuid().describe("Names the webhook."),
  url: z.string().describe("Address that is told."),
  events: z.array(action).nullable().describe("Actions that are told; null: every one."),
  filter: z
    .strictObject({
      studyInstanceUid: filterValues.describe("Studies of which one must be that of the change."),
      sopClassUid: filterValues.describe("SOP Classes of which one must be that of the change."),
      origin: filterValues.describe("Doors of which one must be that of the change."),
    })
    .nullable()
    .describe("Which changes are told; null: any."),
  cursor: count.describe("Sequence number of the last change that is not told any more."),
  failures: count.describe("Failures since the last success."),
  nextAttemptAt: moment.describe("Not told before."),
  createdAt: moment.describe("When it was added."),
};

/** A webhook without its secret. */
export const webhookAnswer = z.strictObject(webhookShape) satisfies z.ZodType<PublicWebhook>;
/** A webhook that was added, with its secret. */
export const webhookAddedAnswer = z.strictObject({
  ...webhookShape,
  secret: z.string().describe("With what deliveries are signed; told here and never again."),
});
/** Every webhook. */
export const webhooksAnswer = z.strictObject({ webhooks: z.array(webhookAnswer).describe("The oldest first.") });

const delivery = z.strictObject({
  id: count,
  firstSequence: count.describe("Sequence number of the first change that it told."),
  lastSequence: count.describe("That of the last one."),
  changeCount: count.describe("How many changes it told."),
  attempt: z.int().min(1).describe("Counts from 1."),
  status: z.int().nullable().describe("Status of the answer; null when there was none."),
  fault: z.string().nullable().describe("Why it did not succeed; null when it did."),
  durationMs: count.describe("Milliseconds until the answer."),
  at: moment.describe("When it was made."),
}) satisfies z.ZodType<PastDelivery>;
/** The latest deliveries of a webhook. */
export const deliveriesAnswer = z.strictObject({ deliveries: z.array(delivery).describe("The newest first.") });

const removal = z.strictObject({
  id: z.int().min(1).describe("Names the removal."),
  level: level.describe("What was removed."),
  why: z.enum(["deleted", "replaced"]).describe("Whether it was deleted, or replaced by another with its UIDs."),
  studyInstanceUid,
  seriesInstanceUid: seriesInstanceUid.optional(),
  sopInstanceUid: sopInstanceUid.optional(),
  instanceCount: count.describe("Instances that can be restored."),
  removedAt: moment.describe("When it was removed."),
  restorableUntil: moment.describe("Until when it can be restored."),
});
/** What can be restored. */
export const removalsAnswer = z.strictObject({ removals: z.array(removal).describe("The newest first.") });
/** What a restore did. */
export const restoredAnswer = z.strictObject({
  restored: count.describe("Instances that are there again."),
  stillRemoved: z
    .array(z.strictObject(instanceName))
    .describe("Instances that stay removed, since one with their UIDs was stored meanwhile."),
}) satisfies z.ZodType<Restored>;

/** A query tag and how far its index has come. */
export const queryTagAnswer = z.strictObject({
  path: z.string().describe("Tags joined by dots, the last one that of the value; the block of a private one is xx."),
  keyword: z.string().optional().describe("Keyword of the attribute, or keywords joined by dots, where it has one."),
  vr: z.string().describe("Value Representation."),
  privateCreator: z.string().optional().describe("Private Creator of private tags."),
  level: level.describe("Level at which, and below which, it is searched."),
  status: z.enum(["adding", "ready"]).describe("adding: what was stored before the tag is being indexed."),
  progress: z.strictObject({
    done: count.describe("Instances that are indexed."),
    total: count.nullable().describe("Instances to be indexed; null until that has begun."),
    percent: z.int().min(0).max(100).describe("100 when it is ready."),
  }),
  errors: count.describe("Instances whose value could not be indexed; 10000 also stands for more."),
  createdAt: moment.describe("When the tag was added."),
  startedAt: moment.nullable().describe("When the index was begun."),
  finishedAt: moment.nullable().describe("When the index was complete."),
});
/** Every query tag. */
export const queryTagsAnswer = z.array(queryTagAnswer).describe("The oldest first.");
/** Instances whose value could not be indexed. */
export const tagErrorsAnswer = z.array(
  z.strictObject({
    ...instanceName,
    value: z.string().describe("What was found, cut short."),
    reason: z.string().describe("Why it cannot be searched."),
  }),
) satisfies z.ZodType<Awaited<ReturnType<QueryTags["errors"]>>>;

export type ChangesAnswer = AnswerOf<typeof changesAnswer>;
export type WebhookAnswer = AnswerOf<typeof webhookAnswer>;
export type WebhookAddedAnswer = AnswerOf<typeof webhookAddedAnswer>;
export type WebhooksAnswer = AnswerOf<typeof webhooksAnswer>;
export type DeliveriesAnswer = AnswerOf<typeof deliveriesAnswer>;
export type RemovalsAnswer = AnswerOf<typeof removalsAnswer>;
export type RestoredAnswer = AnswerOf<typeof restoredAnswer>;
export type QueryTagAnswer = AnswerOf<typeof queryTagAnswer>;
export type QueryTagsAnswer = AnswerOf<typeof queryTagsAnswer>;
export type TagErrorsAnswer = AnswerOf<typeof tagErrorsAnswer>;
