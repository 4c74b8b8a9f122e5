/** Peers: the DICOM applications that this archive talks to by name, those of the settings before those of the catalog. */
import type { Catalog } from "../../storage/catalog.ts";
import type { DicomWebPeer, DimsePeer, Peer } from "../../storage/catalog-peers.ts";
import { ArchiveError } from "../errors.ts";

export type { DicomWebPeer, DimsePeer, Peer };

/** A peer for everybody to see: without secrets, and where it comes from. */
export type ListedPeer = (DimsePeer | ListedDicomWebPeer) & {
  /** `settings`: of DIMSE_PEERS, and changed only there. */
  readonly source: "settings" | "api";
  /** Whether it is passed over, since a peer of the settings has its name or its AE title. */
  readonly overruled: boolean;
};

/** A DICOMweb server without the values of its headers. */
export type ListedDicomWebPeer = Omit<DicomWebPeer, "headers"> & { readonly headerNames: readonly string[] };

export interface Peers {
  /** Every peer, those of the settings first. */
  list(): Promise<readonly ListedPeer[]>;
  /** @throws ArchiveError `no-such-peer` */
  find(name: string): Promise<Peer>;
  /** The same for everybody to see. @throws ArchiveError `no-such-peer` */
  show(name: string): Promise<ListedPeer>;
  /** The peer of DIMSE with that AE title; undefined when there is none. */
  findByAeTitle(aeTitle: string): Promise<DimsePeer | undefined>;
  /** Adds a peer. @throws ArchiveError `peer-exists`, `peer-fixed`, `too-many-peers` */
  add(peer: Peer): Promise<ListedPeer>;
  /** Puts a peer in the place of the one of that name, or adds it. @throws ArchiveError `peer-exists`, `peer-fixed` */
  replace(peer: Peer): Promise<{ readonly peer: ListedPeer; readonly isNew: boolean }>;
  /** @throws ArchiveError `no-such-peer`, `peer-fixed` */
  remove(name: string): Promise<void>;
}

/** They are listed at once. */
const mostPeers = 1000;

/**
 * Makes the use cases of peers.
 * @param fixed those of the settings, each with a name and an AE title of its own
 */
export function createPeers({ peers }: Pick<Catalog, "peers">, fixed: readonly DimsePeer[] = []): Peers {
  const byName = new Map(fixed.map((peer) => [peer.name, peer]));
  const byAeTitle = new Map(fixed.map((peer) => [peer.aeTitle, peer]));

  const isOverruled = (peer: Peer) => byName.has(peer.name) || (peer.kind === "dimse" && byAeTitle.has(peer.aeTitle));
  const refuseFixed = (peer: Peer) => {
    if (isOverruled(peer)) throw new ArchiveError("peer-fixed", "The setting DIMSE_PEERS has that name or AE title.");
  };
  /** A row that is not passed over. */
  const inForce = <Found extends Peer>(peer: Found | undefined) => (peer && !isOverruled(peer) ? peer : undefined);
  const find = async (name: string): Promise<Peer> => {
    const peer = byName.get(name) ?? inForce(await peers.find(name));
    if (!peer) throw noSuchPeer();
    return peer;
  };
  const listed = (peer: Peer): ListedPeer => {
    const source = peer.kind === "dimse" && byName.get(peer.name) === peer ? "settings" : "api";
    return { ...withoutSecrets(peer), source, overruled: source === "api" && isOverruled(peer) };
  };

  return {
    list: async () => [...fixed, ...(await peers.list())].map(listed),
    find,
    show: async (name) => {
      const peer = byName.get(name) ?? (await peers.find(name));
      if (!peer) throw noSuchPeer();
      return listed(peer);
    },
    findByAeTitle: async (aeTitle) => byAeTitle.get(aeTitle) ?? inForce(await peers.findByAeTitle(aeTitle)),
    add: async (peer) => {
      refuseFixed(peer);
      if ((await peers.list()).length >= mostPeers) {
        throw new ArchiveError("too-many-peers", `There are ${mostPeers} peers already: remove one first.`);
      }
      if (!(await peers.add(peer))) throw peerExists();
      return listed(peer);
    },
    replace: async (peer) => {
      refuseFixed(peer);
      const done = await peers.put(peer);
      if (!done) throw peerExists();
      return { peer: listed(peer), isNew: done === "added" };
    },
    remove: async (name) => {
      if (await peers.remove(name)) return;
      if (byName.has(name)) throw new ArchiveError("peer-fixed", "The peer is one of the setting DIMSE_PEERS.");
      throw noSuchPeer();
    },
  };
}

function withoutSecrets(peer: Peer): DimsePeer | ListedDicomWebPeer {
  if (peer.kind === "dimse") return peer;
  const { kind, name, url, headers } = peer;
  return { kind, name, url, headerNames: Object.keys(headers) };
}

function noSuchPeer(): ArchiveError {
  return new ArchiveError("no-such-peer", "There is no such peer.");
}

function peerExists(): ArchiveError {
  return new ArchiveError("peer-exists", "Another peer has that name or AE title.");
}
