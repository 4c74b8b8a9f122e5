/** After a restore: numbers that clients may know from after the backup are not given again, and no time has passed. */
import type { Knex } from "knex";
import { databaseError } from "./database-error.ts";

/** Changes that nobody makes between a backup and its restore. */
const changesSkipped = 1_000_000_000;

/** What else a client remembers by its number: an old one must not mean, say, the removal of another patient. */
const idsSkipped = 1_000_000;
const idsThatClientsKnow = ["removal", "hold", "retention_rule", "quarantine", "conflict", "job"];

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

/**
 * What could be restored at the moment of the backup can be for as long as then: the first sweep would purge it otherwise,
 * though it may be what the restore is made for. @throws ArchiveError `database-unavailable`
 */
export async function keepRemovals(trx: Knex.Transaction, takenAt: Date): Promise<void> {
  const kept_until = trx.raw("kept_until + greatest(now() - ?::timestamptz, interval '0')", [takenAt.toISOString()]);
  await databaseError(
    async () => void (await trx("removal").whereRaw("kept_until > ?", [takenAt]).update({ kept_until })),
  );
}
