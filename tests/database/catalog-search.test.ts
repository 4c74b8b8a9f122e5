/** Searches of the catalog that take several pages: what they hold, and what others do in the meantime. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { parseQuery } from "../../server/archive/query.ts";
import { createCatalog } from "../../storage/catalog.ts";
import type { SearchRow } from "../../storage/catalog-search.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

const studies = 3000;

describe("a search of several pages", () => {
  let database: TestDatabase;

  before(async () => {
    database = await testDatabase();
    await database.knex.raw(
      `insert into study (study_instance_uid, study_date, patient_id, attributes)
       select '1.' || n, date '2020-01-01' + n / 2, 'P' || n / 3, '{}' from generate_series(1, ?) as n`,
      [studies],
    );
  });
  after(() => database.drop());

  it("answers what was there when it began, whatever is stored and removed while it is read", async () => {
    const { knex } = database;
    const { search } = parseQuery({ level: "study" }, [["limit", "2500"]]);
    const expected: { uid: string }[] = await knex("study")
      .select({ uid: "study_instance_uid" })
      .orderByRaw("study_date desc, id desc")
      .limit(2500);
    const { pages, last } = await createCatalog(knex).search(search);
    await knex.raw(
      `insert into study (study_instance_uid, study_date, attributes)
       select '2.' || n, date '2020-01-01' + n, '{}' from generate_series(1, 3000) as n`,
    );
    const removed = expected[1700]?.uid ?? assert.fail();
    await knex("study").where("study_instance_uid", removed).delete();
    const found: string[] = [];
    for await (const rows of pages) found.push(...rows.map(({ studyInstanceUid }) => studyInstanceUid));
    assert.deepEqual(
      found,
      expected.map(({ uid }) => uid).filter((uid) => uid !== removed),
    );
    const { pages: rest } = await createCatalog(knex).search({ ...search, ...(last && { behind: last }) });
    const following: SearchRow[] = [];
    for await (const rows of rest) following.push(...rows);
    assert.equal(following.filter(({ studyInstanceUid }) => studyInstanceUid.startsWith("1.")).length, 500);
    await knex("study").where("study_instance_uid", "like", "2.%").delete();
  });

  it("holds no connection between pages, and takes one statement for the first", async () => {
    const { knex } = database;
    let statements = 0;
    const count = () => (statements += 1);
    knex.on("query", count);
    const single = await createCatalog(knex).search(parseQuery({ level: "study" }, []).search);
    assert.equal(statements, 1);
    assert.notEqual(single.last, undefined);
    const many = await createCatalog(knex).search(parseQuery({ level: "study" }, [["limit", "3000"]]).search);
    assert.equal(statements, 3);
    const lengths: number[] = [];
    for await (const rows of many.pages) {
      lengths.push(rows.length);
      assert.equal(knex.client.pool.numUsed(), 0);
    }
    assert.ok(Math.max(...lengths) <= 1000 && lengths.length > 2, lengths.join());
    assert.equal(statements, 3 + lengths.length - 1);
    knex.removeListener("query", count);
  });
});
