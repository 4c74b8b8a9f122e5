/** After a restore: numbers that clients may know from after the backup are not given again. */
import type { Knex } from "knex";
import { databaseError } from "./database-error.ts";

/** Changes that nobody makes between a backup and its restore. */
const changesSkipped = 1_000_000_000;

/** What else a client remembers by its number: an old one must not mean, say, the removal of another patient. */
const idsSkipped = 1_000_000;
const idsThatClientsKnow = ["removal", "hold", "retention_rule", "quarantine", "conflict"];

/**
 * Goes on with higher numbers. Who has followed the feed of changes beyond the backup is told so, and misses nothing.
 * @throws ArchiveError `database-unavailable`
 */
export async function skipNumbers(trx: Knex.Transaction): Promise<void> {
  await databaseError(async () => {
    await trx.raw(
      `update change_counter set restored_from = last_sequence, restored_to = last_sequence + :skipped,
         last_sequence = last_sequence + :skipped`,
      { skipped: changesSkipped },
    );
    for (const table of idsThatClientsKnow) {
      const sequence = `${table}_id_seq`;
      await trx.raw("select setval(?, nextval(?) + ?)", [sequence, sequence, idsSkipped]);
    }
  });
}
