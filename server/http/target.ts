/** The target of a request: refused before any route sees it when it is not percent-encoded UTF-8 without NUL. */
import type { Context } from "koa";
import { ArchiveError } from "../errors.ts";

/** @throws ArchiveError `invalid-request`, naming the parameter where one is malformed */
export function refuseMalformedTarget(ctx: Context, next: () => Promise<unknown>): Promise<unknown> {
  if (isText(ctx.path) && isText(ctx.querystring)) return next();
  const parameter = ctx.querystring.split("&").find((pair) => !isText(pair));
  const place =
    parameter === undefined ? "path" : `parameter ${JSON.stringify(parameter.split("=", 1)[0]?.slice(0, 64))}`;
  throw new ArchiveError("invalid-request", `The ${place} of the address is not percent-encoded UTF-8 without NUL.`);
}

function isText(encoded: string): boolean {
  try {
    return !decodeURIComponent(encoded).includes("\0");
  } catch {
    return false;
  }
}
