/** `noctis verify` as it is called: exit codes, what it prints, Ctrl-C in the middle, objects brought back from a backup. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { createArchive } from "../../server/archive/archive.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { instanceFile } from "../support/instances.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

const cli = path.join(import.meta.dirname, "../../server/cli.ts");

describe("noctis verify", () => {
  let database: TestDatabase;
  let folder: string;
  const files = Array.from({ length: 6 }, () => instanceFile());

  before(async () => {
    database = await testDatabase();
    folder = await mkdtemp(path.join(os.tmpdir(), "noctis-verify-"));
    await mkdir(path.join(folder, "backup"));
    const blobs = await openFileBlobs({ folder: path.join(folder, "objects") });
    const silent = () => undefined;
    const log = { debug: silent, info: silent, warn: silent, error: silent };
    const archive = createArchive({ blobs, catalog: createCatalog(database.knex), log });
    for (const { bytes } of files) {
      const body = async function* () {
        yield bytes;
      };
      assert.equal((await archive.store(body())).status, "stored");
    }
  });
  after(async () => {
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  function start(...args: readonly string[]) {
    const env = {
      ...process.env,
      DATABASE_URL: database.url,
      DATA_DIR: folder,
      BACKUP_TO: path.join(folder, "backup"),
    };
    return spawn(process.execPath, [cli, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  }

  async function noctis(...args: readonly string[]) {
    const child = start(...args);
    const [output, fault, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
    return { output, fault, code };
  }

  async function objectOf(file: (typeof files)[number]): Promise<string> {
    const row = await database.knex("instance").where("sop_instance_uid", file.sopInstanceUid).first("blob_key");
    return path.join(folder, "objects", row.blob_key);
  }

  it("says that all is right, and exits with 0", async () => {
    const { output, fault, code } = await noctis("verify");
    assert.equal(output, "Compared 6 objects, read 6 (0.0 MB).\nNo fault was found.\n");
    assert.deepEqual([fault, code], ["", 0]);
  });

  it("names what is not right, exits with 1, and brings it back from the backup when asked to", async () => {
    const backup = await noctis("backup");
    assert.equal(backup.code, 0, backup.fault);
    const [broken, gone] = files;
    assert.ok(broken && gone);
    await writeFile(await objectOf(broken), Buffer.alloc(broken.bytes.length));
    await rm(await objectOf(gone));
    const { output, code } = await noctis("verify");
    assert.equal(code, 1);
    assert.match(output, /^wrong-sha256: /m);
    assert.match(output, /^missing: /m);
    assert.ok(
      output.includes(`instance ${gone.studyInstanceUid} / ${gone.seriesInstanceUid} / ${gone.sopInstanceUid}`),
    );
    const quick = await noctis("verify", "--json", "--quick");
    const document = z.object({
      finished: z.boolean(),
      faults: z.record(z.string(), z.number()),
      list: z.array(z.object({ kind: z.string() })),
    });
    const { finished, faults, list } = document.parse(JSON.parse(quick.output));
    assert.deepEqual([quick.code, finished, faults, list.length], [1, true, { missing: 1, "wrong-sha256": 1 }, 2]);
    const one = await noctis("verify", "--study", gone.studyInstanceUid);
    assert.match(one.output, /Not right: 1 missing\.\n$/);
    const repaired = await noctis("verify", "--repair");
    assert.match(repaired.output, /Brought back from the backup: 2 objects\.\nNo fault was found\.\n$/);
    assert.equal(repaired.code, 0);
    assert.equal((await noctis("verify", "--deep")).code, 0);
  });

  it("is stopped by a signal, and goes on the next time", async () => {
    // A look at what is missing waits a second before it looks again.
    const [, , , slow] = files;
    assert.ok(slow);
    const object = await objectOf(slow);
    await rm(object);
    const child = start("verify", "--restart");
    const output = text(child.stdout);
    while (!(await database.knex("integrity_run").whereNull("finished_at").first("id"))) await sleep(10);
    child.kill("SIGINT");
    const [code] = await once(child, "exit");
    assert.equal(code, 1);
    assert.match(await output, /^Stopped at \d+%: noctis verify goes on there\.$/m);
    await writeFile(object, slow.bytes);
    const again = await noctis("verify");
    assert.match(again.output, /with the earlier runs that this one went on with\.\nNo fault was found\.\n$/);
    assert.equal(again.code, 0);
  });

  it("refuses arguments that make no sense, with a sentence", async () => {
    const { fault, output, code } = await noctis("verify", "--grace", "9999");
    assert.deepEqual([code, output], [2, ""]);
    assert.match(fault, /^--grace must be a number of hours from 0 to 8760\.\n\nUsage: noctis verify/);
    const unknown = await noctis("verify", "--study", "1.2.3");
    assert.deepEqual([unknown.code, unknown.fault], [1, "There is no such study.\n"]);
  });
});
