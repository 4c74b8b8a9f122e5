/** The address under which the client has reached the server: what every URL in an answer begins with. */
import type { IncomingMessage } from "node:http";
import { ArchiveError } from "../errors.ts";

export interface BaseUrlOptions {
  /** Address under which clients reach the server, without a final slash; wins over whatever a request says. */
  readonly publicUrl?: string | undefined;
  /** Whether Forwarded and X-Forwarded-* are believed. */
  readonly trustProxy: boolean;
}

/** A name or an address, in brackets when it is IPv6, and perhaps a port (RFC 3986 3.2.2, RFC 9110 7.2). */
const hostForm = /^(?:[a-z\d][\w.-]{0,252}|\[[\da-f:.]{2,45}\])(?::\d{1,5})?$/i;
/** Segments of unreserved characters that go nowhere but down. */
const prefixForm = /^(?:\/(?!\.\.?(?:\/|$))[\w.~-]+)+$/;

/** Left out of a URL where they are those of its scheme; those of the other scheme belong to an inner hop. */
const defaultPorts = ["80", "443"];

/**
 * Scheme, host and path prefix, without a final slash: of the setting, else of Forwarded (RFC 7239), else of
 * X-Forwarded-Proto, -Host, -Port and -Prefix, else of the request itself. What is malformed in them is passed over.
 * @throws ArchiveError `invalid-request` when the request names no host, or none that can be one (RFC 9112 3.2)
 */
export function baseUrl(request: IncomingMessage, { publicUrl, trustProxy }: BaseUrlOptions): string {
  const ownHost = hostOf(request);
  if (publicUrl !== undefined) return publicUrl;
  const ownProtocol = "encrypted" in request.socket ? "https" : "http";
  if (!trustProxy) return `${ownProtocol}://${ownHost}`;
  const standard = forwarded(request.headers["forwarded"]);
  const protocol = protocolOf(standard.get("proto")) ?? protocolOf(first(request, "proto")) ?? ownProtocol;
  const host = validHost(standard.get("host")) ?? validHost(first(request, "host")) ?? ownHost;
  const prefix = first(request, "prefix")?.replace(/\/$/, "") ?? "";
  return `${protocol}://${withPort(host, first(request, "port"))}${prefixForm.test(prefix) ? prefix : ""}`;
}

function hostOf(request: IncomingMessage): string {
  const hosts = request.headersDistinct["host"] ?? [];
  const { localAddress = "", localPort = 0 } = request.socket;
  // HTTP/1.0 knows no Host.
  if (hosts.length === 0 && request.httpVersion === "1.0") {
    return `${localAddress.includes(":") ? `[${localAddress}]` : localAddress}:${localPort}`;
  }
  const host = hosts.length === 1 ? validHost(hosts[0]) : undefined;
  if (host !== undefined) return host;
  throw new ArchiveError("invalid-request", "The Host header is not one host with or without a port.");
}

/** The value that the proxy next to the client has put into an X-Forwarded header: the first of the list. */
function first(request: IncomingMessage, name: string): string | undefined {
  const header = request.headers[`x-forwarded-${name}`];
  return (Array.isArray(header) ? header[0] : header)?.split(",", 1)[0]?.trim();
}

function validHost(host: string | undefined): string | undefined {
  return host !== undefined && hostForm.test(host) && Number(/:(\d+)$/.exec(host)?.[1] ?? 1) <= 65_535
    ? host
    : undefined;
}

function protocolOf(text: string | undefined): string | undefined {
  const protocol = text?.toLowerCase();
  return protocol === "http" || protocol === "https" ? protocol : undefined;
}

/** The port counts where the host has none. */
function withPort(host: string, port: string | undefined): string {
  const isPort = port !== undefined && /^\d{1,5}$/.test(port) && Number(port) > 0 && Number(port) <= 65_535;
  if (!isPort || /:\d+$/.test(host) || defaultPorts.includes(port)) return host;
  return `${host}:${port}`;
}

const pairForm = /^\s*([\w!#$%&'*+.^`|~-]+)=(?:([\w!#$%&'*+.^`|~-]+)|"((?:[^"\\]|\\.)*)")\s*$/;

/** The pairs of the first element of a Forwarded header (RFC 7239 4); none when it is malformed. */
function forwarded(header: string | undefined): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>();
  const [element = ""] = header?.match(/^(?:[^,"]|"(?:[^"\\]|\\.)*")*/) ?? [];
  for (const text of element.match(/(?:[^;"]|"(?:[^"\\]|\\.)*")+/g) ?? []) {
    const [, name, token, quoted] = pairForm.exec(text) ?? [];
    if (name === undefined || pairs.has(name.toLowerCase())) return new Map();
    pairs.set(name.toLowerCase(), token ?? quoted?.replaceAll(/\\(.)/g, "$1") ?? "");
  }
  return pairs;
}
