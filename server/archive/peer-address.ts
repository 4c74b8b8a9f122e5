/** The address of a peer of DIMSE as people write it: NAME=AE@HOST:PORT?tls&calling=AE, of which AE@HOST:PORT is enough. */
import { isIP } from "node:net";
import type { DimsePeer } from "../../storage/catalog-peers.ts";

/** What an address has to be, for messages. */
export const peerAddressForm = "must be of the form AE@host:port or name=AE@host:port, with ?tls behind it for TLS";

/** Whether `text` can be the name of a peer: it stands in paths and command lines. */
export function isPeerName(text: string): boolean {
  return /^\w[\w.-]{0,63}$/.test(text);
}

/** Whether `text` is an AE title (PS3.5 Table 6.2-1): 1 to 16 characters of ISO 646 without backslash, no blank around it. */
export function isAeTitle(text: string): boolean {
  return /^[\x20-\x5b\x5d-\x7e]{1,16}$/.test(text) && text.trim() === text;
}

/** Whether `text` is an IP address, or a host name by its letters (RFC 1123 2.1), whose last label is no number. */
export function isHost(text: string): boolean {
  return isIP(text) !== 0 || /^(?:[a-z0-9_-]+\.)*[a-z0-9_-]*[a-z_-][a-z0-9_-]*$/i.test(text);
}

/** The peer that an address names; undefined when it is none. An AE title that can be no name needs a name in front. */
export function parsePeerAddress(text: string): DimsePeer | undefined {
  const parts = /^(?:([^=@?]+)=)?([^=@?]+)@(\[[^\]]+\]|[^:@?[\]]+):(\d{1,5})(?:\?([^?]*))?$/.exec(text.trim());
  if (!parts) return undefined;
  const [, givenName, aeTitle = "", bracketed = "", digits = "", options = ""] = parts;
  const name = givenName ?? aeTitle;
  const host = bracketed.replaceAll(/[[\]]/g, "");
  const port = Number(digits);
  const parsed = parseOptions(options);
  if (!parsed || !isPeerName(name) || !isAeTitle(aeTitle) || port < 1 || port > 65_535) return undefined;
  // An address with colons stands in brackets, and nothing else does.
  if (bracketed.startsWith("[") ? isIP(host) !== 6 : !isHost(host)) return undefined;
  return { kind: "dimse", name, aeTitle, host, port, ...parsed };
}

function parseOptions(text: string): Pick<DimsePeer, "tls" | "callingAeTitle"> | undefined {
  let tls = false;
  let callingAeTitle: string | undefined;
  for (const option of text === "" ? [] : text.split("&")) {
    const [key, value] = option.split("=");
    if (option === "tls") tls = true;
    else if (key === "calling" && value !== undefined && isAeTitle(value)) callingAeTitle = value;
    else return undefined;
  }
  return { tls, ...(callingAeTitle !== undefined && { callingAeTitle }) };
}

/** The address of a peer as `parsePeerAddress` reads it, without its name. */
export function peerAddress({ aeTitle, host, port, tls, callingAeTitle }: Omit<DimsePeer, "name" | "kind">): string {
  const options = [...(tls ? ["tls"] : []), ...(callingAeTitle === undefined ? [] : [`calling=${callingAeTitle}`])];
  const query = options.length === 0 ? "" : `?${options.join("&")}`;
  return `${aeTitle}@${host.includes(":") ? `[${host}]` : host}:${port}${query}`;
}

/** Whether each of `peers` is one by a name and an AE title of its own. */
export function areDistinct(peers: readonly DimsePeer[]): boolean {
  const names = new Set(peers.map(({ name }) => name));
  const titles = new Set(peers.map(({ aeTitle }) => aeTitle));
  return names.size === peers.length && titles.size === peers.length;
}
