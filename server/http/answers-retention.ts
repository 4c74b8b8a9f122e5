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
