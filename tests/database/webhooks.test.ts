/** Delivery of webhooks by several processes: once each in good weather, at least once in bad, never out of order. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { createWebhookDelivery } from "../../server/archive/deliver-webhooks.ts";
import { retryDelay } from "../../server/archive/retry-delay.ts";
import { createLog } from "../../server/log.ts";
import { type Catalog, createCatalog } from "../../storage/catalog.ts";
import { connectDatabase } from "../../storage/database.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { catalogRecord } from "../support/records.ts";

const bodySchema = z.object({
  missedUpTo: z.number().optional(),
  changes: z.array(z.object({ sequence: z.number(), sopInstanceUid: z.string() })),
});

describe("the delivery of webhooks", () => {
  let database: TestDatabase;
  let catalog: Catalog;
  const log = createLog("silent");
  const quick = { lookEvery: 10, timeout: 200, delay: () => 0.01 };

  before(async () => {
    database = await testDatabase();
    catalog = createCatalog(database.knex);
  });
  after(() => database.drop());

  async function webhook(url: string) {
    const cursor = await catalog.changes.last();
    return catalog.webhooks.add({ url, secret: "0123456789abcdef", events: null, filter: null, cursor });
  }

  async function stored(study: string, count: number): Promise<string[]> {
    const uids = Array.from({ length: count }, (_, number) => `${study}.1.${1000 + number}`);
    for (let from = 0; from < count; from += 40) {
      await catalog.commit(uids.slice(from, from + 40).map((uid) => catalogRecord(study, `${study}.1`, uid)));
    }
    return uids;
  }

  async function until(done: () => boolean): Promise<void> {
    for (let look = 0; look < 500 && !done(); look += 1) await sleep(20);
    assert.ok(done(), "it did not happen in time");
  }

  it("is shared by two processes: every change once, in order, and on from the cursor after a stop", async (t) => {
    const second = await connectDatabase({ url: database.url });
    t.after(() => second.destroy());
    const receiver = await startReceiver();
    t.after(() => receiver.close());
    const { id } = await webhook(receiver.url);
    const seen = () => receiver.received.flatMap(({ body }) => bodySchema.parse(JSON.parse(body)).changes);
    const run = async (study: string) => {
      const stop = new AbortController();
      const works = [catalog, createCatalog(second)].map((one) => createWebhookDelivery(one, log, quick)(stop.signal));
      const uids = await stored(study, 250);
      const before_ = expected.length;
      expected.push(...uids);
      await until(() => seen().length >= before_ + uids.length);
      stop.abort();
      await Promise.all(works);
    };
    const expected: string[] = [];
    await run("1");
    await run("2");
    assert.deepEqual(
      seen().map(({ sopInstanceUid }) => sopInstanceUid),
      expected,
    );
    await catalog.webhooks.remove(id);
  });

  it("goes on trying, in order, at an address that fails, is silent, or cannot be reached; others are not held up", async (t) => {
    let count = 0;
    const weather = await startReceiver(() => [500, undefined, 302, 200][count++ % 4]);
    const good = await startReceiver();
    t.after(() => Promise.all([weather.close(), good.close()]));
    const closed = await startReceiver();
    await closed.close();
    const hooks = [await webhook(weather.url), await webhook(closed.url), await webhook(good.url)];
    const stop = new AbortController();
    const work = createWebhookDelivery(catalog, log, quick)(stop.signal);
    const uids = await stored("3", 150);
    const taken = () => weather.received.filter((_, index) => index % 4 === 3);
    const changesOf = (received: typeof weather.received) =>
      received.flatMap(({ body }) => bodySchema.parse(JSON.parse(body)).changes.map((one) => one.sopInstanceUid));
    await until(() => changesOf(good.received).length >= uids.length);
    await until(() => changesOf(taken()).length >= uids.length);
    stop.abort();
    await work;
    assert.deepEqual(changesOf(taken()), uids);
    assert.deepEqual(changesOf(good.received), uids);
    const [silent, unreachable] = await Promise.all(hooks.map(({ id }) => catalog.webhooks.deliveries(id, 1000)));
    const faults = new Set(silent?.map(({ fault }) => fault));
    assert.deepEqual(
      faults,
      new Set(["The address answered 500.", "The address did not answer in time.", "The address answered 302.", null]),
    );
    assert.equal(unreachable?.[0]?.fault, "The address could not be reached (ECONNREFUSED).");
    assert.ok((unreachable?.[0]?.attempt ?? 0) > 1);
    await Promise.all(hooks.map(({ id }) => catalog.webhooks.remove(id)));
  });

  it("says so when changes that it never told are no longer kept", async (t) => {
    const receiver = await startReceiver();
    t.after(() => receiver.close());
    const { id } = await webhook(receiver.url);
    await stored("4", 10);
    const last = await catalog.changes.last();
    await database
      .knex("change")
      .where("sequence", "<=", last - 2)
      .update({ at: "2020-01-01" });
    while ((await catalog.changes.forget(1)) > 0);
    const stop = new AbortController();
    const work = createWebhookDelivery(catalog, log, quick)(stop.signal);
    await until(() => receiver.received.length > 0);
    stop.abort();
    await work;
    const body = bodySchema.parse(JSON.parse(receiver.received[0]?.body ?? ""));
    assert.deepEqual([body.missedUpTo, body.changes.map(({ sequence }) => sequence)], [last - 2, [last - 1, last]]);
    await catalog.webhooks.remove(id);
  });

  it("says so also when none of the changes that are kept is for it", async (t) => {
    const receiver = await startReceiver();
    t.after(() => receiver.close());
    const cursor = await catalog.changes.last();
    const rest = { url: receiver.url, secret: "0123456789abcdef", filter: null, cursor };
    const { id } = await catalog.webhooks.add({ ...rest, events: ["delete"] });
    await stored("5", 4);
    const last = await catalog.changes.last();
    const aged = database.knex("change").where("sequence", "<=", last - 2);
    await aged.update({ at: "2020-01-01" });
    while ((await catalog.changes.forget(1)) > 0);
    const stop = new AbortController();
    const work = createWebhookDelivery(catalog, log, quick)(stop.signal);
    await until(() => receiver.received.length > 0);
    stop.abort();
    await work;
    assert.deepEqual(bodySchema.parse(JSON.parse(receiver.received[0]?.body ?? "")), {
      missedUpTo: last - 2,
      changes: [],
    });
    await catalog.webhooks.remove(id);
  });

  it("waits twice as long after each failure, with jitter, an hour at most", () => {
    assert.deepEqual(
      [1, 2, 5, 12, 1000].map((failures) => [retryDelay(failures, 3600, 0), retryDelay(failures, 3600, 1)]),
      [
        [1, 2],
        [2, 4],
        [16, 32],
        [1800, 3600],
        [1800, 3600],
      ],
    );
  });
});
