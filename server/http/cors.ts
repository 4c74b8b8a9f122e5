/** Cross-Origin Resource Sharing (Fetch standard 3.2): which pages of other origins may use the server. */
import cors from "@koa/cors";
import type { Middleware } from "koa";

export interface CorsOptions {
  /** Origins as browsers send them, or a star alone for any. */
  readonly origins: readonly string[];
  /** Headers that scripts may read, beside those that they always may. */
  readonly exposeHeaders: readonly string[];
}

/** Seconds that a browser may keep the answer to a preflight. */
const maxAge = 3600;

/**
 * The middleware. A preflight of a known origin is answered with 204 and takes whatever headers it asks for. Origins
 * that are listed may send credentials; with a star none are taken, and an unknown origin gets no header of CORS.
 */
export function allowOrigins({ origins, exposeHeaders }: CorsOptions): Middleware {
  const any = origins.includes("*");
  return cors({
    origin: (ctx) => (any ? "*" : (origins.find((origin) => origin === ctx.get("Origin")) ?? "")),
    credentials: !any,
    allowMethods: ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"],
    exposeHeaders: [...exposeHeaders],
    maxAge,
    // The answer to an error keeps the headers that were set before.
    keepHeadersOnError: false,
  });
}
