/** The dependency rule is really kept: lint refuses each forbidden import, and lets the allowed ones pass. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";

const root = path.join(import.meta.dirname, "..", "..");
const run = promisify(execFile);

/** Where an import stands, what it imports, and whether lint may let it pass. */
const cases: readonly (readonly [file: string, imported: string, allowed: boolean])[] = [
  ["server/dicom/a.ts", "../errors.ts", true],
  ["server/dicom/b.ts", "./a.ts", true],
  ["server/dicom/c.ts", "../log.ts", false],
  ["server/dicom/d.ts", "../archive/a.ts", false],
  ["server/dicom/e.ts", "../../storage/a.ts", false],
  ["server/dicom/f.ts", "node:fs/promises", false],
  ["server/dicom/g.ts", "node:net", false],
  ["server/archive/a.ts", "../../storage/a.ts", true],
  ["server/archive/b.ts", "../dicom/a.ts", true],
  ["server/archive/c.ts", "../http/a.ts", false],
  ["server/archive/d.ts", "koa", false],
  ["server/archive/e.ts", "../server.ts", false],
  ["server/http/a.ts", "../archive/a.ts", true],
  ["server/http/b.ts", "../../storage/a.ts", false],
  ["server/http/c.ts", "../dimse/a.ts", false],
  ["server/http/d.ts", "../main.ts", false],
  ["server/dimse/a.ts", "../archive/a.ts", true],
  ["server/dimse/b.ts", "../http/a.ts", false],
  ["server/cli/a.ts", "../dicom/a.ts", true],
  ["server/cli/b.ts", "../archive/a.ts", true],
  ["server/cli/c.ts", "../open-archive.ts", true],
  ["server/cli/d.ts", "../../storage/a.ts", false],
  ["server/cli/e.ts", "../server.ts", false],
  ["storage/a.ts", "../server/errors.ts", true],
  ["storage/b.ts", "../server/log.ts", false],
  ["storage/c.ts", "../server/dicom/a.ts", false],
  ["conformance/a.ts", "../server/http/a.ts", false],
  ["conformance/b.ts", "../storage/a.ts", false],
  ["conformance/c.ts", "../tests/support/a.ts", false],
  ["conformance/checks/d.ts", "../../server/dicom/a.ts", false],
  ["conformance/checks/e.ts", "../expect.ts", true],
];

describe("the dependency rule", () => {
  it("is kept by lint", async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), "noctis-lint-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await copyFile(path.join(root, ".oxlintrc.json"), path.join(folder, ".oxlintrc.json"));
    for (const [file, imported] of cases) {
      await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
      await writeFile(path.join(folder, file), `import { value } from "${imported}";\nexport const copy = value;\n`);
    }
    const lint = path.join(root, "node_modules", ".bin", "oxlint");
    const output = await run(lint, ["--format", "unix"], { cwd: folder }).catch((error: { stdout: string }) => error);
    const refused = new Set(
      [...output.stdout.matchAll(/^(\S+?):\d+:\d+: .*no-restricted-imports/gm)].map(([, file = ""]) =>
        path.normalize(file),
      ),
    );
    const outcome = cases.map(([file, imported]) => [file, imported, !refused.has(file)]);
    assert.deepEqual(outcome, cases);
  });
});
