/** Commands that open the archive themselves: beside a running server, and without one. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { joinEmbeddedPostgres, startEmbeddedPostgres } from "../../storage/postgres-embedded.ts";

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const cli = path.join(import.meta.dirname, "../../server/cli.ts");

async function noctis(environment: Readonly<Record<string, string>>, ...args: readonly string[]) {
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, [cli, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const [output, fault, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  return { output, fault, code };
}

describe("noctis check", () => {
  it("works without a server, and beside one whose PostgreSQL stays up", async (t) => {
    const dataFolder = await mkdtemp(path.join(os.tmpdir(), "noctis-check-"));
    t.after(() => rm(dataFolder, { recursive: true, force: true }));
    const alone = await noctis({ DATA_DIR: dataFolder }, "check");
    assert.deepEqual(alone, { output: "The database and the object store work.\n", fault: "", code: 0 });
    const folder = path.join(dataFolder, "postgres");
    const owner = await startEmbeddedPostgres({ folder, log });
    const beside = await noctis({ DATA_DIR: dataFolder }, "check");
    assert.deepEqual(beside, { output: "The database and the object store work.\n", fault: "", code: 0 });
    const joined = await joinEmbeddedPostgres({ folder, log });
    assert.equal(joined.connectionString, owner.connectionString);
    await joined.stop();
    const again = await noctis({ DATA_DIR: dataFolder }, "check");
    assert.equal(again.code, 0);
    await owner.stop();
  });

  it("says in one sentence what does not work", async (t) => {
    const dataFolder = await mkdtemp(path.join(os.tmpdir(), "noctis-check-"));
    t.after(() => rm(dataFolder, { recursive: true, force: true }));
    await writeFile(path.join(dataFolder, "objects"), "in the way");
    const refused = await noctis({ DATA_DIR: dataFolder }, "check");
    assert.deepEqual(refused, { output: "", fault: "The folder of the archive does not work.\n", code: 1 });
    const url = "postgresql://noctis@127.0.0.1:1/noctis";
    const away = await noctis({ DATA_DIR: dataFolder, DATABASE_URL: url }, "check");
    assert.deepEqual(away, { output: "", fault: "The database 127.0.0.1:1/noctis refuses the connection.\n", code: 1 });
  });
});
