/** `noctis backup`: copies the archive to another place; lists and verifies the copies. */
import { parseArgs } from "node:util";
import { describeSnapshots, type SnapshotSummary } from "../archive/backup-list.ts";
import { onceOpen } from "../archive/backup-target.ts";
import { verifyBackup } from "../archive/backup-verify.ts";
import { isBackupTarget } from "../config.ts";
import { openArchive, openStorage } from "../open-archive.ts";
import { openBackupTarget } from "../open-backup.ts";
import { amount, faultWords, lateProgress, stopped, studies } from "./backup-words.ts";
import type { Command } from "./command.ts";
import { sentence } from "./import-arguments.ts";
import { count } from "./import-report.ts";
import { withSettings } from "./with-archive.ts";

const usage = `Usage: noctis backup [list] [options]

Makes a backup: every row of the database as it is at one moment, and every object that these rows need and the target
lacks, each checked by its SHA-256 on the way. A server may run and store meanwhile. Then old backups are removed, as
BACKUP_KEEP says. Backups are not encrypted: keep the target where only those may read it who may read the archive.

  noctis backup            make one
  noctis backup --verify   read everything in the target back, and compare it with its SHA-256; with --repair, what is
                           missing or has other bytes is copied anew from the archive, when it is right there
  noctis backup list       the backups in the target

Options:
  --to TARGET   an existing folder, or s3://BUCKET with BACKUP_S3_ENDPOINT and the like (BACKUP_TO)
  --json        of list: one JSON document
  --help        show this text

Interrupted, it is run again: what was copied is not copied again. A Ctrl-C ends it in good order.
Exit code: 0 when all is well; 1 when it failed, or found an object that is missing or has other bytes; 2 when the
arguments are not understood.`;

interface BackupArguments {
  readonly what: "make" | "list" | "verify";
  readonly to: string | undefined;
  readonly json: boolean;
  readonly repair: boolean;
}

function parse(args: string[]): BackupArguments {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      to: { type: "string" },
      verify: { type: "boolean", default: false },
      repair: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const [word, ...more] = positionals;
  if (more.length > 0 || (word !== undefined && word !== "list")) {
    throw new Error(`noctis backup does not know ${JSON.stringify(more[0] ?? word)}.`);
  }
  if (word === "list" && values.verify) throw new Error("--verify is not of noctis backup list.");
  if (values.repair && !values.verify) throw new Error("--repair is of --verify alone.");
  if (word !== "list" && values.json) throw new Error("--json is of noctis backup list alone.");
  if (values.to !== undefined && !isBackupTarget(values.to)) {
    throw new Error("--to is neither a folder nor of the form s3://BUCKET.");
  }
  const { to, json, repair } = values;
  return { what: word === "list" ? "list" : values.verify ? "verify" : "make", to, json, repair };
}

function make({ to }: BackupArguments): Promise<number> {
  return withSettings(async (config, log, signal) => {
    const { archive, close } = await openArchive(config, log, { beside: true });
    const progress = lateProgress();
    try {
      const openTarget = () => openBackupTarget(config, log, to);
      const report = await archive.backups
        .make({ openTarget, cause: "command", signal, ...progress })
        .finally(progress.stop);
      const { copied, pruned, pruneFault } = report;
      console.log(
        `Backup ${report.snapshot}: ${count(report.instances, "instance")} of ${studies(report.studies)}, ` +
          `${count(report.objects, "object")} of ${amount(report.objectBytes)}; ` +
          `${count(copied.copiedObjects, "object")} of ${amount(copied.copiedBytes)} copied.`,
      );
      if (pruned.snapshots.length > 0) {
        console.log(
          `Removed ${count(pruned.snapshots.length, "old backup")} and ${count(pruned.objects, "object")} of ${amount(pruned.bytes)}.`,
        );
      }
      if (pruneFault !== undefined) console.error(`Old backups could not be removed: ${pruneFault}`);
      for (const { key, fault } of copied.faults) console.error(`${key}: ${faultWords[fault]}`);
      if (copied.faultCount > 0)
        console.error(`${count(copied.faultCount, "object")} of the archive could not be copied.`);
      return copied.faultCount > 0 || pruneFault !== undefined ? 1 : 0;
    } catch (error) {
      return stopped(error, signal);
    } finally {
      await close();
    }
  });
}

function list({ to, json }: BackupArguments): Promise<number> {
  return withSettings(async (config, log) =>
    onceOpen(await openBackupTarget(config, log, to), async (target) => {
      const snapshots = await describeSnapshots(target);
      if (json) console.log(JSON.stringify({ snapshots }, undefined, 2));
      else console.log(snapshots.length === 0 ? "There is no backup." : snapshots.map(lineOf).join("\n"));
      return snapshots.some(({ fault }) => fault !== undefined) ? 1 : 0;
    }),
  );
}

function lineOf(snapshot: SnapshotSummary): string {
  const { name, fault, studies: studyCount = 0, instances = 0, objectBytes = 0, faultCount = 0, verified } = snapshot;
  if (fault !== undefined) return `${name}  ${fault}`;
  const faults = faultCount > 0 ? `, ${count(faultCount, "object")} lacking` : "";
  const check =
    verified === undefined
      ? "never verified"
      : `verified ${verified.at}${verified.faults > 0 ? ` with ${count(verified.faults, "fault")}` : ""}`;
  return `${name}  ${studies(studyCount)}, ${count(instances, "instance")}, ${amount(objectBytes)}${faults}, ${check}`;
}

function verify({ to, repair }: BackupArguments): Promise<number> {
  return withSettings(async (config, log, signal) =>
    onceOpen(await openBackupTarget(config, log, to), async (target) => {
      const storage = repair ? await openStorage(config, log, { beside: true }) : undefined;
      const progress = lateProgress();
      try {
        const request = { signal, repairFrom: storage?.blobs, ...progress };
        const report = await verifyBackup(target, request).finally(progress.stop);
        for (const line of report.faults) console.error(line);
        const { snapshots, objects, bytes, repaired, faultCount } = report;
        if (snapshots === 0) {
          console.error("There is no backup in this place.");
          return 1;
        }
        const read = `${count(snapshots, "backup")}, ${count(objects, "object")} of ${amount(bytes)} read`;
        const mended = repaired > 0 ? `, ${count(repaired, "object")} copied anew` : "";
        console.log(`${faultCount === 0 ? "All is well" : count(faultCount, "fault")}: ${read}${mended}.`);
        return faultCount === 0 ? 0 : 1;
      } catch (error) {
        return stopped(error, signal);
      } finally {
        await storage?.close();
      }
    }),
  );
}

const actions = { make, list, verify } as const;

/** The subcommand. */
export const backupCommand: Command = {
  name: "backup",
  summary: "copy the archive to another place, or verify the copy",
  usage,
  async run(args) {
    let parsed: BackupArguments;
    try {
      parsed = parse(args);
    } catch (error) {
      console.error(`${sentence(error)}\n\n${usage}`);
      return 2;
    }
    return actions[parsed.what](parsed);
  },
};
