/** Conflicts while transactions overlap: an instance that is being added is compared with what the study says in the end. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createCatalog } from "../../storage/catalog.ts";
import { commitInstances, commitRecords } from "../../storage/catalog-commit.ts";
import type { DescribeLevels } from "../../storage/catalog-describe.ts";
import type { InstanceRecord } from "../../storage/catalog-records.ts";
import { removeInstances } from "../../storage/catalog-remove.ts";
import { testDatabase, type TestDatabase } from "../support/postgres.ts";
import { catalogRecord } from "../support/records.ts";

const noTags = () => ({ revision: -1, tags: [] });

/** An instance that says that it is of the patient `patient`. */
function said(study: string, series: string, instance: string, patient: string): InstanceRecord {
  const record = catalogRecord(study, series, instance);
  const bytes = `${instance} of ${patient}`;
  return {
    ...record,
    study: { ...record.study, columns: { patient_id: patient } },
    instance: {
      ...record.instance,
      metadata: Buffer.from(patient),
      sha256: createHash("sha256").update(bytes).digest(),
    },
  };
}

const describeLevels: DescribeLevels = (metadata) => ({
  study: { columns: { patient_id: metadata.toString() }, attributes: {} },
  series: { columns: {}, attributes: {} },
});

describe("conflicts of transactions that overlap", () => {
  let database: TestDatabase;

  before(async () => {
    database = await testDatabase();
  });
  after(() => database.drop());

  async function conflictsOf(study: string): Promise<string[]> {
    const rows: { text: string }[] = await database
      .knex("conflict_instance")
      .join("conflict", "conflict.id", "conflict_id")
      .join("instance", "instance.id", "instance_id")
      .join("study", "study.id", "conflict.study_id")
      .where("study_instance_uid", study)
      .orderBy("sop_instance_uid")
      .select({
        text: database.knex.raw("sop_instance_uid || ' says ' || instance_value || ' in the study of ' || study_value"),
      });
    return rows.map(({ text }) => text);
  }

  it("are found where instances of two studies with one UID come together, into series that are known or not", async () => {
    const catalog = createCatalog(database.knex);
    for (const uid of ["4.9.1", "4.9.2"]) {
      const outcomes = await catalog.commit([said("4.1", "4.1.1", uid, "A"), said("4.2", "4.2.1", uid, "B")]);
      const found = outcomes.map((outcome) => outcome.status === "committed" && outcome.differences);
      assert.deepEqual(found, [
        [{ attribute: "SOPInstanceUID", studyValue: "4.1", instanceValue: "4.2" }],
        [{ attribute: "SOPInstanceUID", studyValue: "4.2", instanceValue: "4.1" }],
      ]);
    }
    assert.deepEqual(await conflictsOf("4.2"), [
      "4.9.1 says 4.1 in the study of 4.2",
      "4.9.2 says 4.1 in the study of 4.2",
    ]);
  });

  async function someoneWaits(): Promise<void> {
    const waiting = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while ((await database.knex.raw(waiting)).rows.length === 0) await sleep(5);
  }

  /** Describes the study anew while an instance of another series, which agrees with what it said, is about to be committed. */
  async function overlap(study: string, change: () => Promise<unknown>): Promise<void> {
    const trx = await database.knex.transaction();
    await commitRecords(trx, [said(study, `${study}.2`, `${study}.2.2`, "A")], noTags(), {});
    const changed = change();
    await Promise.race([changed, someoneWaits()]);
    await trx.commit();
    await changed;
  }

  it("finds the instance that comes while the one that describes the study is replaced", async () => {
    await commitInstances(database.knex, [said("1", "1.1", "1.1.1", "A"), said("1", "1.2", "1.2.1", "B")], noTags());
    await overlap("1", () =>
      commitInstances(database.knex, [said("1", "1.1", "1.1.1", "B")], noTags(), {
        replaceKeepingDays: 1,
        describe: describeLevels,
      }),
    );
    assert.deepEqual(await conflictsOf("1"), ["1.2.2 says A in the study of B"]);
  });

  it("finds the instance that comes while the one that describes the study is removed", async () => {
    await commitInstances(database.knex, [said("2", "2.1", "2.1.1", "A")], noTags());
    await commitInstances(database.knex, [said("2", "2.2", "2.2.1", "B")], noTags());
    assert.deepEqual(await conflictsOf("2"), ["2.2.1 says B in the study of A"]);
    const selector = { studyInstanceUid: "2", seriesInstanceUid: "2.1", sopInstanceUid: "2.1.1" };
    await overlap("2", () => removeInstances(database.knex, selector, { keepDays: 1, describe: describeLevels }));
    assert.deepEqual(await conflictsOf("2"), ["2.2.2 says A in the study of B"]);
  });
});
