/** `noctis reindex`: makes the catalog of the objects that have no row. */
import { parseArgs } from "node:util";
import type { ReindexOptions, ReindexResult } from "../archive/reindex.ts";
import type { OpenArchive } from "../open-archive.ts";
import type { Command } from "./command.ts";
import { sentence } from "./import-arguments.ts";
import { count } from "./import-report.ts";
import { type Progress, startProgress } from "./progress.ts";
import { withArchive } from "./with-archive.ts";

const usage = `Usage: noctis reindex [options]

Makes rows of the objects that have none, from their bytes alone: after the database was lost, or put back from a backup.
Objects that have a row are passed over, so it can be ended and run again, and a server may run meanwhile; an object of the
last minute may belong to a store under way, and is waited for. Of objects with the same UIDs the one that was stored first
gets the row; with DUPLICATES=replace the last one does, and the others can be restored. Bytes whose SHA-256 is not that of
their store are not indexed.

What was deleted stays deleted while the database knows of it. When the whole database was lost, nothing does: deleted
instances whose objects were still kept (REMOVED_KEEP_DAYS) come back. Holds, quarantine, webhooks, query tags and the feed
of changes are in the database alone: only a backup brings them back.

Options:
  --since TIME   only objects stored at this time or later, such as 2026-01-31 or 2026-01-31T10:00:00Z
  --dry-run      only say what there is to do
  --help         show this text

Exit code: 0 when every object has a row, 1 when one has not, 2 when the arguments are not understood.`;

interface ReindexArguments {
  readonly since: Date | undefined;
  readonly dryRun: boolean;
}

function parse(args: string[]): ReindexArguments {
  const options = { since: { type: "string" }, "dry-run": { type: "boolean", default: false } } as const;
  const { values } = parseArgs({ args, options });
  const since = values.since === undefined ? undefined : new Date(values.since);
  if (since && Number.isNaN(since.getTime())) throw new Error("--since is not a time such as 2026-01-31T10:00:00Z.");
  return { since, dryRun: values["dry-run"] };
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

/** What the run has done, in lines; identical duplicates and what was deleted are no failure. */
function report(result: ReindexResult, dryRun: boolean): string[] {
  const { listed, toDo, bytes, indexed, problems, complete } = result;
  const found = `${count(listed, "object")}, ${count(toDo, "object")} without a row (${megabytes(bytes)})`;
  if (dryRun) return [`Found ${found}.`];
  const kinds = Object.entries(problems).filter(([, number]) => number > 0);
  const without = kinds.map(([kind, number]) => `${number} ${kind}`).join(", ");
  return [
    `Found ${found}; indexed ${indexed}${without === "" ? "" : `, and not: ${without}`}.`,
    ...(complete ? [] : ["It was ended early; run it again to go on."]),
  ];
}

async function reindex(
  { archive }: Pick<OpenArchive, "archive">,
  signal: AbortSignal,
  { since, dryRun }: ReindexArguments,
): Promise<number> {
  let progress: Progress | undefined;
  let failures = 0;
  const options: ReindexOptions = {
    signal,
    since,
    dryRun,
    onStart: (objects, bytes) => {
      if (objects > 0) progress = startProgress(process.stderr, objects, bytes);
    },
    onProgress: (objects, bytes) => progress?.add(objects, bytes),
    onProblem: ({ key, kind, reason, isFailure }) => {
      if (isFailure) failures += 1;
      console.log(`${key}: ${kind}: ${reason}`);
    },
  };
  const result = await archive.reindex(options).finally(() => progress?.stop());
  if (!result) {
    console.error("Another reindex is under way.");
    return 1;
  }
  console.log(report(result, dryRun).join("\n"));
  return failures === 0 && result.complete ? 0 : 1;
}

/** The subcommand. */
export const reindexCommand: Command = {
  name: "reindex",
  summary: "make the catalog of the objects that have no row",
  usage,
  async run(args) {
    let parsed: ReindexArguments;
    try {
      parsed = parse(args);
    } catch (error) {
      console.error(`${sentence(error)}\n\n${usage}`);
      return 2;
    }
    return withArchive((open, signal) => reindex(open, signal, parsed));
  },
};
