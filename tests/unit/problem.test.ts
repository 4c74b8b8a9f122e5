/** Problem documents: what a client sees of an error, and what it never sees. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import Koa, { type Middleware } from "koa";
import request from "supertest";
import { ArchiveError } from "../../server/errors.ts";
import { answerErrors, problemOf } from "../../server/http/problem.ts";

/** What a client gets from `handler`, and what went to the log at which level. */
async function answerOf(handler: Middleware) {
  const logged: string[] = [];
  const app = new Koa();
  app.silent = true;
  app.use(
    answerErrors({
      error: (_fields, message) => logged.push(`error ${message}`),
      debug: (_fields, message) => logged.push(`debug ${message}`),
    }),
  );
  app.use(handler);
  const response = await request(app.callback()).get("/somewhere");
  return { status: response.status, type: response.type, headers: response.headers, text: response.text, logged };
}

describe("problem documents", () => {
  it("are as RFC 9457 has them", () => {
    const { status, headers, body } = problemOf(new ArchiveError("no-such-study", 'There is no "such" study.'));
    assert.equal(status, 404);
    assert.deepEqual(headers, { "Content-Type": "application/problem+json", "Cache-Control": "no-store" });
    assert.deepEqual(JSON.parse(body), {
      type: "urn:noctis:error:no-such-study",
      title: "No such study",
      status: 404,
      detail: 'There is no "such" study.',
      code: "no-such-study",
    });
  });

  it("say when to ask again where that may help", () => {
    assert.equal(problemOf(new ArchiveError("database-unavailable", "It is away.")).headers?.["Retry-After"], "10");
    assert.equal(problemOf(new ArchiveError("internal", "It broke.")).headers?.["Retry-After"], undefined);
  });

  it("answer what is thrown, and keep headers that were set before", async () => {
    const { status, type, headers, text, logged } = await answerOf((ctx) => {
      ctx.set("Access-Control-Allow-Origin", "*");
      throw new ArchiveError("invalid-uid", "It is not a UID.");
    });
    assert.deepEqual([status, type], [400, "application/problem+json"]);
    assert.equal(headers["access-control-allow-origin"], "*");
    assert.match(text, /"detail":"It is not a UID\."/);
    assert.deepEqual(logged, ["debug It is not a UID."]);
  });

  it("tell nothing of an error that was not expected", async () => {
    const { status, text, logged } = await answerOf(() => {
      throw new Error("select * from secret where path = '/etc/passwd'");
    });
    assert.equal(status, 500);
    assert.doesNotMatch(text, /secret|passwd|at .*\.ts|stack/);
    assert.match(text, /"code":"internal"/);
    assert.equal(logged.length, 1);
    assert.match(logged[0] ?? "", /^error /);
  });

  it("answer an address at which there is nothing", async () => {
    const { status, type, text } = await answerOf(() => undefined);
    assert.deepEqual([status, type], [404, "application/problem+json"]);
    assert.match(text, /"code":"no-such-resource"/);
  });

  it("answer a method that is not allowed, naming those that are", async () => {
    for (const status of [405, 501]) {
      const answered = await answerOf((ctx) => {
        ctx.status = status;
        ctx.set("Allow", "GET, HEAD");
        ctx.body = "";
      });
      assert.deepEqual([answered.status, answered.type], [405, "application/problem+json"]);
      assert.match(answered.text, /"detail":".*GET, HEAD/);
    }
  });

  it("leave an answer alone that is one", async () => {
    const empty = await answerOf((ctx) => {
      ctx.status = 204;
    });
    assert.deepEqual([empty.status, empty.text], [204, ""]);
    const own = await answerOf((ctx) => {
      ctx.status = 404;
      ctx.body = "mine";
    });
    assert.deepEqual([own.status, own.text], [404, "mine"]);
  });
});
