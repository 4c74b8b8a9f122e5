/**
 * Before the answer, everything is on the disk: the file, its name, and the row, in this order, as the system was asked.
 * A SIGKILL loses nothing that the system has taken; a power cut loses what no fsync has covered, and this shows that
 * nothing acknowledged is left uncovered. What a disk does with an fsync is out of reach of a test.
 */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { loadConfig } from "../../server/config.ts";
import { createLog } from "../../server/log.ts";
import { openStorage } from "../../server/open-archive.ts";
import { newUid } from "../../server/dicom/uid.ts";
import { multipartBody, multipartType } from "../support/instances.ts";
import { type ServerProcess, startFlags, startProcess } from "../support/process.ts";
import { pathOf, requirement } from "../support/require.ts";
import { repeatable } from "../support/scan.ts";
import { fileOf, newSubject } from "./subjects.ts";
import { readCalls, type SystemCall } from "./system-calls.ts";

/** What changes files and folders, makes that durable, or tells somebody. */
const traced = [
  ["fsync", "fdatasync"],
  ["rename", "renameat", "renameat2", "link", "linkat"],
  ["write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg"],
].flat();

describe("before a store is acknowledged", requirement("strace"), () => {
  let folder = "";
  let settings: Readonly<Record<string, string>> = {};
  let trace = "";
  let server: ServerProcess;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "noctis-durable-"));
    settings = { DATA_DIR: path.join(folder, "data") };
    trace = path.join(folder, "trace");
    // As a grandchild, so that the server is the child that is told to stop; filtered in the kernel, for speed.
    const options = ["-D", "-f", "-y", "--seccomp-bpf", "-s", "64", "-e", `trace=${traced.join(",")}`, "-o", trace];
    server = startProcess(settings, startFlags, [pathOf("strace"), ...options]);
    await server.listening;
  });
  after(async () => {
    server.kill("SIGTERM");
    await server.ended;
    await rm(folder, { recursive: true, force: true });
  });

  /** Stores files in one request; gives the calls of the system from then on, and the keys that came to be. */
  async function store(lengths: readonly number[]) {
    const study = newUid();
    const begin = (await readFile(trace, "utf8")).length;
    const known = await keys();
    const random = repeatable(lengths.length);
    const files = lengths.map((length) => fileOf(newSubject(study, newUid(), 1), length, random).bytes);
    const response = await fetch(`${await server.listening}/dicom-web/studies`, {
      method: "POST",
      headers: { "Content-Type": multipartType },
      body: multipartBody(files),
    });
    assert.equal(response.status, 200, await response.text());
    // The trace is written when the call has ended.
    await sleep(300);
    const calls = readCalls((await readFile(trace, "utf8")).slice(begin));
    const stored = (await keys()).filter((key) => !known.includes(key));
    assert.equal(stored.length, lengths.length);
    return { calls, stored };
  }

  async function keys(): Promise<string[]> {
    const { knex, close } = await openStorage(loadConfig(settings), createLog("silent"), { beside: true });
    try {
      return await knex("instance").pluck("blob_key");
    } finally {
      await close();
    }
  }

  it("the bytes, their name, and the row are synced, one after the other", async () => {
    for (const length of [1000, 600_000, 5_000_000]) {
      const { calls, stored } = await store([length]);
      for (const key of stored) assertDurable(calls, path.join(folder, "data", "objects", key));
    }
  });

  it("so is each of many that come together", async () => {
    const { calls, stored } = await store(Array.from({ length: 12 }, (_, index) => 20_000 + index));
    for (const key of stored) assertDurable(calls, path.join(folder, "data", "objects", key));
  });
});

/** Everything that `file` needs to outlive a power cut has ended before the answer began, and before its commit did. */
function assertDurable(calls: readonly SystemCall[], file: string): void {
  const named = only(calls, "its name", ({ name, args }) => /^(rename|link)/.test(name) && args.includes(`"${file}"`));
  const draft = /"([^"]+)"/.exec(named.args)?.[1] ?? "";
  const ofFile = ({ args }: SystemCall) => args.includes(`<${draft}>`) || args.includes(`<${file}>`);
  const lastWrite = calls.findLast((call) => /write/.test(call.name) && ofFile(call));
  assert.ok(lastWrite !== undefined, "the bytes are written");
  const isSync = ({ name, result }: SystemCall) => /^f(data)?sync$/.test(name) && result === "0";
  const synced = only(calls, "its bytes synced", (call) => isSync(call) && ofFile(call) && call.begin > lastWrite.end);
  const folder = `<${path.dirname(file)}>`;
  const nameSynced = only(
    calls,
    "its name synced",
    (call) => isSync(call) && call.args.includes(folder) && call.begin > named.end,
  );
  const durable = Math.max(synced.end, nameSynced.end);
  const says = (text: string, from: number) => (call: SystemCall) =>
    call.begin > from && /^(write|send)/.test(call.name) && call.args.includes(text);
  const answered = only(calls, "the answer", says('"HTTP/1.1 200', named.begin));
  assert.ok(durable < answered.begin, "the file is durable before the answer");
  const commit = only(calls, "a commit behind it", says("COMMIT;", durable));
  const isLogged = (call: SystemCall) => isSync(call) && call.args.includes("/pg_wal/") && call.begin > commit.begin;
  const logged = only(calls, "the log of PostgreSQL synced", isLogged);
  assert.ok(logged.end < answered.begin, "the row is durable before the answer");
}

function only(calls: readonly SystemCall[], what: string, fits: (call: SystemCall) => boolean): SystemCall {
  const found = calls.find(fits);
  assert.ok(found !== undefined, `${what} is in the trace`);
  return found;
}
