/** `noctis quarantine` beside a running server: list, retry and purge. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import request from "supertest";
import { instanceFile, multipartBody, multipartType } from "../support/instances.ts";
import { startTestServer } from "../support/server.ts";

const cli = path.join(import.meta.dirname, "../../server/cli.ts");

describe("noctis quarantine", () => {
  it("lists, tries again and purges, by number, by reason and all", async (t) => {
    const server = await startTestServer({ QUARANTINE: "true" });
    t.after(() => server.stop());
    const quarantine = async (...args: readonly string[]) => {
      const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], ...server.shared };
      const child = spawn(process.execPath, [cli, "quarantine", ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
      const [output, fault, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
      return { output, fault, code };
    };
    assert.deepEqual(await quarantine("list"), { output: "0 files in quarantine.\n", fault: "", code: 0 });
    const mended = instanceFile();
    const bodies = [randomBytes(100).fill("no", 0, 64), mended.bytes.subarray(0, 400), Buffer.from("none ".repeat(50))];
    const body = multipartBody(bodies);
    await request(server.url).post("/dicom-web/studies").set("Content-Type", multipartType).send(body).expect(409);
    const rows: { id: number; part: number; blob_key: string }[] = await server.knex("quarantine").orderBy("part");
    const [garbage, mendable, other] = rows;
    assert.ok(garbage && mendable && other);
    const listed = await quarantine("list", "--reason", "truncated-dicom");
    assert.match(
      listed.output,
      new RegExp(`^${mendable.id}  \\d{4}-\\S+Z  400  truncated-dicom  part 2  .+\\n1 file in`),
    );
    const json = await quarantine("list", "--json");
    assert.equal(json.output.trim().split("\n").length, 3);
    // As if a newer version could read it.
    await writeFile(path.join(server.objectFolder, mendable.blob_key), mended.bytes);
    const retried = await quarantine("retry", "--all");
    assert.equal(retried.code, 1);
    assert.match(retried.output, new RegExp(`^${mendable.id}  stored  ${mended.sopInstanceUid}$`, "m"));
    assert.match(retried.output, new RegExp(`^${garbage.id}  not-dicom  The file`, "m"));
    assert.match(retried.output, /^1 of 3 files left quarantine\.$/m);
    const found = await fetch(`${server.url}/dicom-web/studies/${mended.studyInstanceUid}/metadata`);
    assert.equal(found.status, 200);
    const purged = await quarantine("purge", `${garbage.id}`, `${mendable.id}`);
    assert.deepEqual([purged.output, purged.code], ["1 file purged.\n", 1]);
    assert.equal(purged.fault, `${mendable.id}  There is no such file in quarantine.\n`);
    assert.equal((await quarantine("purge", "--all", "--older-than", "1")).output, "0 files purged.\n");
    assert.equal((await quarantine("purge", "--all", "--reason", "not-dicom")).output, "1 file purged.\n");
    const { code, fault } = await quarantine("dance");
    assert.deepEqual([code, fault.includes("Usage: noctis quarantine")], [2, true]);
  });
});
