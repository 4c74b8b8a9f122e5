/** /api/conflicts: studies of which instances say otherwise than the study, and what somebody said of that. */
import { z } from "zod";
import { conflictAttributes, type ConflictRequest } from "../archive/conflicts.ts";
import { isUid, uidRule } from "../dicom/uid.ts";
import type {
  ConflictAnswer,
  ConflictInstancesAnswer,
  ConflictsAnswer,
  PatientConflictsAnswer,
} from "./answers-conflicts.ts";
import { jsonReply, nextOf } from "./json-reply.ts";
import { pageLimit, position } from "./query-parameters.ts";
import type { Reply, Request } from "./reply.ts";
import type { QueryParameter } from "./route.ts";
import { readJson } from "./whole-body.ts";

export const conflictParams = z.object({
  conflict: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "is not the number of a conflict")
    .meta({ description: "Number of the conflict, of the list of conflicts.", examples: ["1"] })
    .transform(Number),
});

type ConflictParams = z.infer<typeof conflictParams>;

const study = z.custom<string>((value) => typeof value === "string" && isUid(value), uidRule);
const kind = z.enum(["patient", "study", "uid"], "is none of patient, study and uid");
const status = z.enum(["open", "acknowledged", "all"], "is none of open, acknowledged and all");

/** Parameters of the list. */
export const conflictsQuery: readonly QueryParameter[] = [
  { name: "limit", meaning: "Conflicts to answer at most: 100 unless given.", schema: pageLimit, example: "100" },
  { name: "before", meaning: "Only conflicts with a lower id: the `next` of the page before.", schema: position },
  {
    name: "status",
    meaning: "Which ones: open unless given, acknowledged, or all.",
    schema: status,
    example: "open",
  },
  { name: "study", meaning: "Only those of this study, by its UID.", schema: study, example: "2.25.1001" },
  {
    name: "patient",
    meaning: "Only those of studies of this Patient ID, and of studies in which instances have it.",
    schema: z.string().max(64, "has more than 64 characters"),
    example: "12345",
  },
  {
    name: "attribute",
    meaning: "Only those of this attribute, by its keyword.",
    schema: z.enum(conflictAttributes, `is none of ${conflictAttributes.join(", ")}`),
    example: "PatientID",
  },
  {
    name: "kind",
    meaning: "Only those about the patient, about the study, or about UIDs.",
    schema: kind,
    example: "patient",
  },
];

/** Parameters of the list of instances. */
export const conflictInstancesQuery: readonly QueryParameter[] = [
  { name: "limit", meaning: "Instances to answer at most: 100 unless given.", schema: pageLimit, example: "100" },
  { name: "after", meaning: "Where to go on: the `next` of the page before.", schema: position },
];

/** The body of an acknowledgement. */
export const acknowledgement = z.strictObject({
  note: z
    .string()
    .max(1000, "has more than 1000 characters")
    .regex(/^[^\0]*$/, "holds a NUL character")
    .optional()
    .describe("Why it is right as it is."),
});

/** GET /api/conflicts */
export async function listConflicts({ archive, query }: Request<object>): Promise<Reply> {
  const limit = Number(query.get("limit") ?? 100);
  const conflicts = await archive.conflicts.list({ ...requestOf(query), limit });
  const answer: ConflictsAnswer = { conflicts, next: nextOf(conflicts, limit) };
  return jsonReply(200, answer);
}

function requestOf(query: URLSearchParams): Omit<ConflictRequest, "limit"> {
  const before = query.get("before");
  const studyUid = query.get("study") ?? "";
  const asked = status.parse(query.get("status") ?? "open");
  return {
    before: before === null ? undefined : Number(before),
    study: isUid(studyUid) ? studyUid : undefined,
    patientId: query.get("patient") ?? undefined,
    attribute: query.get("attribute") ?? undefined,
    kind: kind.optional().parse(query.get("kind") ?? undefined),
    status: asked === "all" ? undefined : asked,
  };
}

const indexedText = z
  .string()
  .max(1000)
  .regex(/^[^\0]*$/);
const afterPatient = z.tuple([indexedText, indexedText]);

/** Parameters of the list of patients. */
export const patientConflictsQuery: readonly QueryParameter[] = [
  { name: "limit", meaning: "Patients to look at, at most: 100 unless given.", schema: pageLimit, example: "100" },
  {
    name: "after",
    meaning: "Where to go on: the `next` of the page before.",
    schema: z.string().refine((text) => afterPatient.safeParse(parsed(text)).success, "is not of a page before"),
  },
];

/** GET /api/patient-conflicts */
export async function listPatientConflicts({ archive, query }: Request<object>): Promise<Reply> {
  const text = query.get("after");
  const [patientId, issuer] = text === null ? [] : afterPatient.parse(parsed(text));
  const after = patientId === undefined || issuer === undefined ? undefined : { patientId, issuer };
  const { patients, next } = await archive.conflicts.patients(Number(query.get("limit") ?? 100), after);
  const answer: PatientConflictsAnswer = {
    patients,
    next: next ? Buffer.from(JSON.stringify([next.patientId, next.issuer])).toString("base64url") : null,
  };
  return jsonReply(200, answer);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
}

/** GET /api/conflicts/{conflict} */
export async function getConflict({ archive, params }: Request<ConflictParams>): Promise<Reply> {
  return conflictReply(await archive.conflicts.find(params.conflict));
}

/** GET /api/conflicts/{conflict}/instances */
export async function listConflictInstances({ archive, params, query }: Request<ConflictParams>): Promise<Reply> {
  const limit = Number(query.get("limit") ?? 100);
  const found = await archive.conflicts.instances(params.conflict, limit, Number(query.get("after") ?? 0));
  const answer: ConflictInstancesAnswer = {
    instances: found.map(({ studyInstanceUid, seriesInstanceUid, sopInstanceUid, storedAt }) => ({
      studyInstanceUid,
      seriesInstanceUid,
      sopInstanceUid,
      storedAt,
    })),
    next: nextOf(found, limit),
  };
  return jsonReply(200, answer);
}

/** POST /api/conflicts/{conflict}/acknowledge; the body may be left out. */
export async function acknowledgeConflict(request: Request<ConflictParams>): Promise<Reply> {
  const hasBody = request.header("content-type") !== undefined;
  const { note } = hasBody ? await readJson(request, acknowledgement) : {};
  return conflictReply(await request.archive.conflicts.acknowledge(request.params.conflict, note));
}

/** POST /api/conflicts/{conflict}/reopen */
export async function reopenConflict({ archive, params }: Request<ConflictParams>): Promise<Reply> {
  return conflictReply(await archive.conflicts.reopen(params.conflict));
}

function conflictReply(conflict: ConflictAnswer): Reply {
  return jsonReply(200, conflict);
}
