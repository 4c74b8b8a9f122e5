/** Jobs shared by processes: each instance sent and told once in good weather, and nothing lost in bad. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { JobRunners, SentInstance } from "../../server/archive/job-runners.ts";
import { createJobs, type JobHow, type Jobs, type WholeJob } from "../../server/archive/jobs.ts";
import { createPeers } from "../../server/archive/peers.ts";
import { parseUid } from "../../server/dicom/uid.ts";
import { ArchiveError } from "../../server/errors.ts";
import { type Catalog, createCatalog } from "../../storage/catalog.ts";
import type { Knex } from "knex";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import type { Blobs } from "../../storage/blobs.ts";
import type { ForwardingDefinition } from "../../storage/catalog-forwarding.ts";
import type { StoreLog } from "../../server/archive/store.ts";
import { connectDatabase } from "../../storage/database.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { catalogRecord } from "../support/records.ts";

const how: JobHow = { priority: "medium", retrySeconds: 3600 };
const notRun = () => Promise.reject(new ArchiveError("peer-unreachable", "The peer cannot be reached."));
const noRunners: JobRunners = {
  echo: notRun,
  query: async function* query() {
    yield await notRun();
  },
  retrieve: notRun,
  send: async function* send() {
    yield await notRun();
  },
};

/** Answers every instance with what `statusOf` says. */
function sender(statusOf: (sopInstanceUid: string) => number, sent: string[] = []): JobRunners {
  return {
    ...noRunners,
    send: async function* send(_peer, instances, { signal }): AsyncGenerator<SentInstance> {
      for await (const { sopInstanceUid } of instances) {
        if (signal.aborted) return;
        sent.push(sopInstanceUid);
        yield { sopInstanceUid, status: statusOf(sopInstanceUid), comment: undefined };
      }
    },
  };
}

const paused: ForwardingDefinition = {
  name: "paused",
  match: "PatientID=P",
  origins: null,
  sendingAeTitles: null,
  exceptSendingAeTitles: null,
  receivingAeTitles: null,
  destination: "",
  priority: "medium",
  quietSeconds: 0,
  retrySeconds: 60,
  enabled: true,
};

describe("jobs with peers", () => {
  let database: TestDatabase;
  let catalog: Catalog;
  let blobs: Blobs;
  let folder: string;
  /** Of other processes; closed when nobody works with them any more. */
  const pools: Knex[] = [];
  const logged: { readonly job: unknown; readonly message: string }[] = [];
  const log: StoreLog = { warn: ({ job }, message) => void logged.push({ job, message }) };
  const quick = { lookEvery: 20, delay: () => 0.05 };

  before(async () => {
    database = await testDatabase();
    catalog = createCatalog(database.knex);
    folder = await mkdtemp(path.join(tmpdir(), "noctis-jobs-"));
    blobs = await openFileBlobs({ folder });
  });
  after(async () => {
    for (const pool of pools) await pool.destroy();
    await blobs.close();
    await rm(folder, { recursive: true, force: true });
    await database.drop();
  });

  function jobsOf(one: Catalog = catalog, options: Parameters<typeof createJobs>[2] = quick): Jobs {
    return createJobs({ jobs: one.jobs, blobs, peers: createPeers(one), log }, 30, options);
  }

  /** Has `jobs` done until the test ends, or `stop` is called. */
  function running(t: TestContext, jobs: Jobs, runners: JobRunners) {
    const controller = new AbortController();
    const work = jobs.run(controller.signal, runners);
    const stop = async () => {
      controller.abort();
      await work;
    };
    t.after(stop);
    return stop;
  }

  async function stored(study: string, count: number): Promise<string[]> {
    const uids = Array.from({ length: count }, (_, number) => `${study}.1.${1000 + number}`);
    await catalog.commit(uids.map((uid) => catalogRecord(study, `${study}.1`, uid)));
    return uids;
  }

  async function peer(name: string): Promise<string> {
    const address = { host: "127.0.0.1", port: 104, tls: false };
    await createPeers(catalog).add({ kind: "dimse", name, aeTitle: name, ...address });
    return name;
  }

  const send = (jobs: Jobs, to: string, study: string, as: JobHow = how) =>
    jobs.add(to, { kind: "send", resources: [{ studyInstanceUid: parseUid(study) }] }, as);

  async function until<Value>(read: () => Promise<Value>, isSo: (value: Value) => boolean): Promise<Value> {
    for (let look = 0; ; look += 1) {
      const value = await read();
      if (isSo(value)) return value;
      assert.ok(look < 1000, "it did not happen in time");
      await sleep(20);
    }
  }

  const ended = (jobs: Jobs, id: number): Promise<WholeJob> =>
    until(
      () => jobs.find(id),
      ({ finishedAt }) => finishedAt !== null,
    );

  it("are shared by two processes: every instance is sent once, whoever does it", async (t) => {
    const second = await connectDatabase({ url: database.url });
    pools.push(second);
    const to = await peer("SHARED");
    const both = [jobsOf(), jobsOf(createCatalog(second))] as const;
    const sent: string[] = [];
    for (const jobs of both)
      running(
        t,
        jobs,
        sender(() => 0, sent),
      );
    const expected: string[] = [];
    const ids: number[] = [];
    for (let number = 0; number < 12; number += 1) {
      expected.push(...(await stored(`1.1.${number}`, 30)));
      ids.push((await send(both[0], to, `1.1.${number}`)).id);
    }
    for (const id of ids) {
      const { state, total, completed, failed } = await ended(both[1], id);
      assert.deepEqual(
        { state, total, completed, failed },
        { state: "succeeded", total: 30, completed: 30, failed: 0 },
      );
    }
    assert.deepEqual(sent.sort(), expected.sort());
  });

  it("list each instance that was not transferred with its status, and try those alone again when asked", async (t) => {
    const to = await peer("PICKY");
    const jobs = jobsOf();
    const [first = "", second = "", third = ""] = await stored("1.2", 3);
    const refused = new Map([
      [first, 0xa900],
      [second, 0xb000],
    ]);
    const sent: string[] = [];
    running(
      t,
      jobs,
      sender((uid) => refused.get(uid) ?? 0, sent),
    );
    const { id } = await send(jobs, to, "1.2");
    const job = await ended(jobs, id);
    assert.equal(job.state, "failed");
    assert.equal(job.error, "1 of 3 instances were not transferred.");
    assert.deepEqual([job.completed, job.warning, job.failed], [1, 1, 1]);
    const told = await jobs.failures(id, { limit: 10, after: 0 });
    assert.deepEqual(
      told.map(({ sopInstanceUid, state, status }) => ({ sopInstanceUid, state, status })),
      [
        { sopInstanceUid: first, state: "failed", status: 0xa900 },
        { sopInstanceUid: second, state: "warning", status: 0xb000 },
      ],
    );
    assert.deepEqual(sent, [first, second, third]);
    refused.clear();
    await jobs.retry(id);
    const again = await ended(jobs, id);
    assert.deepEqual([again.state, again.completed, again.failed, again.error], ["succeeded", 2, 0, null]);
    assert.deepEqual(sent, [first, second, third, first]);
    await assert.rejects(jobs.retry(id), { code: "job-not-ended" });
  });

  it("are tried again, as long as it was asked, when the peer is away or has no room", async (t) => {
    const to = await peer("AWAY");
    const jobs = jobsOf();
    await stored("1.3", 5);
    let status: number | undefined;
    const sent: string[] = [];
    const runners = sender(() => status ?? 0, sent);
    running(t, jobs, {
      ...runners,
      send: (...given) => (status === undefined ? noRunners.send(...given) : runners.send(...given)),
    });
    const failing = await ended(jobs, (await send(jobs, to, "1.3", { ...how, retrySeconds: 0 })).id);
    assert.deepEqual([failing.state, failing.failed, failing.errorCode], ["failed", 5, "peer-unreachable"]);
    const { id } = await send(jobs, to, "1.3");
    await until(
      () => jobs.find(id),
      ({ attempts }) => attempts >= 3,
    );
    const lines = logged.filter(({ job }) => job === id).map(({ message }) => message);
    assert.deepEqual(lines, ["a job with a peer did not succeed; it is tried again"], "once");
    status = 0xa700;
    const told = await until(
      () => jobs.failures(id, { limit: 10, after: 0 }),
      (items) => items.length > 0,
    );
    assert.deepEqual(new Set(told.map((item) => `${item.state} ${item.status}`)), new Set(["pending 42752"]));
    // A peer that has no room is not sent everything to be told so each time.
    assert.ok(told.length <= 3);
    status = 0;
    const job = await ended(jobs, id);
    assert.deepEqual([job.state, job.completed, job.failed], ["succeeded", 5, 0]);
  });

  it("go on in another process when the one that does them dies", async (t) => {
    const to = await peer("HEIR");
    const uids = await stored("1.4", 6);
    const [, , third = ""] = uids;
    const dying = createCatalog(database.knex);
    // It takes the job, notes two instances, and is never heard of again.
    const { id } = await send(jobsOf(), to, "1.4");
    const taken = await dying.jobs.take({ holder: crypto.randomUUID(), kinds: ["send"], perPeer: 2, leaseSeconds: 1 });
    assert.equal(taken?.id, id);
    const items = await dying.jobs.pending(id, undefined, 2);
    await dying.jobs.noteItems(
      id,
      items.map((item) => ({ id: item.id, state: "sent", status: 0, error: null })),
    );
    const sent: string[] = [];
    const jobs = jobsOf();
    running(
      t,
      jobs,
      sender(() => 0, sent),
    );
    const job = await ended(jobs, id);
    assert.deepEqual([job.state, job.completed, job.attempts], ["succeeded", 6, 2]);
    assert.equal(sent[0], third);
    assert.equal(sent.length, 4);
  });

  it("are done again when their end could not be noted, also while their process is busy with others", async (t) => {
    const to = await peer("UNNOTED");
    await stored("1.15", 1);
    await stored("1.16", 1);
    let faults = 0;
    const finish: Catalog["jobs"]["finish"] = (...given) => {
      if (faults++ > 0) return catalog.jobs.finish(...given);
      return Promise.reject(new ArchiveError("database-unavailable", "The database does not answer."));
    };
    const jobs = jobsOf({ ...catalog, jobs: { ...catalog.jobs, finish } }, { ...quick, leaseSeconds: 2 });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    t.after(() => release());
    running(t, jobs, {
      ...noRunners,
      send: async function* held(_peer, instances) {
        for await (const { studyInstanceUid, sopInstanceUid } of instances) {
          if (studyInstanceUid === "1.16") await released;
          yield { sopInstanceUid, status: 0 };
        }
      },
    });
    const busy = await send(jobs, to, "1.16");
    await until(
      () => jobs.find(busy.id),
      ({ state }) => state === "running",
    );
    const { id } = await send(jobs, to, "1.15");
    const job = await ended(jobs, id);
    assert.deepEqual([job.state, job.completed, job.attempts], ["succeeded", 1, 2]);
    assert.equal((await jobs.find(busy.id)).state, "running");
    release();
    assert.equal((await ended(jobs, busy.id)).state, "succeeded");
  });

  it("are given back when the server stops, with what is done noted", async (t) => {
    const to = await peer("STOPPED");
    const uids = await stored("1.5", 4);
    const jobs = jobsOf();
    const sent: string[] = [];
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const stop = running(t, jobs, {
      ...noRunners,
      send: async function* slow(_peer, instances, { signal }) {
        for await (const { sopInstanceUid } of instances) {
          sent.push(sopInstanceUid);
          yield { sopInstanceUid, status: 0 };
          resolve();
          await new Promise((next) => signal.addEventListener("abort", next, { once: true }));
          return;
        }
      },
    });
    const { id } = await send(jobs, to, "1.5");
    await begun;
    await stop();
    const { state, completed, failed } = await jobs.find(id);
    assert.deepEqual({ state, completed, failed }, { state: "queued", completed: 1, failed: 0 });
    running(
      t,
      jobs,
      sender(() => 0, sent),
    );
    assert.equal((await ended(jobs, id)).completed, 4);
    assert.deepEqual(sent, uids);
  });

  it("are cancelled, also while another process does them", async (t) => {
    const second = await connectDatabase({ url: database.url });
    pools.push(second);
    const to = await peer("CANCELLED");
    await stored("1.6", 2);
    const other = jobsOf(createCatalog(second));
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    running(t, other, {
      ...noRunners,
      send: async function* endless(_peer, _instances, { signal }): AsyncGenerator<SentInstance> {
        resolve();
        yield* await new Promise<SentInstance[]>((end) =>
          signal.addEventListener("abort", () => end([]), { once: true }),
        );
      },
    });
    const jobs = jobsOf();
    const { id } = await send(jobs, to, "1.6");
    await begun;
    assert.equal((await jobs.cancel(id)).cancelRequested, true);
    assert.equal((await ended(jobs, id)).state, "cancelled");
    await assert.rejects(jobs.cancel(id), { code: "job-has-ended" });
    await jobs.retry(id);
    await jobs.cancel(id);
    assert.equal((await ended(jobs, id)).state, "cancelled");
    await jobs.remove(id);
    await assert.rejects(jobs.find(id), { code: "no-such-job" });
  });

  it("are cancelled also when that is asked just as an attempt ends that is to be followed by another", async () => {
    const to = await peer("LATE");
    await stored("1.11", 1);
    const jobs = jobsOf();
    const ends: readonly ((id: number, holder: string) => Promise<unknown>)[] = [
      (id, holder) => catalog.jobs.postpone(id, holder, { code: "peer-silent", sentence: "" }, 60),
      (id, holder) => catalog.jobs.finish(id, holder),
      (id, holder) => catalog.jobs.giveBack(id, holder),
    ];
    for (const end of ends) {
      const { id } = await send(jobs, to, "1.11");
      const holder = crypto.randomUUID();
      await catalog.jobs.take({ holder, kinds: ["send"], perPeer: 2, leaseSeconds: 60 });
      await jobs.cancel(id);
      await end(id, holder);
      const { state, finishedAt } = await jobs.find(id);
      assert.deepEqual([state, finishedAt !== null], ["cancelled", true]);
    }
  });

  it("say of instances that were removed meanwhile that they are gone, and send the others", async (t) => {
    const to = await peer("REMOVED");
    const [first = ""] = await stored("1.7", 3);
    const jobs = jobsOf();
    const { id } = await send(jobs, to, "1.7");
    await database.knex("instance").where("sop_instance_uid", first).delete();
    running(
      t,
      jobs,
      sender(() => 0),
    );
    const job = await ended(jobs, id);
    assert.deepEqual([job.state, job.completed, job.failed], ["failed", 2, 1]);
    const [told] = await jobs.failures(id, { limit: 10, after: 0 });
    assert.equal(told?.error, "The instance is not in this archive any more.");
  });

  it("lose no instance to a peer that hangs up, or refuses, whatever it is sent, for long", async (t) => {
    const to = await peer("SICK");
    await stored("1.12", 4);
    const jobs = jobsOf();
    const ways: readonly Pick<SentInstance, "status" | "code">[] = [
      { status: undefined, code: "association-aborted" },
      { status: undefined, code: "peer-silent" },
      { status: 0xa700 },
      { status: 0xc000 },
    ];
    let attempts = 0;
    let way: Pick<SentInstance, "status" | "code"> | undefined;
    running(t, jobs, {
      ...noRunners,
      send: async function* sick(_peer, instances): AsyncGenerator<SentInstance> {
        way = ways[Math.floor(attempts++ / 8)];
        for await (const { sopInstanceUid } of instances) yield { sopInstanceUid, ...(way ?? { status: 0 }) };
      },
    });
    const job = await ended(jobs, (await send(jobs, to, "1.12")).id);
    assert.deepEqual([job.state, job.completed, job.failed], ["succeeded", 4, 0]);
    assert.equal(attempts, 33);
  });

  it("give up an instance that ends every association, and send the others", async (t) => {
    const to = await peer("FRAGILE");
    const [poison = ""] = await stored("1.8", 4);
    const jobs = jobsOf();
    running(t, jobs, {
      ...noRunners,
      send: async function* fragile(_peer, instances): AsyncGenerator<SentInstance> {
        let isOver = false;
        for await (const { sopInstanceUid } of instances) {
          isOver ||= sopInstanceUid === poison;
          yield isOver
            ? { sopInstanceUid, status: undefined, code: "association-aborted", comment: "The peer aborted." }
            : { sopInstanceUid, status: 0 };
        }
      },
    });
    const job = await ended(jobs, (await send(jobs, to, "1.8")).id);
    // At first they stand behind it; then it stands behind them; then it is tried alone.
    assert.deepEqual([job.completed, job.failed, job.attempts], [3, 1, 1]);
    const [told] = await jobs.failures(job.id, { limit: 10, after: 0 });
    assert.deepEqual([told?.sopInstanceUid, told?.attempts, told?.error], [poison, 3, "The peer aborted."]);
  });

  it("run in bounded numbers with one peer, those of higher priority first", async (t) => {
    const to = await peer("BUSY");
    const jobs = jobsOf();
    const order: string[] = [];
    for (const [study, priority] of [
      ["1.9.1", "low"],
      ["1.9.2", "medium"],
      ["1.9.3", "high"],
      ["1.9.4", "high"],
    ] as const) {
      await stored(study, 1);
      await send(jobs, to, study, { ...how, priority });
    }
    let atOnce = 0;
    let most = 0;
    running(t, jobs, {
      ...noRunners,
      send: async function* counted(_peer, instances): AsyncGenerator<SentInstance> {
        most = Math.max(most, ++atOnce);
        for await (const { studyInstanceUid, sopInstanceUid } of instances) {
          order.push(studyInstanceUid);
          await sleep(30);
          yield { sopInstanceUid, status: 0 };
        }
        atOnce -= 1;
      },
    });
    await until(
      () => jobs.list({ limit: 10, before: Number.MAX_SAFE_INTEGER, peer: to, states: ["succeeded"] }),
      (done) => done.length === 4,
    );
    assert.equal(most, 2);
    assert.deepEqual(order.slice(0, 2).sort(), ["1.9.3", "1.9.4"]);
    assert.deepEqual(order.slice(2).sort(), ["1.9.1", "1.9.2"]);
  });

  it("keep what a peer says that PostgreSQL has no text for", async (t) => {
    const to = await peer("GARBLED");
    await stored("1.14", 1);
    const jobs = jobsOf();
    running(t, jobs, {
      ...noRunners,
      query: async function* query() {
        yield {
          "00081030": { vr: "LO", Value: ["CT\0\u0001"] },
          "00100010": { vr: "PN", Value: [{ Alphabetic: "A\0" }] },
        };
      },
      retrieve: () => {
        const failures = [{ sopInstanceUid: "1.2\0", status: 0xa700, reason: "not\0stored" }];
        return Promise.resolve({ isComplete: false, received: 0, failures, outcome: "\0" });
      },
      send: async function* refused(_peer, instances) {
        for await (const { sopInstanceUid } of instances)
          yield { sopInstanceUid, status: 0xa900, comment: `${"x".repeat(999)}\u{1f9b4}\ud800` };
      },
    });
    const query = await jobs.add(to, { kind: "query", level: "study", keys: {}, limit: 10 }, how);
    const found = await ended(jobs, query.id);
    const answer = {
      "00081030": { vr: "LO", Value: ["CT\u0001"] },
      "00100010": { vr: "PN", Value: [{ Alphabetic: "A" }] },
    };
    assert.deepEqual([found.state, found.result], ["succeeded", { answers: [answer], isCut: false }]);
    const resources = [{ studyInstanceUid: parseUid("1.14") }];
    const retrieve = await jobs.add(to, { kind: "retrieve", resources, method: "auto" }, how);
    assert.equal((await ended(jobs, retrieve.id)).errorCode, "not-complete");
    const [missing] = await jobs.failures(retrieve.id, { limit: 10, after: 0 });
    assert.deepEqual([missing?.sopInstanceUid, missing?.error], ["1.2", "not stored"]);
    const { id } = await send(jobs, to, "1.14");
    assert.equal((await ended(jobs, id)).errorCode, "instances-failed");
    const [refused] = await jobs.failures(id, { limit: 10, after: 0 });
    assert.deepEqual([refused?.status, refused?.error], [0xa900, `${"x".repeat(999)}\ufffd`]);
  });

  it("of a rule of forwarding wait while it is disabled", async () => {
    const to = await peer("PAUSED");
    await stored("1.13", 1);
    const rule: ForwardingDefinition = { ...paused, destination: to };
    await catalog.forwarding.add(rule, (await catalog.changes.last()) - 1);
    const [due] = await catalog.forwarding.due(Number.MAX_SAFE_INTEGER);
    assert.ok(due);
    const done = await catalog.forwarding.step(due, { conditions: [], limit: 10 });
    assert.deepEqual(done, { changes: 1, instances: 1 });
    await catalog.forwarding.change("paused", { ...rule, enabled: false });
    const take = () =>
      catalog.jobs.take({ holder: crypto.randomUUID(), kinds: ["send"], perPeer: 2, leaseSeconds: 60 });
    assert.equal(await take(), undefined);
    await catalog.forwarding.change("paused", rule);
    assert.equal((await take())?.peer, to);
    await catalog.forwarding.remove("paused");
  });

  it("of a rule of forwarding stop in the middle when it is disabled, and go on when it is enabled", async (t) => {
    const to = await peer("STOPPING");
    const rule: ForwardingDefinition = { ...paused, name: "stopping", destination: to };
    await catalog.forwarding.add(rule, await catalog.changes.last());
    await stored("1.17", 3);
    await catalog.changes.last();
    const [due] = await catalog.forwarding.due(Number.MAX_SAFE_INTEGER);
    assert.ok(due);
    await catalog.forwarding.step(due, { conditions: [], limit: 10 });
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const sent: string[] = [];
    const jobs = jobsOf();
    running(t, jobs, {
      ...noRunners,
      send: async function* slow(_peer, instances, { signal }) {
        for await (const { sopInstanceUid } of instances) {
          sent.push(sopInstanceUid);
          yield { sopInstanceUid, status: 0 };
          resolve();
          if (sent.length === 1) await new Promise((next) => signal.addEventListener("abort", next, { once: true }));
          if (signal.aborted) return;
        }
      },
    });
    await begun;
    await catalog.forwarding.change("stopping", { ...rule, enabled: false });
    const list = () => jobs.list({ limit: 1, before: Number.MAX_SAFE_INTEGER, rule: "stopping" });
    const [job] = await until(list, ([one]) => one?.state === "queued");
    assert.deepEqual([job?.completed, sent.length], [1, 1]);
    await catalog.forwarding.change("stopping", rule);
    const [again] = await until(list, ([one]) => one?.state === "succeeded");
    assert.deepEqual([again?.completed, sent.length], [3, 3]);
    await catalog.forwarding.remove("stopping");
  });

  it("are forgotten some days after they ended, and not before", async () => {
    const jobs = jobsOf();
    const to = await peer("OLD");
    await stored("1.10", 1);
    const ids: number[] = [];
    for (const days of [31, 29]) {
      const { id } = await send(jobs, to, "1.10");
      ids.push(id);
      await jobs.cancel(id);
      await database
        .knex("job")
        .where({ id })
        .update({ finished_at: database.knex.raw("now() - make_interval(days => ?)", [days]) });
    }
    const [older = 0, newer = 0] = ids;
    await jobs.forgetOld(new AbortController().signal);
    await assert.rejects(jobs.find(older), { code: "no-such-job" });
    assert.equal((await jobs.find(newer)).state, "cancelled");
  });

  it("refuse what is not there: peers, studies", async () => {
    const jobs = jobsOf();
    await assert.rejects(send(jobs, "NOBODY", "1.1.1"), { code: "no-such-peer" });
    const to = await peer("SOMEBODY");
    await assert.rejects(send(jobs, to, "1.99"), { code: "no-such-study" });
    assert.deepEqual(await jobs.list({ limit: 10, before: Number.MAX_SAFE_INTEGER, peer: to }), []);
  });
});
