/** Holds against removals in other processes: whichever came first is regarded by the other. */
import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Knex } from "knex";
import { type Catalog, createCatalog } from "../../storage/catalog.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { catalogRecord } from "../support/records.ts";

describe("holds and removals at once", () => {
  let database: TestDatabase;
  let catalog: Catalog;

  before(async () => {
    database = await testDatabase();
    catalog = createCatalog(database.knex);
  });
  after(() => database.drop());

  const keepDays = 7;

  /** A transaction that ends with the test. */
  async function openTransaction(t: TestContext): Promise<Knex.Transaction> {
    const transaction = await database.knex.transaction();
    t.after(() => transaction.rollback());
    return transaction;
  }

  /** Resolves when somebody waits for a lock on the table of holds. */
  async function somebodyWaits(): Promise<void> {
    for (let look = 0; look < 500; look += 1) {
      const { rows }: { rows: unknown[] } = await database.knex.raw(
        "select 1 from pg_locks where relation = 'hold'::regclass and not granted",
      );
      if (rows.length > 0) return;
      await sleep(10);
    }
    assert.fail("nobody waited");
  }

  it("a removal waits for a hold that is being placed, and then leaves the study", async (t) => {
    await catalog.commit([catalogRecord("1.1", "1.1.1", "1.1.1.1")]);
    const placing = await openTransaction(t);
    await placing("hold").insert({ study_instance_uid: "1.1", reason: "first" });
    const removal = catalog.removals.remove({ studyInstanceUid: "1.1" }, { keepDays });
    removal.catch(() => undefined);
    await somebodyWaits();
    await placing.commit();
    await assert.rejects(removal, { code: "held", message: /\(first\)/ });
    assert.equal((await catalog.findSeries({ studyInstanceUid: "1.1" })).length, 1);
  });

  it("a hold is placed when the removals under way have ended, and not before", async (t) => {
    await catalog.commit([catalogRecord("2.1", "2.1.1", "2.1.1.1")]);
    const removing = await openTransaction(t);
    await removing.raw("lock table hold in share mode");
    const placing = catalog.holds.place({ studyInstanceUid: "2.1", reason: "second" });
    await somebodyWaits();
    assert.deepEqual(
      await catalog.holds.list({ past: true, limit: 1, before: 1e9 }).then(([one]) => one?.reason),
      "first",
    );
    await removing.commit();
    assert.equal((await placing).reason, "second");
  });

  it("a replacement waits for a hold that is being placed, and keeps what is there", async (t) => {
    const record = catalogRecord("3.1", "3.1.1", "3.1.1.1");
    await catalog.commit([record]);
    const placing = await openTransaction(t);
    await placing("hold").insert({ study_instance_uid: "3.1", reason: "third" });
    const other = { ...record, instance: { ...record.instance, blobKey: "aa/other", sha256: Buffer.from([1]) } };
    const replacing = catalog.commit([other], { replaceKeepingDays: keepDays });
    await somebodyWaits();
    await placing.commit();
    const [outcome] = await replacing;
    assert.ok(outcome?.status === "duplicate" && outcome.hold?.reason === "third" && !outcome.identical);
  });

  it("many removals and holds of the same studies end, each hold regarded by what follows it", async () => {
    const studies = Array.from({ length: 6 }, (_, number) => `4.${number}`);
    await catalog.commit(studies.map((uid) => catalogRecord(uid, `${uid}.1`, `${uid}.1.1`)));
    await Promise.all(
      studies.flatMap((uid) => [
        catalog.removals.remove({ studyInstanceUid: uid }, { keepDays }).catch((error: unknown) => {
          assert.ok(error instanceof Error && "code" in error && error.code === "held", String(error));
        }),
        catalog.holds.place({ studyInstanceUid: uid, reason: "at once" }),
      ]),
    );
    for (const uid of studies) {
      const [series] = await catalog.findSeries({ studyInstanceUid: uid });
      if (series)
        await assert.rejects(catalog.removals.remove({ studyInstanceUid: uid }, { keepDays }), { code: "held" });
    }
  });
});
