/** Refuses what pages of other origins would change: a browser sends some of that without asking first. */
import type { Context, Middleware } from "koa";
import { ArchiveError } from "../errors.ts";
import { baseUrl, type BaseUrlOptions } from "./base-url.ts";

/** Methods that change nothing. */
const reading: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * The middleware. Browsers tell in Sec-Fetch-Site where the page comes from that makes a request, and where they do not
 * (addresses without TLS, old ones), in Origin; other clients send neither. A simple POST (Fetch standard 2.2.2) reaches
 * the server without a preflight, so CORS alone does not hold it.
 * @param origins those that CORS allows; a star is any
 */
export function refuseForeignPages(origins: readonly string[], own: BaseUrlOptions): Middleware {
  return async (ctx, next) => {
    const origin = ctx.get("Origin");
    const isAllowed = reading.has(ctx.method) || origins.includes("*") || origins.includes(origin);
    if (!isAllowed && isForeign(ctx, origin, own)) {
      throw new ArchiveError(
        "foreign-page",
        "Pages of this origin may not change anything here: CORS_ORIGINS lists those, and PUBLIC_URL names the server's own.",
      );
    }
    await next();
  };
}

function isForeign(ctx: Context, origin: string, own: BaseUrlOptions): boolean {
  const site = ctx.get("Sec-Fetch-Site");
  if (site !== "") return site === "cross-site" || site === "same-site";
  return origin !== "" && origin !== new URL(baseUrl(ctx.req, own)).origin;
}
