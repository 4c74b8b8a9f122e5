/** Locks that processes share, and background work under them. */
import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startBackground } from "../../server/background.ts";
import { createLog, type Log } from "../../server/log.ts";
import { createLocks } from "../../storage/catalog-locks.ts";
import { connectDatabase } from "../../storage/database.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

describe("background work", () => {
  let database: TestDatabase;

  before(async () => {
    database = await testDatabase();
  });
  after(() => database.drop());

  /** Locks as another process has them. */
  async function otherProcess(t: TestContext) {
    const knex = await connectDatabase({ url: database.url, poolSize: 2 });
    t.after(() => knex.destroy());
    return { knex, withLock: createLocks(knex) };
  }

  it("does not let two hold one lock, in one process or in two, and frees it when the work throws", async (t) => {
    const withLock = createLocks(database.knex);
    const other = await otherProcess(t);
    const ran = await withLock("a", async () => {
      assert.equal(await withLock("a", async () => assert.fail("held here")), false);
      assert.equal(await other.withLock("a", async () => assert.fail("held there")), false);
      assert.equal(await other.withLock("b", async () => undefined), true);
    });
    assert.equal(ran, true);
    const failing = withLock("a", async () => {
      throw new Error("the work failed");
    });
    await assert.rejects(failing, { message: "the work failed" });
    assert.equal(await other.withLock("a", async () => undefined), true);
  });

  it("holds many locks over one connection of the pool, and gives it back", async (t) => {
    const { knex, withLock } = await otherProcess(t);
    const names = Array.from({ length: 8 }, (_, index) => `many/${index}`);
    const ran = await Promise.all(
      names.map((name) => withLock(name, async () => void (await knex.raw("select pg_sleep(0.02)")))),
    );
    assert.deepEqual(new Set(ran), new Set([true]));
    assert.equal(knex.client.pool.numUsed(), 0);
  });

  it("frees the lock of a process whose connection is lost, and takes another connection", async (t) => {
    const one = await otherProcess(t);
    const other = createLocks(database.knex);
    await one.withLock("lost", async () => {
      await database.knex.raw(
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and database = " +
          "(select oid from pg_database where datname = current_database())",
      );
      await sleep(50);
      assert.equal(await other("lost", async () => undefined), true);
    });
    assert.equal(await one.withLock("lost", async () => undefined), true);
  });

  it("runs a task again and again, never two at once in two processes", async (t) => {
    const other = await otherProcess(t);
    const counted = { running: 0, runs: 0 };
    const task = {
      name: "counted",
      everySeconds: 0.001,
      run: async () => {
        assert.equal((counted.running += 1), 1);
        await sleep(3);
        counted.running -= 1;
        counted.runs += 1;
      },
    };
    const errors: string[] = [];
    const works = [createLocks(database.knex), other.withLock].map((withLock) =>
      startBackground([task], withLock, listening(errors)),
    );
    while (counted.runs < 20) await sleep(5);
    await Promise.all(works.map((work) => work.stop(5)));
    const ended = counted.runs;
    await sleep(20);
    assert.equal(counted.runs, ended);
    assert.deepEqual(errors, []);
  });

  it("logs a failure once, goes on, and waits for the run under way when it stops", async () => {
    const seen = { runs: 0, ended: false };
    const errors: string[] = [];
    const work = startBackground(
      [
        {
          name: "fails",
          everySeconds: 0.001,
          run: async () => {
            seen.runs += 1;
            throw new Error("no luck");
          },
        },
        {
          name: "slow",
          everySeconds: 60,
          run: async (signal) => {
            await sleep(10_000, undefined, { signal }).catch(() => undefined);
            await sleep(30);
            seen.ended = true;
          },
        },
      ],
      createLocks(database.knex),
      listening(errors),
    );
    while (seen.runs < 5) await sleep(5);
    await work.stop(5);
    assert.equal(seen.ended, true);
    assert.deepEqual(errors, ["background work failed; it is tried again"]);
  });
});

/** A log whose errors are kept. */
function listening(errors: string[]): Log {
  const silent = createLog("silent");
  return {
    debug: (fields: object, message?: string) => silent.debug(fields, message),
    info: (fields: object, message?: string) => silent.info(fields, message),
    warn: (fields: object, message?: string) => silent.warn(fields, message),
    error: (_fields: object, message?: string) => void errors.push(message ?? ""),
  };
}
