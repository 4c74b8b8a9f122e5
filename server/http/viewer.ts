/** Serves the OHIF viewer: its pages, its files and its configuration, under their own Content-Security-Policy. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { Context, Middleware } from "koa";
import { copyEndings, readManifest, viewerFilePath } from "../../ohif-config/build-manifest.ts";
import type { ViewerFile } from "../../ohif-config/build-manifest.ts";
import { absentPage, viewerPolicy } from "./viewer-page.ts";

/** What `createViewer` needs. */
export interface ViewerOptions {
  /** The folder that `npm run viewer` makes. It may be absent: `/` then tells how to install it. */
  readonly buildFolder: string;
  /** Text of app-config.js. */
  readonly appConfig: string;
}

/**
 * Paths at which OHIF shows a page of its own, by the first segment: the modes of the build, and its error pages.
 * A mode may be followed by the name of a data source. Everything else that is not a file is a true 404, since OHIF
 * takes any answer of 200 for the file it asked for.
 */
const clientRoutes = "viewer|basic|segmentation|tmtv|microscopy|usAnnotation|notfoundstudy|notfoundserver";
const clientRoute = new RegExp(`^/(?:(?:${clientRoutes})(?:/[\\w-]+)?/?)?$`);

const yearInSeconds = 31_536_000;

/** The installed viewer, ready to be served. Its URLs are fixed at start: no request names a file by itself. */
interface InstalledViewer {
  readonly files: ReadonlyMap<string, ViewerFile>;
  readonly policy: string;
}

/**
 * Middleware for the viewer at `/`. Answers GET and HEAD of its pages and files, and passes on all other requests.
 * A viewer that is installed while the server runs is found at the next request for a page.
 */
export function createViewer({ buildFolder, appConfig }: ViewerOptions): Middleware {
  const appConfigTag = `"${createHash("sha256").update(appConfig).digest("base64url")}"`;
  let installed = loadViewer(buildFolder);

  return async (ctx, next) => {
    if (ctx.method !== "GET" && ctx.method !== "HEAD") return next();
    const isPage = clientRoute.test(ctx.path);
    if (isPage && !ctx.accepts("html")) return next();
    if (isPage) installed ??= loadViewer(buildFolder);
    if (installed === undefined) return ctx.path === "/" ? sendAbsent(ctx) : next();

    if (ctx.path === "/app-config.js") return sendAppConfig(ctx, appConfig, appConfigTag, installed.policy);
    const file = installed.files.get(isPage ? "/index.html" : ctx.path);
    if (file === undefined) return next();
    return sendFile(ctx, buildFolder, file, installed.policy);
  };
}

function loadViewer(buildFolder: string): InstalledViewer | undefined {
  const manifest = readManifest(buildFolder);
  if (manifest === undefined) return undefined;
  const files = new Map(manifest.files.map((file) => [`/${file.path}`, file]));
  return { files, policy: viewerPolicy(manifest.inlineScripts) };
}

/** Every file carries the policy, not only the page: a worker takes it from the answer to its own script. */
function setHeaders(ctx: Context, policy: string): void {
  ctx.set({
    "Content-Security-Policy": policy,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
  });
}

function sendFile(ctx: Context, buildFolder: string, file: ViewerFile, policy: string): void {
  setHeaders(ctx, policy);
  const variant = chooseVariant(ctx, file);
  ctx.status = 200;
  ctx.type = file.contentType;
  ctx.set("Cache-Control", file.immutable ? `public, max-age=${yearInSeconds}, immutable` : "no-cache");
  ctx.etag = `"${file.sha256}${variant.ending}"`;
  if (file.gzip !== undefined) ctx.vary("Accept-Encoding");
  if (ctx.fresh) {
    ctx.status = 304;
    return;
  }
  if (variant.coding !== undefined) ctx.set("Content-Encoding", variant.coding);
  // HEAD opens no file: Koa would end the answer and leave the stream unread.
  if (ctx.method === "GET") ctx.body = createReadStream(viewerFilePath(buildFolder, file.path) + variant.ending);
  ctx.length = variant.byteLength;
}

interface Variant {
  readonly coding?: string;
  readonly ending: string;
  readonly byteLength: number;
}

/** The smallest copy that the client takes at all (RFC 9110, 12.5.3), whichever it would rather have. */
function chooseVariant(ctx: Context, file: ViewerFile): Variant {
  if (file.brotli !== undefined && ctx.acceptsEncodings("br") === "br") {
    return { coding: "br", ending: copyEndings.br, byteLength: file.brotli };
  }
  if (file.gzip !== undefined && ctx.acceptsEncodings("gzip") === "gzip") {
    return { coding: "gzip", ending: copyEndings.gzip, byteLength: file.gzip };
  }
  return { ending: "", byteLength: file.byteLength };
}

function sendAppConfig(ctx: Context, text: string, tag: string, policy: string): void {
  setHeaders(ctx, policy);
  ctx.status = 200;
  ctx.type = "text/javascript; charset=utf-8";
  ctx.set("Cache-Control", "no-cache");
  ctx.etag = tag;
  if (ctx.fresh) ctx.status = 304;
  else ctx.body = text;
}

function sendAbsent(ctx: Context): void {
  setHeaders(ctx, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'");
  ctx.status = 503;
  ctx.type = "text/html; charset=utf-8";
  ctx.set("Cache-Control", "no-store");
  ctx.body = absentPage;
}
