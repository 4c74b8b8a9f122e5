/** GET /api/backups: how the backups go. */
import { z } from "zod";
import type { BackupStatus } from "../archive/backups.ts";
import { type AnswerOf, jsonReply, moment } from "./json-reply.ts";
import type { Reply, Request } from "./reply.ts";

const count = z.int().min(0).nullable();

const run = z.strictObject({
  id: z.int().min(1).describe("Counts the backups that were begun."),
  cause: z.enum(["schedule", "command"]).describe("What began it: BACKUP_AT, or noctis backup."),
  startedAt: moment.describe("When it was begun."),
  finishedAt: moment.nullable().describe("When it ended; null while it is under way."),
  outcome: z
    .enum(["running", "complete", "with-faults", "failed"])
    .describe("with-faults: it lacks objects that are missing in the archive, or have other bytes than were stored."),
  snapshot: z.string().nullable().describe("Its name, by which noctis restore finds it; null when there is none."),
  fault: z.string().nullable().describe("What went wrong, in a sentence; null when nothing did."),
  instances: count.describe("Instances in it."),
  objects: count.describe("Objects that it needs."),
  objectBytes: count.describe("Their bytes."),
  copiedObjects: count.describe("Objects that were not in the backup before, and were copied."),
  copiedBytes: count.describe("Their bytes."),
  faultyObjects: count.describe("Objects that could not be copied, since they are faulty in the archive."),
});

/** How the backups go. */
export const backupsAnswer = z.strictObject({
  nextAt: moment.nullable().describe("When the next one is made by itself; null when none is."),
  overdue: z.boolean().describe("Whether one should have been made by itself by now, and has not been."),
  lastSuccess: run.nullable().describe("The latest that can be restored; null when there is none."),
  runs: z.array(run).describe("The latest, the newest first."),
}) satisfies z.ZodType<BackupStatus>;

/** GET /api/backups */
export async function listBackups({ archive, query }: Request<object>): Promise<Reply> {
  const answer: AnswerOf<typeof backupsAnswer> = await archive.backups.status(Number(query.get("limit") ?? 10));
  return jsonReply(200, answer);
}
