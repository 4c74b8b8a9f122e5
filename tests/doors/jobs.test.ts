/** /api/jobs and what is asked of peers by jobs, with the archive and the storage SCP of DCMTK as peers. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { after, before, describe, it } from "node:test";
import { z } from "zod";
import { newUid } from "../../server/dicom/uid.ts";
import { failuresAnswer, jobAnswer, jobsAnswer } from "../../server/http/answers-jobs.ts";
import { type DcmtkServer, freePort, startDcmqrscp, startStorescp, storescu } from "../support/dcmtk.ts";
import { instanceFile, type InstanceFile, multipartBody, multipartType } from "../support/instances.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const run = promisify(execFile);

interface Answered {
  readonly status: number;
  readonly location: string | null;
  readonly body: unknown;
}

/** The data set of a file without its preamble and file meta information. */
function dataSetOf(bytes: Buffer): Buffer {
  return bytes.subarray(144 + bytes.readUInt32LE(140));
}

describe("jobs with peers, asked for over HTTP", requirement("dcmtk"), () => {
  let server: TestServer;
  let archive: DcmtkServer;
  let storage: DcmtkServer;
  const uids = { StudyInstanceUID: newUid(), SeriesInstanceUID: newUid() };
  const files: readonly InstanceFile[] = [1, 2, 3].map((number) => instanceFile({ ...uids, InstanceNumber: number }));
  /** In the archive of DCMTK alone. */
  const foreign = instanceFile({ PatientID: "FOREIGN", PatientName: "Foreign^Patient" });

  before(async () => {
    server = await startTestServer();
    archive = await startDcmqrscp([{ aeTitle: "NOCTIS", port: server.dimsePort }]);
    storage = await startStorescp(["--bit-preserving"]);
    const folder = await mkdtemp(path.join(tmpdir(), "noctis-jobs-"));
    await writeFile(path.join(folder, "foreign.dcm"), foreign.bytes);
    await storescu(archive.port, "DCMQR", folder);
    await rm(folder, { recursive: true });
    const stored = await fetch(`${server.url}/dicom-web/studies`, {
      method: "POST",
      headers: { "Content-Type": multipartType },
      body: multipartBody(files.map(({ bytes }) => bytes)),
    });
    assert.equal(stored.status, 200);
    const ports = { DCMQR: archive.port, STORAGE: storage.port, DEAD: await freePort() };
    for (const [aeTitle, port] of Object.entries(ports)) {
      await ask("POST", "/api/peers", { kind: "dimse", aeTitle, host: "127.0.0.1", port });
    }
    await ask("POST", "/api/peers", { kind: "dicomweb", name: "SELF", url: `${server.url}/dicom-web` });
  });
  after(async () => {
    await archive.stop();
    await storage.stop();
    await server.stop();
  });

  async function ask(method: string, target: string, body?: object): Promise<Answered> {
    const response = await fetch(`${server.url}${target}`, {
      method,
      ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const location = response.headers.get("Location");
    return { status: response.status, location, body: text === "" ? undefined : JSON.parse(text) };
  }

  /** Asks for a job and waits for its end. */
  async function done(target: string, body?: object) {
    const { status, location, body: answer } = await ask("POST", `${target}?wait=30`, body);
    assert.equal(status, 200, JSON.stringify(answer));
    const job = jobAnswer.parse(answer);
    assert.equal(location, `/api/jobs/${job.id}`);
    return job;
  }

  const detailOf = ({ status, body }: Answered) => `${status} ${z.object({ detail: z.string() }).parse(body).detail}`;

  it("verify that a peer answers, and say why one does not", async () => {
    const job = await done("/api/peers/DCMQR/echo");
    assert.equal(job.state, "succeeded");
    assert.match(JSON.stringify(job.result), /DCMTK/);
    const dead = await done("/api/peers/DEAD/echo");
    assert.deepEqual([dead.state, dead.errorCode], ["failed", "peer-unreachable"]);
    const web = await done("/api/peers/SELF/echo");
    assert.equal(web.state, "succeeded");
  });

  it("query a peer, and say when there is more than was asked for", async () => {
    const keys = { PatientName: "Foreign*", StudyInstanceUID: "", PatientID: "" };
    const job = await done("/api/peers/DCMQR/query", { keys });
    const answers = z.object({ answers: z.array(z.record(z.string(), z.unknown())), isCut: z.boolean() });
    const { answers: found, isCut } = answers.parse(job.result);
    assert.equal(isCut, false);
    assert.deepEqual(
      found.map((answer) => [answer["0020000D"], answer["00100020"]]),
      [
        [
          { vr: "UI", Value: [foreign.studyInstanceUid] },
          { vr: "LO", Value: ["FOREIGN"] },
        ],
      ],
    );
    await ask("POST", "/api/peers/DCMQR/send?wait=30", { resources: [`studies/${uids.StudyInstanceUID}`] });
    const all = await done("/api/peers/DCMQR/query", { keys: { StudyInstanceUID: "" }, limit: 1 });
    const cut = answers.parse(all.result);
    assert.deepEqual([cut.answers.length, cut.isCut], [1, true]);
  });

  it("send to a peer, and every data set arrives as it is stored", async () => {
    const job = await done("/api/peers/STORAGE/send", { resources: [`studies/${uids.StudyInstanceUID}`] });
    assert.deepEqual([job.state, job.total, job.completed, job.failed], ["succeeded", 3, 3, 0]);
    const arrived = new Map<string, Buffer>();
    for (const name of await readdir(storage.folder)) {
      const bytes = await readFile(path.join(storage.folder, name));
      const { stdout } = await run("dcmdump", ["-s", "-q", "+P", "SOPInstanceUID", path.join(storage.folder, name)]);
      arrived.set(/\[(.*?)\]/.exec(stdout)?.[1] ?? "", dataSetOf(bytes));
    }
    for (const { sopInstanceUid, bytes } of files) assert.deepEqual(arrived.get(sopInstanceUid), dataSetOf(bytes));
  });

  for (const method of ["get", "move"]) {
    it(`retrieve from a peer by C-${method.toUpperCase()}`, async () => {
      const place = `studies/${foreign.studyInstanceUid}`;
      await fetch(`${server.url}/dicom-web/${place}`, { method: "DELETE" });
      const job = await done("/api/peers/DCMQR/retrieve", { resources: [place], method });
      assert.deepEqual([job.state, job.error, job.completed, job.failed], ["succeeded", null, 1, 0]);
      const instance = `${place}/series/${foreign.seriesInstanceUid}/instances/${foreign.sopInstanceUid}`;
      const response = await fetch(`${server.url}/dicom-web/${instance}`, { headers: { Accept: "application/dicom" } });
      assert.equal(response.status, 200);
      assert.deepEqual(dataSetOf(Buffer.from(await response.arrayBuffer())), dataSetOf(foreign.bytes));
    });
  }

  it("say what a peer does not have", async () => {
    const resources = ["studies/1.2.3.4", `studies/${foreign.studyInstanceUid}`];
    const job = await done("/api/peers/DCMQR/retrieve", { resources });
    assert.deepEqual([job.state, job.errorCode, job.completed], ["failed", "no-such-resource", 1]);
    const { resources: outcomes } = z
      .object({ resources: z.array(z.object({ studyInstanceUid: z.string(), isComplete: z.boolean() })) })
      .parse(job.result);
    assert.deepEqual(outcomes, [
      { studyInstanceUid: "1.2.3.4", isComplete: false },
      { studyInstanceUid: foreign.studyInstanceUid, isComplete: true },
    ]);
  });

  it("go on by themselves, are cancelled, tried again and forgotten when asked", async () => {
    const resources = [`studies/${uids.StudyInstanceUID}`];
    const added = await ask("POST", "/api/peers/DEAD/send", { resources, priority: "low" });
    assert.equal(added.status, 202);
    const target = `/api/jobs/${jobAnswer.parse(added.body).id}`;
    assert.equal(
      detailOf(await ask("POST", `${target}/retry`)),
      "409 Only a job that failed or was cancelled is tried again.",
    );
    assert.equal(detailOf(await ask("DELETE", target)), "409 The job has not ended: cancel it first.");
    assert.equal((await ask("POST", `${target}/cancel`)).status, 200);
    const cancelled = jobAnswer.parse((await ask("GET", `${target}?wait=30`)).body);
    assert.deepEqual([cancelled.state, cancelled.total, cancelled.completed], ["cancelled", 3, 0]);
    assert.equal(detailOf(await ask("POST", `${target}/cancel`)), "409 The job has ended already.");
    assert.equal((await ask("POST", `${target}/retry`)).status, 200);
    assert.equal((await ask("POST", `${target}/cancel`)).status, 200);
    assert.notEqual(jobAnswer.parse((await ask("GET", `${target}?wait=30`)).body).finishedAt, null);
    assert.equal((await ask("DELETE", target)).status, 204);
    assert.equal((await ask("GET", target)).status, 404);
  });

  it("list what was not sent, a page at a time, and are listed themselves by state, kind and peer", async () => {
    const job = await done("/api/peers/DEAD/send", {
      resources: [`studies/${uids.StudyInstanceUID}`],
      retryMinutes: 0,
    });
    assert.deepEqual([job.state, job.failed, job.errorCode], ["failed", 3, "peer-unreachable"]);
    const seen: string[] = [];
    let behind: number | null = 0;
    while (behind !== null) {
      const { body } = await ask("GET", `/api/jobs/${job.id}/failures?limit=2&after=${behind}`);
      const page: z.infer<typeof failuresAnswer> = failuresAnswer.parse(body);
      seen.push(...page.failures.map(({ sopInstanceUid }) => sopInstanceUid));
      behind = page.next;
    }
    assert.deepEqual(
      seen,
      files.map(({ sopInstanceUid }) => sopInstanceUid),
    );
    const { jobs } = jobsAnswer.parse(
      (await ask("GET", "/api/jobs?state=failed&state=queued&kind=send&peer=DEAD")).body,
    );
    assert.deepEqual(
      jobs.map(({ id }) => id),
      [job.id],
    );
    const first = jobsAnswer.parse((await ask("GET", "/api/jobs?limit=1")).body);
    assert.ok(first.next !== null && first.next <= (first.jobs[0]?.id ?? 0));
  });

  it("refuse what cannot be asked, in one sentence that names it", async () => {
    const resources = [`studies/${uids.StudyInstanceUID}`];
    const asked = (target: string, body?: object) => ask("POST", target, body).then(detailOf);
    assert.match(await asked("/api/peers/NOBODY/echo"), /^404 /);
    assert.match(await asked("/api/peers/DCMQR/send", { resources: ["studies/1.2.3"] }), /^404 The study /);
    assert.match(await asked("/api/peers/DCMQR/send", { resources: ["1.2.3"] }), /^400 /);
    assert.match(await asked("/api/peers/DCMQR/send", { resources: [] }), /^400 .*resources/);
    assert.match(await asked("/api/peers/DCMQR/send", { resources, retryMinutes: -1 }), /^400 .*retryMinutes/);
    assert.match(await asked("/api/peers/DCMQR/send?wait=31", { resources }), /^400 wait/);
    assert.match(await asked("/api/peers/DCMQR/query", { keys: { NoSuchKey: "" } }), /^400 .*NoSuchKey/);
    assert.match(await asked("/api/peers/DCMQR/query", { keys: { NumberOfFrames: "x" }, limit: 0 }), /^400 .*limit/);
    assert.match(await asked("/api/peers/DCMQR/retrieve", { resources, method: "push" }), /^400 .*method/);
    assert.match(await asked("/api/peers/SELF/query", { keys: {} }), /^409 /);
    assert.match(await ask("GET", "/api/jobs/4711").then(detailOf), /^404 /);
    assert.match(await ask("GET", "/api/jobs/0").then(detailOf), /^400 /);
    assert.match(await ask("GET", "/api/jobs?state=done").then(detailOf), /^400 state/);
  });
});
