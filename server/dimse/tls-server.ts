/** The side of TLS that is connected to: handshakes, client certificates, and files that change. */
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { CurrentTls } from "./tls.ts";

/** Whether a client has to show a certificate that is trusted; `optional`: it may have none, but no other. */
export type ClientCertificates = "required" | "optional" | "none";

export interface TlsServerOptions {
  readonly current: CurrentTls;
  readonly clientCertificates: ClientCertificates;
  /** Milliseconds for a handshake. */
  readonly handshakeTimeout: number;
  /** Handshakes under way: when there are more, the oldest is given up. */
  readonly mostHandshakes: number;
  readonly onConnection: (socket: TLSSocket) => void;
  /** A handshake failed; `reason` is what the system says. */
  readonly onRefused: (remoteAddress: string | undefined, reason: string) => void;
}

/** Makes a server whose connections are over TLS; what has changed of the files counts for the next connection. */
export function createTlsServer(options: TlsServerOptions): Server {
  const { current, clientCertificates, handshakeTimeout, mostHandshakes, onConnection, onRefused } = options;
  /** By the address of the other side: the socket of a connection is another than the one beneath it. */
  const handshakes = new Map<string, Socket>();
  let inForce = current();
  // Who shows what is not trusted is refused below, where it can be told the log.
  const requestCert = clientCertificates !== "none";
  const server = createServer({ ...inForce, handshakeTimeout, requestCert, rejectUnauthorized: false });
  server.prependListener("connection", (socket: Socket) => {
    const now = current();
    if (now !== inForce) server.setSecureContext(now);
    inForce = now;
    const address = addressOf(socket);
    handshakes.set(address, socket);
    socket.once("close", () => handshakes.delete(address));
    const [oldest] = handshakes.values();
    if (handshakes.size > mostHandshakes) oldest?.destroy();
  });
  server.on("secureConnection", (socket) => {
    handshakes.delete(addressOf(socket));
    const fault = certificateFault(socket, clientCertificates);
    if (fault === undefined) return onConnection(socket);
    onRefused(socket.remoteAddress, fault);
    socket.destroy();
  });
  server.on("tlsClientError", (error, socket) => {
    onRefused(socket.remoteAddress, "code" in error ? String(error.code) : error.message);
  });
  const close = server.close.bind(server);
  return Object.assign(server, {
    close: (callback?: (error?: Error) => void) => {
      for (const socket of handshakes.values()) socket.destroy();
      return close(callback);
    },
  });
}

function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** A resumed session of TLS 1.3 is called authorized even when its client never had a certificate: it is looked for. */
function certificateFault(socket: TLSSocket, wanted: ClientCertificates): string | undefined {
  if (wanted === "none") return undefined;
  if (!hasCertificate(socket)) return wanted === "required" ? "it shows no certificate" : undefined;
  return socket.authorized ? undefined : `its certificate is not trusted: ${String(socket.authorizationError)}`;
}

function hasCertificate(socket: TLSSocket): boolean {
  return Object.keys(socket.getPeerCertificate()).length > 0;
}

/** Common name of the certificate that the other side has shown and that is trusted; undefined without. */
export function certificateName(socket: TLSSocket): string | undefined {
  if (!socket.authorized || !hasCertificate(socket)) return undefined;
  const name: string | string[] | undefined = socket.getPeerCertificate().subject.CN;
  return Array.isArray(name) ? name.join(", ") : name;
}
