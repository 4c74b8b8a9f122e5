/** Refuses what pages of other origins would change: a browser sends some of that without asking first. */
import type { Middleware } from "koa";
import { ArchiveError } from "../errors.ts";

/** Methods that change nothing. */
const reading: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * The middleware. Browsers tell in Sec-Fetch-Site where the page comes from that makes a request; other clients do not
 * send it. A simple POST (Fetch standard 2.2.2) reaches the server without a preflight, so CORS alone does not hold it.
 * @param origins those that CORS allows; a star is any
 */
export function refuseForeignPages(origins: readonly string[]): Middleware {
  return async (ctx, next) => {
    const isForeign = ["cross-site", "same-site"].includes(ctx.get("Sec-Fetch-Site"));
    const isAllowed = origins.includes("*") || origins.includes(ctx.get("Origin"));
    if (isForeign && !isAllowed && !reading.has(ctx.method)) {
      throw new ArchiveError(
        "foreign-page",
        "Pages of this origin may not change anything here: CORS_ORIGINS lists those.",
      );
    }
    await next();
  };
}
