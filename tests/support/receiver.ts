/** An address on this machine that takes webhooks: keeps what it is sent, answers as the test says. */
import { createServer, type IncomingHttpHeaders } from "node:http";
import { once } from "node:events";

/** One delivery as it arrived. */
export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Receiver {
  readonly url: string;
  /** In the order of arrival. */
  readonly received: readonly Received[];
  close(): Promise<void>;
}

/** Starts it. `answer` gives the status of each delivery, or a status and headers; undefined: never answers. */
export async function startReceiver(
  answer: (delivery: Received) => number | { status: number; location: string } | undefined = () => 200,
): Promise<Receiver> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      const delivery = { path: request.url ?? "", headers: request.headers, body };
      received.push(delivery);
      const answered = answer(delivery);
      if (answered === undefined) return;
      if (typeof answered === "number") response.writeHead(answered).end("thanks");
      else response.writeHead(answered.status, { Location: answered.location }).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("a TCP server has a port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    received,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
