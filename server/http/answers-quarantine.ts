/** Schemas of what is answered of files in quarantine. */
import { z } from "zod";
import type { Quarantined } from "../archive/quarantine.ts";
import { type AnswerOf, moment } from "./json-reply.ts";

const count = z.int().min(0);
const uid = z.string().nullable();

/** One file in quarantine. */
export const quarantinedAnswer = z.strictObject({
  id: z.int().min(1).describe("Names the file."),
  reason: z.string().describe("Code of the error that it was refused with."),
  detail: z.string().describe("What is wrong, in one sentence."),
  byteLength: count.describe("Size in bytes."),
  sha256: z.string().describe("SHA-256 in hexadecimal."),
  sopClassUid: uid.describe("SOP Class UID (0008,0016), if it could be read."),
  sopInstanceUid: uid.describe("SOP Instance UID (0008,0018), if it could be read."),
  studyInstanceUid: uid.describe("Study Instance UID (0020,000D), if it could be read."),
  seriesInstanceUid: uid.describe("Series Instance UID (0020,000E), if it could be read."),
  origin: z.string().nullable().describe("The door through which it came."),
  part: z.int().nullable().describe("Its number in the request, from 1 on."),
  name: z.string().nullable().describe("Name of the file, if the sender gave one."),
  count: count.describe("How often the same bytes came."),
  firstAt: moment.describe("When they came first."),
  lastAt: moment.describe("When they came last."),
  retries: count.describe("How often it was tried again in vain."),
  retriedAt: moment.nullable().describe("When that was the last time."),
}) satisfies z.ZodType<Quarantined>;

/** A page of files in quarantine. */
export const quarantineAnswer = z.strictObject({
  files: z.array(quarantinedAnswer).describe("The newest first."),
  next: count.nullable().describe("What to give as before for the next page; null when this is the last."),
});

/** A file that left quarantine, since it could be stored. */
export const retriedAnswer = z.strictObject({
  status: z.enum(["stored", "already-stored"]).describe("already-stored: the same bytes were there."),
  sopClassUid: z.string().describe("SOP Class UID (0008,0016)."),
  sopInstanceUid: z.string().describe("SOP Instance UID (0008,0018)."),
  studyInstanceUid: z.string().describe("Study Instance UID (0020,000D)."),
  seriesInstanceUid: z.string().describe("Series Instance UID (0020,000E)."),
  warnings: z.array(z.string()).describe("What is wrong with it and was stored all the same."),
});

/** What a purge removed. */
export const purgedAnswer = z.strictObject({ purged: count.describe("Files that were removed.") });

export type QuarantinedAnswer = AnswerOf<typeof quarantinedAnswer>;
export type QuarantineAnswer = AnswerOf<typeof quarantineAnswer>;
export type RetriedAnswer = AnswerOf<typeof retriedAnswer>;
export type PurgedAnswer = AnswerOf<typeof purgedAnswer>;
