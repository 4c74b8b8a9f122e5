/** Two ends of one TCP connection, for what is tested on sockets. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, connect as connectSocket, type Socket } from "node:net";
import type { TestContext } from "node:test";

/** Two ends of one connection over the loopback interface, closed after the test; `near` is the acceptor's. */
export async function socketPair(t: TestContext): Promise<{ near: Socket; far: Socket }> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const far = connectSocket(address.port, "127.0.0.1");
  const [near]: Socket[] = await once(server, "connection");
  assert.ok(near);
  t.after(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return { near, far };
}
