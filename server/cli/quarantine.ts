/** `noctis quarantine`: the files that could not be stored for what is in them: list, try again, purge. */
import type { Archive } from "../archive/archive.ts";
import type { Quarantined, QuarantineFilter } from "../archive/quarantine.ts";
import { ArchiveError } from "../errors.ts";
import type { Command } from "./command.ts";
import { sentence } from "./import-arguments.ts";
import { count } from "./import-report.ts";
import { parseQuarantineArguments, type QuarantineArguments } from "./quarantine-arguments.ts";
import { withArchive } from "./with-archive.ts";

const usage = `Usage: noctis quarantine list [options]
       noctis quarantine retry ID... | --all [options]
       noctis quarantine purge ID... | --all [options]

Files that could not be stored for what is in them, and that a server has kept with QUARANTINE=true. Works with the database and
the object store of the settings; a server may run meanwhile, or not.

  list   what there is: number, when it came last, size, reason, name or part, and what is wrong
  retry  stores files as if they came again, after an update for instance; what can be stored leaves quarantine
  purge  removes files for good

Options:
  --all              every file, or every one that the options below name
  --reason CODE      only those with this reason, such as truncated-dicom
  --older-than DAYS  only those that came last before so many days
  --json             print one JSON document a line instead of text (list and retry)
  --help             show this text

Exit code: 0 when all was done, 1 when a file could not be stored or is not there, 2 when the arguments are not understood.`;

/** Files that are listed at a time. */
const pageSize = 500;

/** The subcommand. */
export const quarantineCommand: Command = {
  name: "quarantine",
  summary: "list, try again or purge files that could not be stored",
  usage,
  async run(args) {
    let parsed: QuarantineArguments;
    try {
      parsed = parseQuarantineArguments(args);
    } catch (error) {
      console.error(`${sentence(error)}\n\n${usage}`);
      return 2;
    }
    return withArchive(({ archive }, signal) => actions[parsed.action](archive.quarantine, parsed, signal));
  },
};

type Quarantine = Archive["quarantine"];
type Action = (quarantine: Quarantine, wanted: QuarantineArguments, signal: AbortSignal) => Promise<number>;

const actions: Readonly<Record<QuarantineArguments["action"], Action>> = {
  list: async (quarantine, { filter, json }) => {
    let files = 0;
    for await (const file of every(quarantine, filter)) {
      files += 1;
      console.log(json ? JSON.stringify(file) : lineOf(file));
    }
    if (!json) console.log(`${count(files, "file")} in quarantine.`);
    return 0;
  },
  retry: async (quarantine, { ids, filter, json }, signal) => {
    const asked = ids ?? (await idsOf(quarantine, filter));
    let stored = 0;
    for (const id of asked) {
      if (signal.aborted) break;
      const { isStored, outcome } = await retried(quarantine, id);
      if (isStored) stored += 1;
      console.log(json ? JSON.stringify({ id, ...outcome }) : `${id}  ${outcome.status}  ${outcome.detail}`.trimEnd());
    }
    if (!json) console.log(`${stored} of ${count(asked.length, "file")} left quarantine.`);
    return stored === asked.length ? 0 : 1;
  },
  purge: async (quarantine, { ids, filter }) => {
    if (ids === undefined) {
      console.log(`${count(await quarantine.purgeAll(filter), "file")} purged.`);
      return 0;
    }
    let purged = 0;
    for (const id of ids) {
      try {
        await quarantine.purge(id);
        purged += 1;
      } catch (error) {
        console.error(`${id}  ${refusal(error).message}`);
      }
    }
    console.log(`${count(purged, "file")} purged.`);
    return purged === ids.length ? 0 : 1;
  },
};

async function retried(quarantine: Quarantine, id: number) {
  try {
    const { status, sopInstanceUid } = await quarantine.retry(id);
    return { isStored: true, outcome: { status, detail: sopInstanceUid } };
  } catch (error) {
    const { code, message } = refusal(error);
    return { isStored: false, outcome: { status: code, detail: message } };
  }
}

/** What is wrong with one file; when the storage is, the command ends. */
function refusal(error: unknown): ArchiveError {
  if (error instanceof ArchiveError && error.answer.httpStatus < 500) return error;
  throw error;
}

async function* every(quarantine: Quarantine, filter: QuarantineFilter): AsyncGenerator<Quarantined> {
  let before: number | undefined;
  do {
    const page = await quarantine.list({ ...filter, limit: pageSize, before });
    yield* page;
    before = page.length < pageSize ? undefined : page.at(-1)?.id;
  } while (before !== undefined);
}

/** All of them before the first is tried: what fails stays, and is not tried twice. */
async function idsOf(quarantine: Quarantine, filter: QuarantineFilter): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of every(quarantine, filter)) ids.push(id);
  return ids.toReversed();
}

function lineOf({ id, lastAt, byteLength, reason, name, part, count: times, detail }: Quarantined): string {
  const called = name ?? (part === null ? "" : `part ${part}`);
  const often = times === 1 ? "" : `(${times} times)`;
  return [id, lastAt.toISOString(), byteLength, reason, called, often, detail].filter((word) => word !== "").join("  ");
}
