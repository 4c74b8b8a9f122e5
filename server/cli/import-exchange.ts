/** One HTTP request and its answer, tried again with growing pauses while the server is busy or the connection breaks. */
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";

import { InstanceUnreadable } from "./import-instance.ts";

/** What to ask. */
export interface Question {
  readonly method: "GET" | "HEAD" | "POST";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string | number>>;
  /** Makes the body anew for every attempt; its length must be the Content-Length header. */
  readonly body?: () => AsyncIterable<Uint8Array>;
  /** Milliseconds that the whole answer may take; one that takes longer is not asked for again. */
  readonly withinMs?: number;
  /** Told before each further attempt, so that what was counted for the last one can be taken back. */
  readonly onRetry?: () => void;
}

/** The answer, whole. */
export interface Reply {
  readonly status: number;
  readonly body: Buffer;
  /** The ETag header. */
  readonly etag: string | undefined;
  /** The Content-Type header without its parameters, in small letters; empty when there is none. */
  readonly mediaType: string;
  /** The Location header. */
  readonly location: string | undefined;
}

/** How often and how patiently. */
export interface RetryPolicy {
  /** Attempts in all, the first included. */
  readonly attempts: number;
  /** Pause before the second attempt in milliseconds; it doubles each time. */
  readonly firstPauseMs: number;
  /** How long a connection may be silent, in milliseconds. */
  readonly silenceMs: number;
}

/** Gives up after about a quarter of a minute of pauses. */
export const defaultRetryPolicy: RetryPolicy = { attempts: 6, firstPauseMs: 500, silenceMs: 600_000 };

/** Every attempt ended without an answer. `message` is a phrase such as "connection refused". */
export class ConnectionFailed extends Error {
  override readonly name = "ConnectionFailed";
}

/** The answer to a question took longer than it may. */
class AnswerLate extends Error {
  override readonly name = "AnswerLate";
}

const longestPauseMs = 30_000;
const largestReplyBytes = 64 * 1024 * 1024;

/** Statuses that may change by themselves. 501, 505 and 507 are 5xx too, and another attempt would meet the same. */
function mayPass(status: number): boolean {
  return status === 429 || (status >= 500 && ![501, 505, 507].includes(status));
}

/** RFC 9110 10.2.3: seconds, or a date; undefined when absent or neither. */
function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/u.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), longestPauseMs) : undefined;
}

const phrases: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the connection was broken off",
  EPIPE: "the connection was broken off",
  ENOTFOUND: "the host is not known",
  ETIMEDOUT: "no answer in time",
  EPROTO: "it does not speak TLS",
  EHOSTUNREACH: "the host cannot be reached",
};

/** Why a connection failed, as a phrase. */
function phrase(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return phrase(error.errors[0]);
  if (!(error instanceof Error)) return "the connection failed";
  const code = "code" in error ? String(error.code) : "";
  if (code.startsWith("HPE_")) return "what it answers is no HTTP";
  return phrases[code] ?? (error.message === "" ? "the connection failed" : error.message);
}

async function read(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let byteLength = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    byteLength += chunk.length;
    if (byteLength > largestReplyBytes) throw new Error("the answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Resolves when the request takes more bytes, or never will. */
function writable(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      request.off("drain", done).off("close", done).off("response", done);
      resolve();
    };
    request.on("drain", done).on("close", done).on("response", done);
  });
}

/** An answer with what is needed to decide about another attempt. */
interface Attempt extends Reply {
  readonly retryAfter: string | undefined;
}

/** Asks questions of one server over kept connections. */
export class Exchange {
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #policy: RetryPolicy;

  /** `connections` is the largest number open at once; `url` tells whether they are TLS. */
  constructor(url: URL, connections: number, policy: RetryPolicy = defaultRetryPolicy) {
    const options = { keepAlive: true, maxSockets: connections, scheduling: "lifo" } as const;
    this.#agent = url.protocol === "https:" ? new HttpsAgent(options) : new HttpAgent(options);
    this.#policy = policy;
  }

  /**
   * The answer to a question; a status that may pass is answered only after the last attempt. Throws ConnectionFailed,
   * and InstanceUnreadable when the body does.
   */
  async ask(question: Question, attempts = this.#policy.attempts): Promise<Reply> {
    for (let attempt = 1; ; attempt += 1) {
      let pauseMs = Math.min(this.#policy.firstPauseMs * 2 ** (attempt - 1), longestPauseMs);
      try {
        const reply = await this.#once(question);
        if (attempt >= attempts || !mayPass(reply.status)) return reply;
        pauseMs = retryAfterMs(reply.retryAfter) ?? pauseMs;
      } catch (error) {
        if (error instanceof InstanceUnreadable) throw error;
        if (attempt >= attempts || error instanceof AnswerLate)
          throw new ConnectionFailed(phrase(error), { cause: error });
      }
      question.onRetry?.();
      // Spread out, so that parallel connections do not come back all at once.
      await sleep(pauseMs * (1 + Math.random() / 4));
    }
  }

  /** Closes the kept connections. */
  close(): void {
    this.#agent.destroy();
  }

  async #once(question: Question): Promise<Attempt> {
    const send = question.url.protocol === "https:" ? httpsRequest : httpRequest;
    const request = send(question.url, { method: question.method, headers: question.headers, agent: this.#agent });
    request.setTimeout(this.#policy.silenceMs, () => request.destroy(new Error("no answer in time")));
    let failure: unknown;
    let answered = false;
    const answer = new Promise<Attempt>((resolve, reject) => {
      request.once("response", (response) => {
        answered = true;
        const { etag, location, "retry-after": retryAfter, "content-type": type = "" } = response.headers;
        const status = response.statusCode ?? 0;
        const mediaType = type.replace(/;.*/u, "").trim().toLowerCase();
        read(response).then((body) => resolve({ status, body, etag, mediaType, location, retryAfter }), reject);
      });
      if (question.withinMs !== undefined) {
        const deadline = setTimeout(() => {
          reject(new AnswerLate("no answer in time"));
          request.destroy();
        }, question.withinMs);
        request.once("close", () => clearTimeout(deadline));
      }
      // A server may answer before it has taken the whole body, and then close: that answer counts, not the broken pipe.
      request.on("error", (error) => (answered ? undefined : reject(failure ?? error)));
    });
    // A server may answer while the body is still being written; without a handler that would be an unhandled rejection.
    answer.catch(() => undefined);
    try {
      for await (const chunk of question.body?.() ?? []) {
        if (answered || request.destroyed) break;
        if (!request.write(chunk)) await writable(request);
      }
    } catch (error) {
      failure = error;
      request.destroy();
      throw error;
    }
    if (!answered && !request.destroyed) request.end();
    const attempt = await answer;
    // A connection on which a body was cut short cannot carry another request.
    if (!request.writableFinished) request.destroy();
    return attempt;
  }
}
