/** What of the OHIF package is kept, under which content type, and how its index.html is cleaned. */
import { createHash } from "node:crypto";
import path from "node:path";

/** Folder of the tarball that holds the built viewer. */
const distFolder = "package/dist/";

/** The licence (MIT) of the package: it stays with every copy. */
const licence = "package/LICENSE";

/**
 * Files of `dist` that Noctis does not serve: the viewer works without them, and each either is large, is for another
 * host, or reaches out to one.
 */
const dropped: readonly RegExp[] = [
  /^ort\//, // onnxruntime for AI tools whose models lie on a foreign host: 136 MB
  /\.map$/, // source maps: 40 MB
  /^(sw|init-service-worker)\.js$/, // a service worker that names a CDN
  /^(google|oidc-client\.min)\.js$/,
  /^silent-refresh\.html$/,
  /^(es6-shim|polyfill)\.min\.js$/,
  /^(_headers|_redirects|serve\.json)$/, // settings of other web servers
  /^customizations\//,
  /^manifest\.json$/, // an installable app, which needs the service worker
  /^app-config\.js$/, // points to a public demo server; Noctis makes its own
  /^assets\/(?!favicon|images\/)/, // home-screen icons and start-up pictures
];

/** Content types by file name ending. */
const contentTypes: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".js": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".woff2": "font/woff2",
};

/** Endings of files that shrink when compressed. */
const compressible = new Set([".css", ".html", ".js", ".svg", ".wasm"]);

/** Whether an entry of the tarball belongs into the build. */
export function isKept(entry: string): boolean {
  if (entry === licence) return true;
  if (!entry.startsWith(distFolder)) return false;
  const file = entry.slice(distFolder.length);
  return !dropped.some((pattern) => pattern.test(file));
}

/** The content type of a file. @throws Error for a kind of file that the package of the pinned version does not hold. */
export function contentTypeOf(file: string): string {
  const contentType = contentTypes[path.extname(file)];
  if (contentType === undefined) throw new Error(`The package holds ${file}, whose content type is not known`);
  return contentType;
}

/** Whether a compressed copy of the file is worth its place. */
export function isCompressible(file: string): boolean {
  return compressible.has(path.extname(file));
}

/** Whether the name holds a hash of the content, as the bundler writes it: 16 hexadecimal digits. */
export function hasContentHash(file: string): boolean {
  return /(^|[./])[0-9a-f]{16}\./.test(file);
}

/** index.html without the tags that ask for files which are not kept; `kept` holds the paths of those that are. */
export function cleanIndex(html: string, kept: ReadonlySet<string>): string {
  const isGone = (url: string | undefined): boolean => url !== undefined && url !== "app-config.js" && !kept.has(url);
  return html
    .replaceAll(/<script [^>]*\bsrc="\/([^"]+)"[^>]*><\/script>/g, (tag, url: string) => (isGone(url) ? "" : tag))
    .replaceAll(/<link [^>]*\bhref="\/([^"]+)"[^>]*>/g, (tag, url: string) => (isGone(url) ? "" : tag))
    .replaceAll(/<meta [^>]*\bcontent="\/([^"]+)"[^>]*>/g, (tag, url: string) => (isGone(url) ? "" : tag));
}

/** The inline scripts of a page as sources for script-src (CSP Level 3, 2.3.1): `sha256-` and the hash in base64. */
export function inlineScriptHashes(html: string): string[] {
  const scripts = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map((match) => match[1] ?? "");
  return scripts.map((text) => `sha256-${createHash("sha256").update(text).digest("base64")}`);
}
