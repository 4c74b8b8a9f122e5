/** PEER of a command line: a name of the settings or of /api/peers, or an address. */
import type { DimsePeer } from "../archive/peers.ts";
import { parsePeerAddress, peerAddressForm } from "../archive/peer-address.ts";
import type { Config } from "../config.ts";
import type { PeerAddress } from "../dimse/connect.ts";
import type { Requestor } from "../dimse/scu-association.ts";
import { ArchiveError } from "../errors.ts";
import type { Log } from "../log.ts";
import { openArchive } from "../open-archive.ts";
import { connectBy } from "../open-dimse.ts";
import { withSettings } from "./with-archive.ts";

/** What PEER is, for usage texts. */
export const peerUsage = `PEER is a name of DIMSE_PEERS or of noctis peers, or an address AE@host:port (?tls behind it for TLS).`;

/** A peer, and who calls it. */
export interface Called {
  readonly peer: DimsePeer;
  readonly address: PeerAddress;
  readonly requestor: Requestor;
}

/** PEER as it was given. @throws Error with a sentence for the user when it can be none */
export function parsePeerWord(word: string | undefined): string {
  if (word === undefined) throw new Error("Say which peer.");
  if (word.includes("@") && !parsePeerAddress(word)) throw new Error(`The address of a peer ${peerAddressForm}.`);
  return word;
}

/** The exit code of `use`, or 1 and one sentence on stderr for what the user can mend; see `withSettings`. */
export function withPeer(
  word: string,
  use: (called: Called, config: Config, log: Log, signal: AbortSignal) => Promise<number>,
): Promise<number> {
  return withSettings(async (config, log, signal) => {
    const peer = await findPeer(word, config, log);
    const requestor = { connect: connectBy(config, log), callingAeTitle: peer.callingAeTitle ?? config.DIMSE_AE_TITLE };
    try {
      return await use({ peer, address: addressOf(peer), requestor }, config, log, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
      console.error("Interrupted.");
      return 1;
    }
  });
}

/** The database is asked only for a name that the settings do not have. */
async function findPeer(word: string, config: Config, log: Log): Promise<DimsePeer> {
  const ofSettings = config.DIMSE_PEERS.flatMap((address) => parsePeerAddress(address) ?? []);
  const known = word.includes("@")
    ? parsePeerAddress(word)
    : ofSettings.find(({ name, aeTitle }) => name === word || aeTitle === word);
  if (known) return known;
  const { archive, close } = await openArchive(config, log, { beside: true });
  try {
    const peer = await archive.peers.find(word).catch(async (error: unknown) => {
      const byAeTitle = await archive.peers.findByAeTitle(word);
      if (byAeTitle) return byAeTitle;
      throw error;
    });
    if (peer.kind === "dimse") return peer;
    throw new ArchiveError("no-such-peer", `${word} is a DICOMweb server, and this command speaks DIMSE.`);
  } catch (error) {
    if (!(error instanceof ArchiveError && error.code === "no-such-peer" && !error.message.includes(word))) throw error;
    const hint = "Name one of noctis peers list, or an address AE@host:port.";
    throw new ArchiveError("no-such-peer", `There is no peer ${word}. ${hint}`, { cause: error });
  } finally {
    await close();
  }
}

function addressOf({ aeTitle, host, port, tls }: DimsePeer): PeerAddress {
  return { aeTitle, host, port, tls: tls ? {} : undefined };
}

/** A peer as messages call it. */
export function peerName({ name, aeTitle, host, port }: DimsePeer): string {
  return `${name === aeTitle ? name : `${name} (${aeTitle})`} at ${host}:${port}`;
}
