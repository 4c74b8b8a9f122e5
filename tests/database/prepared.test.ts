/** Prepared look-ups: planned once a connection, and found all the same where a pooler has taken the plan away. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { parseQuery } from "../../server/archive/query.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

describe("prepared look-ups", () => {
  let database: TestDatabase;

  before(async () => {
    database = await testDatabase();
    await database.knex.raw(
      `insert into study (study_instance_uid, accession_number, attributes)
       select '1.' || n, 'A' || n, '{}' from generate_series(1, 20) as n`,
    );
  });
  after(() => database.drop());

  async function find(query: Readonly<Record<string, string>>): Promise<string[]> {
    const { pages } = await createCatalog(database.knex).search(
      parseQuery({ level: "study" }, Object.entries(query)).search,
    );
    const found: string[] = [];
    for await (const rows of pages) found.push(...rows.map(({ studyInstanceUid }) => studyInstanceUid));
    return found;
  }

  async function prepared(): Promise<string[]> {
    const { rows } = await database.knex.raw<{ rows: { name: string }[] }>("select name from pg_prepared_statements");
    return rows.map(({ name }) => name);
  }

  it("share one plan, whatever the value, and other searches have none", async () => {
    assert.deepEqual(await find({ AccessionNumber: "A1" }), ["1.1"]);
    assert.deepEqual(await find({ AccessionNumber: "A20" }), ["1.20"]);
    assert.deepEqual(await find({ AccessionNumber: "*2" }), ["1.12", "1.2"]);
    const names = await prepared();
    assert.equal(names.length, 1);
    assert.match(names[0] ?? "", /^noctis_[0-9a-f]{40}$/);
  });

  it("are found where the statement is gone, from then on without one", async () => {
    await database.knex.raw("deallocate all");
    assert.deepEqual(await find({ AccessionNumber: "A3" }), ["1.3"]);
    assert.deepEqual(await find({ StudyInstanceUID: "1.4" }), ["1.4"]);
    assert.deepEqual(await prepared(), []);
  });

  it("are cancelled at PostgreSQL, and the connection goes on", async () => {
    const { knex } = database;
    const { search } = parseQuery({ level: "study" }, [["AccessionNumber", "A5"]]);
    const controller = new AbortController();
    await knex.transaction(async (trx) => {
      await trx.raw("lock table study in access exclusive mode");
      const searched = createCatalog(knex).search({ ...search, signal: controller.signal });
      const waiting = "select 1 from pg_locks where not granted and relation = 'study'::regclass";
      while ((await trx.raw<{ rows: unknown[] }>(waiting)).rows.length === 0);
      controller.abort();
      await assert.rejects(searched);
    });
    assert.deepEqual(await find({ AccessionNumber: "A5" }), ["1.5"]);
  });
});
