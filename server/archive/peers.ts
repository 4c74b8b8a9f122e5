/** Peers: the DICOM applications that this archive talks to by name. */

/** A peer of DIMSE. */
export interface Peer {
  /** Unique, 1 to 64 letters, digits, dots, hyphens and underscores; by default the AE title. */
  readonly name: string;
  readonly aeTitle: string;
  readonly host: string;
  readonly port: number;
  /** Whether it is reached over TLS. */
  readonly tls: boolean;
  /** AE title by which this archive calls it; undefined for that of the settings. */
  readonly callingAeTitle?: string | undefined;
}
