/** Reads what a server says of instances that were stored by STOW-RS (PS3.18 I.2), in DICOM JSON. */

/** What is said of one instance. */
export interface StoreAnswerItem {
  /** Referenced SOP Instance UID (0008,1155); undefined of what the server could not even read. */
  readonly sopInstanceUid: string | undefined;
  /** 0, Warning Reason (0008,1196), or Failure Reason (0008,1197). */
  readonly status: number;
  readonly comment?: string | undefined;
}

/** Attributes of a Store Instances Response (PS3.18 I.2). */
export const storeAnswerTags = {
  warningReason: "00081196",
  failureReason: "00081197",
  failedSopSequence: "00081198",
  referencedSopSequence: "00081199",
  otherFailuresSequence: "0008119A",
  referencedSopInstanceUid: "00081155",
  failedAttributesSequence: "00741048",
  errorComment: "00000902",
} as const;

/** Processing failure (PS3.18 Table I.2-2): of a failure without a reason. */
const processingFailure = 0x0110;

/** Coercion of data elements (PS3.18 Table I.2-2). */
const coercion = 0xb000;

/** The items; undefined when `body` is no such answer. One in an array, as some servers give it, is understood. */
export function readStoreAnswer(body: Buffer): StoreAnswerItem[] | undefined {
  const json = parse(body);
  const answer: unknown = Array.isArray(json) && json.length === 1 ? json[0] : json;
  if (!isRecord(answer)) return undefined;
  const { referencedSopSequence, failedSopSequence, otherFailuresSequence } = storeAnswerTags;
  if (![referencedSopSequence, failedSopSequence, otherFailuresSequence].some((tag) => tag in answer)) return undefined;
  return [
    ...valuesOf(answer, referencedSopSequence).map((of) => itemOf(of, warningOf(of))),
    ...[...valuesOf(answer, failedSopSequence), ...valuesOf(answer, otherFailuresSequence)].map((of) =>
      itemOf(of, reasonOf(of, storeAnswerTags.failureReason) ?? processingFailure),
    ),
  ];
}

function itemOf(of: unknown, status: number): StoreAnswerItem {
  return { sopInstanceUid: uidOf(of), status, comment: commentOf(of) };
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function valuesOf(item: unknown, tag: string): readonly unknown[] {
  const attribute = isRecord(item) ? item[tag] : undefined;
  const values = isRecord(attribute) ? attribute["Value"] : undefined;
  return Array.isArray(values) ? values : [];
}

/** Without the padding that some writers leave (PS3.5 9.1). */
function uidOf(item: unknown): string | undefined {
  const [uid] = valuesOf(item, storeAnswerTags.referencedSopInstanceUid);
  return typeof uid === "string" ? uid.replace(/[\0 ]+$/u, "") : undefined;
}

function reasonOf(item: unknown, tag: string): number | undefined {
  const [value] = valuesOf(item, tag);
  const reason = Number(value ?? Number.NaN);
  return Number.isInteger(reason) && reason >= 0 && reason <= 0xffff ? reason : undefined;
}

/** What is stored is stored, whatever the number says. */
function warningOf(item: unknown): number {
  const reason = reasonOf(item, storeAnswerTags.warningReason) ?? 0;
  return reason === 0 || (reason & 0xf000) === 0xb000 ? reason : coercion;
}

function commentOf(item: unknown): string | undefined {
  const failed = valuesOf(item, storeAnswerTags.failedAttributesSequence);
  const texts = failed
    .flatMap((one) => valuesOf(one, storeAnswerTags.errorComment))
    .filter((text) => typeof text === "string");
  return texts.length === 0 ? undefined : texts.join("; ");
}
