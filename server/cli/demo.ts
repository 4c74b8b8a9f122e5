/** `noctis demo`: makes a synthetic patient and stores it, so that there is something to see. */
import { parseArgs } from "node:util";

import type { Command } from "./command.ts";
import { defaultUrl, parseServerUrl, sentence } from "./import-arguments.ts";
import type { Instance } from "./import-instance.ts";
import { report } from "./import-report.ts";
import { withServer } from "./import-server.ts";
import { storeAll } from "./import-store.ts";
import { startProgress, type Progress } from "./progress.ts";
import type { StowClient } from "./stow-client.ts";

const connections = 4;

const usage = `Usage: noctis demo [options]

Makes a synthetic patient (a chest CT with a report, a head MR, an ultrasound cine loop), stores it by STOW-RS and says
where to see it. Run twice, it stores nothing twice.

Options:
  --url URL    the DICOMweb root of the server (${defaultUrl})
  --help       show this text

Exit code: 0 when everything is stored, 1 when something is not, 2 when the arguments are not understood.`;

interface Demonstration {
  readonly instances: Instance[];
  /** Study Instance UID -> Study Description. */
  readonly studies: Map<string, string>;
}

/** Composes everything in memory, about 25 MB. The generators load only here: other subcommands need no dcmjs. */
async function makeDemonstration(): Promise<Demonstration> {
  const { demoInstances } = await import("./demo-patient.ts");
  const instances: Instance[] = [];
  const studies = new Map<string, string>();
  for (const { file, studyDescription } of demoInstances()) {
    const { name, identifiers, bytes } = file;
    studies.set(identifiers.studyInstanceUid, studyDescription);
    instances.push({
      name,
      identifiers,
      byteLength: bytes.length,
      async *open() {
        yield bytes;
      },
    });
  }
  return { instances, studies };
}

async function store({ instances, studies }: Demonstration, client: StowClient, url: URL): Promise<number> {
  let progress: Progress | undefined;
  const outcomes = await storeAll(instances, {
    client,
    connections,
    onStart: (files, bytes) => {
      if (files > 0) progress = startProgress(process.stderr, files, bytes);
    },
    onProgress: (files, bytes) => progress?.add(files, bytes),
  }).finally(() => progress?.stop());
  const { lines, complete } = report(outcomes);
  console.log(lines.join("\n"));
  if (!complete) return 1;
  console.log("See it in the viewer:");
  for (const [uid, description] of studies) console.log(`  ${description}: ${viewerLink(url, uid)}`);
  return 0;
}

/** Where the viewer of the server at `url` shows a study. */
export function viewerLink(url: URL, studyInstanceUid: string): string {
  return `${url.origin}/viewer?StudyInstanceUIDs=${studyInstanceUid}`;
}

async function run(args: string[]): Promise<number> {
  let url: URL;
  let help: boolean;
  try {
    const options = { url: { type: "string", default: defaultUrl }, help: { type: "boolean", short: "h" } } as const;
    const { values } = parseArgs({ args, options });
    url = parseServerUrl(values.url);
    help = values.help ?? false;
  } catch (error) {
    console.error(`${sentence(error)}\n\n${usage}`);
    return 2;
  }
  if (help) {
    console.log(usage);
    return 0;
  }
  return withServer(url, connections, async (client) => store(await makeDemonstration(), client, url));
}

/** `noctis demo`. */
export const demoCommand: Command = { name: "demo", summary: "Store a synthetic patient to look at", usage, run };
