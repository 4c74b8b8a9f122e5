/** What jobs need done by the doors, and what the statuses of peers mean for another attempt. */
import type { DicomJson } from "../dicom/json.ts";
import type { ErrorCode } from "../errors.ts";
import type { SearchLevel } from "./attributes.ts";
import type { DimsePeer, Peer } from "./peers.ts";
import type { ResourceUids } from "./retrieve.ts";
import type { SelectedInstance, SelectedInstances } from "./selection.ts";

/** What became of one instance that was to be sent. */
export interface SentInstance {
  readonly sopInstanceUid: string;
  /** Status (0000,0900) or Failure Reason (0008,1197) that the peer answered; undefined when it answered nothing. */
  readonly status: number | undefined;
  /** What the peer said of it, or why it was not sent. */
  readonly comment?: string | undefined;
  /** Why it was not sent, or not answered. */
  readonly code?: ErrorCode | undefined;
}

/** An instance with the file that was stored, beside its data set alone. */
export interface SendableInstance extends SelectedInstance {
  readonly file: () => AsyncIterable<Buffer>;
}

export interface SendableInstances extends SelectedInstances {
  [Symbol.asyncIterator](): AsyncIterator<SendableInstance>;
}

/** How far a retrieve is; counts of instances. */
export interface RetrieveCounts {
  readonly completed: number | undefined;
  readonly failed: number | undefined;
  readonly warning: number | undefined;
  readonly remaining: number | undefined;
}

/** How the retrieve of one resource went. */
export interface RetrieveEnd {
  /** Whether every instance that the peer has is here, as far as can be known. */
  readonly isComplete: boolean;
  /** Instances that came; undefined when it is not known. */
  readonly received: number | undefined;
  /** Instances that did not come, or were not stored, and why. */
  readonly failures: readonly RetrieveFailure[];
  /** What the peer said at the end, or how it ended without that. */
  readonly outcome: string;
}

export interface RetrieveFailure {
  readonly sopInstanceUid: string;
  /** Undefined when it is not known. */
  readonly status: number | undefined;
  readonly reason: string;
}

export interface RunOptions {
  /** Aborts when the job is cancelled, and when the server stops. */
  readonly signal: AbortSignal;
}

/** By what services instances are retrieved; `auto`: by C-GET, or by C-MOVE when the peer does not offer that. */
export type RetrieveMethod = "auto" | "get" | "move";

/**
 * What is done with peers; made by the server of its doors. Each throws ArchiveError `peer-unreachable`, `peer-silent`,
 * `association-rejected`, `association-aborted`, `context-not-accepted`; `send` tells these by its outcomes.
 */
export interface JobRunners {
  /** Verification: what is known of the peer by it. */
  echo(peer: Peer, options: RunOptions): Promise<object>;
  /** The answers of a peer; a status that is not success is thrown behind those that came before. */
  query(peer: DimsePeer, level: SearchLevel, keys: DicomJson, options: RunOptions): AsyncIterable<DicomJson>;
  /** Brings what a peer has of a resource into this archive. */
  retrieve(
    peer: DimsePeer,
    uids: ResourceUids,
    method: RetrieveMethod,
    options: RunOptions & { readonly onCounts: (counts: RetrieveCounts) => void },
  ): Promise<RetrieveEnd>;
  /** Sends instances, and gives the outcome of each as it comes. */
  send(
    peer: Peer,
    instances: SendableInstances,
    options: RunOptions & { readonly priority: "high" | "medium" | "low" },
  ): AsyncIterable<SentInstance>;
}

/** Faults of the peer as a whole: nothing else that is meant for it would fare better now. */
const faultsOfPeer: ReadonlySet<string> = new Set<ErrorCode>([
  "peer-unreachable",
  "peer-silent",
  "association-rejected",
  "association-aborted",
  // One that is not known for a while, as when the settings of one process lack it.
  "no-such-peer",
]);

/** Faults of our own that pass. */
const faultsOfOurs: ReadonlySet<string> = new Set<ErrorCode>([
  "storage-unavailable",
  "database-unavailable",
  "stopping",
]);

/** Whose fault `code` is: of a peer as a whole, of this archive for a while, or of what was asked. */
export function whoseFault(code: string): "peer" | "ours" | "request" {
  if (faultsOfPeer.has(code)) return "peer";
  return faultsOfOurs.has(code) ? "ours" : "request";
}

/** What a status means for an instance. */
export type StatusMeaning =
  | "sent"
  /** Stored, but not as it was sent. */
  | "warning"
  /** It passes by itself. */
  | "transient"
  /** Some peers answer it for faults that pass: a few attempts are made. */
  | "doubtful"
  | "failed";

const meanings: readonly { readonly from: number; readonly to: number; readonly meaning: StatusMeaning }[] = [
  { from: 0x0000, to: 0x0000, meaning: "sent" },
  // Requested optional attributes, attribute list error, attribute value out of range (PS3.7 C.4, C.5).
  { from: 0x0001, to: 0x0001, meaning: "warning" },
  { from: 0x0107, to: 0x0107, meaning: "warning" },
  { from: 0x0116, to: 0x0116, meaning: "warning" },
  // Coercion, elements discarded, data set does not match SOP class (PS3.4 Table B.2-1).
  { from: 0xb000, to: 0xbfff, meaning: "warning" },
  // Processing failure, resource limitation (PS3.7 C.5.6, C.5.24).
  { from: 0x0110, to: 0x0110, meaning: "transient" },
  { from: 0x0213, to: 0x0213, meaning: "transient" },
  // Refused: out of resources (PS3.4 Table B.2-1).
  { from: 0xa700, to: 0xa7ff, meaning: "transient" },
  // Error: cannot understand.
  { from: 0xc000, to: 0xcfff, meaning: "doubtful" },
];

/** The meaning of a Status (0000,0900) of C-STORE, and of a Failure Reason (0008,1197). */
export function meaningOf(status: number): StatusMeaning {
  return meanings.find(({ from, to }) => status >= from && status <= to)?.meaning ?? "failed";
}
