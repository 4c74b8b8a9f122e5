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
  /** No C-GET brings what belongs to no patient. */
  nonPatient: {
    performsFor: "store",
    invokesFor: "nobody",
    transferSyntaxUids: [...transferSyntaxes.keys()],
    orderOf: "requestor",
  },
} as const satisfies Record<string, SopClassPolicy>;

/** Name of a kind. */
export type SopClassKind = keyof typeof sopClassPolicies;

/** A SOP class of a service beside storage (PS3.6 Table A-1). */
export interface ServiceSopClass {
  readonly name: string;
  readonly kind: SopClassKind;
}

const rows: readonly (readonly [uid: string, kind: SopClassKind, name: string])[] = [
  ["1.2.840.10008.1.1", "verification", "Verification"],
  ["1.2.840.10008.1.20.1", "commitment", "Storage Commitment Push Model"],
  ["1.2.840.10008.5.1.4.1.2.1.1", "find", "Patient Root Query/Retrieve Information Model - FIND"],
  ["1.2.840.10008.5.1.4.1.2.1.2", "retrieve", "Patient Root Query/Retrieve Information Model - MOVE"],
  ["1.2.840.10008.5.1.4.1.2.1.3", "retrieve", "Patient Root Query/Retrieve Information Model - GET"],
  ["1.2.840.10008.5.1.4.1.2.2.1", "find", "Study Root Query/Retrieve Information Model - FIND"],
  ["1.2.840.10008.5.1.4.1.2.2.2", "retrieve", "Study Root Query/Retrieve Information Model - MOVE"],
  ["1.2.840.10008.5.1.4.1.2.2.3", "retrieve", "Study Root Query/Retrieve Information Model - GET"],
  ["1.2.840.10008.5.1.4.1.2.3.1", "find", "Patient/Study Only Query/Retrieve Information Model - FIND"],
  ["1.2.840.10008.5.1.4.1.2.3.2", "retrieve", "Patient/Study Only Query/Retrieve Information Model - MOVE"],
  ["1.2.840.10008.5.1.4.1.2.3.3", "retrieve", "Patient/Study Only Query/Retrieve Information Model - GET"],
];

/** What the services of the list can be about, by UID. */
export const serviceSopClasses: ReadonlyMap<string, ServiceSopClass> = new Map(
  rows.map(([uid, kind, name]) => [uid, { kind, name }]),
);
