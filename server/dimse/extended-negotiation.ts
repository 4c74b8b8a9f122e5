/** What is answered to SOP Class Extended Negotiation (PS3.7 D.3.3.5), and what has been agreed by it. */
import type { AssociateAccept } from "./pdu.ts";

/** Service Class Application Information of C-FIND, byte by byte (PS3.4 C.5.1.1). */
const findOptions = [
  "relationalQueries",
  "combinedDateTimeMatching",
  "fuzzySemanticMatching",
  "timezoneQueryAdjustment",
  "enhancedMultiFrameImageConversion",
  "emptyValueMatching",
  "multipleValueMatching",
] as const;

/** Of C-MOVE and C-GET (PS3.4 C.5.2.1, C.5.3.1). */
const retrieveOptions = ["relationalRetrieval", "enhancedMultiFrameImageConversion"] as const;

type FindOption = (typeof findOptions)[number];
type RetrieveOption = (typeof retrieveOptions)[number];

/** Something that is done only when both sides have agreed on it. */
export type ExtendedOption = FindOption | RetrieveOption;

/** Kinds of SOP classes that have an extended negotiation. */
export type ExtendedKind = "find" | "retrieve" | "storage";

/** What this server does when it is asked to; the rest is answered by 0. */
const supported: ReadonlySet<ExtendedOption> = new Set<ExtendedOption>([
  "relationalQueries",
  "combinedDateTimeMatching",
  "fuzzySemanticMatching",
  "timezoneQueryAdjustment",
  "emptyValueMatching",
  "multipleValueMatching",
  "relationalRetrieval",
]);

/** Whether this server does it. */
export function isSupported(option: ExtendedOption): boolean {
  return supported.has(option);
}

/** Fields of the Service Class Application Information, by the kind of SOP class. */
export const optionsOf = { find: findOptions, retrieve: retrieveOptions } as const;

/**
 * Of storage (PS3.4 B.3.1.2): a level 2 SCP, which keeps every element, signatures with them (level 3), and changes none
 * on the way in.
 */
const storageAnswer = Buffer.from([2, 0, 3, 0, 0, 0]);
/** Where this server is an SCU alone. */
const storageUserAnswer = Buffer.from([3, 0, 0, 0, 2, 0]);

/**
 * The answer to the Service Class Application Information `asked`; a field that was not sent is not answered.
 * `mayPerform`: whether this server is an SCP of the class.
 */
export function answerTo(kind: ExtendedKind, asked: Buffer, mayPerform: boolean): Buffer {
  if (kind === "storage") return mayPerform ? storageAnswer : storageUserAnswer;
  const options: readonly ExtendedOption[] = optionsOf[kind];
  const fields = options.slice(0, asked.length);
  return Buffer.from(fields.map((option, index) => (asked[index] === 1 && isSupported(option) ? 1 : 0)));
}

/** What has been agreed for a SOP class of C-FIND, C-MOVE or C-GET: nothing unless it was asked for. */
export function extendedNegotiationOf(
  { accept }: { readonly accept: Pick<AssociateAccept, "userInformation"> },
  kind: "find" | "retrieve",
  sopClassUid: string,
): ReadonlySet<ExtendedOption> {
  const { extendedNegotiations } = accept.userInformation;
  const answered = extendedNegotiations.find((item) => item.sopClassUid === sopClassUid);
  const options: readonly ExtendedOption[] = optionsOf[kind];
  return new Set(options.filter((_, index) => answered?.serviceClassApplicationInformation[index] === 1));
}
