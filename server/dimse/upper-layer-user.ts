/** What the upper layer tells whoever uses it: the primitives of its service (PS3.8 7). */
import type { ArchiveError } from "../errors.ts";
import type { AssociateAccept, AssociateRequest, DataFragment } from "./pdu.ts";

/** Whoever uses the upper layer. */
export interface UpperLayerUser {
  /** A-ASSOCIATE indication: to be answered by `accept` or `reject`. */
  onRequest?(pdu: AssociateRequest): void;
  /** A part of an A-ASSOCIATE-RQ has come. */
  onRequestInPart?(): void;
  /** A-ASSOCIATE confirmation. */
  onAccept?(pdu: AssociateAccept): void;
  onFragment(fragment: DataFragment): void;
  /** A-RELEASE indication: to be answered by `releaseResponse`. */
  onRelease(): void;
  /** Bytes came, of whatever. */
  onProgress(): void;
  /** Whether no fragment can be taken now; `resume` is called when one can. */
  isFull(): boolean;
  /** Called once: nothing comes or goes any more, though the connection may take a moment to close. */
  onEnd(error: ArchiveError, how: EndKind): void;
}

/** How an association ended. */
export type EndKind = "released" | "rejected" | "aborted" | "aborted by peer" | "connection lost" | "timeout";
