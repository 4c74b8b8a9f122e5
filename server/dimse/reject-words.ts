/** A-ASSOCIATE-RJ in words (PS3.8 Table 9-21). */
import type { AssociateReject } from "./pdu.ts";

/** By source and reason. */
const reasons: Readonly<Record<string, string>> = {
  "1.1": "no reason given",
  "1.2": "the application context name is not supported",
  "1.3": "the calling AE title is not recognized",
  "1.7": "the called AE title is not recognized",
  "2.1": "no reason given",
  "2.2": "the protocol version is not supported",
  "3.1": "temporary congestion",
  "3.2": "its local limit is exceeded",
};

/** Why, in a few words. */
export function rejectionReason({ source, reason }: Pick<AssociateReject, "source" | "reason">): string {
  return reasons[`${source}.${reason}`] ?? `source ${source}, reason ${reason}`;
}

/** One sentence on why a peer rejects an association. */
export function rejectionSentence({ result, source, reason }: AssociateReject): string {
  const lasts = result === 2 ? "for the moment" : "for good";
  return `The peer rejects the association ${lasts}: ${rejectionReason({ source, reason })}.`;
}
