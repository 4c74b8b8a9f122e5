/** Errors as problem documents (RFC 9457): one stable code, one sentence, never a stack trace, a path or SQL. */
import type { Context, Middleware } from "koa";
import { ArchiveError, toArchiveError } from "../errors.ts";
import type { Reply } from "./reply.ts";

/** Where errors go: those of the server at `error`, those of a client at `debug`. */
export interface ErrorLog {
  readonly error: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  readonly debug: (fields: Readonly<Record<string, unknown>>, message: string) => void;
}

/** Seconds after which a client may ask again while the database or the storage does not answer (RFC 9110 10.2.3). */
const retryAfter = "10";

/** The problem document of an error. */
export function problemOf(error: ArchiveError): Reply & { readonly body: string } {
  const { httpStatus, title } = error.answer;
  const document = { type: `urn:noctis:error:${error.code}`, title, status: httpStatus, detail: error.message };
  return {
    status: httpStatus,
    headers: {
      "Content-Type": "application/problem+json",
      "Cache-Control": "no-store",
      ...(httpStatus === 503 && { "Retry-After": retryAfter }),
    },
    body: JSON.stringify({ ...document, code: error.code }),
  };
}

/** Answers whatever is thrown behind it. Comes first: Koa's own error path strips headers and answers plain text. */
export function answerErrors(log: ErrorLog): Middleware {
  return async (ctx, next) => {
    try {
      await next();
      const unanswered = ctx.body === undefined || ctx.body === "";
      const allowed = ctx.response.get("Allow");
      if (unanswered && allowed !== "" && (ctx.status === 405 || ctx.status === 501)) {
        answer(ctx, problemOf(new ArchiveError("method-not-allowed", `This address answers ${allowed}.`)));
      }
      if (unanswered && (ctx.status === 404 || ctx.status === 501)) {
        answer(ctx, problemOf(new ArchiveError("no-such-resource", "There is nothing at this address.")));
      }
    } catch (thrown) {
      const error = toArchiveError(thrown);
      const fields = { method: ctx.method, path: ctx.path, code: error.code, err: thrown };
      if (error.answer.httpStatus >= 500) log.error(fields, error.message);
      else log.debug(fields, error.message);
      answer(ctx, problemOf(error));
    } finally {
      // What was not read of a body is let run out: a client that writes it all first would never see the answer.
      ctx.req.resume();
    }
  };
}

function answer(ctx: Context, reply: Reply & { readonly body: string }): void {
  ctx.status = reply.status;
  ctx.set({ ...reply.headers });
  ctx.body = reply.body;
}
