/** Tests of the `noctis` command and of the start as a newcomer meets them: help, version, settings. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";

import manifest from "../../package.json" with { type: "json" };
import { settingLines } from "../../server/cli/config.ts";
import { describeConfig, loadConfig } from "../../server/config.ts";

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script of server/ with nothing of this environment but the PATH. */
function runScript(script: string, args: readonly string[], settings: Readonly<Record<string, string>> = {}) {
  const root = path.join(import.meta.dirname, "..", "..");
  const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], ...settings };
  return new Promise<Ended>((resolve) => {
    const child = execFile(process.execPath, [`server/${script}`, ...args], { cwd: root, env }, (_, stdout, stderr) =>
      resolve({ status: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

describe("the noctis command", () => {
  it("tells its version", async () => {
    for (const word of ["--version", "version", "-v"]) {
      const { status, stdout } = await runScript("cli.ts", [word]);
      assert.deepEqual([status, stdout], [0, `noctis ${manifest.version}\n`], word);
    }
  });

  it("helps, with all commands and with one", async () => {
    for (const word of ["--help", "help", "-h"]) {
      const { status, stdout } = await runScript("cli.ts", [word]);
      assert.equal(status, 0);
      for (const name of ["demo", "import", "config", "--version"]) assert.ok(stdout.includes(`\n  ${name} `), name);
    }
    for (const words of [
      ["help", "import"],
      ["import", "--help"],
      ["--help", "import"],
    ]) {
      const { status, stdout } = await runScript("cli.ts", words);
      assert.deepEqual([status, stdout.slice(0, 20)], [0, "Usage: noctis import"], words.join(" "));
    }
    const unknown = await runScript("cli.ts", ["help", "dance"]);
    assert.deepEqual([unknown.status, unknown.stderr.split("\n")[0]], [2, 'There is no command "dance".']);
  });

  it("prints the settings within 80 columns, the meaning below the value", async () => {
    const { status, stdout, stderr } = await runScript("cli.ts", ["config"], { HTTP_PORT: "8281" });
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /^HTTP_PORT=8281\n {4}# Port to listen on; 0 for a free one\.$/m);
    const tooLong = stdout.split("\n").filter((line) => line.length > 80 && !line.startsWith("DATA_DIR="));
    assert.deepEqual(tooLong, []);
  });

  it("breaks lists and sentences alone, and loses nothing of them", () => {
    const settings = describeConfig(loadConfig({ DATA_DIR: `/${"folder with blanks ".repeat(10)}x` }));
    for (const width of [20, 80, 120]) {
      const lines = settingLines(settings, width);
      const values = settings.map(({ name, value }) => `${name}=${value}`);
      const meanings = settings.map(({ description }) => description);
      const joined = lines.filter((line) => !line.startsWith("    # ")).join("\n");
      assert.equal(joined.replaceAll("\n    ", ""), values.join("\n"));
      const comments = lines.filter((line) => line.startsWith("    # ")).map((line) => line.slice(6));
      assert.equal(comments.join(" "), meanings.join(" "));
    }
  });

  it("warns in one line of a mistyped setting, as the start does", async (t) => {
    const hint = "Set, but no setting, and ignored: HTTP_PRT (did you mean HTTP_PORT?).";
    const { status, stderr } = await runScript("cli.ts", ["config"], { HTTP_PRT: "8281" });
    assert.deepEqual([status, stderr], [0, `${hint}\n`]);
    const folder = await mkdtemp(path.join(tmpdir(), "noctis-commands-"));
    t.after(() => rm(folder, { recursive: true }));
    const absent = { DATABASE_URL: "postgresql://127.0.0.1:1/none", DATA_DIR: folder };
    const start = await runScript("main.ts", [], { HTTP_PRT: "8281", ...absent });
    const warned: unknown = JSON.parse(start.stdout.split("\n", 1).join(""));
    assert.ok(typeof warned === "object" && warned !== null);
    assert.deepEqual([start.status, Reflect.get(warned, "level"), Reflect.get(warned, "msg")], [1, 40, hint]);
  });
});
