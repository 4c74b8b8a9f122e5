/** /api/holds: what protects studies, patients and the matches of a search against every removal. */
import { z } from "zod";
import type { CountedHold, HoldTarget } from "../archive/holds.ts";
import { isUid, uidRule } from "../dicom/uid.ts";
import type { HoldAnswer, HoldsAnswer } from "./answers-retention.ts";
import { jsonReply } from "./json-reply.ts";
import type { Reply, Request } from "./reply.ts";
import { readJson } from "./whole-body.ts";

export const holdParams = z.object({
  hold: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "is not the number of a hold")
    .meta({ description: "Number of the hold, of the list of holds.", examples: ["1"] })
    .transform(Number),
});

type HoldParams = z.infer<typeof holdParams>;

/** One line of text. */
const line = (longest: number) =>
  z
    .string()
    .trim()
    .min(1, "is empty")
    .max(longest)
    .regex(/^\P{Cc}*$/u, "holds a control character");

const targets = ["studyInstanceUid", "patientId", "query"] as const;

/** The body that places a hold. */
export const holdRequest = z
  .strictObject({
    studyInstanceUid: z
      .string()
      .refine(isUid, uidRule)
      .optional()
      .describe("Study to be protected; this, patientId or query is needed, and one of them alone."),
    patientId: line(256)
      .optional()
      .describe(
        "Patient ID (0010,0020) of the patient whose studies are protected, with other studies in which instances have it.",
      ),
    issuerOfPatientId: line(256)
      .optional()
      .describe("Issuer of Patient ID (0010,0021) of that patient; absent: whatever the issuer."),
    query: line(4096)
      .optional()
      .describe(
        "Query of a search, as in its URL: every study that it finds is protected, with attributes of series, every " +
          "study of which one series has them.",
      ),
    reason: line(500).describe("Why; told to whoever tries to remove."),
    until: z.iso
      .datetime({ offset: true, error: "is not a moment such as 2030-01-31T00:00:00Z" })
      .optional()
      .describe("When it ends by itself; absent: when it is released."),
  })
  .refine((body) => targets.filter((name) => body[name] !== undefined).length === 1, {
    message: `names not exactly one of ${targets.join(", ")}`,
  })
  .refine((body) => body.issuerOfPatientId === undefined || body.patientId !== undefined, {
    message: "has an issuerOfPatientId without a patientId",
  });

/** POST /api/holds */
export async function placeHold(request: Request<object>): Promise<Reply> {
  const { reason, until, ...named } = await readJson(request, holdRequest);
  const target = targetOf(named);
  const hold = await request.archive.holds.place({
    ...target,
    reason,
    ...(until !== undefined && { until: new Date(until) }),
  });
  return jsonReply(201, toAnswer(hold), { Location: `/api/holds/${hold.id}` });
}

function targetOf(named: Omit<z.infer<typeof holdRequest>, "reason" | "until">): HoldTarget {
  const { studyInstanceUid, patientId, issuerOfPatientId, query = "" } = named;
  if (studyInstanceUid !== undefined) return { studyInstanceUid };
  return patientId === undefined ? { query } : { patientId, issuerOfPatientId };
}

/** GET /api/holds: those in force, or all, newest first. */
export async function listHolds({ archive, query }: Request<object>): Promise<Reply> {
  const holds = await archive.holds.list({
    past: query.get("past") === "true",
    limit: Number(query.get("limit") ?? 100),
    before: Number(query.get("before") ?? Number.MAX_SAFE_INTEGER),
  });
  const answer: HoldsAnswer = { holds: holds.map(withState) };
  return jsonReply(200, answer);
}

/** GET /api/holds/{hold} */
export async function getHold({ archive, params }: Request<HoldParams>): Promise<Reply> {
  return jsonReply(200, toAnswer(await archive.holds.find(params.hold)));
}

/** DELETE /api/holds/{hold}: releases it. */
export async function releaseHold({ archive, params }: Request<HoldParams>): Promise<Reply> {
  await archive.holds.release(params.hold);
  return { status: 204 };
}

function toAnswer({ studies, ...hold }: CountedHold): HoldAnswer {
  return { ...withState(hold), studies };
}

function withState(hold: Omit<CountedHold, "studies">): HoldsAnswer["holds"][number] {
  const { id, studyInstanceUid, patientId, issuerOfPatientId, query, reason, until, createdAt, releasedAt } = hold;
  const isOver = until !== null && until.getTime() <= Date.now();
  return {
    id,
    state: releasedAt !== null ? "released" : isOver ? "over" : "in force",
    ...(studyInstanceUid !== null && { studyInstanceUid }),
    ...(patientId !== null && { patientId }),
    ...(issuerOfPatientId !== null && { issuerOfPatientId }),
    ...(query !== null && { query }),
    reason,
    until,
    createdAt,
    releasedAt,
  };
}
