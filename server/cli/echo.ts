/** `noctis echo`: asks a peer whether it is there. */
import { parseArgs } from "node:util";
import { echo } from "../dimse/scu-echo.ts";
import { toArchiveError } from "../errors.ts";
import type { Command } from "./command.ts";
import { sentence } from "./import-arguments.ts";
import { parsePeerWord, peerName, peerUsage, withPeer } from "./peer-word.ts";

const usage = `Usage: noctis echo PEER [options]

Asks a peer whether it is there, by C-ECHO: the network, the AE titles and the peer itself. Needs no server.
${peerUsage}

Options:
  --json    print one JSON document instead of text
  --help    show this text

Exit code: 0 when the peer answered success, 1 when not, 2 when the arguments are not understood.`;

interface EchoArguments {
  readonly peer: string;
  readonly json: boolean;
}

function parse(args: string[]): EchoArguments {
  const options = { json: { type: "boolean", default: false } } as const;
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
  if (positionals.length > 1) throw new Error("Name one peer.");
  return { peer: parsePeerWord(positionals[0]), json: values.json };
}

/** The subcommand. */
export const echoCommand: Command = {
  name: "echo",
  summary: "ask a peer whether it is there",
  usage,
  async run(args) {
    let parsed: EchoArguments;
    try {
      parsed = parse(args);
    } catch (error) {
      console.error(`${sentence(error)}\n\n${usage}`);
      return 2;
    }
    const { json } = parsed;
    return withPeer(parsed.peer, async ({ peer, address, requestor }, _config, _log, signal) => {
      const { aeTitle, host, port } = peer;
      try {
        const result = await echo(requestor, address, signal);
        const { implementationVersionName: version = "", implementationClassUid: uid } = result;
        const times = [result.associationTime, result.echoTime].map((time) => `${time.toFixed(1)} ms`);
        const text = `${peerName(peer)} answers: association ${times[0]}, echo ${times[1]}, ${version} ${uid}`;
        console.log(json ? JSON.stringify({ aeTitle, host, port, ...result }) : text.trimEnd());
        return 0;
      } catch (error) {
        const { code, message } = toArchiveError(error);
        if (code === "internal") throw error;
        if (json) console.log(JSON.stringify({ aeTitle, host, port, error: code, message }));
        else console.error(`${peerName(peer)}: ${message}`);
        return 1;
      }
    });
  },
};
