/** `noctis restore`: makes an archive of a backup, or brings single objects back. */
import { parseArgs } from "node:util";
import { onceOpen } from "../archive/backup-target.ts";
import { restoreBackup } from "../archive/restore.ts";
import type { BroughtBack } from "../archive/restore-objects.ts";
import { isBackupTarget } from "../config.ts";
import { openArchive, openStorage } from "../open-archive.ts";
import { openBackupTarget } from "../open-backup.ts";
import { faultWords, lateProgress, stopped, studies } from "./backup-words.ts";
import type { Command } from "./command.ts";
import { sentence } from "./import-arguments.ts";
import { count } from "./import-report.ts";
import { withSettings } from "./with-archive.ts";

const usage = `Usage: noctis restore [options]

Makes the archive of the settings what it was when a backup was made: rows first, then the objects, each checked by its
SHA-256. Only into an empty archive, with no server running on it. Interrupted, it is run again and goes on; until it is
done no server starts on that database. Objects that are there already, with the right bytes, are not copied.

  noctis restore                     the newest backup
  noctis restore --objects KEY...    only these objects, into an archive in use: what is missing or has other bytes

Options:
  --from TARGET     the folder or s3://BUCKET of the backup (BACKUP_TO)
  --snapshot NAME   another backup than the newest: a name that noctis backup list gives
  --copy            the archive that was backed up goes on, and this is another one beside it, such as a test: into an
                    empty object store alone; without its webhooks and jobs, with its rules disabled, and with
                    backups that are told from those of the other
  --help            show this text

Exit code: 0 when all is back; 1 when it failed, or an object is missing in the backup; 2 when the arguments are not
understood.`;

interface RestoreArguments {
  readonly from: string | undefined;
  readonly snapshot: string | undefined;
  readonly isCopy: boolean;
  readonly keys: readonly string[] | undefined;
}

function parse(args: string[]): RestoreArguments {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      from: { type: "string" },
      snapshot: { type: "string" },
      copy: { type: "boolean", default: false },
      objects: { type: "boolean", default: false },
    },
  });
  const { from, snapshot, copy, objects } = values;
  if (objects && positionals.length === 0) throw new Error("Say the keys of the objects behind --objects.");
  if (objects && snapshot !== undefined) throw new Error("--objects takes no --snapshot: objects are the same in all.");
  if (objects && copy) throw new Error("--objects takes no --copy.");
  if (!objects && positionals.length > 0) {
    throw new Error(`noctis restore does not know ${JSON.stringify(positionals[0])}.`);
  }
  if (from !== undefined && !isBackupTarget(from)) {
    throw new Error("--from is neither a folder nor of the form s3://BUCKET.");
  }
  return { from, snapshot, isCopy: copy, keys: objects ? positionals : undefined };
}

/** What an operator must know when it is done. */
const afterwards = {
  same: [
    "What was stored later is not in it; if its objects are still there, noctis reindex finds them.",
    "What was deleted later is there again; so are holds, rules and webhooks as they were. It takes the place of the archive",
    "that was backed up: where that one still runs, start no server on this one, and restore with --copy instead.",
  ],
  copy: [
    "It is a copy: it has no webhooks and no jobs, its rules of retention and of forwarding are disabled, and its backups need a target of their own.",
  ],
} as const;

function restoreAll({ from, snapshot, isCopy }: RestoreArguments): Promise<number> {
  return withSettings(async (config, log, signal) =>
    onceOpen(await openBackupTarget(config, log, from), async (target) => {
      const storage = await openStorage(config, log, { beside: true, applicationName: "noctis restore" });
      const progress = lateProgress();
      try {
        const report = await restoreBackup(storage, { target, snapshot, isCopy, signal, ...progress }).finally(
          progress.stop,
        );
        console.log(
          `Restored ${report.snapshot}: ${count(report.instances, "instance")} of ${studies(report.studies)}, ` +
            `${count(report.objects, "object")}, ${report.copied} copied.`,
        );
        for (const line of afterwards[isCopy ? "copy" : "same"]) console.log(line);
        for (const { key, fault } of report.faults) console.error(`${key}: ${faultWords[fault]} in the backup`);
        if (report.faultCount > 0) console.error(`${count(report.faultCount, "object")} could not be brought back.`);
        return report.faultCount === 0 ? 0 : 1;
      } catch (error) {
        return stopped(error, signal);
      } finally {
        await storage.close();
      }
    }),
  );
}

const outcomeWords: Readonly<Record<BroughtBack["outcome"], string>> = {
  copied: "is back",
  right: "is there, with the right bytes",
  missing: "is missing in the backup",
  "wrong-bytes": "has other bytes in the backup, too",
  unknown: "is needed by no row of the archive",
};

function restoreSome({ from, keys = [] }: RestoreArguments): Promise<number> {
  return withSettings(async (config, log, signal) =>
    onceOpen(await openBackupTarget(config, log, from), async (target) => {
      const { archive, close } = await openArchive(config, log, { beside: true });
      try {
        const results = await archive.backups.restoreObjects(keys, signal, target);
        for (const { key, outcome } of results) console.log(`${key} ${outcomeWords[outcome]}`);
        return results.every(({ outcome }) => outcome === "copied" || outcome === "right") ? 0 : 1;
      } catch (error) {
        return stopped(error, signal);
      } finally {
        await close();
      }
    }),
  );
}

/** The subcommand. */
export const restoreCommand: Command = {
  name: "restore",
  summary: "make an archive of a backup, or bring single objects back",
  usage,
  async run(args) {
    let parsed: RestoreArguments;
    try {
      parsed = parse(args);
    } catch (error) {
      console.error(`${sentence(error)}\n\n${usage}`);
      return 2;
    }
    return parsed.keys === undefined ? restoreAll(parsed) : restoreSome(parsed);
  },
};
