/** Ends connections that do not answer any more: the limit on statements is the server's, which may be gone. */
import type { Knex } from "knex";
import type { Client } from "pg";

/** What Knex tells of a statement when it begins and when it ends. */
interface Statement {
  /** Names the connection. */
  readonly __knexUid: string;
  /** Names the statement. BEGIN, COMMIT and ROLLBACK have none, and Knex tells nothing of their end: the connection does. */
  readonly __knexQueryUid?: string | undefined;
  /** Names the transaction, when it is in one. */
  readonly __knexTxId?: string | undefined;
  readonly sql: string;
}

/** A statement that takes the limit of the server's away, and with it this one, for its transaction. */
const takesLimitAway = /^set local statement_timeout = 0/i;

/** The watch over the connections of one pool. */
export interface SilenceWatch {
  /** Is told of every new connection. */
  readonly add: (client: Client) => void;
  /** Begins to watch. */
  readonly start: (knex: Knex) => void;
}

/** A watch that ends a connection when a statement on it has had no answer for `limit` milliseconds. */
export function createSilenceWatch(limit: number): SilenceWatch {
  const clients = new Map<string, Client>();
  const waiting = new Map<string, NodeJS.Timeout>();
  const unlimited = new Set<string>();

  const begin = ({ __knexUid, __knexQueryUid, __knexTxId = "", sql }: Statement) => {
    if (takesLimitAway.test(sql)) unlimited.add(__knexTxId);
    if (unlimited.has(__knexTxId)) return;
    const name = __knexQueryUid ?? __knexUid;
    const end = () => {
      waiting.delete(name);
      // Under a statement, this destroys the socket: whoever waits for the answer is told.
      void clients.get(__knexUid)?.end();
    };
    done(name);
    waiting.set(name, setTimeout(end, limit).unref());
  };
  const done = (name: string) => {
    clearTimeout(waiting.get(name));
    waiting.delete(name);
  };
  const ended = ({ __knexQueryUid }: Statement) => {
    if (__knexQueryUid !== undefined) done(__knexQueryUid);
  };

  return {
    add: (client) => {
      if (!("__knexUid" in client) || typeof client.__knexUid !== "string") return;
      const uid = client.__knexUid;
      clients.set(uid, client);
      client.on("drain", () => done(uid));
      client.once("end", () => {
        done(uid);
        clients.delete(uid);
      });
    },
    start: (knex) => {
      knex.on("query", begin);
      knex.on("query-response", (_response: unknown, statement: Statement) => ended(statement));
      knex.on("query-error", (_error: unknown, statement: Statement) => ended(statement));
    },
  };
}
