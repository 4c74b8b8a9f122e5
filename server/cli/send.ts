/** `noctis send`: sends files, or studies of the archive, to a peer by C-STORE. */
import type { SelectedInstances } from "../archive/selection.ts";
import type { SendOutcome } from "../dimse/send-instances.ts";
import { createSendToPeer } from "../dimse/send-to-peer.ts";
import { statusKind, statusWords } from "../dimse/status-words.ts";
import { openArchive } from "../open-archive.ts";
import type { Command } from "./command.ts";
import { startCountProgress } from "./count-progress.ts";
import { sentence } from "./import-arguments.ts";
import { count, groupByReason } from "./import-report.ts";
import { type Called, peerName, peerUsage, withPeer } from "./peer-word.ts";
import { parseSendArguments, type SendArguments } from "./send-arguments.ts";
import { findFilesToSend } from "./send-files.ts";

const usage = `Usage: noctis send PEER PATH... [options]
       noctis send PEER --study UID... [--series UID] [options]

Sends DICOM files, or studies of this archive, to a peer by C-STORE: as they are stored where the peer takes that, else in
another native transfer syntax. Files need no server; studies need the database and the object store of the settings.
A folder is searched with all its subfolders; a file may have any name.
${peerUsage}

Options:
  --study UID     a study of this archive; may be given several times
  --series UID    only this series of it
  --json          print each instance that was not sent, and the counts, as a JSON document a line
  --help          show this text

Exit code: 0 when the peer took every instance, 1 when not, 2 when the arguments are not understood.`;

const headersAtOnce = 16;

/** What is sent, and what is known of it. */
interface Work {
  readonly selected: SelectedInstances;
  readonly nameOf: (sopInstanceUid: string) => string;
  /** What cannot be sent at all. */
  readonly unusable: readonly { readonly name: string; readonly reason: string }[];
  readonly notes: readonly string[];
}

/** The subcommand. */
export const sendCommand: Command = {
  name: "send",
  summary: "send files or studies to a peer",
  usage,
  async run(args) {
    let parsed: SendArguments;
    try {
      parsed = parseSendArguments(args);
    } catch (error) {
      console.error(`${sentence(error)}\n\n${usage}`);
      return 2;
    }
    const { paths, studies, series, json } = parsed;
    return withPeer(parsed.peer, async (called, config, log, signal) => {
      if (paths.length > 0) {
        const { selected, unusable, nameOf, hidden, dicomdirs } = await findFilesToSend(paths, headersAtOnce);
        const notes = [
          ...(dicomdirs > 0 ? [`Left out ${count(dicomdirs, "DICOMDIR file")}.`] : []),
          ...(hidden > 0 ? [`Left out ${count(hidden, "hidden file")}.`] : []),
        ];
        return sendAll(called, { selected, unusable, nameOf, notes }, json, signal);
      }
      const { archive, close } = await openArchive(config, log, { beside: true });
      try {
        const lists = { studyInstanceUids: studies, ...(series && { seriesInstanceUids: [series] }) };
        const selected = await archive.select(lists);
        const unusable: { name: string; reason: string }[] = [];
        for (const uid of studies) {
          const { kinds } =
            studies.length === 1 ? selected : await archive.select({ ...lists, studyInstanceUids: [uid] });
          if (kinds.length === 0) unusable.push({ name: uid, reason: "nothing of it is in the archive" });
        }
        return await sendAll(called, { selected, unusable, nameOf: (uid) => uid, notes: [] }, json, signal);
      } finally {
        await close();
      }
    });
  },
};

async function sendAll({ peer, requestor }: Called, work: Work, json: boolean, signal: AbortSignal): Promise<number> {
  const { selected, unusable, nameOf, notes } = work;
  const total = selected.kinds.reduce((sum, kind) => sum + kind.count, 0);
  const failures: (readonly [reason: string, name: string])[] = unusable.map(({ name, reason }) => [reason, name]);
  const warnings: (readonly [reason: string, name: string])[] = [];
  let sent = 0;
  const sendToPeer = createSendToPeer({ connect: requestor.connect, aeTitle: requestor.callingAeTitle });
  const progress = startCountProgress(process.stderr, "instances");
  for await (const outcome of sendToPeer(peer, selected, { signal })) {
    const { sopInstanceUid, status } = outcome;
    const kind = status === undefined ? "failure" : statusKind(status);
    if (kind === "success" || kind === "warning") sent += 1;
    else {
      failures.push([reasonOf(outcome), nameOf(sopInstanceUid)]);
      if (json) console.log(JSON.stringify({ ...outcome, reason: reasonOf(outcome), name: nameOf(sopInstanceUid) }));
    }
    if (kind === "warning") warnings.push([reasonOf(outcome), nameOf(sopInstanceUid)]);
    progress.show(sent + failures.length, total, failures.length);
  }
  progress.stop();
  // What was given up was neither sent nor refused.
  const untried = total + unusable.length - sent - failures.length;
  if (json) {
    for (const { name, reason } of unusable) console.log(JSON.stringify({ name, reason }));
    console.log(JSON.stringify({ sent, failed: failures.length, untried }));
  } else {
    const rest = untried > 0 ? `, not tried ${untried}` : "";
    console.log(`Sent ${sent} to ${peerName(peer)}, not sent ${failures.length}${rest}.`);
    for (const note of notes) console.log(note);
    if (warnings.length > 0) console.log(["Sent with a warning:", ...groupByReason(warnings, 10)].join("\n"));
    if (failures.length > 0) console.log(["Not sent:", ...groupByReason(failures)].join("\n"));
  }
  return failures.length === 0 && untried === 0 && sent > 0 ? 0 : 1;
}

function reasonOf({ status, comment = "" }: SendOutcome): string {
  if (status !== undefined) return statusWords("C-STORE", status, comment);
  return comment.replace(/\.$/, "");
}
