/** Schemas of what is answered of the integrity of the archive. */
import { z } from "zod";
import type { Fault, IntegrityRun } from "../archive/integrity.ts";
import { type AnswerOf, moment } from "./json-reply.ts";

const count = z.int().min(0);
const uid = z.string().nullable();

/** Kinds of faults. */
export const faultKinds = [
  "missing",
  "wrong-size",
  "wrong-sha256",
  "unreadable",
  "different-metadata",
  "orphan",
] as const satisfies readonly Fault["kind"][];

const run = z.strictObject({
  startedAt: moment.describe("When it began."),
  updatedAt: moment.describe("When it last came further."),
  finishedAt: moment
    .nullable()
    .describe("When it came to its end; null while it goes on, or waits to be taken up again."),
  percent: z.number().min(0).max(100).describe("How much of the archive it has seen."),
  objects: count.describe("Objects whose presence and size it has compared."),
  objectsRead: count.describe("Objects that it has read."),
  bytesRead: count.describe("Bytes that it has read."),
});

/** How the archive is. */
export const integrityAnswer = z.strictObject({
  openFaults: z.partialRecord(z.enum(faultKinds), count).describe("Faults that are open, by kind."),
  everyDays: count.describe("Days within which the server reads every object; 0: it does not."),
  running: run.nullable().describe("What the server verifies by itself, and has not finished; null when it does not."),
  lastFinished: run.nullable().describe("The last verification that the server finished; null when there was none."),
  lastCommand: run.nullable().describe("The last noctis verify, finished or not; null when there was none."),
});

const fault = z.strictObject({
  id: z.int().min(1).describe("Names the fault."),
  kind: z.enum(faultKinds).describe("What is wrong. An orphan is an object that no row names."),
  key: z.string().describe("Key of the object."),
  holder: z.string().nullable().describe("The table whose row names it; null when none does."),
  studyInstanceUid: uid.describe("Study Instance UID (0020,000D); null when it is not known."),
  seriesInstanceUid: uid.describe("Series Instance UID (0020,000E); null when it is not known."),
  sopInstanceUid: uid.describe("SOP Instance UID (0008,0018); null when it is not known."),
  detail: z.string().describe("What was found, in words."),
  firstSeenAt: moment.describe("When it was first found."),
  lastSeenAt: moment.describe("When it was last found."),
  resolvedAt: moment.nullable().describe("When it was found right again; null while it is not."),
  resolution: z.string().nullable().describe("Why it is no fault any more, in words; null while it is one."),
}) satisfies z.ZodType<Fault>;

/** A page of faults. */
export const faultsAnswer = z.strictObject({
  faults: z.array(fault).describe("In the order in which they were first found."),
  next: count.nullable().describe("What to give as after for the next page; null when this is the last."),
});

export type IntegrityAnswer = AnswerOf<typeof integrityAnswer>;
export type FaultsAnswer = AnswerOf<typeof faultsAnswer>;

/** A run as it is answered. */
export function runAnswer(one: IntegrityRun | undefined): IntegrityAnswer["running"] {
  if (!one) return null;
  const { startedAt, updatedAt, finishedAt, share, objects, objectsRead, bytesRead } = one;
  const percent = Math.round(share * 1000) / 10;
  return { startedAt, updatedAt, finishedAt, percent, objects, objectsRead, bytesRead };
}
