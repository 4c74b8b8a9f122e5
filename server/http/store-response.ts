/** The Store Instances Response (PS3.18 10.5.3 and Annex I) of a list of outcomes. */
import type { StoreOutcome } from "../archive/store.ts";
import { warningReason } from "../archive/warning-reason.ts";
import type { DicomJson } from "../dicom/json.ts";
import type { ArchiveError, ErrorCode } from "../errors.ts";
import { type Representation, sequence, writtenAs } from "./one-data-set.ts";
import { problemOf } from "./problem.ts";
import type { Reply } from "./reply.ts";

type Stored = Exclude<StoreOutcome, { status: "failed" }>;
type Failed = Extract<StoreOutcome, { status: "failed" }>;

/** What an item tells of an instance that is stored. */
type StoredReference = Pick<Stored, "sopClassUid" | "sopInstanceUid" | "warnings" | "replaced">;

/** What became of an instance that belongs to no patient, and its path below the DICOMweb root. */
type NonPatientOutcome =
  | Failed
  | ({ readonly status: "stored" | "already-stored"; readonly path: string } & StoredReference);

const tag = {
  errorComment: "00000902",
  failedAttributesSequence: "00741048",
  failedSopSequence: "00081198",
  failureReason: "00081197",
  otherFailuresSequence: "0008119A",
  referencedSopClassUid: "00081150",
  referencedSopInstanceUid: "00081155",
  referencedSopSequence: "00081199",
  retrieveUrl: "00081190",
  selectorAttribute: "00720026",
  warningReason: "00081196",
} as const;

/** Failures of the server, not of the instance: the same request may succeed later. */
const transient: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "storage-full",
  "storage-unavailable",
  "database-unavailable",
  "stopping",
  "internal",
]);

/** Failures of the body that an instance is in. */
const ofRequest: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "body-incomplete",
  "body-too-large",
  "invalid-multipart",
  "invalid-request",
]);

/**
 * 200 when all are stored, 202 when some are, 409 when none is. When none is because the server cannot store at all,
 * or because the body itself was at fault, the answer is the problem document of that.
 */
export function storeResponse(
  outcomes: readonly StoreOutcome[],
  representation: Representation,
  urlOf: (path: string) => string,
): Reply {
  const stored = outcomes.filter((outcome): outcome is Stored => outcome.status !== "failed");
  const studies = new Set(stored.map(({ studyInstanceUid }) => studyInstanceUid));
  const [study] = studies;
  const items = stored.map((outcome) => {
    const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = outcome;
    const path = `studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`;
    return storedItem(outcome, urlOf(path));
  });
  // Type 2: empty when there is not one study of which it could be the URL.
  const retrieveUrl = { vr: "UR", ...(studies.size === 1 && { Value: [urlOf(`studies/${study}`)] }) };
  return respond({ [tag.retrieveUrl]: retrieveUrl }, items, outcomes.filter(isFailed), representation, 202);
}

/** The same for instances that belong to no patient (PS3.18 12.5.3): 200 when some are stored, 409 when none is. */
export function nonPatientStoreResponse(
  outcomes: readonly NonPatientOutcome[],
  representation: Representation,
  urlOf: (path: string) => string,
): Reply {
  const items = outcomes.flatMap((outcome) =>
    outcome.status === "failed" ? [] : [storedItem(outcome, urlOf(outcome.path))],
  );
  return respond({}, items, outcomes.filter(isFailed), representation, 200);
}

function isFailed(outcome: { readonly status: string }): outcome is Failed {
  return outcome.status === "failed";
}

/** @param statusOfSome the status when some are stored and some are not */
function respond(
  head: DicomJson,
  stored: readonly DicomJson[],
  failed: readonly Failed[],
  representation: Representation,
  statusOfSome: 200 | 202,
): Reply {
  const cause = stored.length === 0 ? commonCause(failed) : undefined;
  if (cause) return problemOf(cause);
  const identified = failed.filter(({ sopInstanceUid }) => sopInstanceUid !== undefined);
  const others = failed.filter(({ sopInstanceUid }) => sopInstanceUid === undefined);
  const document: DicomJson = {
    ...head,
    ...sequence(tag.failedSopSequence, identified.map(failedItem)),
    ...sequence(tag.referencedSopSequence, stored),
    ...sequence(tag.otherFailuresSequence, others.map(failedItem)),
  };
  const status = failed.length === 0 ? 200 : stored.length > 0 ? statusOfSome : 409;
  return { status, ...writtenAs(document, representation) };
}

/** The error that all failures share when it is not one of the instances. */
function commonCause(failed: readonly Failed[]): ArchiveError | undefined {
  const [first] = failed;
  if (!first || !failed.every(({ error }) => error.code === first.error.code)) return undefined;
  return ofRequest.has(first.error.code) || transient.has(first.error.code) ? first.error : undefined;
}

function storedItem(
  { sopClassUid, sopInstanceUid, warnings, replaced = false }: StoredReference,
  url: string,
): DicomJson {
  return {
    [tag.referencedSopClassUid]: { vr: "UI", Value: [sopClassUid] },
    [tag.referencedSopInstanceUid]: { vr: "UI", Value: [sopInstanceUid] },
    [tag.retrieveUrl]: { vr: "UR", Value: [url] },
    ...(warnings.length > 0 && {
      [tag.warningReason]: { vr: "US", Value: [warningReason({ replaced })] },
    }),
    ...comments(warnings),
  };
}

function failedItem({ error, sopClassUid, sopInstanceUid, quarantineId }: Failed): DicomJson {
  const kept = quarantineId === undefined ? [] : [`The file is kept in quarantine under the number ${quarantineId}.`];
  return {
    ...(sopClassUid !== undefined && { [tag.referencedSopClassUid]: { vr: "UI", Value: [sopClassUid] } }),
    ...(sopInstanceUid !== undefined && { [tag.referencedSopInstanceUid]: { vr: "UI", Value: [sopInstanceUid] } }),
    [tag.failureReason]: { vr: "US", Value: [error.answer.failureReason] },
    ...comments([error.message, ...kept]),
  };
}

/** What is wrong, an item each: in words, and which attribute it is, where the words name one. */
function comments(messages: readonly string[]): DicomJson {
  return sequence(
    tag.failedAttributesSequence,
    messages.map((message) => ({
      ...attributeNamed(message),
      [tag.errorComment]: { vr: "LO", Value: [message] },
    })),
  );
}

/** The first attribute that a sentence names, as every sentence of the archive names them: `Keyword (gggg,eeee)`. */
function attributeNamed(message: string): DicomJson {
  const [, group, element] = /\(([0-9A-F]{4}),([0-9A-F]{4})\)/.exec(message) ?? [];
  return group === undefined ? {} : { [tag.selectorAttribute]: { vr: "AT", Value: [`${group}${element}`] } };
}
