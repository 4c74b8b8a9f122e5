/** Rules of forwarding as rows: what is changed, removed or tried again while others are at it. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createForwarding } from "../../server/archive/forwarding.ts";
import { createPeers } from "../../server/archive/peers.ts";
import { createLog } from "../../server/log.ts";
import { type Catalog, createCatalog } from "../../storage/catalog.ts";
import type { ForwardingDefinition, ForwardingRule } from "../../storage/catalog-forwarding.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { catalogRecord } from "../support/records.ts";

const definition: ForwardingDefinition = {
  name: "rule",
  match: "Modality=CT",
  origins: null,
  sendingAeTitles: null,
  exceptSendingAeTitles: null,
  receivingAeTitles: null,
  destination: "ONE",
  priority: "medium",
  quietSeconds: 0,
  retrySeconds: 60,
  enabled: true,
};

describe("rules of forwarding as rows", () => {
  let database: TestDatabase;
  let catalog: Catalog;

  before(async () => {
    database = await testDatabase();
    catalog = createCatalog(database.knex);
  });
  after(() => database.drop());

  /** A rule that has one change to look at: of an instance of `study`. */
  async function ruleWithChange(study: string): Promise<ForwardingRule> {
    await catalog.forwarding.add(definition, await catalog.changes.last());
    await catalog.commit([catalogRecord(study, `${study}.1`, `${study}.1.1`)]);
    await catalog.changes.last();
    const rule = await catalog.forwarding.find(definition.name);
    assert.ok(rule);
    return rule;
  }

  const step = { conditions: [], limit: 10 };
  const take = (holder: string) => catalog.jobs.take({ holder, kinds: ["send"], perPeer: 2, leaseSeconds: 60 });

  it("makes no step of a rule that has changed since it was read", async () => {
    const rule = await ruleWithChange("1.1");
    for (const changed of [{ destination: "TWO" }, { match: "Modality=MR" }]) {
      await catalog.forwarding.change(definition.name, { ...definition, ...changed });
      assert.equal(await catalog.forwarding.step(rule, step), undefined);
    }
    await catalog.forwarding.change(definition.name, definition);
    assert.deepEqual(await catalog.forwarding.step(rule, step), { changes: 1, instances: 1 });
    await catalog.forwarding.remove(definition.name);
  });

  it("cancels with a rule the job whose attempt ends at that moment", async () => {
    const rule = await ruleWithChange("1.2");
    await catalog.forwarding.step(rule, step);
    const holder = crypto.randomUUID();
    const job = await take(holder);
    assert.ok(job);
    const { knex } = database;
    let removed: Promise<boolean> | undefined;
    await knex.transaction(async (trx) => {
      await trx("job").where({ id: job.id }).update({ state: "queued", lease_holder: null, lease_until: null });
      removed = catalog.forwarding.remove(definition.name);
      for (;;) {
        const waiting: unknown = await knex("pg_stat_activity")
          .where({ wait_event_type: "Lock" })
          .whereRaw("datname = current_database()")
          .first("pid");
        if (waiting !== undefined) break;
        await sleep(10);
      }
    });
    assert.equal(await removed, true);
    const found = await catalog.jobs.find(job.id);
    assert.equal(found?.state, "cancelled");
  });

  it("tries again more failed jobs than a statement has bindings", async () => {
    const rule = await ruleWithChange("1.3");
    const count = 70_000;
    await database.knex.raw(
      `insert into job (kind, peer, request, retry_seconds, rule_id, state, finished_at, failed)
       select 'send', 'ONE', '{}', 60, ?, 'failed', now(), 1 from generate_series(1, ?::integer)`,
      [rule.id, count],
    );
    assert.equal(await catalog.forwarding.retry(rule), count);
    const { openJobs, failedJobs } = await catalog.forwarding.stateOf(rule);
    assert.deepEqual({ openJobs, failedJobs }, { openJobs: count, failedJobs: 0 });
    await catalog.forwarding.remove(definition.name);
  });

  it("ends a job that was to be cancelled when its process died, instead of sending some more", async () => {
    const rule = await ruleWithChange("1.4");
    await catalog.forwarding.step(rule, step);
    const job = await take(crypto.randomUUID());
    assert.ok(job);
    await catalog.jobs.cancel(job.id);
    await database
      .knex("job")
      .where({ id: job.id })
      .update({ lease_until: new Date(0) });
    assert.equal(await take(crypto.randomUUID()), undefined);
    const found = await catalog.jobs.find(job.id);
    assert.deepEqual([found?.state, found?.finishedAt !== null], ["cancelled", true]);
    await catalog.forwarding.remove(definition.name);
  });

  it("lets a failed job be tried again whose rule is gone", async () => {
    const rule = await ruleWithChange("1.5");
    await catalog.forwarding.step(rule, step);
    const holder = crypto.randomUUID();
    const job = await take(holder);
    assert.ok(job);
    await catalog.jobs.fail(job.id, holder, { code: "peer-failed", sentence: "It did not take it." });
    await catalog.forwarding.remove(definition.name);
    assert.equal(await catalog.jobs.retry(job.id), true);
    assert.equal((await take(holder))?.id, job.id);
    await catalog.jobs.finishCancelled(job.id, holder);
  });

  it("lets a rule that is far behind hold up no other", async () => {
    await catalog.commit([catalogRecord("1.6", "1.6.1", "1.6.1.1")]);
    const names = ["far behind", "up to date"];
    for (const name of names) await catalog.forwarding.add({ ...definition, name }, 0);
    const steps: string[] = [];
    const stop = new AbortController();
    const looked: Catalog["forwarding"]["step"] = ({ name }) => {
      steps.push(name);
      if (steps.length === 4) stop.abort();
      return Promise.resolve({ changes: name === "far behind" ? 1000 : 1, instances: 0 });
    };
    const forwarding = createForwarding(
      { ...catalog, forwarding: { ...catalog.forwarding, step: looked } },
      {
        peers: createPeers(catalog),
        queryTags: { current: () => Promise.resolve([]) },
        log: createLog("silent"),
        wake: () => undefined,
      },
    );
    await forwarding.run(stop.signal);
    assert.deepEqual(steps, [...names, ...names]);
    for (const name of names) await catalog.forwarding.remove(name);
  });

  it("finds the items of one job without reading those of the others", async () => {
    await database.knex.raw(
      `insert into job_item (job_id, sop_instance_uid, state)
       select job.id, '1.' || number, 'failed' from generate_series(1, 20000) as number, (select id from job limit 1) as job`,
    );
    await database.knex.raw("analyze job_item");
    // As its foreign key has it.
    const { rows }: { rows: object[] } = await database.knex.raw(
      "explain delete from only job_item where job_id = 9223372036854775807",
    );
    assert.match(JSON.stringify(rows), /job_item_of_job/);
  });
});
