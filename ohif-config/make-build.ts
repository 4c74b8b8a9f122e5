/** Makes a build folder of the viewer from the tarball of its package. */
import { createHash } from "node:crypto";
import { readFile, readdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { extract } from "tar";
import { copyEndings, manifestPath, viewerFilePath } from "./build-manifest.ts";
import type { ViewerFile, ViewerManifest } from "./build-manifest.ts";
import {
  cleanIndex,
  contentTypeOf,
  hasContentHash,
  inlineScriptHashes,
  isCompressible,
  isKept,
} from "./package-files.ts";
import { repaired } from "./repairs.ts";
import { buildRecipe, viewerPackage } from "./version.ts";

const toGzip = promisify(gzip);
const toBrotli = promisify(brotliCompress);

/** Levels at which the whole viewer takes 2 to 3 seconds on two cores; higher ones gain 2 % and cost twice the time. */
const gzipLevel = 9;
const brotliQuality = 7;

/**
 * Unpacks `tarball` into the empty folder `buildFolder`: the files that Noctis serves, their compressed copies, the
 * licence, and last the manifest. The tarball must have been checked against its pinned hash.
 */
export async function makeBuild(tarball: string, buildFolder: string): Promise<void> {
  await extract({ file: tarball, cwd: buildFolder, strip: 1, filter: isKept });
  await rename(path.join(buildFolder, "dist"), viewerFilePath(buildFolder));

  const names = await listFiles(viewerFilePath(buildFolder));
  const index = viewerFilePath(buildFolder, "index.html");
  const html = cleanIndex(await readFile(index, "utf8"), new Set(names));
  await writeFile(index, html);
  const changed = await repaired(names, (name) => readFile(viewerFilePath(buildFolder, name), "utf8"));
  for (const [name, text] of changed) await writeFile(viewerFilePath(buildFolder, name), text);

  const manifest: ViewerManifest = {
    package: viewerPackage.name,
    version: viewerPackage.version,
    recipe: buildRecipe,
    inlineScripts: inlineScriptHashes(html),
    files: await Promise.all(names.map((name) => describeFile(buildFolder, name, changed.has(name)))),
  };
  await writeFile(manifestPath(buildFolder), `${JSON.stringify(manifest, null, 1)}\n`);
}

/** Paths of the files below `folder`, with `/`, in order. */
async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).replaceAll(path.sep, "/"))
    .toSorted();
}

/** Writes the compressed copies of a file, and tells what the manifest says of it. */
async function describeFile(buildFolder: string, name: string, isRepaired: boolean): Promise<ViewerFile> {
  const file = viewerFilePath(buildFolder, name);
  const bytes = await readFile(file);
  const description: ViewerFile = {
    path: name,
    contentType: contentTypeOf(name),
    sha256: createHash("sha256").update(bytes).digest("base64url"),
    // The hash in the name of a repaired file is that of other bytes.
    immutable: hasContentHash(name) && !isRepaired,
    byteLength: bytes.length,
  };
  if (!isCompressible(name)) return description;

  const params = {
    [constants.BROTLI_PARAM_QUALITY]: brotliQuality,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  const [gzipped, brotlied] = await Promise.all([toGzip(bytes, { level: gzipLevel }), toBrotli(bytes, { params })]);
  await Promise.all([writeFile(file + copyEndings.gzip, gzipped), writeFile(file + copyEndings.br, brotlied)]);
  return { ...description, gzip: gzipped.length, brotli: brotlied.length };
}
