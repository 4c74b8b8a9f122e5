/** A database that does not answer any more, without a word: nobody waits for ever, and nothing is lost. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Knex } from "knex";
import { createArchive } from "../../server/archive/archive.ts";
import { createLog } from "../../server/log.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { connectDatabase } from "../../storage/database.ts";
import { startForwarder } from "../support/forwarder.ts";
import { instanceFile } from "../support/instances.ts";
import { testDatabase } from "../support/postgres.ts";

describe("a database that is silent", () => {
  /** An archive whose database can be made silent, at once or when a statement of `when` is sent. */
  async function setUp(t: TestContext) {
    const database = await testDatabase();
    const folder = await mkdtemp(path.join(tmpdir(), "noctis-silence-"));
    const address = new URL(database.url);
    const target = Number(address.port);
    const forwarder = await startForwarder(target);
    address.port = String(forwarder.port);
    const knex = await connectDatabase({ url: address.href, statementTimeout: 300, silenceTimeout: 200 });
    t.after(async () => {
      await knex.destroy();
      await forwarder.close();
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    });
    const blobs = await openFileBlobs({ folder });
    const archive = createArchive({ blobs, catalog: createCatalog(knex), log: createLog("silent") });
    let silentAt: RegExp | undefined;
    knex.on("query", ({ sql }: { readonly sql: string }) => {
      if (silentAt?.test(sql) === true) forwarder.silence();
    });
    return {
      store: (file = instanceFile()) => archive.store(bodyOf(file.bytes)),
      knex: database.knex,
      becomeSilentAt: (when: RegExp) => {
        silentAt = when;
      },
      answer: async () => {
        silentAt = undefined;
        await forwarder.close();
        await forwarder.open(target);
      },
      keys: async () => {
        const keys: string[] = [];
        for await (const { key } of blobs.list()) keys.push(key);
        return keys;
      },
    };
  }

  it("fails stores in time, leaves no object of what was never written, and serves again", async (t) => {
    const { store, becomeSilentAt, answer, keys, knex } = await setUp(t);
    assert.equal((await store()).status, "stored");
    becomeSilentAt(/^insert into "instance"/);
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => store()));
    for (const outcome of outcomes) {
      assert.ok(outcome.status === "failed");
      assert.equal(outcome.error.code, "database-unavailable");
    }
    await answer();
    assert.equal((await store()).status, "stored");
    assert.equal((await keys()).length, 2, "those that are stored");
    assert.deepEqual(await knex("sweep"), []);
  });

  it("lets transactions and connections live that are silent because nobody asks them", async (t) => {
    const database = await testDatabase();
    const warnings: string[] = [];
    const log = { ...createLog("silent"), warn: (_fields: object, message: string) => void warnings.push(message) };
    const knex = await connectDatabase({
      url: database.url,
      statementTimeout: 100,
      silenceTimeout: 50,
      poolSize: 2,
      log,
    });
    t.after(async () => {
      await knex.destroy();
      await database.drop();
    });
    const pidOf = async (on: Knex) => {
      const { rows }: { rows: { pid: number }[] } = await on.raw("select pg_backend_pid() as pid");
      return rows[0]?.pid;
    };
    const pid = await knex.transaction(async (trx) => {
      const first = await pidOf(trx);
      await sleep(400);
      assert.equal(await pidOf(trx), first);
      return first;
    });
    await knex.transaction(async (trx) => {
      await trx.raw("set local statement_timeout = 0");
      await trx.raw("select pg_sleep(0.4)");
    });
    await sleep(400);
    assert.equal(await pidOf(knex), pid, "the connection is the same");
    assert.deepEqual(warnings, []);
  });

  it("leaves an object whose commit was not confirmed to the sweep, which finds it in use", async (t) => {
    const { store, becomeSilentAt, answer, knex, keys } = await setUp(t);
    assert.equal((await store()).status, "stored");
    becomeSilentAt(/^COMMIT/);
    const file = instanceFile();
    const outcome = await store(file);
    assert.ok(outcome.status === "failed");
    assert.equal(outcome.error.code, "database-unavailable");
    await answer();
    assert.equal((await store(file)).status, "already-stored", "it had been committed");
    const rows: string[] = await knex("instance").pluck("blob_key");
    assert.deepEqual((await keys()).toSorted(), rows.toSorted());
  });
});

async function* bodyOf(bytes: Buffer) {
  yield bytes;
}
