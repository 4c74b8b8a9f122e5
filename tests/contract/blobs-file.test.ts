/** Blobs in a folder: the contract, and what only a folder can do wrong. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { ArchiveError } from "../../server/errors.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import { freshKey } from "../../storage/blobs.ts";
import { blobContract } from "./blobs.ts";

/** An ordinary user, for tests that root would pass by its rights alone. */
const ordinaryUid = 65_534;

blobContract("files", async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), "noctis-blobs-"));
  const blobs = await openFileBlobs({ folder });
  return { blobs, keepsUids: false, end: () => rm(folder, { recursive: true }) };
});

describe("blobs: files only", () => {
  it("leaves no temporary file behind", async (t) => {
    const folder = await temporaryFolder(t);
    const blobs = await openFileBlobs({ folder });
    await blobs.put(oneChunk("bytes"));
    await assert.rejects(blobs.put(brokenBody()));
    assert.deepEqual(await readdir(path.join(folder, "tmp")), []);
  });

  it("lists no file but its objects", async (t) => {
    const folder = await temporaryFolder(t);
    const blobs = await openFileBlobs({ folder });
    for (const name of ["tmp/young", "README.TXT", ".nfs0001"]) await writeFile(path.join(folder, name), "x");
    for await (const entry of blobs.list()) assert.fail(entry.key);
  });

  it("shows its files to nobody else", async (t) => {
    const folder = await temporaryFolder(t);
    const blobs = await openFileBlobs({ folder });
    const { key } = await blobs.put(oneChunk("bytes"));
    assert.equal((await stat(path.join(folder, key))).mode & 0o077, 0);
    assert.equal((await stat(path.join(folder, key.slice(0, 2)))).mode & 0o077, 0);
  });

  it("removes what a dead process left half done, and nothing younger", async (t) => {
    const folder = await temporaryFolder(t);
    const blobs = await openFileBlobs({ folder });
    const [old, young] = ["old", "young"].map((name) => path.join(folder, "tmp", name));
    assert.ok(old !== undefined && young !== undefined);
    await writeFile(old, "x");
    await writeFile(young, "x");
    const yesterday = new Date(Date.now() - 25 * 3600_000);
    await utimes(old, yesterday, yesterday);
    assert.equal(await blobs.removeLeftovers(new Date(Date.now() - 24 * 3600_000)), 1);
    assert.deepEqual(await readdir(path.join(folder, "tmp")), ["young"]);
  });

  it("shows nothing of a put whose process is killed", async (t) => {
    const folder = await temporaryFolder(t);
    const key = freshKey();
    const module = path.resolve(import.meta.dirname, "../../storage/blobs-file.ts");
    const script = `
      const { openFileBlobs } = await import(${JSON.stringify(module)});
      const blobs = await openFileBlobs({ folder: ${JSON.stringify(folder)} });
      async function* body() {
        for (let index = 0; ; index += 1) {
          yield Buffer.alloc(1024 * 1024, index);
          if (index === 20) process.stdout.write("writing");
        }
      }
      await blobs.put(body(), { key: ${JSON.stringify(key)} });`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");
    const blobs = await openFileBlobs({ folder });
    assert.equal(await blobs.stat(key), undefined);
    for await (const entry of blobs.list()) assert.fail(entry.key);
    assert.equal((await readdir(path.join(folder, "tmp"))).length, 1, "the child was to be killed while it wrote");
    await blobs.put(oneChunk("again"), { key });
    assert.equal((await blobs.stat(key))?.byteLength, 5);
  });

  it("makes a folder again that somebody has removed, since it was empty", async (t) => {
    const folder = await temporaryFolder(t);
    const blobs = await openFileBlobs({ folder });
    await blobs.put(oneChunk("one"), { key: "3f/3f01" });
    await rm(path.join(folder, "3f"), { recursive: true });
    await Promise.all(["3f/3f02", "3f/3f03"].map((key) => blobs.put(oneChunk("other"), { key })));
    for (const key of ["3f/3f02", "3f/3f03"]) assert.equal((await blobs.stat(key))?.byteLength, 5);
  });

  it("says that its folder is gone, stores nothing beside a disk that is not mounted, and comes back with it", async (t) => {
    const folder = await temporaryFolder(t);
    const blobs = await openFileBlobs({ folder });
    const away = `${folder}-away`;
    await rename(folder, away);
    await mkdir(folder);
    await unavailable(blobs.check());
    await unavailable(blobs.put(oneChunk("bytes")));
    assert.deepEqual(await readdir(folder), []);
    await rm(folder, { recursive: true });
    await rename(away, folder);
    await blobs.check();
    await blobs.put(oneChunk("bytes"));
  });

  it("says that a folder cannot be written, at open and later", async (t) => {
    const folder = await temporaryFolder(t);
    const blobs = await openFileBlobs({ folder });
    await asOrdinaryUser(async () => {
      await chmodTree(folder, 0o555);
      await unavailable(openFileBlobs({ folder: path.join(folder, "new") }));
      await unavailable(blobs.check());
      const body = oneChunk("bytes");
      await unavailable(blobs.put(body));
      assert.equal((await body.next()).done, true, "the body was closed");
    }, folder);
  });
});

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "noctis-blobs-"));
  t.after(async () => {
    await chmodTree(folder, 0o755);
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}

async function chmodTree(folder: string, mode: number): Promise<void> {
  await chmod(folder, mode);
  await chmod(path.join(folder, "tmp"), mode);
}

/** Root may write everywhere, so root lends its place to an ordinary user for the time of `run`. */
async function asOrdinaryUser(run: () => Promise<void>, folder: string): Promise<void> {
  const { seteuid, geteuid } = process;
  if (seteuid === undefined || geteuid?.() !== 0) return run();
  for (const each of [folder, path.join(folder, "tmp")]) await chown(each, ordinaryUid, ordinaryUid);
  seteuid(ordinaryUid);
  try {
    await run();
  } finally {
    seteuid(0);
  }
}

async function unavailable(promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof ArchiveError && error.code === "storage-unavailable");
}

async function* oneChunk(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
  yield Buffer.alloc(0);
}

async function* brokenBody(): AsyncGenerator<Uint8Array> {
  yield Buffer.from("some");
  throw new Error("the body broke");
}
