/** The feed of changes on a real PostgreSQL: no gap, no repetition and no change missed, whatever writes meanwhile. */
import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import { type Catalog, createCatalog } from "../../storage/catalog.ts";
import type { Change } from "../../storage/catalog-changes.ts";
import { connectDatabase } from "../../storage/database.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { catalogRecord } from "../support/records.ts";

describe("the feed of changes", () => {
  let database: TestDatabase;
  let catalog: Catalog;

  before(async () => {
    database = await testDatabase();
    catalog = createCatalog(database.knex);
  });
  after(() => database.drop());

  async function otherProcess(t: TestContext): Promise<Catalog> {
    const knex = await connectDatabase({ url: database.url });
    t.after(() => knex.destroy());
    return createCatalog(knex);
  }

  it("misses nothing with 16 writers, deletions and three readers in two processes", async (t) => {
    const other = await otherProcess(t);
    const both = [catalog, other];
    const begin = await catalog.changes.last();
    const state = { writing: true, written: 0, removed: 0 };
    const readers = [7, 50, 1000].map(async (limit, index) => {
      const read: Change[] = [];
      let since = begin;
      while (true) {
        const last = !state.writing;
        const { changes } = await (both[index % 2] ?? catalog).changes.read(since, limit);
        read.push(...changes);
        since = changes.at(-1)?.sequence ?? since;
        if (changes.length === 0 && last) return read;
      }
    });
    const writers = Array.from({ length: 16 }, async (_, writer) => {
      const one = both[writer % 2] ?? catalog;
      for (let round = 0; round < 12; round += 1) {
        const series = `7.${writer % 5}`;
        const records = [0, 1, 2].map((number) => catalogRecord("7", series, `${series}.${writer}.${round}.${number}`));
        await one.commit(records);
        state.written += records.length;
        if (round % 4 !== 3) continue;
        const sopInstanceUid = `${series}.${writer}.${round}.1`;
        const selector = { studyInstanceUid: "7", seriesInstanceUid: series, sopInstanceUid };
        const removal = await one.removals.remove(selector, { keepDays: 7 });
        assert.ok(removal);
        state.removed += 1;
      }
    });
    await Promise.all(writers);
    state.writing = false;
    const [first = [], ...others] = await Promise.all(readers);
    assert.equal(first.length, state.written + state.removed);
    assert.deepEqual(
      first.map(({ sequence }) => sequence),
      first.map((_, index) => begin + 1 + index),
    );
    for (const read of others) assert.deepEqual(read, first);
    assert.equal(new Set(first.map(({ action, sopInstanceUid }) => `${action} ${sopInstanceUid}`)).size, first.length);
    const seen = new Set<string>();
    for (const { action, sopInstanceUid } of first) {
      if (action === "delete") assert.ok(seen.has(sopInstanceUid), "an instance is created before it is deleted");
      seen.add(sopInstanceUid);
    }
  });

  it("numbers what commits late after what was numbered meanwhile, and never holds a writer up", async () => {
    const begin = await catalog.changes.last();
    const insert = `insert into change (action, study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid, sha256)
       values ('create', '8', '8.1', ?, '1.2', '')`;
    const slow = await database.knex.transaction();
    await slow.raw(insert, ["slow"]);
    await database.knex.raw(insert, ["fast"]);
    const early = await catalog.changes.read(begin, 10);
    await slow.commit();
    const late = await catalog.changes.read(begin, 10);
    assert.deepEqual(
      early.changes.map(({ sopInstanceUid }) => sopInstanceUid),
      ["fast"],
    );
    assert.deepEqual(
      late.changes.map(({ sequence, sopInstanceUid }) => [sequence - begin, sopInstanceUid]),
      [
        [1, "fast"],
        [2, "slow"],
      ],
    );
  });

  it("numbers more than one batch, and reads on", async () => {
    const begin = await catalog.changes.last();
    await database.knex.raw(
      `insert into change (action, study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid, sha256)
       select 'create', '9', '9.1', number::text, '1.2', '' from generate_series(1, 25000) as number`,
    );
    const page = await catalog.changes.read(begin, 5);
    assert.deepEqual(
      page.changes.map(({ sopInstanceUid }) => sopInstanceUid),
      ["1", "2", "3", "4", "5"],
    );
    const far = await catalog.changes.read(begin + 24_998, 5);
    assert.deepEqual(
      far.changes.map(({ sopInstanceUid }) => sopInstanceUid),
      ["24999", "25000"],
    );
    assert.equal(await catalog.changes.last(), begin + 25_000);
  });

  it("forgets the oldest, and tells up to which", async () => {
    await database.knex("change").where("sequence", "<=", 40).update({ at: "2020-01-01" });
    await database.knex("change").where("sequence", 50).update({ at: "2020-01-01" });
    const forgotten = await catalog.changes.forget(30);
    assert.equal(forgotten, 40);
    const { changes, lastForgotten } = await catalog.changes.read(0, 1);
    assert.deepEqual([changes[0]?.sequence, lastForgotten], [41, 40]);
    assert.equal(await catalog.changes.forget(30), 0);
  });
});
