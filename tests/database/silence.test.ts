/** A database that does not answer any more, without a word: nobody waits for ever, and nothing is lost. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
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
