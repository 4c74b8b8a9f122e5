/** A connection in between that has trouble: refuses, is silent, or breaks. */
import assert from "node:assert/strict";
import { connect, createServer, type Server, type Socket } from "node:net";

/** What it does with connections. */
export type Trouble =
  | "none"
  /** Nobody listens. */
  | "refused"
  /** Connections are taken, and nothing is ever answered. */
  | "silent"
  /** Connections break after some bytes of a request, or of an answer. */
  | "broken request"
  | "broken answer";

/** Bytes of one direction after which a connection breaks. */
const breaksAfter = 2000;

export interface TcpProxy {
  /** Where it listens, always the same. */
  readonly url: string;
  /** Ends what is open, and has this trouble from now on. */
  become(trouble: Trouble): Promise<void>;
  stop(): Promise<void>;
}

/** A proxy in front of `target`, an http URL, without trouble. */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let trouble: Trouble = "none";
  const server = createServer((client) => {
    sockets.add(client);
    client.on("error", () => undefined).on("close", () => sockets.delete(client));
    if (trouble === "silent") return client.resume();
    const upstream = connect(Number(port), hostname);
    sockets.add(upstream);
    upstream.on("error", () => client.destroy()).on("close", () => sockets.delete(upstream) && client.destroy());
    client.on("close", () => upstream.destroy());
    if (trouble === "broken request") breakAfter(client, [client, upstream]);
    if (trouble === "broken answer") breakAfter(upstream, [client, upstream]);
    client.pipe(upstream);
    upstream.pipe(client);
    return client;
  });
  const own = await listen(server, 0);
  const end = async () => {
    for (const socket of sockets) socket.destroy();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  return {
    url: `http://127.0.0.1:${own}`,
    become: async (next) => {
      await end();
      trouble = next;
      if (next !== "refused") await listen(server, own);
    },
    stop: end,
  };
}

function breakAfter(source: Socket, all: readonly Socket[]): void {
  let passed = 0;
  source.on("data", (bytes: Buffer) => {
    passed += bytes.byteLength;
    if (passed > breaksAfter) for (const socket of all) socket.resetAndDestroy();
  });
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", () => resolve()));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}
