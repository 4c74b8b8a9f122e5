/** Peers: the DICOM applications that the archive talks to by name. */
import type { Knex } from "knex";
import { databaseError } from "./database-error.ts";
import { codeOf } from "./error-code.ts";

/** A peer of DIMSE. */
export interface DimsePeer {
  readonly kind: "dimse";
  /** Unique, 1 to 64 letters, digits, dots, hyphens and underscores; by default the AE title. */
  readonly name: string;
  /** Unique. */
  readonly aeTitle: string;
  readonly host: string;
  readonly port: number;
  /** Whether it is reached over TLS. */
  readonly tls: boolean;
  /** AE title by which this archive calls it; undefined for that of the settings. */
  readonly callingAeTitle?: string | undefined;
}

/** A DICOMweb server, to which instances are sent by STOW-RS. */
export interface DicomWebPeer {
  readonly kind: "dicomweb";
  readonly name: string;
  /** Root of its DICOMweb services, below which /studies is, without a slash at its end. */
  readonly url: string;
  /** Headers of every request to it, such as Authorization: secrets. */
  readonly headers: Readonly<Record<string, string>>;
}

export type Peer = DimsePeer | DicomWebPeer;

/** Every method throws ArchiveError `database-unavailable` when PostgreSQL does not answer. */
export interface PeerCatalog {
  /** Every peer, by name. */
  list(): Promise<readonly Peer[]>;
  find(name: string): Promise<Peer | undefined>;
  findByAeTitle(aeTitle: string): Promise<DimsePeer | undefined>;
  /** False when another peer has its name or its AE title. */
  add(peer: Peer): Promise<boolean>;
  /** Puts it in the place of the one of the same name, or adds it; undefined when another peer has its AE title. */
  put(peer: Peer): Promise<"added" | "replaced" | undefined>;
  /** False when it is not there. */
  remove(name: string): Promise<boolean>;
}

interface DimseRow {
  readonly kind: "dimse";
  readonly name: string;
  readonly ae_title: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly calling_ae_title: string | null;
}

interface DicomWebRow {
  readonly kind: "dicomweb";
  readonly name: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

type Row = DimseRow | DicomWebRow;

const uniqueViolation = "23505";

/** The peers over an open pool. */
export function createPeerCatalog(knex: Knex): PeerCatalog {
  const rows = (): Knex.QueryBuilder<object, Row[]> => knex("peer");
  return {
    list: () => databaseError(async () => (await rows().orderByRaw('name collate "C"')).map(peerOf)),
    find: (name) =>
      databaseError(async () => {
        const [row] = await rows().where({ name });
        return row && peerOf(row);
      }),
    findByAeTitle: (aeTitle) =>
      databaseError(async () => {
        const [row] = await rows().where({ ae_title: aeTitle });
        const peer = row && peerOf(row);
        return peer?.kind === "dimse" ? peer : undefined;
      }),
    add: (peer) =>
      databaseError(async () => {
        const added: unknown[] = await knex("peer").insert(rowOf(peer)).onConflict().ignore().returning("name");
        return added.length > 0;
      }),
    put: (peer) => databaseError(() => put(knex, peer)),
    remove: (name) => databaseError(async () => (await knex("peer").where({ name }).delete()) > 0),
  };
}

async function put(knex: Knex, peer: Peer): Promise<"added" | "replaced" | undefined> {
  try {
    // A row version that nothing has updated has no xmax: then it was inserted.
    const [row]: { added: boolean }[] = await knex("peer")
      .insert(rowOf(peer))
      .onConflict("name")
      .merge()
      .returning(knex.raw("xmax = 0 as added"));
    return row?.added === true ? "added" : "replaced";
  } catch (error) {
    if (codeOf(error) === uniqueViolation) return undefined;
    throw error;
  }
}

function rowOf(peer: Peer): object {
  const none = { ae_title: null, host: null, port: null, tls: null, calling_ae_title: null, url: null, headers: null };
  const { kind, name } = peer;
  if (peer.kind === "dicomweb") return { ...none, kind, name, url: peer.url, headers: JSON.stringify(peer.headers) };
  const { aeTitle, host, port, tls, callingAeTitle } = peer;
  return { ...none, kind, name, ae_title: aeTitle, host, port, tls, calling_ae_title: callingAeTitle ?? null };
}

function peerOf(row: Row): Peer {
  const { kind, name } = row;
  if (kind === "dicomweb") return { kind, name, url: row.url, headers: row.headers };
  const { ae_title: aeTitle, host, port, tls, calling_ae_title: callingAeTitle } = row;
  return { kind, name, aeTitle, host, port, tls, ...(callingAeTitle !== null && { callingAeTitle }) };
}
