/** Schemas of what is answered of conflicts. */
import { z } from "zod";
import type { Conflict, DisputedPatient } from "../archive/conflicts.ts";
import { type AnswerOf, moment } from "./json-reply.ts";

const count = z.int().min(0);

/** One conflict. */
export const conflictAnswer = z.strictObject({
  id: z.int().min(1).describe("Names the conflict."),
  kind: z
    .enum(["patient", "study", "uid"])
    .describe("Whether it is about whose the study is, about which study it is, or about a UID that is not unique."),
  status: z.enum(["open", "acknowledged"]).describe("acknowledged: somebody has said that it is right as it is."),
  studyInstanceUid: z.string().describe("Study Instance UID (0020,000D)."),
  attribute: z.string().describe("Keyword of the attribute."),
  studyValue: z
    .string()
    .nullable()
    .describe("What the study says; null for nothing. 256 characters at most. Of a UID: the study."),
  instanceValue: z
    .string()
    .nullable()
    .describe("What the instances say; null for nothing. Of a UID: the study that has it, too."),
  instanceCount: count.describe("Instances that say it."),
  seriesInstanceUids: z.array(z.string()).describe("Series (0020,000E) that they are in; ten at most."),
  firstStoredAt: moment.describe("When the first of them was stored."),
  lastStoredAt: moment.describe("When the last of them was stored."),
  origin: z.string().nullable().describe("The door through which the first came; null when that is not known."),
  acknowledgedAt: moment.nullable().describe("When it was acknowledged."),
  note: z.string().nullable().describe("What was said then."),
}) satisfies z.ZodType<Conflict>;

/** A page of conflicts. */
export const conflictsAnswer = z.strictObject({
  conflicts: z.array(conflictAnswer).describe("The newest first."),
  next: count.nullable().describe("What to give as before for the next page; null when this is the last."),
});

/** A page of the instances of a conflict. */
export const conflictInstancesAnswer = z.strictObject({
  instances: z
    .array(
      z.strictObject({
        studyInstanceUid: z.string().describe("Study Instance UID (0020,000D)."),
        seriesInstanceUid: z.string().describe("Series Instance UID (0020,000E)."),
        sopInstanceUid: z.string().describe("SOP Instance UID (0008,0018)."),
        storedAt: moment.describe("When it was stored."),
      }),
    )
    .describe("In the order in which they were stored."),
  next: count.nullable().describe("What to give as after for the next page; null when this is the last."),
});

const values = z.array(z.string());

/** A page of patients of whom studies say different things. */
export const patientConflictsAnswer = z.strictObject({
  patients: z
    .array(
      z.strictObject({
        patientId: z.string().describe("Patient ID (0010,0020)."),
        issuerOfPatientId: z.string().nullable().describe("Issuer of Patient ID (0010,0021); null for none."),
        studyCount: count.describe("Studies of this patient."),
        names: values.describe("Patient's Names (0010,0010) in them; ten at most."),
        birthDates: values.describe("Patient's Birth Dates (0010,0030) in them; ten at most."),
        sexes: values.describe("Patient's Sexes (0010,0040) in them; ten at most."),
      }) satisfies z.ZodType<DisputedPatient>,
    )
    .describe("In the order of their identifiers."),
  next: z.string().nullable().describe("What to give as after for the next page; null when this is the last."),
});

export type PatientConflictsAnswer = AnswerOf<typeof patientConflictsAnswer>;
export type ConflictAnswer = AnswerOf<typeof conflictAnswer>;
export type ConflictsAnswer = AnswerOf<typeof conflictsAnswer>;
export type ConflictInstancesAnswer = AnswerOf<typeof conflictInstancesAnswer>;
