/** A Storage Commitment Request (PS3.18 J.1, PS3.4 Table J.3-1) in the DICOM JSON Model, as the archive takes it. */
import { z } from "zod";
import { type CommitmentReference, type CommitmentRequest, mostReferences } from "./commitment.ts";
import { isUid, type Uid, uidRule } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";

const uid = z
  .object({ Value: z.tuple([z.custom<Uid>((value) => typeof value === "string" && isUid(value), uidRule)]) })
  .transform(({ Value: [value] }) => value);

/** Ends at the first item at fault: the faults of a million would take gigabytes. */
function sequence<Item extends z.ZodType>(item: Item) {
  const items = z
    .array(z.unknown())
    .min(1)
    .transform((values, context) => {
      const read: z.infer<Item>[] = [];
      for (const [index, value] of values.entries()) {
        const { success, data, error } = item.safeParse(value);
        if (!success) {
          const { message = "", path = [] } = error.issues[0] ?? {};
          context.addIssue({ code: "custom", message, path: [index, ...path] });
          return z.NEVER;
        }
        read.push(data);
      }
      return read;
    });
  return z.object({ Value: items }).transform(({ Value }) => Value);
}

/** SOP Instance Reference Macro (PS3.3 Table 10-11). */
const sopReference = z
  .object({ "00081150": uid, "00081155": uid })
  .transform((item) => ({ sopClassUid: item["00081150"], sopInstanceUid: item["00081155"] }));

const byClass = z
  .object({ "00081150": uid, "0008114A": sequence(z.object({ "00081155": uid })) })
  .transform((item) =>
    item["0008114A"].map((one) => ({ sopClassUid: item["00081150"], sopInstanceUid: one["00081155"] })),
  );

const series = z
  .object({ "0020000E": uid, "00081112": sequence(byClass) })
  .transform((item) => item["00081112"].flat().map((one) => ({ ...one, seriesInstanceUid: item["0020000E"] })));

const study = z
  .object({ "0020000D": uid, "00081115": sequence(series) })
  .transform((item) => item["00081115"].flat().map((one) => ({ ...one, studyInstanceUid: item["0020000D"] })));

const referencedSopSequence = z.object({ "00081199": sequence(sopReference) });
const referencedStudySequence = z.object({ "00081110": sequence(study) });

/** The request whose body is `document`, of the DICOM JSON Model. @throws ArchiveError `invalid-request` */
export function parseCommitmentRequest(transactionUid: Uid, document: unknown): CommitmentRequest {
  const { form, references } = referencesOf(dataSetOf(document));
  if (references.length > mostReferences) {
    throw new ArchiveError("invalid-request", `The request names more than ${mostReferences} instances.`);
  }
  return { transactionUid, form, references };
}

/** One data set, in an array (PS3.18 F.2.1) or without one, as some clients send it. */
function dataSetOf(document: unknown): Readonly<Record<string, unknown>> {
  const one: unknown = Array.isArray(document) && document.length === 1 ? document[0] : document;
  const parsed = z.record(z.string(), z.unknown()).safeParse(one);
  if (parsed.success) return parsed.data;
  throw new ArchiveError("invalid-request", "The body is not one data set of the DICOM JSON Model.");
}

function referencesOf(dataSet: Readonly<Record<string, unknown>>): {
  form: CommitmentRequest["form"];
  references: readonly CommitmentReference[];
} {
  const forms = ["00081199", "00081110"].filter((tag) => tag in dataSet);
  if (forms.length !== 1) {
    throw new ArchiveError(
      "invalid-request",
      "The request has one of ReferencedSOPSequence (0008,1199) and ReferencedStudySequence (0008,1110).",
    );
  }
  if (forms[0] === "00081199") {
    const flat = referencedSopSequence.safeParse(dataSet);
    if (flat.success) return { form: "instances", references: flat.data["00081199"] };
    throw malformed(flat.error);
  }
  const grouped = referencedStudySequence.safeParse(dataSet);
  if (grouped.success) return { form: "studies", references: grouped.data["00081110"].flat() };
  throw malformed(grouped.error);
}

function malformed({ issues: [issue] }: z.ZodError): ArchiveError {
  return new ArchiveError("invalid-request", `The request at ${issue?.path.join("/")}: ${issue?.message}.`);
}
