/** The web door: a Koa application that carries requests to the handlers of routes.ts, and their replies back. */
import Router from "@koa/router";
import Koa, { type Context, type Middleware } from "koa";
import type { Archive } from "../archive/archive.ts";
import { ArchiveError, toArchiveError } from "../errors.ts";
import { acceptOf, requireUtf8 } from "./accept-query.ts";
import { baseUrl, type BaseUrlOptions } from "./base-url.ts";
import { optionsHandler } from "./capabilities.ts";
import { allowOrigins, type CorsOptions } from "./cors.ts";
import { refuseForeignPages } from "./foreign-pages.ts";
import { answerErrors, type ErrorLog } from "./problem.ts";
import type { Request } from "./reply.ts";
import type { Route } from "./route.ts";
import { dicomWebRoot, routes } from "./routes.ts";
import { send } from "./send.ts";
import { refuseMalformedTarget } from "./target.ts";

export interface WebDoorOptions {
  readonly archive: Archive;
  readonly log: ErrorLog;
  /** Serves the viewer; what it does not know goes on to the routes. */
  readonly viewer?: Middleware;
  /** What the URLs in answers begin with. */
  readonly baseUrl: BaseUrlOptions;
  /** Who may use the server from pages of other origins; nobody when absent. */
  readonly cors?: CorsOptions | undefined;
}

/** What stored bytes (HTML, SVG, PDF) may do in a browser: nothing. The viewer and the pages set their own. */
const securityHeaders = {
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'self'",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
};

/** The application, listening to nothing yet. */
export function createWebDoor({ archive, log, viewer, baseUrl: baseUrlOptions, cors }: WebDoorOptions): Koa {
  const app = new Koa();
  const router = new Router();
  for (const route of routes) {
    const carry: Middleware = async (ctx) => send(ctx, await route.handle(requestOf(ctx, archive, baseUrlOptions)));
    router.register(route.path, [route.method], [reportUndeclared(route, log), carry]);
  }
  for (const path of new Set(routes.map((route) => route.path))) {
    const answer = optionsHandler(routes, dicomWebRoot, path);
    router.options(path, async (ctx) => send(ctx, await answer(requestOf(ctx, archive, baseUrlOptions))));
  }
  app.use(answerErrors(log));
  app.use(async (ctx, next) => {
    ctx.set(securityHeaders);
    if (cors) ctx.set("Cross-Origin-Resource-Policy", "cross-origin");
    await next();
  });
  if (cors) app.use(allowOrigins(cors));
  app.use(refuseForeignPages(cors?.origins ?? [], baseUrlOptions));
  app.use(refuseMalformedTarget);
  app.use(router.routes());
  app.use(router.allowedMethods());
  if (viewer) app.use(viewer);
  app.on("error", (error: unknown) => {
    // A client that goes away in the middle of an answer is no error of the server; bytes that cannot be read are.
    const fault = error instanceof ArchiveError && error.answer.httpStatus >= 500;
    log[fault ? "error" : "debug"]({ err: error }, "a response was not sent whole");
  });
  return app;
}

/** A status that the route does not declare is a defect: it is answered all the same, and the log tells of it. */
function reportUndeclared({ method, path, statuses }: Route, log: ErrorLog): Middleware {
  const report = (status: number) => {
    if (!statuses.includes(status))
      log.error({ method, path, undeclared: status }, "a route answered an undeclared status");
  };
  return async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      report(toArchiveError(error).answer.httpStatus);
      throw error;
    }
    report(ctx.status);
  };
}

function requestOf(ctx: Context, archive: Archive, baseUrlOptions: BaseUrlOptions): Request<unknown> {
  const query = new URLSearchParams(ctx.querystring);
  const root = `${baseUrl(ctx.req, baseUrlOptions)}${dicomWebRoot}/`;
  const header = (name: string) => ctx.get(name) || undefined;
  if (ctx.method === "GET" && ctx.path.startsWith(dicomWebRoot)) requireUtf8(query, header);
  return {
    params: ctx["params"],
    query,
    accept: acceptOf(query, header),
    header,
    body: ctx.req,
    archive,
    urlOf: (path) => root + path,
  };
}
