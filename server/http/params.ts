/** Schemas of what stands in a path: checked here, trusted behind. */
import { z } from "zod";
import { isUid, type Uid, uidRule } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";

/** A UID; what documents say of it stands here, the check itself is `isUid`. */
function uidParam(description: string, example: string) {
  const schema = { type: "string", pattern: String.raw`^[0-9]+(\.[0-9]+)*$`, maxLength: 128 };
  const uid = z.custom<Uid>((value) => typeof value === "string" && isUid(value), uidRule);
  return uid.meta({ ...schema, description, examples: [example] });
}

export const noParams = z.object({});
export const studyParams = z.object({ study: uidParam("Study Instance UID (0020,000D).", "2.25.1001") });
export const seriesParams = studyParams.extend({ series: uidParam("Series Instance UID (0020,000E).", "2.25.1002") });
export const instanceParams = seriesParams.extend({ instance: uidParam("SOP Instance UID (0008,0018).", "2.25.1003") });

export const nonPatientParams = z.object({ uid: uidParam("SOP Instance UID (0008,0018).", "2.25.1005") });
export const transactionParams = z.object({ transaction: uidParam("Transaction UID (0008,1195).", "2.25.1004") });

/** Most frames in one request: longer lists do not fit into a URL either. */
const mostFrames = 10_000;

/** PS3.18 10.4.1.1.6: frame numbers from 1 on, joined by comma. */
const frameList = z
  .string()
  .regex(/^[1-9]\d{0,8}(,[1-9]\d{0,8})*$/, "are not numbers from 1 on, joined by comma")
  .meta({ description: "Frame numbers from 1 on, joined by comma.", examples: ["1"] })
  .transform((text) => text.split(",").map(Number))
  .refine((numbers) => numbers.length <= mostFrames, `are more than ${mostFrames}`);

export const frameParams = instanceParams.extend({ frames: frameList });

/** A tag, or tag/item/tag...: where a value lies in the data set. */
const bulkDataPath = z
  .string()
  .max(2048, "is too long")
  .regex(/^[0-9A-Fa-f]{8}(\/[1-9]\d{0,8}\/[0-9A-Fa-f]{8})*$/, "is not the path of an attribute")
  .meta({ description: "Tag of the attribute; below a sequence tag/item/tag.", examples: ["7FE00010"] })
  .transform((path) => path.toUpperCase());

export const bulkDataParams = instanceParams.extend({ path: bulkDataPath });
export const nonPatientBulkDataParams = nonPatientParams.extend({ path: bulkDataPath });

export type StudyParams = z.infer<typeof studyParams>;
export type SeriesParams = z.infer<typeof seriesParams>;
export type InstanceParams = z.infer<typeof instanceParams>;
export type NonPatientParams = z.infer<typeof nonPatientParams>;
export type NonPatientBulkDataParams = z.infer<typeof nonPatientBulkDataParams>;
export type TransactionParams = z.infer<typeof transactionParams>;
export type FrameParams = z.infer<typeof frameParams>;
export type BulkDataParams = z.infer<typeof bulkDataParams>;

/** The UIDs of a path in the words of the archive. */
export function uidsOf(params: StudyParams | SeriesParams | InstanceParams) {
  return {
    studyInstanceUid: params.study,
    ...("series" in params && { seriesInstanceUid: params.series }),
    ...("instance" in params && { sopInstanceUid: params.instance }),
  };
}

/** The UIDs of the path of an instance. */
export function instanceUidsOf({ study, series, instance }: InstanceParams) {
  return { studyInstanceUid: study, seriesInstanceUid: series, sopInstanceUid: instance };
}

/** The parameters of a path as their schema has them. @throws ArchiveError `invalid-uid` or `invalid-request` */
export function parseParams<Schema extends z.ZodType>(schema: Schema, params: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(params);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const name = issue?.path.join(".") ?? "path";
  const code = ["study", "series", "instance", "transaction", "uid"].includes(name) ? "invalid-uid" : "invalid-request";
  throw new ArchiveError(code, `The ${name} in the address ${issue?.message ?? "is malformed"}.`);
}
