/** How each kind of SOP class is negotiated: the roles of this server, transfer syntaxes, extended negotiation. */
import {
  deflatedExplicitVrLittleEndian,
  explicitVrBigEndian,
  explicitVrLittleEndian,
  implicitVrLittleEndian,
  transferSyntaxes,
} from "../dicom/transfer-syntax.ts";
import type { ExtendedKind } from "./extended-negotiation.ts";

/** What a peer may be allowed to do. Everyone who may connect may C-ECHO. */
export const rights = ["store", "query", "retrieve"] as const;
export type Right = (typeof rights)[number];

/** How SOP classes of one kind are negotiated. */
export interface SopClassPolicy {
  /** For peers with which right this server performs the operations. */
  readonly performsFor: Right | "anyone";
  /** With which right it invokes them on their association. */
  readonly invokesFor: Right | "nobody";
  /** Transfer syntaxes that are accepted. */
  readonly transferSyntaxUids: readonly string[];
  /** Whose order decides when several of them are proposed. */
  readonly orderOf: "requestor" | "acceptor";
  readonly extended?: ExtendedKind;
}

/** Data sets that this server decodes and encodes itself, the most wanted first. */
const identifierSyntaxes = [
  explicitVrLittleEndian,
  implicitVrLittleEndian,
  explicitVrBigEndian,
  deflatedExplicitVrLittleEndian,
].map(({ uid }) => uid);

const everySyntax = [...new Set([...identifierSyntaxes, ...transferSyntaxes.keys()])];

const identifiers = { invokesFor: "nobody", transferSyntaxUids: identifierSyntaxes, orderOf: "acceptor" } as const;

/** By the kind that the list of services gives its SOP classes. */
export const sopClassPolicies = {
  /** There is no data set to be encoded. */
  verification: { performsFor: "anyone", invokesFor: "nobody", transferSyntaxUids: everySyntax, orderOf: "acceptor" },
  find: { ...identifiers, performsFor: "query", extended: "find" },
  retrieve: { ...identifiers, performsFor: "retrieve", extended: "retrieve" },
  commitment: { ...identifiers, performsFor: "store" },
  /**
   * The requestor's order: what it names first is what it has, or was set up to send; any other would make it encode
   * its images anew. dcm4che and Orthanc (from 1.11.2) do the same. C-GET makes this server invoke C-STORE.
   */
  storage: {
    performsFor: "store",
    invokesFor: "retrieve",
    transferSyntaxUids: [...transferSyntaxes.keys()],
    orderOf: "requestor",
    extended: "storage",
  },
} as const satisfies Record<string, SopClassPolicy>;

/** Name of a kind. */
export type SopClassKind = keyof typeof sopClassPolicies;
