/** One POST whose body is a stream of known length, over HTTP or HTTPS, and its answer. */
import { type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { ArchiveError, type ErrorCode } from "../errors.ts";

/** The answer, whole. */
export interface HttpAnswer {
  readonly status: number;
  /** Content-Type without its parameters, in small letters; empty when there is none. */
  readonly mediaType: string;
  readonly body: Buffer;
}

/** Why there is no answer: `peer-unreachable`, `peer-silent`, `association-aborted`, or the code of what the body threw. */
export class HttpFailure extends Error {
  override readonly name = "HttpFailure";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

export interface PostOptions {
  /** With Content-Length. */
  readonly headers: Readonly<Record<string, string>>;
  /** Gone through once, as fast as the server takes it. */
  readonly body: () => AsyncIterable<Buffer>;
  /** Ends the request. */
  readonly signal: AbortSignal;
  /** How long (milliseconds) the connection may be silent. */
  readonly silence: number;
}

/** Longest answer that is read, in bytes: of 100 instances, each with a comment, it is a tenth of that. */
const longestAnswer = 2 ** 20;

/** Codes of the system for a server that is not there. */
const unreachable =
  /^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|CERT_|ERR_TLS|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/;

/** Redirections are not followed: another address was not agreed upon. @throws HttpFailure */
export async function postStream(url: string, { headers, body, signal, silence }: PostOptions): Promise<HttpAnswer> {
  const post = url.startsWith("https:") ? httpsRequest : httpRequest;
  // Each on a connection of its own: one that is kept may be closed by the server just when it is used again.
  const request = post(url, { method: "POST", headers: { ...headers, Connection: "close" }, signal, agent: false });
  request.setTimeout(silence, () =>
    request.destroy(new HttpFailure("peer-silent", "The server does not answer.", undefined)),
  );
  let hasAnswered = false;
  const answer = new Promise<HttpAnswer>((resolve, reject) => {
    request.once("response", (response) => {
      hasAnswered = true;
      const { statusCode: status = 0, headers: said } = response;
      const mediaType = (said["content-type"] ?? "").replace(/;.*/, "").trim().toLowerCase();
      readAnswer(response).then((bytes) => resolve({ status, mediaType, body: bytes }), reject);
    });
    // A server may answer before it has taken the whole body, and then close: its answer counts, not the broken pipe.
    request.on("error", (error) => (hasAnswered ? undefined : reject(error)));
    request.once("close", () => (hasAnswered ? undefined : reject(new Error("closed"))));
  });
  // It is awaited below; until then nobody would take the rejection.
  answer.catch(() => undefined);
  try {
    await write(request, body(), () => hasAnswered);
    return await answer;
  } catch (error) {
    throw failureOf(error);
  } finally {
    request.destroy();
  }
}

/** What the body throws is thrown as it is; what happens to the request is told by its answer. */
async function write(request: ClientRequest, body: AsyncIterable<Buffer>, isOver: () => boolean): Promise<void> {
  for await (const chunk of body) {
    if (isOver() || request.destroyed) return;
    if (!request.write(chunk)) await drained(request);
  }
  request.end();
}

/** Resolves when the request takes more, or never will. */
function drained(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      request.off("drain", done).off("close", done).off("response", done);
      resolve();
    };
    request.on("drain", done).on("close", done).on("response", done);
  });
}

async function readAnswer(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > longestAnswer)
      throw new HttpFailure("peer-failed", "The answer of the server is too long.", undefined);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function failureOf(error: unknown): HttpFailure {
  if (error instanceof HttpFailure) return error;
  if (error instanceof ArchiveError) return new HttpFailure(error.code, error.message, error);
  const [first] = error instanceof AggregateError ? error.errors : [error];
  const code = first instanceof Error && "code" in first ? String(first.code) : "";
  const named = code === "" ? "" : ` (${code})`;
  return unreachable.test(code)
    ? new HttpFailure("peer-unreachable", `The server cannot be reached${named}.`, error)
    : new HttpFailure("association-aborted", `The connection ended before the server had answered${named}.`, error);
}
