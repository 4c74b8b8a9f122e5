/** Requests to the server under test, and its answers with their bodies whole in memory. */
import http, { type IncomingHttpHeaders } from "node:http";
import https from "node:https";
import net from "node:net";

/** A request without a default of any kind: no Accept, no User-Agent is added. */
export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

/** One whole answer. */
export interface Answer {
  readonly method: string;
  readonly url: string;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** From the request to the last byte, in seconds. */
  readonly seconds: number;
}

const agents = { "http:": new http.Agent({ keepAlive: true }), "https:": new https.Agent({ keepAlive: true }) };
const timeoutMilliseconds = 30_000;

/** Sends one request; the path and query of `url` go out as they are written, dots and all. */
export async function exchange(url: string, options: RequestOptions = {}): Promise<Answer> {
  const { method = "GET", headers = {}, body } = options;
  const { protocol, hostname, port, origin } = new URL(url);
  const isSecure = protocol === "https:";
  const start = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = (isSecure ? https : http).request(
    {
      agent: agents[isSecure ? "https:" : "http:"],
      method,
      hostname: hostname.replaceAll(/[[\]]/g, ""),
      port,
      path: url.slice(origin.length) || "/",
      headers: { ...headers, ...(body !== undefined && { "Content-Length": String(Buffer.byteLength(body)) }) },
      timeout: timeoutMilliseconds,
    },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const seconds = (performance.now() - start) / 1000;
        const answer = { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
        resolve({ ...answer, method, url, seconds });
      });
    },
  );
  request.on("timeout", () => request.destroy(new Error(`no answer within ${timeoutMilliseconds / 1000} s`)));
  request.on("error", reject);
  request.end(body);
  return promise;
}

/** Lets go of the connections that are kept open. */
export function closeConnections(): void {
  for (const agent of Object.values(agents)) agent.destroy();
}

/** Sends bytes over a plain connection and gives the status of what comes back; 0 when the server just hangs up. */
export async function exchangeRaw(url: string, text: string): Promise<number> {
  const { hostname, port } = new URL(url);
  const { promise, resolve } = Promise.withResolvers<number>();
  const socket = net.connect({ host: hostname.replaceAll(/[[\]]/g, ""), port: Number(port || 80) });
  let received = "";
  socket.setTimeout(10_000, () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    received += chunk.toString("latin1");
    if (received.includes("\r\n\r\n")) socket.end();
  });
  // A server that refuses a request may close before it has read all of it.
  socket.on("error", () => undefined);
  socket.on("close", () => resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(received)?.[1] ?? 0)));
  socket.write(text, "latin1");
  return promise;
}

/** A header's value, or nothing. */
export function header(answer: Answer, name: string): string {
  const value = answer.headers[name.toLowerCase()];
  return Array.isArray(value) ? value.join(", ") : (value ?? "");
}
