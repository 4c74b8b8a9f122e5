/** How far a restore is: a table that is there only until it has ended, so that nobody takes half an archive for one. */
import type { Knex } from "knex";
import { databaseError } from "./database-error.ts";

/** A restore that has begun and not ended. */
export interface RestoreState {
  readonly snapshot: string;
  /** Whether every row is there. */
  readonly rowsDone: boolean;
  /** Objects whose keys are at most this one are there; empty: none. */
  readonly objectsUntil: string;
}

/** No migration makes it. */
export const restoreTable = `create table restore_state (
  only_row boolean primary key default true check (only_row),
  snapshot text not null,
  rows_done boolean not null default false,
  objects_until text not null default ''
)`;

/** Undefined when no restore is under way. */
export async function readRestoreState(knex: Knex): Promise<RestoreState | undefined> {
  if (!(await knex.schema.hasTable("restore_state"))) return undefined;
  const row: RestoreState | undefined = await knex("restore_state").first({
    snapshot: "snapshot",
    rowsDone: "rows_done",
    objectsUntil: "objects_until",
  });
  return row;
}

/** Notes that the objects up to this key are there. */
export async function noteObjects(knex: Knex, objectsUntil: string): Promise<void> {
  await databaseError(async () => void (await knex("restore_state").update({ objects_until: objectsUntil })));
}

/** The restore has ended: archives may open. */
export async function finishRestore(knex: Knex): Promise<void> {
  await databaseError(() => knex.schema.dropTable("restore_state"));
}
