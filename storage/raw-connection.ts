/** Connections beside the pool, for work that holds one for minutes: dump and restore. */
import type { Knex } from "knex";
import type { Client } from "pg";

/** A connection of its own to the same database; statements on it take as long as they need. */
export async function connectBeside(knex: Knex): Promise<Client> {
  const client: Client = await knex.client.acquireRawConnection();
  try {
    await client.query("set statement_timeout = 0");
    await client.query("set idle_in_transaction_session_timeout = 0");
    return client;
  } catch (error) {
    await closeBeside(client);
    throw error;
  }
}

/** Ends it, whatever it is doing; never throws. */
export async function closeBeside(client: Client): Promise<void> {
  await client.end().catch(() => undefined);
}

/** A name as SQL writes it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
