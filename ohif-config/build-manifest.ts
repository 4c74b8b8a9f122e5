/** The manifest of an installed viewer build: written by the installer, read by the web door. */
import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { z } from "zod";

const byteLength = z.int().nonnegative();

const fileSchema = z.strictObject({
  /** Path below `files`, with `/`, as a URL of the viewer names it: no leading slash. */
  path: z.string().regex(/^[\w-][\w.-]*(\/[\w-][\w.-]*)*$/),
  /** Value of Content-Type. */
  contentType: z.string(),
  /** SHA-256 of the bytes, in base64url. */
  sha256: z.string(),
  /** The name holds a hash of the content, so that the bytes behind it never change. */
  immutable: z.boolean(),
  byteLength,
  /** Size in bytes of the precompressed copies beside the file; absent where there is none. */
  gzip: byteLength.optional(),
  brotli: byteLength.optional(),
});

const manifestSchema = z.strictObject({
  package: z.string(),
  version: z.string(),
  recipe: z.int(),
  /** Sources for script-src (CSP) of the inline scripts of index.html: `sha256-` and the hash in base64. */
  inlineScripts: z.array(z.string().regex(/^sha256-[A-Za-z0-9+/]{43}=$/)),
  files: z.array(fileSchema),
});

/** One file of the viewer. */
export type ViewerFile = z.infer<typeof fileSchema>;

/** What a build folder holds. */
export type ViewerManifest = z.infer<typeof manifestSchema>;

/** The files of a build lie in this folder of it, the manifest and the licence beside. */
const filesFolder = "files";

const manifestName = "manifest.json";

/** Name endings of the precompressed copies, by the content coding (RFC 9110, 8.4.1) that each is. */
export const copyEndings = { gzip: ".gz", br: ".br" } as const;

/** Full path of a file of the viewer, or of the folder of them all. */
export function viewerFilePath(buildFolder: string, file = ""): string {
  return path.join(buildFolder, filesFolder, file);
}

/** Full path of the manifest. */
export function manifestPath(buildFolder: string): string {
  return path.join(buildFolder, manifestName);
}

/** The manifest of a build; undefined when the folder holds no build, or one that is not to be trusted. */
export function readManifest(buildFolder: string): ViewerManifest | undefined {
  try {
    return manifestSchema.parse(JSON.parse(readFileSync(manifestPath(buildFolder), "utf8")));
  } catch {
    return undefined;
  }
}

/** Whether every file that the manifest names is there in its full size. */
export function isWhole(buildFolder: string, manifest: ViewerManifest): boolean {
  return manifest.files.every((file) => {
    const name = viewerFilePath(buildFolder, file.path);
    return (
      hasSize(name, file.byteLength) &&
      hasSize(name + copyEndings.gzip, file.gzip) &&
      hasSize(name + copyEndings.br, file.brotli)
    );
  });
}

function hasSize(file: string, size: number | undefined): boolean {
  return size === undefined || statSync(file, { throwIfNoEntry: false })?.size === size;
}
