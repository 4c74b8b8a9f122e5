/** Objects of stores whose commit failed: on the list of the sweep, which leaves those that a row names after all. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { createArchive } from "../../server/archive/archive.ts";
import { createLog } from "../../server/log.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { connectDatabase } from "../../storage/database.ts";
import { startForwarder } from "../support/forwarder.ts";
import { instanceFile } from "../support/instances.ts";
import { testDatabase } from "../support/postgres.ts";

describe("a store whose commit fails", () => {
  it("leaves its object to the sweep, also when only the answer was lost", async (t) => {
    const database = await testDatabase();
    const folder = await mkdtemp(path.join(tmpdir(), "noctis-orphans-"));
    t.after(async () => {
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    });
    const { knex } = database;
    const real = createCatalog(knex);
    const blobs = await openFileBlobs({ folder });
    let isAnswerLost = false;
    const catalog: typeof real = {
      ...real,
      commit: async (records, options) => {
        if (isAnswerLost) await real.commit(records, options);
        throw new Error("the connection broke");
      },
    };
    const archive = createArchive({ blobs, catalog, log: createLog("silent") });
    async function* body(bytes: Buffer) {
      yield bytes;
    }
    assert.equal((await archive.store(body(instanceFile().bytes))).status, "failed");
    isAnswerLost = true;
    const file = instanceFile();
    assert.equal((await archive.store(body(file.bytes))).status, "failed");
    const objects = async () => {
      const keys: string[] = [];
      for await (const { key } of blobs.list()) keys.push(key);
      return keys;
    };
    await archive.sweep(AbortSignal.timeout(5000));
    assert.equal((await objects()).length, 2, "not yet");
    await knex("sweep").update({ since: knex.raw("since - interval '25 hours'") });
    await archive.sweep(AbortSignal.timeout(5000));
    const rows: { blob_key: string }[] = await knex("instance").select("blob_key");
    assert.equal(rows.length, 1);
    assert.deepEqual(
      await objects(),
      rows.map(({ blob_key }) => blob_key),
    );
    assert.deepEqual(await knex("sweep"), []);
  });

  it("leaves no object when the database was never asked to commit", async (t) => {
    const database = await testDatabase();
    const folder = await mkdtemp(path.join(tmpdir(), "noctis-orphans-"));
    const direct = new URL(database.url);
    const forwarder = await startForwarder(Number(direct.port));
    direct.port = String(forwarder.port);
    const knex = await connectDatabase({ url: direct.href });
    t.after(async () => {
      await knex.destroy();
      await forwarder.close();
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    });
    const blobs = await openFileBlobs({ folder });
    const archive = createArchive({ blobs, catalog: createCatalog(knex), log: createLog("silent") });
    async function* body(bytes: Buffer) {
      yield bytes;
    }
    await forwarder.close();
    const refused = await archive.store(body(instanceFile().bytes));
    assert.equal(refused.status === "failed" && refused.error.code, "database-unavailable");
    for await (const { key } of blobs.list()) assert.fail(`${key} stays`);
    await forwarder.open(Number(new URL(database.url).port));
    assert.equal((await archive.store(body(instanceFile().bytes))).status, "stored");
  });
});
