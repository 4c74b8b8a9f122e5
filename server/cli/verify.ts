/** `noctis verify`: whether every row has its object, every object its row, and every byte is what was stored. */
import type { Archive } from "../archive/archive.ts";
import type { Fault } from "../archive/integrity.ts";
import type { VerifyReport } from "../archive/verify.ts";
import type { Command } from "./command.ts";
import { sentence } from "./import-arguments.ts";
import { count } from "./import-report.ts";
import { parseVerifyArguments, type VerifyArguments } from "./verify-arguments.ts";
import { startVerifyProgress } from "./verify-progress.ts";
import { withArchive } from "./with-archive.ts";

const usage = `Usage: noctis verify [options]

Reads every stored object and compares it with the catalog: that it is there, its size, its SHA-256; and looks for objects
that no row of the catalog names. A server may run meanwhile, or not. Stopped by Ctrl-C, it goes on there the next time.
What is found stays on a list (GET /api/integrity) until a later look finds it right.

Options:
  --quick            compare presence and size alone, and read nothing
  --sample PERCENT   read the bytes of so many objects only, chosen at random; presence and size of all (100)
  --deep             also see whether the bytes still describe what the catalog says of them
  --study UID        look at the instances of one study only
  --repair[=HOW]     brings objects that are missing or damaged back from the backup of BACKUP_TO, if there is one; and
                     what becomes of objects without a row that are older than the grace time:
                       index       they become instances of the catalog, unless they were deleted (when HOW is left
                                   out). Right after the database was put back from an older backup: they may be
                                   instances that a client was told are stored.
                       remove      those are removed that are newer than the catalog and its last restore: a store
                                   broke off before its client was told that it succeeded.
                       remove-any  all are removed. Only when you know that nobody misses them.
  --grace HOURS      younger objects without a row may belong to a store that is under way (24)
  --restart          begin anew instead of where the last one was stopped
  --parallel N       objects read at a time, 1 to 64 (4)
  --json             print one JSON document instead of text
  --help             show this text

Exit code: 0 when all is right, 1 when something is not or the look was not finished, 2 when the arguments are not
understood.`;

/** Faults that are printed; the others are told by the server. */
const mostPrinted = 1000;

/** The subcommand. */
export const verifyCommand: Command = {
  name: "verify",
  summary: "see whether every object is there and unharmed",
  usage,
  async run(args) {
    let parsed: VerifyArguments;
    try {
      parsed = parseVerifyArguments(args);
    } catch (error) {
      console.error(`${sentence(error)}\n\n${usage}`);
      return 2;
    }
    return withArchive(({ archive }, signal) => verify(archive, parsed, signal));
  },
};

async function verify(archive: Archive, wanted: VerifyArguments, signal: AbortSignal): Promise<number> {
  const { study, json, repair } = wanted;
  const progress = startVerifyProgress(process.stderr);
  const look = { ...wanted, signal, onProgress: progress.reach };
  const report = await (
    study === undefined
      ? archive.integrity.verify({ ...look, kind: "command", keepHours: 0 })
      : archive.integrity.verifyStudy(study, look)
  ).finally(() => progress.stop());
  if (!report) {
    console.error("Another noctis verify is under way.");
    return 1;
  }
  const broughtBack = repair === "report" || !report.finished ? 0 : await archive.integrity.bringBack(signal);
  if (repair !== "report" && report.orphans.listed > 0) await archive.sweep(signal);
  const faults = await archive.integrity.faults({
    limit: mostPrinted,
    after: 0,
    state: "open",
    studyInstanceUid: study,
  });
  const left = broughtBack > 0 ? (await archive.integrity.status()).faults : Object.fromEntries(report.faults);
  const catalogLost = await archive.integrity.isCatalogLost();
  const outcome = { ...report, faults: left, broughtBack, catalogLost };
  console.log(json ? document(outcome, faults) : textOf(outcome, faults));
  return report.finished && Object.keys(left).length === 0 && !catalogLost ? 0 : 1;
}

/** What it came to in the end. */
type Outcome = Omit<VerifyReport, "faults"> & {
  /** How many are open, by kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** Objects that came out of a backup. */
  readonly broughtBack: number;
  /** Whether the object store has instances and the database is new. */
  readonly catalogLost: boolean;
};

function document({ progress, ...outcome }: Outcome, list: readonly Fault[]): string {
  const { objects, objectsRead, bytesRead, share } = progress;
  return JSON.stringify({ ...outcome, objects, objectsRead, bytesRead, share, list }, null, 2);
}

function textOf(outcome: Outcome, list: readonly Fault[]): string {
  const { finished, resumed, progress, faults, orphans, broughtBack } = outcome;
  const { objects, objectsRead, bytesRead, share } = progress;
  const total = Object.values(faults).reduce((sum, each) => sum + each, 0);
  const told = list.map(({ kind, key, detail, studyInstanceUid, seriesInstanceUid, sopInstanceUid }) => {
    const uids = [studyInstanceUid, seriesInstanceUid, sopInstanceUid].filter((uid) => uid !== null);
    return [`${kind}: ${detail}`, `  object ${key}`, ...(uids.length > 0 ? [`  instance ${uids.join(" / ")}`] : [])];
  });
  return [
    ...told.flat(),
    ...(total > list.length ? [`... and ${total - list.length} more.`] : []),
    `Compared ${count(objects, "object")}, read ${objectsRead} (${(bytesRead / 1e6).toFixed(1)} MB)${resumed ? ", with the earlier runs that this one went on with" : ""}.`,
    ...(orphans.young > 0 ? [`Left alone, since a store may be under way: ${count(orphans.young, "object")}.`] : []),
    ...(broughtBack > 0 ? [`Brought back from the backup: ${count(broughtBack, "object")}.`] : []),
    ...(orphans.indexed > 0 ? [`Brought into the catalog: ${count(orphans.indexed, "object")}.`] : []),
    ...(orphans.listed > 0 ? [`Removed: ${count(orphans.listed, "object")} without a row.`] : []),
    finished ? "" : `Stopped at ${Math.floor(share * 100)}%: noctis verify goes on there.`,
    outcome.catalogLost
      ? "The database is new, but the object store holds instances: noctis restore or noctis reindex brings their rows back."
      : "",
    total === 0
      ? outcome.catalogLost
        ? ""
        : "No fault was found."
      : `Not right: ${Object.entries(faults)
          .map(([kind, each]) => `${each} ${kind}`)
          .join(", ")}.`,
  ]
    .filter((line) => line !== "")
    .join("\n");
}
