/** Locks by name that all processes on one database share: what one of them works at, the others leave alone. */
import type { Knex } from "knex";
import type { Client } from "pg";
import { databaseError } from "./database-error.ts";

/** Runs `work` unless somebody, here or in another process, holds the lock of `name`; tells whether it ran. */
export type WithLock = (name: string, work: () => Promise<void>) => Promise<boolean>;

/** How long (milliseconds) a question may take: it never waits for a lock. */
const patience = 30_000;

/** One connection of the pool that carries all locks of this process, however many there are. */
interface Session {
  readonly client: Promise<Client>;
  users: number;
  /** The question under way: a connection takes one at a time. */
  asking: Promise<unknown>;
}

/**
 * Advisory locks of PostgreSQL: one that is held by a process that dies, or loses its connection, is free again.
 * While any is held, one connection of the pool is in use. Throws ArchiveError `database-unavailable`, and what `work` throws.
 */
export function createLocks(knex: Knex): WithLock {
  /** A connection may take a lock that it has a second time, so that names are told apart here, too. */
  const held = new Set<string>();
  let current: Session | undefined;

  function borrow(): Session {
    current ??= { client: acquire(knex), users: 0, asking: Promise.resolve() };
    current.users += 1;
    return current;
  }

  async function giveBack(session: Session): Promise<void> {
    session.users -= 1;
    if (session.users > 0) return;
    if (current === session) current = undefined;
    const client = await session.client.catch(() => undefined);
    if (client) await knex.client.releaseConnection(client);
  }

  /** A connection that failed is closed, which frees its locks; the pool makes another. */
  async function abandon(session: Session): Promise<void> {
    if (current === session) current = undefined;
    const client = await session.client.catch(() => undefined);
    await client?.end().catch(() => undefined);
  }

  async function ask(session: Session, question: string, name: string): Promise<boolean> {
    const text = `select ${question}(hashtextextended($1, 0)) as yes`;
    const asked = { text, values: [`noctis/${name}`], query_timeout: patience };
    const answer = session.asking.then(async () => {
      const client = await session.client;
      return client.query<{ yes: boolean }>(asked);
    });
    session.asking = answer.catch(() => undefined);
    return (await answer).rows[0]?.yes ?? false;
  }

  async function locked(session: Session, name: string, work: () => Promise<void>): Promise<boolean> {
    try {
      if (!(await ask(session, "pg_try_advisory_lock", name))) return false;
    } catch (error) {
      await abandon(session);
      throw error;
    }
    try {
      await work();
      return true;
    } finally {
      await ask(session, "pg_advisory_unlock", name).catch(() => abandon(session));
    }
  }

  return async (name, work) => {
    if (held.has(name)) return false;
    held.add(name);
    try {
      return await databaseError(async () => {
        const session = borrow();
        try {
          return await locked(session, name, work);
        } finally {
          await giveBack(session);
        }
      });
    } finally {
      held.delete(name);
    }
  };
}

/** A connection out of the pool. Knex does not say what type its client has. */
async function acquire(knex: Knex): Promise<Client> {
  const client: Client = await knex.client.acquireConnection();
  return client;
}
