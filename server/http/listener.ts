/** The HTTP server beneath the application: limits, timeouts, and answers to what is no request that it could pass on. */
import { createServer, type RequestListener, type Server, type ServerOptions, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { ArchiveError, type ErrorCode } from "../errors.ts";
import { problemOf } from "./problem.ts";

/** Bytes of the request line and the headers together; a list of 10,000 frames fits. */
const maxHeaderSize = 64 * 1024;
/** An idle socket, in either direction, is let go after this many milliseconds. */
const idleTimeout = 120_000;
/** Milliseconds that a client gets to read the answer to what was no request. */
const linger = 1000;

/** Every method that some address answers. */
const methods = "GET, HEAD, POST, PUT, DELETE, OPTIONS";

/** What Node found, and what is answered. Anything else is a malformed request. */
const faults: Readonly<Record<string, readonly [code: ErrorCode, sentence: string]>> = {
  HPE_HEADER_OVERFLOW: ["headers-too-long", "The request line and headers are longer than 64 KiB."],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ["content-too-large", "The extensions of a chunk are longer than 16 KiB."],
  ERR_HTTP_REQUEST_TIMEOUT: ["request-timeout", "The request line and headers did not arrive in time."],
};

/** What Node tells of it. */
type ClientError = Error & { readonly code?: string; readonly rawPacket?: Buffer; readonly bytesParsed?: number };

const unknownMethod = new ArchiveError("method-not-allowed", "The method is none that this server knows.");

/**
 * A server that listens to nothing yet and passes every request to `handle`. What cannot be passed on is answered with a
 * problem document and the end of the connection, too. `timing` is for tests.
 */
export function createListener(
  handle: RequestListener,
  { idle = idleTimeout, ...timing }: ServerOptions & { readonly idle?: number } = {},
): Server {
  const server = createServer({
    // A large study may take longer than any fixed time: only idleness ends a request.
    requestTimeout: 0,
    headersTimeout: 30_000,
    keepAliveTimeout: 75_000,
    maxHeaderSize,
    // The application says what is wrong with a Host.
    requireHostHeader: false,
    ...timing,
  });
  const underWay = new WeakMap<Duplex, ServerResponse>();
  server.setTimeout(idle, (socket) => {
    const { bytesRead } = socket;
    // A process that was busy may not have looked yet at what has arrived.
    setImmediate(() => {
      if (isOurs(underWay.get(socket)) || socket.bytesRead > bytesRead) socket.setTimeout(idle);
      else socket.destroy();
    });
  });
  const ended = new WeakSet<Duplex>();
  server.on("request", (request, response) => {
    underWay.set(request.socket, response);
    // RFC 9110 9.3.7: OPTIONS of the server as a whole.
    if (request.method === "OPTIONS" && request.url === "*") response.writeHead(204, { Allow: methods }).end();
    else handle(request, response);
  });
  server.on("checkExpectation", (_request, response: ServerResponse) => {
    const error = new ArchiveError("expectation-failed", "Expect is not 100-continue.");
    const { status, fields, body } = lastAnswer(error);
    response.writeHead(status, fields).end(body);
  });
  server.on("connect", (_request, socket) => end(socket, unknownMethod));
  server.on("clientError", (error: ClientError, socket) => {
    if (ended.has(socket)) return;
    ended.add(socket);
    const response = underWay.get(socket);
    const answered = response === undefined || response.writableFinished;
    if (!socket.writable || error.code === "ECONNRESET") socket.destroy();
    else if (answered) end(socket, errorOf(error));
    // The fault is in the request that follows the one under way.
    else if (response.req.complete) response.once("finish", () => end(socket, errorOf(error)));
    else if (response.headersSent) socket.destroy();
    else end(socket, errorOf(error));
  });
  return server;
}

/** Whether the silence of a connection is ours: what we wait for (storage, database) has limits of its own. */
function isOurs(response: ServerResponse | undefined): boolean {
  if (response === undefined || response.writableFinished) return false;
  // What has arrived waits for its reader, or all has and is being worked on; what is to be sent has not come yet.
  const isAsked = response.req.complete || response.req.readableLength > 0;
  return isAsked && response.writableLength === 0;
}

function errorOf({ code = "", rawPacket, bytesParsed = 0 }: ClientError): ArchiveError {
  const [known, sentence] = faults[code] ?? [];
  if (known !== undefined && sentence !== undefined) return new ArchiveError(known, sentence);
  // A request line that would be right, were its method one of those that Node reads.
  const packet = rawPacket?.subarray(0, bytesParsed + 64).toString("latin1") ?? "";
  const line = packet.slice(packet.lastIndexOf("\n", bytesParsed) + 1);
  if (code === "HPE_INVALID_METHOD" && /^[A-Z]+ \S+ HTTP/.test(line)) return unknownMethod;
  return new ArchiveError("invalid-request", "The request is not HTTP as RFC 9112 has it.");
}

/** The problem document and the headers of an answer after which the connection ends. */
function lastAnswer(error: ArchiveError) {
  const { status, headers, body } = problemOf(error);
  const fields = {
    ...headers,
    "Content-Length": `${Buffer.byteLength(body)}`,
    "X-Content-Type-Options": "nosniff",
    Date: new Date().toUTCString(),
    Connection: "close",
    ...(status === 405 && { Allow: methods }),
  };
  return { status, fields, body };
}

/** Answers where there is no response of Node's to do it, and closes when the client has had time to read. */
function end(socket: Duplex, error: ArchiveError): void {
  const { status, fields, body } = lastAnswer(error);
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.on("error", () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${error.answer.title}\r\n${lines.join("")}\r\n${body}`);
  // What the client still writes is read: a socket that is closed on unread bytes is reset, and the answer lost.
  socket.resume();
  setTimeout(() => socket.destroy(), linger).unref();
}
