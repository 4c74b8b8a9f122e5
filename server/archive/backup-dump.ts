/** Writes the tables of a snapshot of the database, and the list of the objects that they need, into a backup. */
import type { Blobs } from "../../storage/blobs.ts";
import type { DatabaseSnapshot } from "../../storage/database-dump.ts";
import { ArchiveError } from "../errors.ts";
import { type Manifest, objectListKey, tableKey } from "./backup-layout.ts";
import { linesOf } from "./backup-lists.ts";
import { putCompressed } from "./backup-target.ts";

/** The part of a manifest that comes from the database. */
export type Dumped = Pick<Manifest, "migrations" | "tables" | "sequences" | "objects">;

/** @throws ArchiveError of the target, `database-unavailable` */
export async function dumpDatabase(
  database: DatabaseSnapshot,
  target: Blobs,
  snapshot: string,
  signal: AbortSignal,
): Promise<Dumped> {
  const tables: Manifest["tables"] = [];
  for (const table of database.tables) {
    signal.throwIfAborted();
    const counted = { rows: 0 };
    const file = await putCompressed(
      target,
      tableKey(snapshot, table.name),
      countingRows(database.read(table), counted, signal),
    );
    tables.push({ name: table.name, columns: [...table.columns], rows: counted.rows, ...file });
  }
  const totals = { count: 0, totalBytes: 0 };
  const list = await putCompressed(target, objectListKey(snapshot), addingUp(database.readObjects(), totals, signal));
  if (!(await database.isCurrent())) {
    throw new ArchiveError(
      "backup-under-way",
      "A newer version of Noctis changed the schema of the database meanwhile: make the backup again.",
    );
  }
  return {
    migrations: [...database.migrations],
    tables,
    sequences: [...database.sequences],
    objects: { ...list, ...totals },
  };
}

/** The text format of COPY ends each row, and nothing else, with a line feed. */
async function* countingRows(chunks: AsyncIterable<Buffer>, counted: { rows: number }, signal: AbortSignal) {
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) counted.rows += 1;
    yield chunk;
  }
}

async function* addingUp(
  chunks: AsyncIterable<Buffer>,
  totals: { count: number; totalBytes: number },
  signal: AbortSignal,
) {
  for await (const lines of linesOf(chunks)) {
    signal.throwIfAborted();
    for (const line of lines) totals.totalBytes += Number(line.slice(line.lastIndexOf("\t") + 1));
    totals.count += lines.length;
    yield Buffer.from(`${lines.join("\n")}\n`, "latin1");
  }
}
