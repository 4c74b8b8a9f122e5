/**
 * Brings the pinned OHIF build into `ohif-config/build`: `npm run viewer`, and after every `npm install`.
 * Does nothing when it is there already. With `--postinstall` a failure is told, and is none of the exit code.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { isWhole, readManifest } from "./build-manifest.ts";
import { makeBuild } from "./make-build.ts";
import { buildRecipe, viewerBuildFolder, viewerPackage } from "./version.ts";

const run = promisify(execFile);
const isPostinstall = process.argv.includes("--postinstall");
const packageSpec = `${viewerPackage.name}@${viewerPackage.version}`;

/** Lines of npm that name a code alone. */
const codeLine = /^(code|errno|syscall|path|dest|cwd)\b/;

/** npm itself ends an attempt long before; this only stops a hang. */
const packTimeoutMs = 600_000;

/** Installs the viewer unless it is there. */
async function installViewer(): Promise<void> {
  if (isInstalled()) {
    if (!isPostinstall) console.log(`The viewer is installed already: ${packageSpec}.`);
    return;
  }
  const parent = path.dirname(viewerBuildFolder);
  await mkdir(parent, { recursive: true });
  const workFolder = await mkdtemp(path.join(parent, ".work-"));
  try {
    const tarball = await packTarball(workFolder);
    await checkIntegrity(tarball);
    const fresh = path.join(workFolder, "build");
    await mkdir(fresh);
    await makeBuild(tarball, fresh);
    await moveIntoPlace(fresh, path.join(workFolder, "old"));
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
  console.log(`The viewer is installed: ${packageSpec}.`);
}

function isInstalled(): boolean {
  const manifest = readManifest(viewerBuildFolder);
  if (manifest === undefined) return false;
  return (
    manifest.version === viewerPackage.version &&
    manifest.recipe === buildRecipe &&
    isWhole(viewerBuildFolder, manifest)
  );
}

/** Downloads the tarball by npm, so that the user's registry, proxy and cache hold here too. */
async function packTarball(folder: string): Promise<string> {
  const [command, ...first] = npmCommand();
  // One retry: an `npm install` without a network is not to wait minutes for a part that it can do without.
  const options = ["--pack-destination", folder, "--ignore-scripts", "--fetch-retries=1", "--loglevel=error"];
  const cwd = path.resolve(import.meta.dirname, "..");
  await run(command, [...first, "pack", packageSpec, ...options], { cwd, timeout: packTimeoutMs });
  const name = (await readdir(folder)).find((entry) => entry.endsWith(".tgz"));
  if (name === undefined) throw new Error("npm pack left no tarball");
  return path.join(folder, name);
}

/** The npm that runs this script, or the one on the PATH. */
function npmCommand(): [string, ...string[]] {
  const npm = process.env["npm_execpath"];
  if (npm === undefined || path.basename(npm) !== "npm-cli.js") return ["npm"];
  return [process.execPath, npm];
}

/** @throws Error when the tarball holds other bytes than the pinned ones. */
async function checkIntegrity(tarball: string): Promise<void> {
  const hash = createHash("sha512");
  await pipeline(createReadStream(tarball), hash);
  if (`sha512-${hash.digest("base64")}` !== viewerPackage.integrity) {
    throw new Error(`the registry's ${packageSpec} is not the pinned package: its SHA-512 differs`);
  }
}

/** Puts the finished build in its place in one step; a broken one there goes to `old` first. */
async function moveIntoPlace(fresh: string, old: string): Promise<void> {
  await rename(viewerBuildFolder, old).catch(ignoreAbsent);
  try {
    await rename(fresh, viewerBuildFolder);
  } catch (error) {
    // Another installer may have been faster; its build is as good.
    if (!isInstalled()) throw error;
  }
}

function ignoreAbsent(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

/** The reason of a failure in one line: of what npm says, the first sentence after its codes. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const stderr = "stderr" in error && typeof error.stderr === "string" ? error.stderr : "";
  const lines = stderr.split("\n").filter((line) => /^npm (error|ERR!) /.test(line));
  const sentences = lines.map((line) => line.replace(/^npm \S+ /, "")).filter((line) => !codeLine.test(line));
  return sentences[0] ?? error.message.split("\n")[0] ?? error.name;
}

try {
  await installViewer();
} catch (error) {
  console.error(`The viewer is not installed: ${reasonOf(error)}. Noctis works without it; retry with: npm run viewer`);
  // Without the viewer the archive still works, so an offline `npm install` must not fail for it.
  if (!isPostinstall) process.exitCode = 1;
}
