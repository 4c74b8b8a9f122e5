/** `noctis fetch`: brings studies of a peer into this archive, by C-GET or C-MOVE. */
import type { Archive } from "../archive/archive.ts";
import { presentIn, retrieve, type RetrieveResult } from "../dimse/scu-retrieve.ts";
import { createStoreService } from "../dimse/store.ts";
import { toArchiveError } from "../errors.ts";
import { openArchive } from "../open-archive.ts";
import type { Command } from "./command.ts";
import { startCountProgress } from "./count-progress.ts";
import { sentence } from "./import-arguments.ts";
import { groupByReason } from "./import-report.ts";
import { type Called, peerName, peerUsage, withPeer } from "./peer-word.ts";
import { type FetchArguments, parseFetchArguments } from "./send-arguments.ts";

const usage = `Usage: noctis fetch PEER --study UID... [options]

Brings studies of a peer into this archive: by C-GET, on the association that asks for them, or, where the peer does not
support that, by C-MOVE, which needs a running server, and a peer that knows its AE title and address. What the peer says
it has is looked for in the archive afterwards. Works with the database and the object store of the settings.
${peerUsage}

Options:
  --study UID      a study; may be given several times
  --series UID     only this series of it
  --instance UID   only this instance of the series
  --by get|move    do it this way or not at all
  --json           print one JSON document a study instead of text
  --help           show this text

Exit code: 0 when everything that the peer has is in the archive, 1 when not, 2 when the arguments are not understood.`;

/** The subcommand. */
export const fetchCommand: Command = {
  name: "fetch",
  summary: "bring studies of a peer into this archive",
  usage,
  async run(args) {
    let parsed: FetchArguments;
    try {
      parsed = parseFetchArguments(args);
    } catch (error) {
      console.error(`${sentence(error)}\n\n${usage}`);
      return 2;
    }
    return withPeer(parsed.peer, async (called, config, log, signal) => {
      const { archive, close } = await openArchive(config, log, { beside: true });
      try {
        let isComplete = true;
        for (const study of parsed.studies) {
          if (signal.aborted) break;
          isComplete = (await fetchOne(called, archive, study, parsed, signal)) && isComplete;
        }
        return isComplete && !signal.aborted ? 0 : 1;
      } finally {
        await close();
      }
    });
  },
};

/** Whether all of a study came. */
async function fetchOne(
  { peer, address, requestor }: Called,
  archive: Archive,
  studyInstanceUid: string,
  { series, instance, by, json }: FetchArguments,
  signal: AbortSignal,
): Promise<boolean> {
  const progress = startCountProgress(process.stderr, "instances");
  try {
    const result = await retrieve(requestor, address, {
      target: { studyInstanceUid, seriesInstanceUid: series, sopInstanceUid: instance },
      by,
      store: createStoreService({ archive, isRequestor: true }),
      ownAeTitle: requestor.callingAeTitle,
      present: presentIn(archive),
      signal,
      onProgress: ({ completed = 0, failed = 0, warning = 0, remaining }) => {
        const done = completed + failed + warning;
        progress.show(done, remaining === undefined ? undefined : done + remaining, failed);
      },
    }).finally(() => progress.stop());
    if (json) console.log(JSON.stringify({ studyInstanceUid, ...result }));
    else console.log(linesOf(studyInstanceUid, result).join("\n"));
    return result.isComplete;
  } catch (error) {
    const { code, message } = toArchiveError(error);
    if (code === "internal" || signal.aborted) throw error;
    if (json) console.log(JSON.stringify({ studyInstanceUid, isComplete: false, error: code, message }));
    else console.error(`${studyInstanceUid}: ${peerName(peer)}: ${message}`);
    return false;
  }
}

function linesOf(study: string, { isComplete, received, expected, failures, outcome }: RetrieveResult): string[] {
  const counts = `${received ?? "an unknown number"} of ${expected ?? "an unknown number"} received`;
  const lines = [`${study}: ${isComplete ? "complete" : "NOT COMPLETE"}, ${counts}. ${outcome}`];
  if (failures.length === 0) return lines;
  return [
    ...lines,
    "Not received:",
    ...groupByReason(failures.map(({ reason, sopInstanceUid }) => [reason, sopInstanceUid])),
  ];
}
