/** A TCP port that passes everything on to another one, and can refuse connections for a while. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface Forwarder {
  readonly port: number;
  /** Ends every connection and refuses new ones. */
  close(): Promise<void>;
  /** Passes on what comes from the clients, and no answer any more: connections stay open and silent. */
  silence(): void;
  /** Passes on to `target` from now on. */
  open(target: number): Promise<void>;
}

/** A forwarder on a free port of 127.0.0.1 that is open for `target`. */
export async function startForwarder(target: number): Promise<Forwarder> {
  let aim = target;
  const sockets = new Set<Socket>();
  const answering = new Set<Socket>();
  let isSilent = false;
  const server = createServer((near) => {
    const far = connect(aim, "127.0.0.1");
    answering.add(far);
    far.once("close", () => answering.delete(far));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.setNoDelay(true);
      one.on("error", () => undefined);
      one.once("close", () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
    if (isSilent) muted(far);
  });
  const listen = async (port: number) => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("A TCP server has a port.");
    return address.port;
  };
  const port = await listen(0);
  return {
    port,
    close: async () => {
      if (!server.listening) return;
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    silence: () => {
      isSilent = true;
      for (const far of answering) muted(far);
    },
    open: async (next) => {
      aim = next;
      isSilent = false;
      if (!server.listening) await listen(port);
    },
  };
}

/** Nothing of what comes from `far` is passed on any more. */
function muted(far: Socket): void {
  far.unpipe().pause();
}
