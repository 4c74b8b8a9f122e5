/** Keys of names for rows that were written before there were any. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fillNameKeys } from "../../server/archive/fill-name-keys.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { testDatabase, type TestDatabase } from "../support/postgres.ts";

describe("keys of names of older rows", () => {
  let database: TestDatabase;
  before(async () => {
    database = await testDatabase();
  });
  after(() => database.drop());

  it("are filled in for every row, beyond one batch, and once", async () => {
    const { knex } = database;
    const name = JSON.stringify({ "00100010": { vr: "PN", Value: [{ Alphabetic: "Müller^Hans" }] } });
    await knex.raw(
      `insert into study (study_instance_uid, attributes, name_keys)
       select '1.' || n, case when n = 7 then '{}' else ?::jsonb end, case when n = 8 then array['kept'] end
       from generate_series(1, 1200) as n`,
      [name],
    );
    const catalog = createCatalog(knex);
    await fillNameKeys(catalog, new AbortController().signal);
    const rows: { n: string; keys: string[] | null }[] = await knex("study")
      .select({ n: "study_instance_uid", keys: "name_keys" })
      .whereIn("study_instance_uid", ["1.1", "1.7", "1.8", "1.1200"])
      .orderBy("id");
    const expected = ["00100010=muller", "00100010~MLR", "00100010=hans", "00100010~HNS"];
    assert.deepEqual(rows, [
      { n: "1.1", keys: expected },
      { n: "1.7", keys: [] },
      { n: "1.8", keys: ["kept"] },
      { n: "1.1200", keys: expected },
    ]);
    assert.deepEqual(await knex("study").whereNull("name_keys"), []);
    assert.deepEqual(await catalog.nameKeys.missing("instance", 10), []);
  });
});
