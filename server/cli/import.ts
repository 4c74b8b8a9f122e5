/** `noctis import`: sends files and folders to a server by STOW-RS. */
import { parseArgs } from "node:util";

import type { Command } from "./command.ts";
import { defaultUrl, parseConnections, parseServerUrl, sentence } from "./import-arguments.ts";
import { findFiles, type FoundFiles } from "./import-files.ts";
import { count, report } from "./import-report.ts";
import { withServer } from "./import-server.ts";
import { askPresence, storeAll } from "./import-store.ts";
import { startProgress, type Progress } from "./progress.ts";
import type { StowClient } from "./stow-client.ts";

const headersAtOnce = 16;

const usage = `Usage: noctis import PATH... [options]

Sends DICOM files to a server by STOW-RS. A folder is searched with all its subfolders; a file may have any name.
Run it again after an interruption: what the server already has is not sent again.

Options:
  --url URL          the DICOMweb root of the server (${defaultUrl})
  --connections N    requests under way at once, 1 to 64 (4)
  --dry-run          only say what would be sent
  --help             show this text

Exit code: 0 when every file is stored, 1 when one is not, 2 when the arguments are not understood.`;

interface ImportArguments {
  readonly help: boolean;
  readonly dryRun: boolean;
  readonly url: URL;
  readonly connections: number;
  readonly paths: string[];
}

function parse(args: string[]): ImportArguments {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      url: { type: "string", default: defaultUrl },
      connections: { type: "string", default: "4" },
      "dry-run": { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (positionals.length === 0 && !values.help) throw new Error("Say which files or folders to import.");
  return {
    help: values.help,
    dryRun: values["dry-run"],
    url: parseServerUrl(values.url),
    connections: parseConnections(values.connections),
    paths: positionals,
  };
}

async function dryRun(found: FoundFiles, client: StowClient, connections: number): Promise<number> {
  const { held, missing, repeated } = await askPresence(found.instances, client, connections);
  const toSend = [...missing, ...repeated];
  const megabytes = toSend.reduce((sum, { byteLength }) => sum + byteLength, 0) / 1e6;
  console.log(`Would send ${count(toSend.length, "file")} (${megabytes.toFixed(1)} MB); ${held.length} already there.`);
  for (const { name, reason } of found.unusable) console.log(`Would leave out ${name}: ${reason}`);
  return found.unusable.length === 0 ? 0 : 1;
}

async function sendAll(found: FoundFiles, client: StowClient, connections: number): Promise<number> {
  let progress: Progress | undefined;
  const outcomes = await storeAll(found.instances, {
    client,
    connections,
    onStart: (files, bytes) => {
      if (files > 0) progress = startProgress(process.stderr, files, bytes);
    },
    onProgress: (files, bytes) => progress?.add(files, bytes),
  }).finally(() => progress?.stop());
  const { lines, complete } = report(outcomes, found);
  console.log(lines.join("\n"));
  return complete ? 0 : 1;
}

async function run(args: string[]): Promise<number> {
  let parsed: ImportArguments;
  try {
    parsed = parse(args);
  } catch (error) {
    console.error(`${sentence(error)}\n\n${usage}`);
    return 2;
  }
  if (parsed.help) {
    console.log(usage);
    return 0;
  }
  const { url, connections, paths } = parsed;
  const send = parsed.dryRun ? dryRun : sendAll;
  return withServer(url, connections, async (client) => {
    const found = await findFiles(paths, headersAtOnce);
    console.error(`Found ${count(found.instances.length, "DICOM file")}.`);
    return send(found, client, connections);
  });
}

/** `noctis import`. */
export const importCommand: Command = { name: "import", summary: "Send files and folders to a server", usage, run };
