/** `noctis retention`: dry unless --apply is said, on the storage itself. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import request from "supertest";
import { instanceFile, type InstanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const cli = path.join(import.meta.dirname, "../../server/cli.ts");

describe("noctis retention", () => {
  let server: TestServer;
  let old: InstanceFile;

  before(async () => {
    server = await startTestServer({ RETENTION_EVERY: "10080" });
    old = instanceFile({ StudyDate: "20010101" });
    const store = request(server.url).post("/dicom-web/studies").set("Content-Type", "application/dicom");
    await store.send(old.bytes).expect(200);
    await server.knex("series").update({ updated_at: server.knex.raw("now() - interval '1 year'") });
  });
  after(() => server.stop());

  async function noctis(...args: readonly string[]) {
    const { connectionString } = server.knex.client.connectionSettings;
    const env = { ...process.env, DATABASE_URL: connectionString, DATA_DIR: path.dirname(server.objectFolder) };
    const child = spawn(process.execPath, [cli, "retention", ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
    const [output, fault, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
    return { output, fault, code };
  }

  it("prints what would be removed, and why, and removes when it is told to", async () => {
    assert.deepEqual(await noctis(), { output: "There are no rules of retention.\n", fault: "", code: 0 });
    const rules = "/api/retention/rules";
    const definition = { name: "Old", all: true, ageBy: "StudyDate", olderThanDays: 30 };
    const { body: rule } = await request(server.url).post(rules).send(definition).expect(201);
    const dry = await noctis();
    assert.deepEqual([dry.fault, dry.code], ["", 0]);
    assert.match(
      dry.output,
      /^Rule 1 \(Old\), revision 1, disabled\n {2}Would remove 1 study, 0\.0 MB; due: 1 study; held: 0\./,
    );
    assert.ok(
      dry.output.includes(`  - ${old.studyInstanceUid}, 0.0 MB: its Study Date 2001-01-01 is more than 30 days ago\n`),
    );
    assert.deepEqual(await noctis("--apply"), { output: "No rule of retention is enabled.\n", fault: "", code: 0 });
    const [token] = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(dry.output) ?? [];
    await request(server.url).post(`${rules}/${rule.id}/enable`).send({ token }).expect(200);
    await request(server.url).get(`/dicom-web/studies/${old.studyInstanceUid}/metadata`).expect(200);
    const { output } = await noctis("--apply");
    assert.equal(output, "Old: removed 1 study, 0.0 MB; holds protect 0, changed meanwhile 0.\n");
    await request(server.url).get(`/dicom-web/studies/${old.studyInstanceUid}/metadata`).expect(404);
  });

  it("says what it does not understand", async () => {
    for (const [args, named] of [
      [["--rule", "x"], /--rule/],
      [["--limit", "0"], /--limit/],
      [["--apply", "--rule", "1"], /--rule/],
      [["--explode"], /--explode/],
    ] as const) {
      const { fault, code } = await noctis(...args);
      assert.equal(code, 2);
      assert.match(fault, named);
    }
    const { fault, code } = await noctis("--rule", "999");
    assert.deepEqual([fault, code], ["There is no such rule of retention.\n", 1]);
  });
});
