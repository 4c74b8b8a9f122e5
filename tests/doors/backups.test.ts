/** GET /api/backups, and backups that a server makes by itself. */
import assert from "node:assert/strict";
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import request from "supertest";
import { z } from "zod";
import { freshFolder } from "../support/backups.ts";
import { startTestServer } from "../support/server.ts";

const answer = z.object({
  nextAt: z.string().nullable(),
  overdue: z.boolean(),
  lastSuccess: z.object({ snapshot: z.string() }).nullable(),
  runs: z.array(z.object({ cause: z.string(), outcome: z.string(), fault: z.string().nullable() })),
});

async function statusOf(url: string) {
  const { body } = await request(url).get("/api/backups").expect(200);
  return answer.parse(body);
}

/** The status when a run has ended. */
async function ended(url: string, outcome: string) {
  while (true) {
    const status = await statusOf(url);
    if (status.runs[0]?.outcome === outcome) return status;
    await sleep(20);
  }
}

describe("GET /api/backups", () => {
  it("tells that nothing is made by itself when the settings do not want it", async (t) => {
    const server = await startTestServer();
    t.after(() => server.stop());
    assert.deepEqual(await statusOf(server.url), { nextAt: null, overdue: false, lastSuccess: null, runs: [] });
    const { body } = await request(server.url).get("/api/backups?limit=0").expect(400);
    assert.match(z.object({ detail: z.string() }).parse(body).detail, /limit/);
  });

  it("tells of the backup that a server makes when one was missed, and when the next one is", async (t) => {
    const folder = await freshFolder(t);
    const server = await startTestServer({ BACKUP_TO: folder, BACKUP_AT: "02:30,14:30" });
    t.after(() => server.stop());
    const status = await ended(server.url, "complete");
    assert.equal(status.runs.length, 1);
    assert.equal(status.runs[0]?.cause, "schedule");
    assert.equal(status.overdue, false);
    assert.match(status.lastSuccess?.snapshot ?? "", /^\d{4}-\d\d-\d\dt/);
    assert.match(status.nextAt ?? "", /T(02|14):30:00.000Z$/);
  });

  it("tells why one has failed, and that one is overdue", async (t) => {
    const folder = path.join(await freshFolder(t), "mounted");
    await mkdir(folder);
    const settings = { BACKUP_TO: folder, BACKUP_AT: "02:30" };
    await rm(folder, { recursive: true });
    const server = await startTestServer(settings);
    t.after(() => server.stop());
    const status = await ended(server.url, "failed");
    assert.match(status.runs[0]?.fault ?? "", /is no folder that exists: make it first, or mount its disk/);
    assert.equal(status.overdue, true);
    assert.equal(status.lastSuccess, null);
  });
});
