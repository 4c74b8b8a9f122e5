/** Reads a Store Instances Response (PS3.18 I.2) and tells which instance each outcome belongs to. */
import { storeAnswerTags as tag } from "../archive/store-answer.ts";
import { notStored, type Instance, type Outcome } from "./import-instance.ts";

/** Failure Reasons and Warning Reasons (PS3.18 Table I.2-2, PS3.3 C.14.1.1, PS3.7 Annex C), the exact ones first. */
const reasons: readonly { readonly from: number; readonly to: number; readonly meaning: string }[] = [
  { from: 0x0106, to: 0x0106, meaning: "Invalid attribute value" },
  { from: 0x0110, to: 0x0110, meaning: "Processing failure" },
  { from: 0x0111, to: 0x0111, meaning: "Duplicate SOP Instance" },
  { from: 0x0112, to: 0x0112, meaning: "No such object instance" },
  { from: 0x0119, to: 0x0119, meaning: "Class/instance conflict" },
  { from: 0x0122, to: 0x0122, meaning: "SOP Class not supported" },
  { from: 0x0124, to: 0x0124, meaning: "Not authorised" },
  { from: 0x0213, to: 0x0213, meaning: "Resource limitation" },
  { from: 0xb000, to: 0xb000, meaning: "Coercion of data elements" },
  { from: 0xb006, to: 0xb006, meaning: "Elements discarded" },
  { from: 0xb007, to: 0xb007, meaning: "Data Set does not match SOP Class" },
  { from: 0xc122, to: 0xc122, meaning: "Transfer Syntax not supported" },
  { from: 0xa700, to: 0xa7ff, meaning: "Out of resources" },
  { from: 0xa900, to: 0xa9ff, meaning: "Data Set does not match SOP Class" },
  { from: 0xc000, to: 0xcfff, meaning: "Cannot understand" },
];

/** One item of a sequence of the response. */
export interface ResponseItem {
  /** Referenced SOP Instance UID (0008,1155), which items of the Other Failures Sequence do not have. */
  readonly sopInstanceUid?: string;
  readonly outcome: Outcome;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function values(item: unknown, key: string): readonly unknown[] {
  if (!isRecord(item)) return [];
  const element = item[key];
  if (!isRecord(element)) return [];
  const list: unknown = element["Value"];
  return Array.isArray(list) ? list : [];
}

function describe(reason: unknown): string | undefined {
  const code = Number(reason ?? Number.NaN);
  if (!Number.isInteger(code)) return undefined;
  const meaning = reasons.find(({ from, to }) => code >= from && code <= to)?.meaning ?? "Failure";
  return `${meaning} (${code.toString(16).toUpperCase().padStart(4, "0")})`;
}

function comments(item: unknown): string[] {
  const texts = values(item, tag.failedAttributesSequence).flatMap((failed) => values(failed, tag.errorComment));
  const filled = texts.filter((text): text is string => typeof text === "string" && text.trim() !== "");
  // A reason is a phrase: the report puts a colon or nothing behind it.
  return filled.map((text) => text.trim().replace(/\.$/u, ""));
}

function join(reason: string | undefined, item: unknown): string | undefined {
  const texts = comments(item);
  if (texts.length === 0) return reason;
  return reason === undefined ? texts.join("; ") : `${reason}: ${texts.join("; ")}`;
}

function referenced(item: unknown, outcome: Outcome): ResponseItem {
  const uid = values(item, tag.referencedSopInstanceUid)[0];
  return typeof uid === "string" ? { sopInstanceUid: trimUid(uid), outcome } : { outcome };
}

function storedOutcome(item: unknown): Outcome {
  const warning = join(describe(values(item, tag.warningReason)[0]), item);
  return warning === undefined ? { kind: "stored" } : { kind: "stored", warning };
}

function failedOutcome(item: unknown): Outcome {
  return notStored(join(describe(values(item, tag.failureReason)[0]), item) ?? "the server gave no reason");
}

/** A UID without the padding that PS3.5 9.1 allows (NUL) and that some writers use (space). */
export function trimUid(uid: string): string {
  return uid.replace(/[\0 ]+$/u, "");
}

/**
 * The items of a Store Instances Response in DICOM JSON (PS3.18 Annex F); undefined when `body` is not one. A response
 * wrapped in an array of one, as some servers send it, is understood.
 */
export function readStoreResponse(body: Uint8Array): ResponseItem[] | undefined {
  const json = parseJson(body);
  const response: unknown = Array.isArray(json) && json.length === 1 ? json[0] : json;
  if (!isRecord(response)) return undefined;
  const known = [tag.referencedSopSequence, tag.failedSopSequence, tag.otherFailuresSequence];
  if (!known.some((key) => key in response)) return undefined;
  return [
    ...values(response, tag.referencedSopSequence).map((item) => referenced(item, storedOutcome(item))),
    ...values(response, tag.failedSopSequence).map((item) => referenced(item, failedOutcome(item))),
    ...values(response, tag.otherFailuresSequence).map((item) => ({ outcome: failedOutcome(item) })),
  ];
}

/** JSON text as a value; undefined when it is none. */
export function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString("utf8"));
  } catch {
    return undefined;
  }
}

/**
 * The outcome of each instance of a request, in order; undefined where the response does not say beyond doubt. An item
 * belongs to the instance with its SOP Instance UID; one instance and one item that are left belong together. The
 * standard promises no order, so order is never trusted further than that: the rest is for the caller to ask singly.
 */
export function matchOutcomes(instances: readonly Instance[], items: readonly ResponseItem[]): (Outcome | undefined)[] {
  const left = new Set(items);
  const outcomes = instances.map((instance): Outcome | undefined => {
    const uid = instance.identifiers.sopInstanceUid;
    if (uid === undefined) return undefined;
    const own = items.filter((item) => item.sopInstanceUid === uid);
    const rivals = instances.filter((other) => other.identifiers.sopInstanceUid === uid);
    const [item] = own;
    if (item === undefined || own.length > 1 || rivals.length > 1) return undefined;
    left.delete(item);
    return item.outcome;
  });
  const [only, ...others] = left;
  const open = outcomes.flatMap((outcome, index) => (outcome === undefined ? [index] : []));
  const [index] = open;
  if (only !== undefined && others.length === 0 && index !== undefined && open.length === 1) {
    outcomes[index] = only.outcome;
  }
  return outcomes;
}
