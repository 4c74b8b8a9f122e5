/** Sends a reply: conditional requests, byte ranges and HEAD are answered here, for every route alike. */
import { Readable } from "node:stream";
import type { Context } from "koa";
import type { ReadableBytes } from "../archive/stored-bytes.ts";
import { ArchiveError } from "../errors.ts";
import { contentRange, multipartByteRanges, parseRange } from "./byte-range.ts";
import { isRangeCurrent, precondition } from "./conditional.ts";
import { primed } from "./primed.ts";
import { problemOf } from "./problem.ts";
import type { Reply } from "./reply.ts";

/** Headers that a 304 repeats (RFC 9110 15.4.5), and that describe no content. */
const keptByNotModified = ["Cache-Control", "Content-Location", "Expires", "Vary"];

/** A state of the last so many milliseconds may still be followed by another of the same second. */
const unsettled = 2000;

/** Writes `reply` to `ctx`. A streamed body is begun first: what cannot be read at all is an error with a status. */
export async function send(ctx: Context, reply: Reply): Promise<void> {
  const chosen = chooseReply(ctx, withValidators(reply));
  const { status, headers, body } = chosen;
  const isStream = body !== undefined && typeof body !== "string" && !Buffer.isBuffer(body);
  const streamed = isStream ? (isRanged(body) ? body.read() : body) : undefined;
  const sent =
    streamed && ctx.method !== "HEAD" ? Readable.from(await primed(streamed), { objectMode: false }) : undefined;
  ctx.status = status;
  // Where there is no body, null says so: Koa would send the reason phrase.
  ctx.body = isStream ? (sent ?? "") : (body ?? null);
  // After the body, which sets headers of its own.
  const { Vary: vary, ...others } = headers ?? {};
  ctx.set(others);
  if (vary !== undefined) ctx.vary(vary);
  if (isRanged(body)) ctx.set("Content-Length", `${body.byteLength}`);
  else if (isStream && headers?.["Content-Length"] === undefined) ctx.remove("Content-Length");
  if (body === undefined) ctx.status = status;
}

/** What is sent in place of `reply`, for the preconditions and the range of the request. */
function chooseReply(ctx: Context, reply: Reply): Reply {
  const { status, headers, body } = reply;
  if (status !== 200 || (ctx.method !== "GET" && ctx.method !== "HEAD")) return reply;
  const header = (name: string) => ctx.get(name) || undefined;
  const found = precondition(header, reply);
  if (found === "not-modified") return notModified(reply);
  if (found === "failed") {
    return problemOf(new ArchiveError("precondition-failed", "The resource is not in the state that was asked for."));
  }
  if (!isRanged(body)) return reply;
  const whole = { ...reply, headers: { ...headers, "Accept-Ranges": "bytes" } };
  const range = header("range");
  // RFC 9110 14.2: Range is defined for GET alone.
  if (range === undefined || ctx.method === "HEAD" || !isRangeCurrent(header, reply)) return whole;
  return partial(whole, body, range);
}

function partial(whole: Reply, body: ReadableBytes, header: string): Reply {
  const ranges = parseRange(header, body.byteLength);
  if (ranges === undefined) return whole;
  const [first] = ranges;
  if (first === undefined) {
    const problem = problemOf(new ArchiveError("range-not-satisfiable", `There are ${body.byteLength} bytes here.`));
    return { ...problem, headers: { ...problem.headers, "Content-Range": contentRange(body.byteLength) } };
  }
  if (ranges.length === 1) {
    const headers = { ...whole.headers, "Content-Range": contentRange(body.byteLength, first) };
    return { status: 206, headers, body: { byteLength: first.length, read: () => body.read(first) } };
  }
  const message = multipartByteRanges(body, ranges, whole.headers?.["Content-Type"] ?? "application/octet-stream");
  const headers = { ...whole.headers, "Content-Type": message.contentType };
  return { status: 206, headers, body: { byteLength: message.byteLength, read: () => message.bytes } };
}

function notModified({ headers, etag, lastModified }: Reply): Reply {
  const kept = Object.entries(headers ?? {}).filter(([name]) => keptByNotModified.includes(name));
  return withValidators({ status: 304, headers: Object.fromEntries(kept), etag, lastModified });
}

function withValidators(reply: Reply): Reply {
  const { headers, etag, lastModified } = reply;
  return {
    ...reply,
    headers: {
      ...headers,
      ...(etag !== undefined && { ETag: etag }),
      ...(lastModified && { "Last-Modified": sentDate(lastModified) }),
    },
  };
}

/**
 * The date of a state, in seconds. Whoever has seen one of two states of a second must not hold it for the other (RFC
 * 9110 8.8.2.2): until its second is over for sure, a state bears the date before, and no 304 follows from that.
 */
function sentDate(lastModified: Date, now = Date.now()): string {
  const isSettled = now - lastModified.getTime() >= unsettled;
  return new Date(lastModified.getTime() - (isSettled ? 0 : 1000)).toUTCString();
}

function isRanged(body: Reply["body"]): body is ReadableBytes {
  return typeof body === "object" && !Buffer.isBuffer(body) && "byteLength" in body;
}
