/** The verification that the archive makes by itself: when it is due, in idle time, and taken up by whichever process. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createArchive } from "../../server/archive/archive.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import type { Blobs } from "../../storage/blobs.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { connectDatabase } from "../../storage/database.ts";
import { instanceFile } from "../support/instances.ts";
import { testDatabase } from "../support/postgres.ts";
import { bodyOf } from "./verifications.ts";

const forever = new AbortController().signal;
const atOnce = async () => undefined;

describe("the verification in the background", () => {
  /** An archive that was made long ago, which several processes may open. */
  async function old(t: TestContext, verification = { everyDays: 30, removeOrphans: false }) {
    const database = await testDatabase();
    const folder = await mkdtemp(path.join(tmpdir(), "noctis-verify-"));
    t.after(async () => {
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    });
    const { knex } = database;
    await knex("archive_state").update({ made_at: knex.raw("now() - interval '2 days'") });
    const files = await openFileBlobs({ folder });
    const read: string[] = [];
    const logged: string[] = [];
    const blobs: Blobs = {
      ...files,
      get: async (key, range) => {
        read.push(key);
        return files.get(key, range);
      },
    };
    const keep = (_fields: object, message: string) => void logged.push(message);
    const log = { debug: keep, info: keep, warn: keep, error: keep };
    const open = (pool = knex) => createArchive({ blobs, catalog: createCatalog(pool), log, verification });
    return { database, knex, blobs, read, logged, open };
  }

  it("reads everything once when it is due, and begins again when the days are over", async (t) => {
    const { knex, open, read, logged } = await old(t);
    const archive = open();
    for (let count = 0; count < 3; count += 1) await archive.store(bodyOf(instanceFile().bytes));
    const run = () => archive.integrity.verifyInBackground(forever, atOnce);
    await knex("archive_state").update({ made_at: knex.raw("now() - interval '2 hours'") });
    await run();
    assert.equal(read.length, 0, "an archive of today");
    await knex("archive_state").update({ made_at: knex.raw("now() - interval '2 days'") });
    await run();
    assert.deepEqual([read.length, logged], [3, ["every object was verified"]]);
    await run();
    assert.equal(read.length, 3);
    await knex("integrity_run").update({ started_at: knex.raw("now() - interval '31 days'") });
    await run();
    assert.equal(read.length, 6);
    const { everyDays, lastFinished } = await archive.integrity.status();
    assert.deepEqual([everyDays, lastFinished?.objects, lastFinished?.share], [30, 3, 1]);
  });

  it("does nothing when it is switched off", async (t) => {
    const { open, knex } = await old(t, { everyDays: 0, removeOrphans: false });
    await open().integrity.verifyInBackground(forever, atOnce);
    assert.deepEqual(await knex("integrity_run"), []);
  });

  it("stops in the middle, and another process goes on", async (t) => {
    const { database, open, read, knex } = await old(t);
    const archive = open();
    for (let count = 0; count < 12; count += 1) await archive.store(bodyOf(instanceFile().bytes));
    const stopping = new AbortController();
    await archive.integrity.verifyInBackground(stopping.signal, async () => {
      if (read.length >= 5) stopping.abort();
      stopping.signal.throwIfAborted();
    });
    const [state] = await knex("integrity_run");
    assert.ok(read.length >= 5 && read.length < 12, String(read.length));
    assert.equal(state.finished_at, null);
    const pool = await connectDatabase({ url: database.url, poolSize: 3 });
    t.after(() => pool.destroy());
    await open(pool).integrity.verifyInBackground(forever, atOnce);
    assert.deepEqual((await knex("integrity_run")).length, 1);
    assert.equal(new Set(read).size, 12);
    assert.ok(read.length <= 12 + 8, "at most one step twice");
  });

  it("reads nothing while requests are under way", async (t) => {
    const { open, read } = await old(t);
    const archive = open();
    for (let count = 0; count < 3; count += 1) await archive.store(bodyOf(instanceFile().bytes));
    const state = { asked: 0, idle: false };
    const quiet = async () => {
      state.asked += 1;
      while (!state.idle) await sleep(2);
    };
    const work = archive.integrity.verifyInBackground(forever, quiet);
    while (state.asked === 0) await sleep(2);
    await sleep(50);
    const meanwhile = read.length;
    state.idle = true;
    await work;
    assert.deepEqual([meanwhile, read.length], [0, 3]);
  });

  it("removes orphans of which nobody was told only when it may, and not at once", async (t) => {
    const withOrphan = async (removeOrphans: boolean) => {
      const { blobs, knex } = await old(t);
      const { key } = await blobs.put(bodyOf(instanceFile().bytes));
      const aged: Blobs = {
        ...blobs,
        list: async function* list(prefix) {
          for await (const entry of blobs.list(prefix)) {
            const modifiedAt = new Date(entry.modifiedAt.getTime() - (entry.key === key ? 25 * 3600_000 : 0));
            yield { ...entry, modifiedAt };
          }
        },
      };
      const catalog = createCatalog(knex);
      const log = { debug: atOnce, info: atOnce, warn: atOnce, error: atOnce };
      const archive = createArchive({ blobs: aged, catalog, log, verification: { everyDays: 30, removeOrphans } });
      await archive.integrity.verifyInBackground(forever, atOnce);
      await archive.sweep(AbortSignal.timeout(5000));
      assert.ok(await blobs.stat(key), "still there");
      const [listed] = await knex("sweep").where("since", ">", knex.raw("now() + interval '6 days'")).pluck("blob_key");
      const faults = await archive.integrity.faults({ limit: 5, after: 0, state: "open" });
      return { listed: listed === key, faults: faults.map(({ kind }) => kind) };
    };
    assert.deepEqual(await withOrphan(false), { listed: false, faults: ["orphan"] });
    assert.deepEqual(await withOrphan(true), { listed: true, faults: [] });
  });
});
