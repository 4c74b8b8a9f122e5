/** How requests reach the object store: kept-alive sockets, a limit on their number, and a limit on silence. */
import http from "node:http";
import https from "node:https";

/** Sockets to the store at most; further requests wait. A stream that is not read to its end holds one. */
const socketLimit = 256;

/** Statuses whose body the client of `minio` leaves unread, which would hold the socket for ever. */
const unreadStatuses = new Set([408, 429, 499, 500, 502, 503, 504, 520]);

type OnResponse = (response: http.IncomingMessage) => void;

/** What the client of `minio` takes for `transport` and `transportAgent`. */
export interface S3Transport {
  readonly transport: Pick<typeof http, "request">;
  readonly transportAgent: http.Agent;
  /** Ends every socket. */
  readonly close: () => void;
}

/**
 * A transport for one store.
 * @param silence how long (milliseconds) it may be silent: while connecting, before its answer, or in the middle of it
 */
export function openTransport(secure: boolean, silence = 30_000): S3Transport {
  const module = secure ? https : http;
  const agent = new module.Agent({ keepAlive: true, maxSockets: socketLimit, maxFreeSockets: 32 });

  function request(target: http.RequestOptions | string | URL, onResponse?: OnResponse): http.ClientRequest;
  function request(url: string | URL, options: http.RequestOptions, onResponse?: OnResponse): http.ClientRequest;
  function request(
    target: http.RequestOptions | string | URL,
    second?: http.RequestOptions | OnResponse,
    third?: OnResponse,
  ): http.ClientRequest {
    const [options, onResponse] = typeof second === "function" ? [{}, second] : [second ?? {}, third];
    const url = typeof target === "string" || target instanceof URL;
    const all = { ...(url ? {} : target), ...options, timeout: silence };
    const sent = url ? module.request(target, all) : module.request(all);
    let response: http.IncomingMessage | undefined;
    sent.on("response", (answer) => {
      response = answer;
      if (unreadStatuses.has(answer.statusCode ?? 0)) answer.resume();
      onResponse?.(answer);
    });
    sent.on("timeout", () => {
      // Bytes that wait for their reader: the silence is ours. Else the store has gone.
      if (response !== undefined && response.readableLength > 0) sent.setTimeout(silence);
      else sent.destroy(Object.assign(new Error("The object store was silent."), { code: "ETIMEDOUT" }));
    });
    return sent;
  }
  return { transport: { request }, transportAgent: agent, close: () => agent.destroy() };
}
