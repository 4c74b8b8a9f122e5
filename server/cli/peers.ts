/** `noctis peers`: the DICOM applications that the archive talks to by name: list, add, remove. */
import { parseArgs } from "node:util";
import type { ListedPeer } from "../archive/peers.ts";
import { parsePeerAddress, peerAddress, peerAddressForm } from "../archive/peer-address.ts";
import type { DimsePeer } from "../archive/peers.ts";
import type { Command } from "./command.ts";
import { sentence } from "./import-arguments.ts";
import { count } from "./import-report.ts";
import { withArchive } from "./with-archive.ts";

const usage = `Usage: noctis peers [list] [--json]
       noctis peers add ADDRESS...
       noctis peers remove NAME...

The DICOM applications that the archive talks to by name: destinations of C-MOVE, of noctis send and of forwarding. Works with
the database of the settings; a server may run meanwhile, and knows them at once. Those of DIMSE_PEERS are changed only there.

ADDRESS is AE@host:port, or name=AE@host:port, with ?tls behind it for TLS, and ?calling=AE (or ?tls&calling=AE) for another
AE title by which this archive calls it. DICOMweb servers are added by /api/peers.

Options:
  --json    print one JSON document a line instead of text (list)
  --help    show this text

Exit code: 0 when all was done, 1 when not, 2 when the arguments are not understood.`;

type PeersArguments =
  | { readonly action: "list"; readonly json: boolean }
  | { readonly action: "add"; readonly peers: readonly DimsePeer[] }
  | { readonly action: "remove"; readonly names: readonly string[] };

/** @throws Error with a sentence for the user when they are not understood */
export function parsePeersArguments(args: readonly string[]): PeersArguments {
  const options = { json: { type: "boolean", default: false } } as const;
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options });
  const [action = "list", ...words] = positionals;
  if (action === "list") {
    if (words.length > 0) throw new Error("noctis peers list takes no names.");
    return { action, json: values.json };
  }
  if (action !== "add" && action !== "remove") throw new Error("Say what to do: list, add or remove.");
  if (words.length === 0) throw new Error(`Say which peers to ${action}.`);
  if (action === "remove") return { action, names: words };
  const peers = words.map((word) => {
    const peer = parsePeerAddress(word);
    if (!peer) throw new Error(`${JSON.stringify(word)} ${peerAddressForm}.`);
    return peer;
  });
  return { action, peers };
}

/** The subcommand. */
export const peersCommand: Command = {
  name: "peers",
  summary: "list, add or remove the applications to talk to",
  usage,
  async run(args) {
    let parsed: PeersArguments;
    try {
      parsed = parsePeersArguments(args);
    } catch (error) {
      console.error(`${sentence(error)}\n\n${usage}`);
      return 2;
    }
    return withArchive(async ({ archive: { peers } }) => {
      if (parsed.action === "list") {
        const all = await peers.list();
        for (const peer of all) console.log(parsed.json ? JSON.stringify(peer) : lineOf(peer));
        if (!parsed.json) console.log(`${count(all.length, "peer")}.`);
      } else if (parsed.action === "add") {
        for (const peer of parsed.peers) console.log(lineOf(await peers.add(peer)));
      } else {
        for (const name of parsed.names) {
          await peers.remove(name);
          console.log(`${name} removed.`);
        }
      }
      return 0;
    });
  },
};

function lineOf(peer: ListedPeer): string {
  const where = peer.kind === "dimse" ? peerAddress(peer) : peer.url;
  const source = peer.source === "settings" ? "  (DIMSE_PEERS)" : "";
  return `${peer.name}  ${where}${source}${peer.overruled ? "  (overruled by DIMSE_PEERS)" : ""}`;
}
