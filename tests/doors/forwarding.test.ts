/** Forwarding: what is stored is sent on by rules, to applications of DIMSE and to DICOMweb servers, whatever happens meanwhile. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { forwardingAnswer } from "../../server/http/answers-forwarding.ts";
import { failuresAnswer, jobsAnswer } from "../../server/http/answers-jobs.ts";
import type { Service } from "../../server/dimse/association.ts";
import { commandFields } from "../../server/dimse/command.ts";
import { newUid } from "../../server/dicom/uid.ts";
import { loadConfig } from "../../server/config.ts";
import { createLog } from "../../server/log.ts";
import { startServer } from "../../server/server.ts";
import { freePort } from "../support/dcmtk.ts";
import { sendInstance, storeAssociation } from "../support/dimse-store.ts";
import { startScp } from "../support/dimse-scp.ts";
import {
  type Attributes,
  instanceFile,
  type InstanceFile,
  multipartBody,
  multipartType,
} from "../support/instances.ts";
import { testDatabase } from "../support/postgres.ts";
import { type ServerProcess, startProcess } from "../support/process.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7";
const explicitVrLittleEndian = "1.2.840.10008.1.2.1";

type Rule = z.infer<typeof forwardingAnswer>;

async function ask<Schema extends z.ZodType>(
  url: string,
  schema: Schema,
  method = "GET",
  body?: object,
): Promise<z.infer<Schema>> {
  const response = await fetch(url, {
    method,
    ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  assert.ok(response.ok, `${response.status} ${text}`);
  return schema.parse(text === "" ? undefined : JSON.parse(text));
}

const ruleOf = (url: string, name: string): Promise<Rule> => ask(`${url}/api/forwarding/${name}`, forwardingAnswer);

async function until<Value>(read: () => Promise<Value>, isSo: (value: Value) => boolean): Promise<Value> {
  for (let look = 0; ; look += 1) {
    const value = await read();
    if (isSo(value)) return value;
    assert.ok(look < 600, `it did not happen in time: ${JSON.stringify(value)}`);
    await sleep(50);
  }
}

async function store(url: string, files: readonly InstanceFile[]): Promise<void> {
  const body = multipartBody(files.map(({ bytes }) => bytes));
  const response = await fetch(`${url}/dicom-web/studies`, {
    method: "POST",
    headers: { "Content-Type": multipartType },
    body,
  });
  assert.equal(response.status, 200);
  await response.body?.cancel();
}

/** A study of `count` instances. */
function study(count: number, attributes: Attributes = {}): InstanceFile[] {
  const uids = { StudyInstanceUID: newUid(), SeriesInstanceUID: newUid() };
  return Array.from({ length: count }, (_, number) =>
    instanceFile({ ...uids, InstanceNumber: number + 1, ...attributes }),
  );
}

const sorted = (uids: readonly string[]): string[] => [...uids].sort();
const uidsOf = (files: readonly InstanceFile[]) => sorted(files.map(({ sopInstanceUid }) => sopInstanceUid));

/** A C-STORE SCP that notes what it gets, and answers what `statusOf` says. */
async function startDestination(t: TestContext, statusOf: (sopInstanceUid: string) => number = () => 0) {
  const received: string[] = [];
  const perform: Service = async ({ command, dataSet, respond }) => {
    const uid = command.affectedSopInstanceUid ?? "";
    for await (const _bytes of dataSet ?? []);
    const status = statusOf(uid);
    if (status === 0) received.push(uid);
    await respond({ status, ...(status !== 0 && { errorComment: "no" }) });
  };
  const scp = await startScp([{ commandField: commandFields.cStoreRequest, sopClassUids: "storage", perform }]);
  t.after(() => scp.close());
  return { ...scp, received };
}

describe("forwarding", () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  let number = 0;
  /** Adds a peer and a rule of one name, which ends with the test. */
  async function rule(
    t: TestContext,
    peer: { readonly port: number } | { readonly url: string },
    definition: object,
    at = server.url,
  ): Promise<string> {
    const name = `RULE${++number}`;
    const address =
      "url" in peer
        ? { kind: "dicomweb", ...peer }
        : { kind: "dimse", aeTitle: name, host: "127.0.0.1", port: peer.port };
    await ask(`${at}/api/peers`, z.unknown(), "POST", { name, ...address });
    await ask(`${at}/api/forwarding`, forwardingAnswer, "POST", {
      name,
      destination: name,
      quietSeconds: 0,
      ...definition,
    });
    // Its server may be gone by then.
    t.after(() => fetch(`${at}/api/forwarding/${name}`, { method: "DELETE" }).catch(() => undefined));
    return name;
  }

  it("sends what matches a rule, a study in one association, and nothing else", async (t) => {
    const destination = await startDestination(t);
    const match = "Modality=CT&StudyDescription=*THORAX*&StationName=CT?";
    const name = await rule(t, destination, { match, enabled: false });
    const thorax = { Modality: "CT", StudyDescription: "CT THORAX NATIVE", StationName: "CT1" };
    const wanted = study(5, thorax);
    const others = [{ Modality: "MR" }, { StudyDescription: "CT HEAD" }, { StationName: "XCT1" }];
    for (const file of wanted) await store(server.url, [file]);
    for (const other of others) await store(server.url, study(1, { ...thorax, ...other }));
    await ask(`${server.url}/api/forwarding/${name}`, forwardingAnswer, "PUT", {
      match,
      destination: name,
      quietSeconds: 0,
    });
    await until(
      () => ruleOf(server.url, name),
      ({ state }) => state.sent === 5 && state.openJobs === 0,
    );
    assert.deepEqual(sorted(destination.received), uidsOf(wanted));
    assert.equal(destination.connections(), 1);
  });

  it("tells instances apart by the applications that send them, and sends nothing back to where it came from", async (t) => {
    const destination = await startDestination(t);
    const from = { sendingAeTitles: ["CT*", "RULE*"], exceptSendingAeTitles: ["CT9"], receivingAeTitles: ["NOCTIS"] };
    const name = await rule(t, destination, { ...from, origins: ["dimse"] });
    const sent: Record<string, InstanceFile> = {};
    for (const callingAeTitle of ["CT1", "CT9", "MR1", name]) {
      const file = instanceFile();
      const proposal = { callingAeTitle, sopClassUid: secondaryCapture, transferSyntaxUid: explicitVrLittleEndian };
      const open = await storeAssociation(server, proposal);
      const { sopInstanceUid } = file;
      const response = await sendInstance(open, {
        sopClassUid: secondaryCapture,
        sopInstanceUid,
        dataSet: dataSetOf(file),
      });
      assert.equal(response.status, 0);
      await open.association.release();
      sent[callingAeTitle] = file;
    }
    await store(server.url, study(1));
    await until(
      () => ruleOf(server.url, name),
      ({ state }) => state.behind === 0 && state.openJobs === 0,
    );
    assert.deepEqual(destination.received, [sent["CT1"]?.sopInstanceUid]);
  });

  it("keeps what a destination that is away should get, tells so, and sends it when it is back", async (t) => {
    const port = await freePort();
    const name = await rule(t, { port }, { match: "PatientID=AWAY" });
    const files = [...study(3, { PatientID: "AWAY" }), ...study(2, { PatientID: "AWAY" })];
    await store(server.url, files);
    const behind = await until(
      () => ruleOf(server.url, name),
      ({ state }) => state.lastFault !== null && state.behind === 0,
    );
    assert.deepEqual([behind.state.waiting, behind.state.openJobs], [5, 2]);
    assert.equal(behind.state.lastFault?.code, "peer-unreachable");
    const destination = await startDestination(t);
    const back = { kind: "dimse", aeTitle: name, host: "127.0.0.1", port: destination.port };
    await ask(`${server.url}/api/peers/${name}`, z.unknown(), "PUT", back);
    await ask(`${server.url}/api/forwarding/${name}/retry`, forwardingAnswer, "POST");
    const { state } = await until(
      () => ruleOf(server.url, name),
      (found) => found.state.sent === 5,
    );
    assert.deepEqual([state.waiting, state.lastFault], [0, null]);
    assert.deepEqual(sorted(destination.received), uidsOf(files));
  });

  it("waits until a study has come to rest", async (t) => {
    const destination = await startDestination(t);
    const name = await rule(t, destination, { match: "PatientID=QUIET", quietSeconds: 3600 });
    const files = study(3, { PatientID: "QUIET" });
    for (const file of files) await store(server.url, [file]);
    await until(
      () => ruleOf(server.url, name),
      ({ state }) => state.waiting === 3,
    );
    const { jobs } = await ask(`${server.url}/api/jobs?rule=${name}`, jobsAnswer);
    const [job] = jobs.map(({ state, total, createdAt, nextAttemptAt }) => ({
      state,
      total,
      isQuiet: nextAttemptAt.getTime() - createdAt.getTime() >= 3600_000,
    }));
    assert.deepEqual([jobs.length, job], [1, { state: "queued", total: 3, isQuiet: true }]);
    assert.deepEqual(destination.received, []);
    await ask(`${server.url}/api/forwarding/${name}/retry`, forwardingAnswer, "POST");
    await until(
      () => ruleOf(server.url, name),
      ({ state }) => state.sent === 3,
    );
    assert.deepEqual(sorted(destination.received), uidsOf(files));
  });

  it("lists the instance that a destination refuses with its status, and tries it again when asked", async (t) => {
    const files = study(3, { PatientID: "REFUSED" });
    const [refused] = uidsOf(files);
    let status = 0xa900;
    const destination = await startDestination(t, (uid) => (uid === refused ? status : 0));
    const name = await rule(t, destination, { match: "PatientID=REFUSED" });
    await store(server.url, files);
    await until(
      () => ruleOf(server.url, name),
      ({ state }) => state.failedJobs === 1 && state.openJobs === 0,
    );
    const { jobs } = await ask(`${server.url}/api/jobs?rule=${name}&state=failed`, jobsAnswer);
    const { failures } = await ask(`${server.url}/api/jobs/${jobs[0]?.id}/failures`, failuresAnswer);
    assert.deepEqual(
      failures.map((one) => [one.sopInstanceUid, one.state, one.status, one.error]),
      [[refused, "failed", 0xa900, "no"]],
    );
    status = 0;
    await ask(`${server.url}/api/forwarding/${name}/retry`, forwardingAnswer, "POST");
    const { state } = await until(
      () => ruleOf(server.url, name),
      (found) => found.state.sent === 3,
    );
    assert.deepEqual([state.failed, state.failedJobs], [0, 0]);
    assert.deepEqual(sorted(destination.received), uidsOf(files));
  });

  it("sends to a DICOMweb server, bit by bit, and a loop of two archives comes to rest", async (t) => {
    const other = await startTestServer();
    t.after(() => other.stop());
    const there = await rule(t, { url: `${other.url}/dicom-web` }, { match: "PatientID=LOOP" });
    const back = await rule(t, { url: `${server.url}/dicom-web` }, { match: "PatientID=LOOP" }, other.url);
    const files = study(12, { PatientID: "LOOP" });
    await store(server.url, files);
    await until(
      () => ruleOf(server.url, there),
      ({ state }) => state.sent === 12,
    );
    // It comes back once, is the same, and so is stored no second time, and forwarded no further.
    await until(
      () => ruleOf(other.url, back),
      ({ state }) => state.sent === 12 && state.openJobs === 0,
    );
    const { state } = await until(
      () => ruleOf(server.url, there),
      (found) => found.state.behind === 0 && found.state.openJobs === 0,
    );
    assert.equal(state.sent, 12);
    for (const { studyInstanceUid, seriesInstanceUid, sopInstanceUid, bytes } of files) {
      const place = `studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`;
      const response = await fetch(`${other.url}/dicom-web/${place}`, { headers: { Accept: "application/dicom" } });
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes);
    }
  });

  it("is shared by two servers of one archive: each instance is sent once", async (t) => {
    const destination = await startDestination(t);
    const second = await startServer(
      loadConfig({ ...server.shared, HTTP_PORT: "0", DIMSE_PORT: "0" }),
      createLog("silent"),
    );
    t.after(() => second.stop());
    const name = await rule(t, destination, { match: "PatientID=SHARED" });
    const all: InstanceFile[] = [];
    for (let round = 0; round < 10; round += 1) {
      const files = study(4, { PatientID: "SHARED" });
      all.push(...files);
      await Promise.all(files.map((file, index) => store(index % 2 === 0 ? server.url : second.url, [file])));
    }
    await until(
      () => ruleOf(second.url, name),
      ({ state }) => state.sent === 40 && state.openJobs === 0,
    );
    assert.deepEqual(sorted(destination.received), uidsOf(all));
  });

  it("survives the death of a server in the middle: every instance arrives", async (t) => {
    const files = study(60, { PatientID: "KILLED" });
    const { promise: middle, resolve } = Promise.withResolvers<void>();
    let count = 0;
    let isOver = false;
    const destination = await startDestination(t, () => {
      count += 1;
      if (count === 20) resolve();
      // The rest waits for the one that takes over.
      return count <= 20 || isOver ? 0 : 0xa700;
    });
    const database = await testDatabase();
    const folder = await mkdtemp(path.join(tmpdir(), "noctis-forwarding-"));
    const started: ServerProcess[] = [];
    t.after(async () => {
      for (const one of started) one.kill("SIGKILL");
      await Promise.all(started.map(({ ended }) => ended));
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    });
    const settings = { DATABASE_URL: database.url, DATA_DIR: folder };
    const victim = startProcess(settings);
    started.push(victim);
    const url = await victim.listening;
    const name = await rule(t, destination, { match: "PatientID=KILLED" }, url);
    await store(url, files);
    await middle;
    victim.kill("SIGKILL");
    await victim.ended;
    const sentBefore = destination.received.length;
    isOver = true;
    // As if the time had passed after which it is taken for dead.
    await database.knex("job").update({ lease_until: database.knex.fn.now() });
    const heir = startProcess(settings);
    started.push(heir);
    const at = await heir.listening;
    await until(
      () => ruleOf(at, name),
      ({ state }) => state.behind === 0 && state.openJobs === 0,
    );
    assert.equal(sentBefore, 20);
    assert.deepEqual(sorted([...new Set(destination.received)]), uidsOf(files));
  });

  it("waits while it is disabled, and goes on where it was", async (t) => {
    const destination = await startDestination(t);
    const definition = { match: "PatientID=PAUSED", quietSeconds: 0 };
    const name = await rule(t, destination, { ...definition, enabled: false });
    const files = study(2, { PatientID: "PAUSED" });
    await store(server.url, files);
    const { state } = await ruleOf(server.url, name);
    assert.ok(state.behind >= 2);
    await ask(`${server.url}/api/forwarding/${name}`, forwardingAnswer, "PUT", { ...definition, destination: name });
    await until(
      () => ruleOf(server.url, name),
      (found) => found.state.sent === 2,
    );
    assert.deepEqual(sorted(destination.received), uidsOf(files));
  });

  it("says when changes were forgotten before they could be forwarded", async (t) => {
    const destination = await startDestination(t);
    const own = await startTestServer({ CHANGES_KEEP_DAYS: "1" });
    t.after(() => own.stop());
    await store(own.url, study(3));
    await ask(`${own.url}/api/changes`, z.unknown());
    await own.knex("change").where("sequence", "<=", 2).delete();
    await own.knex("change_counter").update({ last_forgotten: 2 });
    const name = await rule(t, destination, { all: true, since: 0 }, own.url);
    const { missedUpTo } = await until(
      () => ruleOf(own.url, name),
      ({ state }) => state.sent === 1,
    );
    assert.equal(missedUpTo, 2);
  });

  it("refuses rules that are not understood, or mean everything by mistake", async (t) => {
    const destination = await startDestination(t);
    const name = await rule(t, destination, { match: "Modality=CT" });
    const post = async (body: object) => {
      const response = await fetch(`${server.url}/api/forwarding`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      const { detail } = z.object({ detail: z.string() }).parse(await response.json());
      return `${response.status} ${detail}`;
    };
    const body = { name: "other", destination: name };
    assert.match(await post(body), /^400 Nothing narrows the rule/);
    assert.match(await post({ ...body, all: true, match: "Modality=CT" }), /^400 all is true/);
    assert.match(await post({ ...body, match: "Modalty=CT" }), /^400 .*Modalty/);
    assert.match(await post({ ...body, match: "limit=5" }), /^400 limit/);
    assert.match(await post({ ...body, match: "Modality=CT", destination: "nobody" }), /^404 /);
    assert.match(await post({ ...body, name, match: "Modality=CT" }), /^409 /);
    assert.match(await post({ ...body, match: "Modality=CT", quietSeconds: -1 }), /^400 .*quietSeconds/);
  });
});

/** The data set of a file without its preamble and file meta information. */
function dataSetOf({ bytes }: InstanceFile): Buffer {
  return bytes.subarray(144 + bytes.readUInt32LE(140));
}
